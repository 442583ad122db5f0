"""Counterexamples for people: one line a round, one column a validator."""

from collections.abc import Sequence

from ledger.core.certificate import Timeout
from simnet.model.explorer import Trace
from simnet.model.local import Cast, Local
from simnet.model.state import Certified, block_name

__all__ = ["columns", "trace_lines"]


def trace_lines(trace: Trace) -> list[str]:
    """Give the trace as lines of columns, and below them what is wrong.

    A block is named by its round and a letter; ``2a<1b`` is block 2a on its parent 1b, and ``tc0``
    says that it carries a timeout certificate which reports round 0; ``give up (1)`` is a timeout
    that reports round 1.
    """
    last = trace.last.certified
    rows = [["round", *(f"v{index}" for index in range(len(trace.last.records))), "certified"]]
    for step in trace.steps:
        round_, known = step.before.round + 1, len(step.before.certified)
        new = [item for item in last[known:] if item.block.round == round_]
        certified = ", ".join(_certificate(item, last) for item in new)
        acts = [_acts(local, step.before.certified) for local in step.outcomes]
        rows.append([str(round_), *acts, certified])
    found = trace.violation
    return [*columns(rows), f"VIOLATED: {found.name}: {found.detail}"]


def columns(rows: Sequence[Sequence[str]]) -> list[str]:
    """Align rows of cells."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]


def _acts(local: Local, certified: Sequence[Certified]) -> str:
    said = [_act(statement, certified) for statement in local.statements]
    return ", ".join(said) or "-"


def _act(statement: Cast | Timeout, certified: Sequence[Certified]) -> str:
    if isinstance(statement, Timeout):
        return f"give up ({statement.high_qc.round})"
    block, tc = statement.offer.block, statement.offer.block.tc
    demand = "" if tc is None else f" tc{tc.qc_round_max}"
    return f"vote {block_name(block)}<{block_name(certified[statement.offer.parent].block)}{demand}"


def _certificate(item: Certified, certified: Sequence[Certified]) -> str:
    name = block_name(item.block)
    if item.qc.commit is None:
        return name
    return f"{name} finalises {block_name(certified[item.parent].block)}"
