"""How a watched member looks on a terminal, and as one line where there is none."""

from collections.abc import Sequence
from typing import Final

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from concordat.cli.watch_view import NodeView, View

__all__ = ["line", "screen", "sparkline"]

_BARS: Final = "▁▂▃▄▅▆▇█"
_UNKNOWN: Final = "-"
_KIB: Final = 1_024
_UNITS: Final = ("B", "KiB", "MiB", "GiB", "TiB")
_COLOURS: Final = {"ok": "green", "behind": "yellow"}


def screen(views: Sequence[View], history: Sequence[float], width: int, clock: str) -> Group:
    """Draw the first member in full and the others as rows.

    Args:
        history: events a second of the first member, oldest first.
        width: columns of the terminal.
        clock: the time, as it is to be shown.
    """
    own = views[0]
    head = Text.assemble(
        ("concordat ", "bold"),
        (own.name, "bold cyan"),
        f"  {own.network or 'network unknown'}  {own.version or ''}",
    )
    head.truncate(max(0, width - len(clock) - 1), overflow="ellipsis", pad=True)
    head.append(f" {clock}", "dim")
    parts: list[RenderableType] = [head, Text(), _rate(own, history, width), Text(), _facts(own)]
    if len(views) > 1:
        parts += [Text(), _others(views)]
    return Group(*parts, Text(), *map(_verdict, _worth_saying(views)))


def line(view: View, clock: str) -> str:
    """Give a member as one line, for logs and pipes."""
    node = view.node
    fields = {
        "height": view.height,
        "round": node and node.round,
        "leader": node and node.leader,
        "events_per_s": _number(view.events_per_s),
        "final_age": _age(view.final_age_ms).replace(" ", ""),
        "finality_p50": _ms(view.finality_p50_ms).replace(" ", ""),
        "finality_p99": _ms(view.finality_p99_ms).replace(" ", ""),
        "connected": node and f"{node.connected}/{node.validators}",
        "waiting": node and node.mempool_entries,
        "disk_free": _bytes(view.disk_free_bytes).replace(" ", ""),
        "lag": sum(kind.lag_events for kind in view.consumers.values()),
    }
    known = [f"{name}={_UNKNOWN if value is None else value}" for name, value in fields.items()]
    text = f"{clock} {view.name} {view.state} {' '.join(known)}"
    return text if view.state == "ok" else f"{text} | {view.explanation}"


def sparkline(values: Sequence[float], width: int) -> str:
    """Draw the last ``width`` values as bars; the highest one is full, nothing is the lowest."""
    shown = list(values)[-width:] if width > 0 else []
    top = max(shown, default=0.0)
    steps = len(_BARS) - 1
    return "".join(_BARS[round(value / top * steps) if top > 0 else 0] for value in shown)


def _rate(view: View, history: Sequence[float], width: int) -> Text:
    text = Text.assemble(("events/s ", "bold"), (f"{_number(view.events_per_s):>8} ", "cyan"))
    text.append(sparkline(history, width - text.cell_len - 1), "cyan")
    return text


def _facts(view: View) -> Table:
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    node = view.node
    final = f"block {_number(view.height)}, {_age(view.final_age_ms)} old"
    table.add_row("chain", f"{final}; {_number(view.events)} events")
    latency = f"p50 {_ms(view.finality_p50_ms)}, p99 {_ms(view.finality_p99_ms)}"
    table.add_row("finality", latency)
    if node is not None:
        table.add_row("round", f"{node.round:,}, led by {node.leader}")
        table.add_row("validators", _validators(node, view.name))
        table.add_row(
            "queues",
            f"{node.mempool_entries:,} events, {node.execution_queue} blocks to apply, inbox "
            f"{view.inbox}, to send {_bytes(view.send_queue_bytes)}",
        )
    table.add_row(
        "disks",
        f"safety write p99 {_ms(view.safety_write_p99_ms)}, commit p99 "
        f"{_ms(view.chain_commit_p99_ms)}; chain {_bytes(view.chain_bytes)}, free "
        f"{_bytes(view.disk_free_bytes)}",
    )
    table.add_row(
        "clients",
        f"{_number(view.requests_per_s)} requests/s, {_number(view.failed_per_s)} failed/s; "
        f"{view.streams} streams, {view.waits} waits",
    )
    table.add_row("consumers", _consumers(view))
    return table


def _validators(node: NodeView, own: str) -> Text:
    text = Text()
    for member in node.members:
        is_there = member == own or member not in node.missing
        text.append("● " if is_there else "○ ", "green" if is_there else "red")
        text.append(f"{member}  ", "" if is_there else "red")
    return text.append(f"({node.connected} of {node.validators}, quorum {node.quorum})", "dim")


def _consumers(view: View) -> str:
    kinds = [
        f"{name}: {kind.count}, lag {kind.lag_events:,}, dead letters {kind.dead_letters:,}"
        for name, kind in view.consumers.items()
        if kind.count or kind.dead_letters
    ]
    return "; ".join(kinds) or "none"


def _others(views: Sequence[View]) -> Table:
    """Compare the members; behind is counted from the highest one seen."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for title in ("member", "state", "block", "behind", "round", "ev/s", "age", "p99", "peers"):
        is_number = title not in ("member", "state")
        table.add_column(title, justify="right" if is_number else "left", no_wrap=True)
    highest = max((view.height or 0 for view in views), default=0)
    for view in views:
        node = view.node
        table.add_row(
            view.name,
            Text(view.state, _COLOURS.get(view.state, "red")),
            _number(view.height),
            _number(None if view.height is None else highest - view.height),
            _number(None if node is None else node.round),
            _number(view.events_per_s),
            _age(view.final_age_ms),
            _ms(view.finality_p99_ms),
            _UNKNOWN if node is None else f"{node.connected}/{node.validators}",
        )
    return table


def _worth_saying(views: Sequence[View]) -> list[View]:
    """Give the own member, and whoever is not well."""
    return [views[0], *(view for view in views[1:] if view.state != "ok")]


def _verdict(view: View) -> Text:
    style = f"bold {_COLOURS.get(view.state, 'red')}"
    text = Text.assemble((f"{view.name}: {view.state}", style), f"  {view.explanation}")
    node = view.node
    if node is not None and node.missing and node.connected == node.quorum and view.is_well:
        away = ", ".join(node.missing)
        text.append(f"  {away} not connected: one more away, and nothing becomes final.", "yellow")
    if view.evidence:
        text.append(f"  {view.evidence} contradictory statements are in the store.", "bold red")
    return text


def _number(value: float | None) -> str:
    if value is None:
        return _UNKNOWN
    is_whole = isinstance(value, int) or value >= 100 or value == int(value)  # noqa: PLR2004 - digits
    return f"{value:,.0f}" if is_whole else f"{value:,.1f}"


def _ms(value: float | None) -> str:
    if value is None:
        return _UNKNOWN
    return f"{value:.1f} ms" if value < 10 else f"{value:,.0f} ms"  # noqa: PLR2004 - digits


def _age(value_ms: int | None) -> str:
    if value_ms is None:
        return _UNKNOWN
    return f"{value_ms / 1_000:,.1f} s"


def _bytes(value: float | None) -> str:
    if value is None:
        return _UNKNOWN
    unit = 0
    while value >= _KIB and unit < len(_UNITS) - 1:
        value /= _KIB
        unit += 1
    return f"{value:.0f} {_UNITS[unit]}" if unit == 0 else f"{value:.1f} {_UNITS[unit]}"
