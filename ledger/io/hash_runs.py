"""The runs of the hash index, as its one row of state says them (``ledger.io.hash_index``).

Owns the form of that row and what must be true of it. Never touches the rows of the runs.
"""

from operator import attrgetter
from typing import Annotated, Final, NamedTuple

import lmdb
from msgspec import Meta

from ledger.core.codec import Codec, Record, UInt
from ledger.core.errors import DecodeError
from ledger.native.hash_rows import ROW_BYTES

__all__ = [
    "EMPTY_LEVEL",
    "KEY_BYTES",
    "Group",
    "IndexState",
    "Level",
    "Merge",
    "Run",
    "damage",
    "groups_of",
    "read_state",
]

KEY_BYTES: Final = 16


class Run(Record, frozen=True):
    """Ordered rows under the keys that begin with ``id``; they span the numbers to ``last``."""

    id: UInt
    rows: UInt
    first: UInt
    last: UInt


class Merge(Record, frozen=True):
    """The first ``sources`` runs of a level on their way into one.

    Attributes:
        target: id of the new run; rows: those that it has.
        position: the last of them, ``b""`` when it has none.
    """

    sources: UInt
    target: UInt
    rows: UInt
    position: bytes


class Level(Record, frozen=True):
    """Runs of a size, the one that came first at the head, and what goes on with them.

    Attributes:
        credit: rows that may be merged for those that were added; fewer than the next step has.
    """

    runs: tuple[Run, ...]
    merge: Merge | None
    credit: UInt


class IndexState(Record, frozen=True):
    """All runs of the index.

    Attributes:
        key: of the hash of subjects, this store's secret: nobody can choose colliding ones.
        next_run: the next run's id; levels: the one of the smallest runs first.
    """

    key: Annotated[bytes, Meta(min_length=KEY_BYTES, max_length=KEY_BYTES)]
    next_run: UInt
    levels: tuple[Level, ...]


_codec = Codec(IndexState)
EMPTY_LEVEL: Final = Level((), None, 0)


class Group(NamedTuple):
    """Runs that are asked together: one, or all that are merged into one."""

    runs: tuple[Run, ...]
    merge: Merge | None
    first: int
    last: int


def read_state(stored: memoryview | None) -> IndexState:
    """Give the state that is stored.

    Raises:
        lmdb.CorruptedError: there is none, or it cannot be one.
    """
    if stored is None:
        raise damage("it was never begun")
    try:
        state = _codec.decode(bytes(stored))
    except DecodeError as error:
        raise damage(str(error)) from error
    runs = (run for level in state.levels for run in level.runs)
    if not all(run.rows and run.first <= run.last and run.id < state.next_run for run in runs):
        raise damage("its state names an impossible run")
    if not all(map(_has_sound_merge, state.levels)):
        raise damage("its state names an impossible merge")
    return state


def _has_sound_merge(level: Level) -> bool:
    merge = level.merge
    if merge is None:
        return True
    rows = sum(run.rows for run in level.runs[: merge.sources])
    has_sources = 0 < merge.sources <= len(level.runs)
    has_position = len(merge.position) == (ROW_BYTES if merge.rows else 0)
    return has_sources and has_position and merge.rows < rows


def damage(what: str) -> lmdb.CorruptedError:
    """Give the error for an index that is not what was written."""
    return lmdb.CorruptedError(f"the hash index is damaged: {what}")


def groups_of(state: IndexState) -> list[Group]:
    """Give all groups, in the order of their first numbers."""
    groups: list[Group] = []
    for level in state.levels:
        count = 0 if level.merge is None else level.merge.sources
        if count:
            merged = level.runs[:count]
            first, last = min(run.first for run in merged), max(run.last for run in merged)
            groups.append(Group(merged, level.merge, first, last))
        groups += [Group((run,), None, run.first, run.last) for run in level.runs[count:]]
    return sorted(groups, key=attrgetter("first"))
