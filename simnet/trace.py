"""A run as text: one column for each machine, one line for each moment.

Owns the layout. Lines that no terminal of the given width can hold are cut, and what lies in the
middle of a very long run is left out; ``from_us`` and ``until_us`` show any part whole.
"""

from collections.abc import Iterator
from itertools import groupby
from typing import Final

from simnet.recording import EVERYBODY, Happening, Record

__all__ = ["ROWS_MAX", "render_trace"]

ROWS_MAX: Final = 200
_TIME_WIDTH: Final = 10
_WHOLE_LINE: Final = frozenset({"halt", "penalty", "evidence"})


def render_trace(
    record: Record,
    *,
    width: int = 120,
    from_us: int = 0,
    until_us: int | None = None,
    rows_max: int = ROWS_MAX,
) -> str:
    """Write a run down.

    Args:
        record: the run.
        width: columns of the terminal.
        from_us, until_us: the part to show.
        rows_max: so many lines at most; the middle is left out.
    """
    end_us = record.end_us if until_us is None else until_us
    column = max(12, (width - _TIME_WIDTH) // len(record.machines))
    shown = [h for h in record.happenings if from_us <= h.at_us <= end_us]
    rows = [row for line in _moments(shown) for row in _rows(line, record.machines, column)]
    if len(rows) > rows_max:
        # Without progress the end is idle rounds; what led there comes first.
        stalled = record.outcome.promise == "liveness"
        head = rows_max * (2 if stalled else 1) // 3
        left_out = f"{'...':>{_TIME_WIDTH - 1}} {len(rows) - rows_max} lines left out"
        rows = [*rows[:head], left_out, *rows[head - rows_max :]]
    names = "".join(f"{'machine ' + name:<{column}}" for name in record.machines)
    return "\n".join(line.rstrip()[:width] for line in (f"{'ms':>9} {names}", *rows))


def _moments(happenings: list[Happening]) -> Iterator[list[Happening]]:
    """Group what happens at one time."""
    for _, group in groupby(happenings, key=lambda happening: happening.at_us):
        yield list(group)


def _rows(moment: list[Happening], machines: tuple[str, ...], column: int) -> Iterator[str]:
    """Lay one moment out: each machine's happenings below each other, in its column."""
    time = f"{moment[0].at_us / 1_000:9.3f} "
    blank = " " * _TIME_WIDTH
    columns: dict[str, list[str]] = {name: [] for name in machines}

    def flush() -> Iterator[str]:
        nonlocal time
        for index in range(max(map(len, columns.values()))):
            cells = [texts[index] if index < len(texts) else "" for texts in columns.values()]
            yield time + "".join(f"{cell[: column - 1]:<{column}}" for cell in cells)
            time = blank
        for texts in columns.values():
            texts.clear()

    for happening in moment:
        if happening.machine == EVERYBODY or happening.kind in _WHOLE_LINE:
            yield from flush()
            mark = "===" if happening.kind in {"broken", "calm"} else "---"
            who = f"machine {happening.machine}: " if happening.machine else ""
            yield f"{time}{mark} {who}{happening.text}"
            time = blank
        else:
            columns[happening.machine].append(happening.text)
    yield from flush()
