"""What the log shows of itself: blocks, records, proofs, and all that an auditor needs.

Owns the reading of the log for its parties. Who sees what says the ``Scope`` that it is asked with:
a buyer its own records and totals, the seller all. Records of others do not exist for a buyer.
"""

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from itertools import pairwise
from threading import Lock
from typing import Any, NamedTuple

from sqlalchemy import Connection, Row, Select, func, select

from adapters.tmf.store.database import Store
from adapters.tmf.usage.block import UsageBlock, block_hash, decode_block
from adapters.tmf.usage.intake import digests
from adapters.tmf.usage.leaves import Entry, Opening, leaf_hashes, opening_of
from adapters.tmf.usage.limits import USAGE_TREES_REMEMBERED
from adapters.tmf.usage.log import last_number
from adapters.tmf.usage.package import AuditPackage
from adapters.tmf.usage.proof import UsageProof, prove
from adapters.tmf.usage.record import UsageRecord, read_body
from adapters.tmf.usage.schema import BLOCKS, NAMES, RECORDS, REFUSED
from adapters.tmf.usage.segments import SegmentReader
from adapters.tmf.usage.totals import Totals
from adapters.tmf.usage.tree import Tree
from ledger.core.event import entry_id

__all__ = ["BlockView", "Evidence", "RecordFilter", "RecordView", "RefusedView", "Scope"]


class Scope(NamedTuple):
    """Whose eyes.

    Attributes:
        buyer: sees its own; None sees all.
    """

    buyer: str | None = None


class BlockView(NamedTuple):
    """One block and where it is.

    Attributes:
        sequence: of its event in the ledger; None while it is on its way.
        fault: why the last attempt to publish it failed; empty when none did.
    """

    block: UsageBlock
    hash: bytes
    event_id: bytes
    sequence: int | None
    fault: str


class RecordFilter(NamedTuple):
    """Which records; moments in ms, both inclusive.

    Attributes:
        after: number behind which to begin: records that come later have higher ones.
    """

    id: str | None = None
    product: str | None = None
    from_ms: int | None = None
    to_ms: int | None = None
    after: int = 0
    limit: int = 1


class RecordView(NamedTuple):
    """One record and where it is.

    Attributes:
        block: number; None while the record waits for one.
        leaf: place in the block; None with it.
        superseded_by: number of the record that corrects it; 0 for none.
    """

    number: int
    entry: Entry
    block: int | None
    leaf: int | None
    superseded_by: int


class RefusedView(NamedTuple):
    """One change of a ``usage`` entity that is not in the log, and why."""

    change: int
    id: str
    code: str
    detail: str
    time_ms: int


class Evidence:
    """Reads one log; every method may be called from any thread."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._trees: OrderedDict[int, Tree] = OrderedDict()
        self._lock = Lock()

    def blocks(self, after: int, limit: int) -> list[BlockView]:
        """Give blocks with higher numbers, in order."""
        rows = select(BLOCKS).where(BLOCKS.c.number > after).order_by(BLOCKS.c.number).limit(limit)
        with self._store.read() as reading:
            return [_view(row) for row in reading.connection.execute(rows)]

    def block(self, number: int) -> BlockView | None:
        """Give one block."""
        with self._store.read() as reading:
            row = _block_row(reading.connection, number)
        return None if row is None else _view(row)

    def openings(self, number: int, scope: Scope) -> list[Opening]:
        """Give what opens the totals of a block that exists, as far as the scope reaches."""
        with self._store.read() as reading:
            row = _block_row(reading.connection, number)
            assert row is not None, "asked for after the block was found"
            totals = Totals()
            earlier = SegmentReader(reading.connection)
            for entry in _block_entries(reading.connection, row):
                totals.add(read_body(entry.body), _corrected(earlier, entry))
        keys = sorted(key for key in totals.sums if scope.buyer in (None, key.buyer))
        return [opening_of(row.secret, key) for key in keys]

    def records(self, wanted: RecordFilter, scope: Scope) -> list[RecordView]:
        """Find records, in the order of their numbers."""
        with self._store.read() as reading:
            connection = reading.connection
            rows = connection.execute(_query(connection, wanted, scope)).all()
            numbers = [row.number for row in rows]
            entries = list(SegmentReader(connection).entries(numbers))
            places = _places(connection, numbers)
            followers = _followers(connection, [bytes(row.key) for row in rows])
        return [
            RecordView(number, entry, *place, followers.get(number, 0))
            for number, entry, place in zip(numbers, entries, places, strict=True)
        ]

    def proof(self, block: int, leaf: int, scope: Scope) -> UsageProof | None:
        """Prove one record by its place; None when there is none in this scope."""
        with self._store.read() as reading:
            row = _block_row(reading.connection, block)
            if row is None or not 0 <= leaf <= row.last - row.first:
                return None
            entry = SegmentReader(reading.connection).entry(row.first + leaf)
            if scope.buyer not in (None, read_body(entry.body).buyer):
                return None
            return self._prove(reading.connection, row, leaf, entry)

    def leaf_of(self, block: int, id_: str) -> int | None:
        """Find the newest version of a record within a block."""
        with self._store.read() as reading:
            row = _block_row(reading.connection, block)
            if row is None:
                return None
            (key,) = digests([id_.encode()])
            newest = select(func.max(RECORDS.c.number)).where(
                RECORDS.c.key == key, RECORDS.c.number.between(row.first, row.last)
            )
            number: int | None = reading.connection.execute(newest).scalar_one()
        return None if number is None else number - row.first

    def package(self, block: int) -> AuditPackage | None:
        """Give all of a block, for the auditor whom the seller trusts with it."""
        with self._store.read() as reading:
            connection = reading.connection
            row = _block_row(connection, block)
            if row is None:
                return None
            entries = tuple(_block_entries(connection, row))
            earlier = sorted({one.supersedes for one in entries if 0 < one.supersedes < row.first})
            reader = SegmentReader(connection)
            proofs = tuple(self._proof_of(connection, reader, number) for number in earlier)
        return AuditPackage(row.secret, row.bundle, entries, proofs)

    def refused(self, after: int, limit: int) -> list[RefusedView]:
        """Give ``usage`` entities that the log does not take, by the number of their change."""
        rows = (
            select(REFUSED).where(REFUSED.c.change > after).order_by(REFUSED.c.change).limit(limit)
        )
        with self._store.read() as reading:
            return [RefusedView(*row) for row in reading.connection.execute(rows)]

    def _proof_of(self, connection: Connection, reader: SegmentReader, number: int) -> UsageProof:
        row = connection.execute(
            select(BLOCKS).where(BLOCKS.c.first <= number, BLOCKS.c.last >= number)
        ).one()
        entry = reader.entry(number)
        return self._prove(connection, row, number - row.first, entry)

    def _prove(self, connection: Connection, row: Row[Any], leaf: int, entry: Entry) -> UsageProof:
        tree = self._tree(connection, row)
        place = (entry_id(row.entry), block_hash(row.data), bytes(row.bundle))
        return prove(tree, leaf, entry, row.secret, place)

    def _tree(self, connection: Connection, row: Row[Any]) -> Tree:
        """Build the tree of a block, or take it from the last few."""
        with self._lock:
            if (known := self._trees.get(row.number)) is not None:
                self._trees.move_to_end(row.number)
                return known
        entries = list(_block_entries(connection, row))
        tree = Tree(leaf_hashes(row.secret, entries))
        with self._lock:
            self._trees[row.number] = tree
            while len(self._trees) > USAGE_TREES_REMEMBERED:
                self._trees.popitem(last=False)
        return tree


def _block_row(connection: Connection, number: int) -> Row[Any] | None:
    return connection.execute(select(BLOCKS).where(BLOCKS.c.number == number)).one_or_none()


def _view(row: Row[Any]) -> BlockView:
    data = bytes(row.data)
    return BlockView(
        decode_block(data), block_hash(data), entry_id(row.entry), row.sequence, row.fault
    )


def _block_entries(connection: Connection, row: Row[Any]) -> Iterator[Entry]:
    return SegmentReader(connection).entries(range(row.first, row.last + 1))


def _corrected(earlier: SegmentReader, entry: Entry) -> UsageRecord | None:
    return read_body(earlier.entry(entry.supersedes).body) if entry.supersedes else None


def _query(connection: Connection, wanted: RecordFilter, scope: Scope) -> Select[Any]:
    conditions = [RECORDS.c.number > wanted.after]
    if wanted.id is not None:
        conditions.append(RECORDS.c.key == digests([wanted.id.encode()])[0])
    for column, name in ((RECORDS.c.product, wanted.product), (RECORDS.c.buyer, scope.buyer)):
        if name is not None:
            number = select(NAMES.c.number).where(NAMES.c.name == name.encode())
            conditions.append(column == number.scalar_subquery())
    if wanted.from_ms is not None or wanted.to_ms is not None:
        from_ms = wanted.from_ms or 0
        to_ms = 2**63 - 1 if wanted.to_ms is None else wanted.to_ms
        first, last = _numbers_within(connection, from_ms, to_ms)
        conditions += [
            RECORDS.c.usage_ms.between(from_ms, to_ms),
            RECORDS.c.number.between(first, last),
        ]
    return (
        select(RECORDS.c.number, RECORDS.c.key)
        .where(*conditions)
        .order_by(RECORDS.c.number)
        .limit(wanted.limit)
    )


def _numbers_within(connection: Connection, from_ms: int, to_ms: int) -> tuple[int, int]:
    """Bound the numbers of records of a time, by the windows of the blocks."""
    overlapping = (BLOCKS.c.from_ms <= to_ms) & (BLOCKS.c.to_ms >= from_ms)
    first = connection.execute(select(func.min(BLOCKS.c.first)).where(overlapping)).scalar_one()
    condensed = connection.execute(select(func.max(BLOCKS.c.last))).scalar_one() or 0
    last = last_number(connection)  # what waits for a block may be of any time
    if last == condensed:
        bound = select(func.max(BLOCKS.c.last)).where(overlapping)
        last = connection.execute(bound).scalar_one() or 0
    return (condensed + 1 if first is None else first), last


def _places(connection: Connection, numbers: Sequence[int]) -> list[tuple[int | None, int | None]]:
    """Find the block and the leaf of each record; numbers ascend."""
    if not numbers:
        return []
    rows = connection.execute(
        select(BLOCKS.c.number, BLOCKS.c.first, BLOCKS.c.last)
        .where(BLOCKS.c.last >= numbers[0], BLOCKS.c.first <= numbers[-1])
        .order_by(BLOCKS.c.number)
    ).all()
    places: list[tuple[int | None, int | None]] = []
    index = 0
    for number in numbers:
        while index < len(rows) and rows[index].last < number:
            index += 1
        row = rows[index] if index < len(rows) else None
        places.append((row.number, number - row.first) if row is not None else (None, None))
    return places


def _followers(connection: Connection, keys: Sequence[bytes]) -> dict[int, int]:
    """Find for each version of these records the one that corrects it."""
    rows = connection.execute(
        select(RECORDS.c.key, RECORDS.c.number)
        .where(RECORDS.c.key.in_(sorted(set(keys))))
        .order_by(RECORDS.c.key, RECORDS.c.number)
    ).all()
    return {
        before.number: after.number for before, after in pairwise(rows) if before.key == after.key
    }
