"""Forgetting the contents of old events, while everything that proves them is kept.

Owns which rows of the chain store go: the bytes of batches, the rows of the log and of the indexes
of topics, publishers and types, refusals, and the keys of events that are so old that no block may
take them again. Tiles, roots, blocks, certificates, the state and the hash index stay for ever: an
inclusion proof needs nothing else, and an id still leads to its place in the log.

Invariants:
- What is forgotten is decided by one row of one transaction; from then on no reader shows it.
  Deleting follows in small transactions, each of which leaves a right store. Whoever is cut short
  sweeps again.
- No rule of the ledger sees it: the check for duplicates keeps every key that it may ask for.
- Bytes that a later block or an entry that is held needs are never deleted.

The caller is the only writer of the store, and applies no block meanwhile.
"""

from collections.abc import Callable, Iterator
from enum import Enum, auto
from typing import Final, NamedTuple

import lmdb

from ledger.core.ids import Height, Sequence
from ledger.core.limits import EVENT_AGE_MS_MAX, HASH_BYTES
from ledger.io.chain_reader import ChainReader
from ledger.io.chain_schema import (
    FIRST_HELD_KEY,
    Tables,
    event_numbers,
    number_key,
    read_number,
    refusals_codec,
)
from ledger.io.environment import Environment, Table
from ledger.io.store_files import files_of

__all__ = ["ChainPruner"]

STEP_ROWS: Final = 8_192  # that are looked at in one transaction
_NUMBER_BYTES: Final = 8
_ROW_BATCH: Final = slice(_NUMBER_BYTES, _NUMBER_BYTES + HASH_BYTES)  # in a row's value
_Judge = Callable[["lmdb.Transaction[memoryview]", memoryview, memoryview], "_Verdict"]


class _Verdict(Enum):
    """What becomes of a row. LATER: all further rows under its key stay; END: of the table."""

    GOES = auto()
    STAYS = auto()
    LATER = auto()
    END = auto()


class _Forgotten(NamedTuple):
    """What is behind the border.

    Attributes:
        first_held: the first sequence before it.
        height: the block that completed what is forgotten. Whoever has its ledger needs every
            block above it, also one that accepts nothing.
        earliest_ms: an event of an earlier time is too old for every block to come.
        needed: beginnings of the ids of batches that blocks up to ``height`` name first, and that
            something before the border needs all the same. They are few.
    """

    first_held: Sequence
    height: Height
    earliest_ms: int
    needed: frozenset[bytes]

    def judge_log(self, _: object, key: memoryview, _value: memoryview) -> _Verdict:
        """Judge a row of the log: they are in the order of their last sequences."""
        return _Verdict.GOES if read_number(key) < self.first_held else _Verdict.END

    def judge_event(self, _: object, key: memoryview, value: memoryview) -> _Verdict:
        """Judge a row of the table of events: they are in the order of the last events' times."""
        if read_number(key[:_NUMBER_BYTES]) >= self.earliest_ms:
            return _Verdict.END
        is_forgotten = max(event_numbers(value)) < self.first_held
        return _Verdict.GOES if is_forgotten else _Verdict.STAYS

    def judge_refusal(self, _: object, _key: memoryview, value: memoryview) -> _Verdict:
        """Judge why an event was refused."""
        refusal = refusals_codec.decode(bytes(value))
        return _Verdict.GOES if refusal.height <= self.height else _Verdict.STAYS

    def judge_posting(self, _: object, _key: memoryview, value: memoryview) -> _Verdict:
        """Judge a row of an index: those of a key are in the order of their last sequences."""
        is_forgotten = read_number(value[:_NUMBER_BYTES]) < self.first_held
        return _Verdict.GOES if is_forgotten else _Verdict.LATER


class ChainPruner:
    """Forgets, in an open store. Get one from ``ChainStore.pruner``."""

    def __init__(self, environment: Environment, tables: Tables) -> None:
        self._environment = environment
        self._tables = tables

    def forget_below(self, at_most: int) -> Sequence:
        """Forget contents below ``at_most``, durably; give the first sequence that is held.

        It may be a little lower, where a row of the log begins. The last entry is always held.
        """
        with self._environment.write() as transaction:
            reader = self._reader(transaction)
            first, last = reader.first_held(), reader.head().log_size - 1
            wanted = min(at_most, last)
            if wanted > first:
                first = max(first, reader.row_start(Sequence(wanted)))
                transaction.put(FIRST_HELD_KEY, number_key(first), db=self._tables.meta)
        return first

    def sweep(self) -> Iterator[int]:
        """Delete what is forgotten; give after each durable step how many rows went."""
        with self._environment.read() as transaction:
            forgotten = self._forgotten(transaction)
        tables = self._tables
        yield from self._steps(tables.log, forgotten.judge_log)
        yield from self._steps(tables.batches, self._judge_batch(forgotten))
        self._delete_files()
        yield from self._steps(tables.events, forgotten.judge_event)
        yield from self._steps(tables.refused, forgotten.judge_refusal)
        for index in (tables.topics, tables.publishers, tables.types):
            yield from self._steps(index, forgotten.judge_posting)

    # --- helpers --------------------------------------------------------------------------

    def _reader(self, transaction: "lmdb.Transaction[memoryview]") -> ChainReader:
        return ChainReader(self._environment.path, self._tables, transaction, {})

    def _forgotten(self, transaction: "lmdb.Transaction[memoryview]") -> _Forgotten:
        reader = self._reader(transaction)
        first, head = reader.first_held(), reader.head()
        height = _border(reader, first)
        needed = {
            batch_id[:_NUMBER_BYTES]
            for batch_id in self._named(transaction, reader, first, height)
            if not self._is_named_above(transaction, batch_id, height)
        }
        earliest_ms = max(0, head.time_ms - EVENT_AGE_MS_MAX)
        return _Forgotten(first, height, earliest_ms, frozenset(needed))

    def _named(
        self,
        transaction: "lmdb.Transaction[memoryview]",
        reader: ChainReader,
        first: Sequence,
        height: Height,
    ) -> Iterator[bytes]:
        """Give the ids of batches from which entries are held, or that a block above names."""
        with transaction.cursor(self._tables.log) as cursor:
            found = cursor.set_range(number_key(first))
            while found:
                yield bytes(cursor.value()[_ROW_BATCH])
                found = cursor.next()
        for number in range(height + 1, reader.head_height() + 1):
            block = reader.block(Height(number))
            yield from () if block is None else block.payload

    def _is_named_above(
        self, transaction: "lmdb.Transaction[memoryview]", batch_id: bytes, height: Height
    ) -> bool:
        """Say whether the first block that names a batch is above ``height``."""
        named = transaction.get(batch_id, db=self._tables.ordered)
        return named is not None and read_number(named) > height

    def _delete_files(self) -> None:
        """Delete the batch files to which no committed row refers, but for the last one."""
        with self._environment.read() as transaction:
            reader = self._reader(transaction)
            used = {reader.batch_end().file, *(place.file for place in reader.places().values())}
        files = self._tables.batch_files
        files.delete(int(name) for name in files_of(files.store) if int(name) not in used)

    def _judge_batch(self, forgotten: _Forgotten) -> _Judge:
        unordered = self._tables.unordered

        def judge(
            transaction: "lmdb.Transaction[memoryview]", key: memoryview, _value: memoryview
        ) -> _Verdict:
            id_ = bytes(key)
            stays = (
                self._is_named_above(transaction, id_, forgotten.height)
                or id_[:_NUMBER_BYTES] in forgotten.needed
                or transaction.get(id_, db=unordered) is not None
            )
            return _Verdict.STAYS if stays else _Verdict.GOES

        return judge

    def _steps(self, table: Table, judge: _Judge) -> Iterator[int]:
        """Judge all rows of a table, some in each transaction."""
        resume: bytes | None = b""
        while resume is not None:
            with self._environment.write() as transaction:
                deleted, resume = _step(transaction, table, judge, resume)
            yield deleted


def _border(reader: ChainReader, first: Sequence) -> Height:
    """Give the lowest ledger whose log is as long as what is forgotten, or the last shorter one."""
    height = reader.first_height_beyond(first - 1)
    root = reader.root(height)
    is_whole = root is not None and root.log_size == first
    return height if is_whole else Height(max(0, height - 1))


def _step(
    transaction: "lmdb.Transaction[memoryview]", table: Table, judge: _Judge, resume: bytes
) -> tuple[int, bytes | None]:
    """Judge some rows; give how many went, and the key to go on from, None at the end."""
    deleted = 0
    with transaction.cursor(table) as cursor:
        found = cursor.set_range(resume) if resume else cursor.first()
        for _ in range(STEP_ROWS):
            if not found:
                break
            match judge(transaction, cursor.key(), cursor.value()):
                case _Verdict.GOES:
                    # After a deletion among several rows of one key, LMDB's cursor (0.9.36) may
                    # stand on another row than the next one: find that anew.
                    key = bytes(cursor.key())
                    cursor.delete()
                    deleted += 1
                    found = cursor.set_range(key)
                case _Verdict.STAYS:
                    found = cursor.next()
                case _Verdict.LATER:
                    found = cursor.next_nodup()
                case _Verdict.END:
                    found = False
        return deleted, bytes(cursor.key()) if found else None
