"""The audit: everything of a block recomputed by somebody who is given its records.

Owns what an auditor concludes, from data alone. It trusts the events of the ledger and nothing
that the seller says: the secret, the records, and the earlier records that are corrected must all
lead to what the events say.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from adapters.tmf.usage.amounts import format_amount
from adapters.tmf.usage.block import Total, UsageBlock, open_block
from adapters.tmf.usage.leaves import (
    Entry,
    Opening,
    TotalKey,
    leaf_hashes,
    opening_of,
    reference_of,
    secret_commitment,
)
from adapters.tmf.usage.proof import VerifiedUsage
from adapters.tmf.usage.record import RecordRefused, UsageRecord, read_body
from adapters.tmf.usage.totals import Sum, Totals
from adapters.tmf.usage.tree import Tree
from ledger.core.errors import ProofError
from ledger.core.event import Event

__all__ = ["AuditReport", "audit_block", "audit_share", "open_total"]


class AuditReport(NamedTuple):
    """What an audit of one block found.

    Attributes:
        faults: one sentence for each thing that does not agree; none when the block is right.
        totals: what the records sum up to, as the auditor computed it: key -> amount.
    """

    block: UsageBlock
    faults: tuple[str, ...]
    totals: Mapping[TotalKey, str]


def audit_block(
    event: Event,
    secret: bytes,
    entries: Sequence[Entry],
    earlier: Mapping[int, UsageRecord],
) -> AuditReport:
    """Recompute root, window and totals of a block from all its records.

    Args:
        event: that the ledger holds.
        secret: of the block.
        entries: all records of the block, in order.
        earlier: by number, the records of earlier blocks that these correct, each as
            ``verify_usage`` gave it.

    Raises:
        ProofError: the event is no usage block.
    """
    block = open_block(event)
    faults: list[str] = []
    if secret_commitment(secret) != block.commitment:
        faults.append("the secret is not the one that the block commits to")
    if len(entries) != block.count:
        faults.append(f"{len(entries)} records were given, the block counts {block.count}")
    elif Tree(leaf_hashes(secret, entries)).root != block.root:
        faults.append("the records do not lead to the root of the block")
    records = _read(entries, faults)
    totals = _sum(block, entries, records, earlier, faults)
    moments = [record.usage_ms for record in records if record is not None]
    if moments and (min(moments), max(moments)) != (block.from_ms, block.to_ms):
        faults.append("the window is not that of the records")
    faults += _differences(totals.hidden(secret), block.totals, totals, secret)
    sums = {key: format_amount(sum_.amount) for key, sum_ in totals.sums.items()}
    return AuditReport(block, tuple(faults), sums)


def audit_share(
    event: Event,
    records: Sequence[VerifiedUsage],
    earlier: Mapping[int, UsageRecord],
    openings: Sequence[Opening],
) -> tuple[str, ...]:
    """Recompute the totals of one buyer from its own records of a block.

    Args:
        records: as ``verify_usage`` gave them.
        earlier: by number, the records that these correct.
        openings: of the buyer's totals in this block.

    Returns:
        One sentence for each fault; none when no record was added or left out.

    Raises:
        ProofError: the event is no usage block, or a record or an opening is of another one.
    """
    block = open_block(event)
    opened = {opening.key: open_total(block, opening) for opening in openings}
    own = {verified.number: verified for verified in records}
    known = {**earlier, **{number: verified.record for number, verified in own.items()}}
    totals, faults = Totals(), []
    for number in sorted(own):
        record, _, supersedes, its_block = own[number]
        if its_block != block:
            raise ProofError(f"record {number} is in another block")
        if supersedes and supersedes not in known:
            faults.append(f"record {supersedes}, which {number} corrects, was not given")
        totals.add(record, known.get(supersedes))
    for key in sorted(totals.sums.keys() | opened.keys()):
        expected, total = totals.sums.get(key, Sum(0, 0)), opened.get(key)
        if total is None:
            faults.append(f"{_name(key)} has no total")
        elif (total.amount, total.records) != (format_amount(expected.amount), expected.records):
            faults.append(_unequal(key, total, expected))
    return tuple(faults)


def open_total(block: UsageBlock, opening: Opening) -> Total:
    """Find the total that an opening opens.

    Raises:
        ProofError: the block has none.
    """
    reference = reference_of(opening)
    for total in block.totals:
        if total.reference == reference and total.unit == opening.key.unit:
            return total
    raise ProofError("the opening opens no total of the block")


def _read(entries: Sequence[Entry], faults: list[str]) -> list[UsageRecord | None]:
    records: list[UsageRecord | None] = []
    for leaf, entry in enumerate(entries):
        try:
            records.append(read_body(entry.body))
        except RecordRefused as error:
            faults.append(f"leaf {leaf} is no usage record: {error}")
            records.append(None)
    return records


def _sum(
    block: UsageBlock,
    entries: Sequence[Entry],
    records: Sequence[UsageRecord | None],
    earlier: Mapping[int, UsageRecord],
    faults: list[str],
) -> Totals:
    totals = Totals()
    newest: dict[str, int] = {}
    for leaf, (entry, record) in enumerate(zip(entries, records, strict=True)):
        if record is None:
            continue
        number, before = block.first + leaf, None
        if entry.supersedes >= number:
            faults.append(f"record {number} corrects a later one")
        elif entry.supersedes >= block.first:
            before = records[entry.supersedes - block.first]
        elif entry.supersedes:
            before = earlier.get(entry.supersedes)
        if entry.supersedes and before is None:
            faults.append(f"record {entry.supersedes}, which {number} corrects, was not given")
        elif before is not None and (before.id, before.buyer) != (record.id, record.buyer):
            faults.append(f"record {number} corrects one of another id or buyer")
        if newest.get(record.id, entry.supersedes) != entry.supersedes:
            faults.append(f"record {number} does not correct the newest one of its id")
        newest[record.id] = number
        totals.add(record, before)
    return totals


def _differences(
    computed: Sequence[Total], told: Sequence[Total], totals: Totals, secret: bytes
) -> list[str]:
    names = {reference_of(opening_of(secret, key)): _name(key) for key in totals.sums}
    there = {total.reference: total for total in told}
    faults = []
    for total in computed:
        other = there.pop(total.reference, None)
        if other is None:
            faults.append(f"{names[total.reference]} has no total")
        elif other != total:
            faults.append(f"{names[total.reference]}: {_text(other)}, computed {_text(total)}")
    return faults + [f"the total {reference.hex()} has no record" for reference in there]


def _unequal(key: TotalKey, total: Total, expected: Sum) -> str:
    computed = f"{format_amount(expected.amount)} of {expected.records} records"
    return f"{_name(key)}: {_text(total)}, computed {computed}"


def _text(total: Total) -> str:
    return f"{total.amount} of {total.records} records"


def _name(key: TotalKey) -> str:
    return " ".join(part or "-" for part in key)
