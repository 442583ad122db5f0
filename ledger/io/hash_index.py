"""The hash index of the chain store: from an event's id, or its subject, to its places in the log.

Ids and random subjects are spread over all keys, so a tree ordered by them would rewrite a page of
4 KiB for each. Here each block appends its rows (hash, number) as one ordered *run*, and runs are
merged into larger ones, so that a row is written a few times in pages full of others, however long
the log is. The rows of a run decide its *level*, whoever made it: a level has the runs from s rows
on, its *size*, below f times as many, the size of the next one (level 0 also the newest, which may
be smaller). When a level has f s rows, its oldest runs of together so many become one run of the
next level.

A merge goes on in steps beside the blocks that follow: for four rows that they add, each level may
merge five. So nobody waits for a merge, whatever the sizes of blocks are, and both are bounded:

- A block writes its rows and those of the newest run, and for each level fewer rows than a step
  and five for four of its own.
- A level has at most ``2.6 (f + m / (m - 1))`` runs, and the newest, where m is the smallest f of
  all: 44 for an f of 16, 169 for 64. A merge has fewer than 2 f s rows, for at most f runs of which
  the last is below f s; it ends when four fifths as many were added. So a level holds no more than
  f s rows that waited for it, 1.6 f s that came meanwhile, and what the levels below held, whose
  sum is a geometric one.

The rows of a large merge were written minutes before, and may be on the disk alone by now. So the
kernel is asked for them before they are read, which else costs more than all the rest; and large
runs are merged in larger numbers: a row is merged once less, and a look asks more runs.

While a merge goes on, rows up to its ``position`` are in its target, and all later ones in its
sources.

Invariants: every row stands in what ``find`` asks, at each commit. Runs of different levels may
span the same part of the log. A hash is a hint: two values may have one, so whoever finds a number
compares the entry itself.
"""

from collections.abc import Iterable, Iterator, Sequence
from operator import attrgetter
from secrets import token_bytes
from typing import Final, NamedTuple

import lmdb
from msgspec.structs import replace

from ledger.core.codec import encode
from ledger.core.ids import EventId
from ledger.core.scanning import Scan
from ledger.io.environment import Table
from ledger.io.hash_runs import (
    EMPTY_LEVEL,
    KEY_BYTES,
    Group,
    IndexState,
    Level,
    Merge,
    Run,
    damage,
    groups_of,
    read_state,
)
from ledger.native.hash_rows import ROW_BYTES, event_hash_rows, keyed_hash, merge_rows, number_at
from ledger.native.read_ahead import ReadAhead

__all__ = ["HashIndex", "HashWriter", "Shape"]

_STATE_KEY: Final = b"hash index"
_NUMBER_BYTES: Final = 8


class Shape(NamedTuple):
    """How rows are kept; tests choose small ones.

    Attributes:
        chunk_rows: rows stored under one key; tail_rows: a newest run below takes the next rows.
        fan_outs: how many times as many rows a run of the next level has, level by level; the last
            one holds for all further levels.
        step_rows: rows of one step of a merge.
        mask: bits of a hash that count.
    """

    chunk_rows: int = 255  # fill one page of the store
    tail_rows: int = 255
    fan_outs: tuple[int, ...] = (16, 16, 16, 64)
    step_rows: int = 64 * 255  # take about 0.7 ms
    mask: int = 2**64 - 1

    def size(self, level: int) -> int:
        """Give how many rows the smallest run of a level has."""
        rows = self.tail_rows
        for number in range(level):
            rows *= self.fan_outs[min(number, len(self.fan_outs) - 1)]
        return rows


SHAPE: Final = Shape()
_MERGED: Final = 5  # rows that each level merges
_ADDED: Final = 4  # for so many that are added


class HashIndex:
    """What one transaction sees of the index.

    Raises:
        lmdb.CorruptedError: it is damaged, found at once or in any call; it leaves a transaction
            of the environment as ``StorageError``.
    """

    def __init__(
        self,
        table: Table,
        meta: Table,
        transaction: "lmdb.Transaction[memoryview]",
    ) -> None:
        self._table = table
        self._meta = meta
        self._transaction = transaction
        self._cursor = transaction.cursor(table)
        self._shape = SHAPE
        stored = transaction.get(_STATE_KEY, db=meta)
        self._state = read_state(stored)
        self._groups = groups_of(self._state)

    def hash_of_id(self, event_id: EventId) -> int:
        """Give the hash under which an event's id stands."""
        return int.from_bytes(event_id[:_NUMBER_BYTES], "big") & self._shape.mask

    def hash_of_subject(self, subject: str) -> int:
        """Give the hash under which the events about a subject stand."""
        return keyed_hash(subject.encode(), self._state.key) & self._shape.mask

    @property
    def size(self) -> int:
        """One more than the highest number, 0 when there is none."""
        return max((group.last for group in self._groups), default=-1) + 1

    def find(self, hash_: int, at_least: int) -> int | None:
        """Give the lowest number from ``at_least`` on that stands under a hash, or None."""
        lowest: int | None = None
        for group in self._groups:
            if lowest is not None and group.first > lowest:
                break
            if group.last >= at_least:
                found = self._seek(group, hash_, at_least)
                if found is not None and (lowest is None or found < lowest):
                    lowest = found
        return lowest

    def numbers(self, hash_: int) -> Iterator[int]:
        """Give all numbers under a hash, those of the newest run first: not in order."""
        for group in reversed(self._groups):
            found = self._seek(group, hash_, 0)
            while found is not None:
                yield found
                found = self._seek(group, hash_, found + 1)

    def _seek(self, group: "Group", hash_: int, at_least: int) -> int | None:
        """Give the lowest number of a group from ``at_least`` on."""
        runs = [run.id for run in group.runs]
        if group.merge is not None and _packed(hash_, at_least) <= group.merge.position:
            # All rows of lower hashes are in the target; of this one, those up to a later one.
            runs = [group.merge.target]
        founds = (self._seek_run(run, hash_, at_least) for run in runs)
        lowest = min((found for found in founds if found is not None), default=None)
        if lowest is not None and lowest > group.last:
            raise damage(f"number {lowest} stands in a run up to {group.last}")
        return lowest

    def _seek_run(self, run: int, hash_: int, at_least: int) -> int | None:
        key = _packed(run, hash_, at_least)
        # The key of a chunk is its last row: the first one from here on is in that chunk.
        if not self._cursor.set_range(key) or bytes(self._cursor.key()[:_NUMBER_BYTES]) != key[:8]:
            return None
        try:
            found = number_at(self._cursor.value(), hash_, at_least)
        except ValueError as error:
            raise damage(str(error)) from error
        return None if found < 0 else found


class HashWriter(HashIndex):
    """The index in a write transaction."""

    @staticmethod
    def create(meta: Table, transaction: "lmdb.Transaction[memoryview]") -> None:
        """Begin an empty index with a key of its own."""
        transaction.put(_STATE_KEY, encode(IndexState(token_bytes(KEY_BYTES), 0, ())), db=meta)

    def add(self, scan: Scan, first: int, last: int) -> None:
        """Add the open entries of a scan, which have the numbers ``first`` to ``last``."""
        rows = event_hash_rows(scan, first, self._state.key, self._shape.mask)
        if not rows:
            return
        added = len(rows) // ROW_BYTES
        self._append(rows, Run(self._new_run(), added, first, last))
        number = 0
        while number < len(self._state.levels):
            self._merge(number, added)
            number += 1
        self._store_state()

    def regroup(self) -> None:
        """Put the runs that are not merged into their levels: a release may have had others."""
        waiting = [
            (number, run)
            for number, level in enumerate(self._state.levels)
            for run in _waiting(level)
        ]
        if all(number == self._number_of(run) for number, run in waiting):
            return
        for number, level in enumerate(self._state.levels):
            merged = level.runs[: len(level.runs) - len(_waiting(level))]
            self._set_level(number, replace(level, runs=merged))
        runs = [run for _, run in waiting]
        for run in sorted(runs, key=attrgetter("last")):  # the newest one stays the last
            self._enter(run)
        self._store_state()

    # --- helpers --------------------------------------------------------------------------

    def _append(self, rows: bytes, run: Run) -> None:
        """Write rows as the newest run, together with one that is still small."""
        level, read = self._level(0), list[bytes]()
        pieces: list[Iterator[bytes | memoryview]] = [iter((rows,))]
        if level.runs and level.runs[-1].rows < self._shape.tail_rows:
            small = level.runs[-1]
            pieces.append(self._pieces(small.id, b"", read))
            self._set_level(0, replace(level, runs=level.runs[:-1]))
            run = replace(run, rows=run.rows + small.rows, first=small.first)
        self._put(run.id, self._merged(pieces, b"", run.rows))
        self._delete(read)
        self._enter(run)

    def _enter(self, run: Run) -> None:
        """Put a run into the level of its size."""
        number = self._number_of(run)
        level = self._level(number)
        self._set_level(number, replace(level, runs=(*level.runs, run)))

    def _merge(self, number: int, added: int) -> None:
        """Go on with the merges of a level after some rows were added."""
        credit = self._level(number).credit + -(-_MERGED * added // _ADDED)
        self._begin(number)
        while self._level(number).merge is not None and credit >= self._next_step(number):
            credit -= self._step(number)
            self._begin(number)
        level = self._level(number)
        self._set_level(number, replace(level, credit=0 if level.merge is None else credit))

    def _begin(self, number: int) -> None:
        """Begin a merge of a level that has enough rows, unless one goes on."""
        level, rows, sources = self._level(number), 0, 0
        if level.merge is not None:
            return
        size, size_of_next = self._shape.size(number), self._shape.size(number + 1)
        for run in level.runs:
            if run.rows >= size:  # not the newest one, which still takes rows
                rows, sources = rows + run.rows, sources + 1
            if rows >= size_of_next:
                merge = Merge(sources, self._new_run(), 0, b"")
                self._set_level(number, replace(level, merge=merge))
                return

    def _next_step(self, number: int) -> int:
        """Give how many rows the next step of a merge has."""
        level = self._level(number)
        assert level.merge is not None
        rows = sum(run.rows for run in level.runs[: level.merge.sources])
        return min(self._shape.step_rows, rows - level.merge.rows)

    def _step(self, number: int) -> int:
        """Merge the next rows of a level; give how many they were."""
        level = self._level(number)
        merge, runs = level.merge, level.runs
        assert merge is not None
        sources, read = runs[: merge.sources], list[bytes]()
        pieces = [self._pieces(run.id, merge.position, read) for run in sources]
        made = self._next_step(number)
        chunks = self._merged(pieces, merge.position, made)
        self._put(merge.target, chunks)
        position = chunks[-1][-ROW_BYTES:]
        self._delete(key for key in read if key[_NUMBER_BYTES:] <= position)
        merge = replace(merge, rows=merge.rows + made, position=position)
        if merge.rows < sum(run.rows for run in sources):
            self._set_level(number, replace(level, merge=merge))
            return made
        self._set_level(number, replace(level, runs=runs[merge.sources :], merge=None))
        first, last = min(run.first for run in sources), max(run.last for run in sources)
        self._enter(Run(merge.target, merge.rows, first, last))
        return made

    def _merged(
        self, pieces: Sequence[Iterator[bytes | memoryview]], after: bytes, rows: int
    ) -> list[bytes]:
        """Give the next rows of several runs, which have so many."""
        try:
            chunks = merge_rows(pieces, after, rows, self._shape.chunk_rows)
        except ValueError as error:
            raise damage(str(error)) from error
        if sum(map(len, chunks)) != rows * ROW_BYTES:
            raise damage("a run has lost rows")
        return chunks

    def _pieces(self, run: int, after: bytes, read: list[bytes]) -> Iterator[memoryview]:
        """Give a run's chunks, from the first row behind ``after`` on; ``read`` gets their keys."""
        prefix, ahead = _packed(run), ReadAhead()
        with self._transaction.cursor(self._table) as cursor:
            found = cursor.set_range(prefix + after)
            while found and (key := bytes(cursor.key())).startswith(prefix):
                read.append(key)
                value = cursor.value()
                ahead.meet(value)
                yield value
                found = cursor.next()

    # py-lmdb lets another thread have the interpreter in each call, so the fewer the better.

    def _put(self, run: int, chunks: Iterable[bytes]) -> None:
        prefix = _packed(run)
        with self._transaction.cursor(self._table) as cursor:
            cursor.putmulti([(prefix + chunk[-ROW_BYTES:], chunk) for chunk in chunks])

    def _delete(self, keys: Iterable[bytes]) -> None:
        for key in keys:
            self._transaction.delete(key, db=self._table)

    def _store_state(self) -> None:
        self._transaction.put(_STATE_KEY, encode(self._state), db=self._meta)
        self._groups = groups_of(self._state)

    def _new_run(self) -> int:
        run = self._state.next_run
        self._state = replace(self._state, next_run=run + 1)
        return run

    def _number_of(self, run: Run) -> int:
        """Give the number of the level of a run's size."""
        number = 0
        while self._shape.size(number + 1) <= run.rows:
            number += 1
        return number

    def _level(self, number: int) -> Level:
        return self._state.levels[number] if number < len(self._state.levels) else EMPTY_LEVEL

    def _set_level(self, number: int, level: Level) -> None:
        levels = list(self._state.levels)
        levels += [EMPTY_LEVEL] * (number + 1 - len(levels))
        levels[number] = level
        self._state = replace(self._state, levels=tuple(levels))


def _waiting(level: Level) -> tuple[Run, ...]:
    """Give the runs that no merge goes on with."""
    return level.runs[0 if level.merge is None else level.merge.sources :]


def _packed(*numbers: int) -> bytes:
    return b"".join(number.to_bytes(_NUMBER_BYTES, "big") for number in numbers)
