"""The plots of a run side by side: SVG by hand, so that no plotting library is needed.

Bars start at zero, on a linear scale, and each carries its number.
"""

from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import NamedTuple

from bench.peers.results import IN_FLIGHT, LOW_LOAD, Level, PeersRun, System, best_of, level_of

__all__ = ["write_plots"]

_WIDTH, _LABEL, _BAR, _GAP, _TOP, _NUMBER = 760, 250, 22, 8, 44, 120
_COLOURS = {True: "#1b6ca8", False: "#9aa5b1"}


class _Bar(NamedTuple):
    label: str
    value: float
    text: str
    is_ours: bool


def write_plots(run: PeersRun, directory: Path) -> list[str]:
    """Write throughput and latency as SVG files; give their names."""
    systems = [system for system in run.systems if system.levels]
    if not systems:
        return []
    names = [f"{run.date}-peers-throughput.svg", f"{run.date}-peers-latency.svg"]
    rates = [bar for system in systems for bar in _rate_bars(system, system is run.systems[0])]
    times = [bar for system in systems for bar in _time_bars(system, system is run.systems[0])]
    size = run.payload_bytes
    (directory / names[0]).write_text(_chart(f"Durable {size}-byte messages per second", rates))
    (directory / names[1]).write_text(_chart("Until durable, p50 and p99, milliseconds", times))
    return names


def _rate_bars(system: System, is_ours: bool) -> list[_Bar]:  # noqa: FBT001 - as in _Bar
    many = level_of(system.levels, IN_FLIGHT)
    shown: list[tuple[str, Level | None]] = [
        ("best, batched" if is_ours else "best", best_of(system.levels, is_batched=is_ours)),
        (f"{IN_FLIGHT} in flight", many),
    ]
    if not is_ours:
        shown.insert(1, ("best, batched", best_of(system.levels, is_batched=True)))
    return [
        _Bar(
            f"{system.name}, {name}", level.messages_per_s, f"{level.messages_per_s:,.0f}", is_ours
        )
        for name, level in shown
        if level is not None
    ]


def _time_bars(system: System, is_ours: bool) -> list[_Bar]:  # noqa: FBT001 - as in _Bar
    shown = {"one at a time": LOW_LOAD, f"{IN_FLIGHT} in flight": IN_FLIGHT}
    bars = []
    for name, in_flight in shown.items():
        level = level_of(system.levels, in_flight)
        if level is not None:
            text = f"{level.times.p50_ms:.2f} / {level.times.p99_ms:.2f}"
            bars.append(_Bar(f"{system.name}, {name}", level.times.p50_ms, text, is_ours))
    return bars


def _chart(title: str, bars: Sequence[_Bar]) -> str:
    most = max(bar.value for bar in bars)
    height = _TOP + len(bars) * (_BAR + _GAP) + _GAP
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}"'
    lines = [
        f'{head} font-family="sans-serif" font-size="13">',
        f'<rect width="{_WIDTH}" height="{height}" fill="#ffffff"/>',
        _text((12, 26), title, "start"),
    ]
    for place, bar in enumerate(bars):
        top = _TOP + place * (_BAR + _GAP)
        length = (_WIDTH - _LABEL - _NUMBER) * bar.value / most
        colour = _COLOURS[bar.is_ours]
        size = f'width="{length:.1f}" height="{_BAR}"'
        lines.append(_text((_LABEL - 8, top + _BAR - 6), bar.label, "end"))
        lines.append(f'<rect x="{_LABEL}" y="{top}" {size} fill="{colour}"/>')
        lines.append(_text((_LABEL + length + 6, top + _BAR - 6), bar.text, "start"))
    return "\n".join([*lines, "</svg>", ""])


def _text(at: tuple[float, float], text: str, anchor: str) -> str:
    place = f'x="{at[0]:.1f}" y="{at[1]:.1f}" text-anchor="{anchor}"'
    return f'<text {place} fill="#1f2933">{escape(text)}</text>'
