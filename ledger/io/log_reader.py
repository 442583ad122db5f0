"""Reading the log of the chain store: entries, their places, and where an event is.

Owns the questions about single events. What is common to all entries that are neighbours is read
once: a reader keeps the last row of the log.

A member may have forgotten the beginning of the log (``ledger.io.chain_pruning``): whoever asks
for contents below ``first_held`` is told so by ``Forgotten``.
"""

import struct
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import cast

import lmdb

from ledger.core.errors import Forgotten
from ledger.core.event import entry_id, event_key
from ledger.core.ids import BatchId, EventId, EventKey, Height, Sequence
from ledger.io.batch_files import Place
from ledger.io.chain_schema import (
    FIRST_HELD_KEY,
    Location,
    LogRow,
    Tables,
    number_key,
    read_number,
)
from ledger.io.environment import Table
from ledger.io.errors import damaged
from ledger.io.hash_index import HashIndex
from ledger.native.event_rows import EventSearch

__all__ = ["LogReader"]


class LogReader:
    """A snapshot of the log and of the indexes of events.

    Raises:
        Forgotten: in any call that needs contents of an entry below ``first_held``.
    """

    __slots__ = ("_log_row", "_path", "_tables", "_transaction")

    def __init__(
        self, path: Path, tables: Tables, transaction: "lmdb.Transaction[memoryview]"
    ) -> None:
        self._path = path
        self._tables = tables
        self._transaction = transaction
        self._log_row: LogRow | None = None  # the last one read: neighbours are often asked for

    def first_held(self) -> Sequence:
        """Give from where on contents are held: 0, unless the member was told to forget."""
        value = self._transaction.get(FIRST_HELD_KEY, db=self._tables.meta)
        return Sequence(0 if value is None else self._number(value))

    def row_start(self, sequence: Sequence) -> Sequence:
        """Give the first entry of the log's row that holds ``sequence``.

        Raises:
            LookupError: the log is shorter.
        """
        row = self._read_log_row(sequence)
        if row is None:
            raise LookupError(f"the log has no entry {sequence}")
        return row.first

    def entry(self, sequence: Sequence) -> bytes | None:
        """Give the entry at ``sequence``, or None when the log is shorter."""
        location = self.location(sequence)
        if location is None:
            return None
        return self._neighbours([location])[0]

    def entries(self, first: Sequence, count_max: int, bytes_max: int) -> list[bytes]:
        """Give consecutive entries from ``first`` on.

        They end with the log, at ``count_max``, or with the entry that reaches ``bytes_max``.
        """
        found: list[bytes] = []
        run: list[Location] = []  # of one batch, to be read at one time
        size = 0
        while len(found) + len(run) < count_max and size < bytes_max:
            location = self.location(Sequence(first + len(found) + len(run)))
            if location is None:
                break
            if run and location.batch_id != run[0].batch_id:
                found += self._neighbours(run)
                run = []
            run.append(location)
            size += location.length
        return found + self._neighbours(run) if run else found

    def location(self, sequence: Sequence) -> Location | None:
        """Give where the entry at ``sequence`` is and which block took it."""
        if sequence < 0:
            return None
        row = self._log_row
        if row is None or not row.first <= sequence <= row.last:
            row = self._read_log_row(sequence)
            if row is None:
                return None
            self._log_row = row
        return row.location(sequence)

    def has_entry(self, sequence: Sequence) -> bool:
        """Say whether the log has an entry at ``sequence``."""
        return self.location(sequence) is not None

    def height_of(self, sequence: Sequence) -> Height:
        """Give the height of the block that took the entry at ``sequence``.

        Raises:
            LookupError: the log is shorter.
        """
        location = self.location(sequence)
        if location is None:
            raise LookupError(f"the log has no entry {sequence}")
        return location.height

    def known_events(self, keys: Iterable[EventKey]) -> set[EventKey]:
        """Give those of the events that the log holds."""
        return cast("set[EventKey]", self._search(keys).known())

    def sequences_of(self, keys: Iterable[EventKey]) -> list[Sequence | None]:
        """Give the places of events in the log, in their order; None: it is not there."""
        return cast("list[Sequence | None]", self._search(keys).numbers())

    def has_event(self, event_id: EventId, time_ms: int | None = None) -> bool:
        """Say whether the log holds the event."""
        return self.sequence_of(event_id, time_ms) is not None

    def sequence_of(self, event_id: EventId, time_ms: int | None = None) -> Sequence | None:
        """Give the event's place in the log, or None when it is not there.

        Args:
            time_ms: the event's, when it is known: then this is quick, also for absent events. A
                forgotten event is found by it for a day; without it for ever, by 64 bits of its id.
        """
        if time_ms is not None:
            return self.sequences_of([event_key(time_ms, event_id)])[0]
        index, first_held, forgotten = self._hash_index(), self.first_held(), None
        for number in map(Sequence, index.numbers(index.hash_of_id(event_id))):
            if number < first_held:
                forgotten = number
                continue
            entry = self.entry(number)
            if entry is not None and entry_id(entry) == event_id:
                return number
        return forgotten

    def topics(self) -> list[str]:
        """Give every topic that has an event, in byte order."""
        return [topic for topic, _ in self.topic_counts()]

    def topic_counts(self, after: str = "") -> Iterator[tuple[str, int]]:
        """Give each topic that has an event, and how many it has, in byte order.

        Args:
            after: only topics above this one.
        """
        with self._transaction.cursor(self._tables.topic_counts) as cursor:
            found = cursor.set_range(after.encode() + b"\0")
            while found:
                yield bytes(cursor.key()).decode(), self._number(cursor.value())
                found = cursor.next()

    # --- helpers --------------------------------------------------------------------------

    def _neighbours(self, locations: list[Location]) -> list[bytes]:
        """Read entries of one batch that follow each other in it."""
        batch_id, begin, _, _ = locations[0]
        end = locations[-1].offset + locations[-1].length
        part = self._batch_part(batch_id, begin, end)
        if part is None or len(part) < end - begin:
            raise damaged(self._path, f"batch {batch_id.hex()} is missing or cut")
        return [bytes(part[at - begin : at - begin + size]) for _, at, size, _ in locations]

    def _batch_part(self, batch_id: BatchId, begin: int, end: int) -> memoryview | None:
        """Give a part of a batch, up to its end at most, or None when the batch is not here."""
        value = self._transaction.get(batch_id, db=self._tables.batches)
        if value is None:
            return None
        try:
            place = Place.read(value)
        except struct.error as error:
            raise damaged(self._path, f"batch {batch_id.hex()}: {error}") from error
        if place is None:
            return value[begin:end]
        files = self._tables.batch_files
        recent = files.recent(batch_id)
        if recent is not None:
            return memoryview(recent)[begin:end]
        return memoryview(files.read(place, begin, end))

    def _search(self, keys: Iterable[EventKey]) -> EventSearch:
        """Look for events, all that are in one row at once."""
        search = EventSearch(keys)
        try:
            with self._transaction.cursor(self._tables.events) as cursor:
                while (key := search.key) is not None and cursor.set_range(key):
                    search.look(cursor.key(), cursor.value())
        except ValueError as error:
            raise damaged(self._path, str(error)) from error
        return search

    def _hash_index(self) -> HashIndex:
        return HashIndex(self._tables.hashes, self._tables.meta, self._transaction)

    def _read_log_row(self, sequence: Sequence) -> LogRow | None:
        """Give the row that holds a sequence, or None when the log is shorter. Raises Forgotten."""
        if sequence < (first_held := self.first_held()):
            raise Forgotten(sequence, first_held)
        with self._transaction.cursor(self._tables.log) as cursor:
            if not cursor.set_range(number_key(sequence)):
                return None
            try:
                row = LogRow.read(cursor.key(), cursor.value())
            except struct.error as error:
                raise damaged(self._path, f"log entry {sequence}: {error}") from error
        if row.first > sequence:
            raise damaged(self._path, f"log entry {sequence} is missing")
        return row

    def _get(self, table: Table, key: bytes) -> bytes | None:
        value = self._transaction.get(key, db=table)
        return None if value is None else bytes(value)

    def _number(self, value: memoryview) -> int:
        try:
            return read_number(value)
        except struct.error as error:
            raise damaged(self._path, str(error)) from error
