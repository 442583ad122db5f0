"""The usage log of one seller: records in, blocks out, both in the node's database.

Owns what is written in one transaction: records with the rows that find them, and a block with its
signed event. So whatever crashes when, a record is in the log or was never confirmed, a block has
one event, and the numbers of records and blocks have no gaps.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from typing import Final, NamedTuple

from sqlalchemy import Connection, func, insert, select

from adapters.tmf.store.database import Store
from adapters.tmf.usage.block import (
    BLOCK_CONTENT_TYPE,
    BLOCK_TYPE,
    UsageBlock,
    block_hash,
    block_subject,
)
from adapters.tmf.usage.condensing import BlockLimits, Condensed, Tip, Waiting, condense, is_due
from adapters.tmf.usage.intake import Known, Outcome, Taken, digests, take
from adapters.tmf.usage.limits import USAGE_SEGMENT_RECORDS
from adapters.tmf.usage.record import UsageRecord, read_body
from adapters.tmf.usage.schema import BLOCKS, NAMES, RECORDS, SEGMENTS
from adapters.tmf.usage.segments import SegmentReader, append_segments, pack_segments
from ledger.core.limits import HASH_BYTES, TMF_STATEMENT_ROWS_MAX
from pubsub.client.identity import Publisher

__all__ = ["Sealing", "UsageLog", "last_number", "name_numbers", "waiting_after"]

_NO_BUNDLE: Final = b""


class Sealing(NamedTuple):
    """How blocks become events.

    Attributes:
        topic: that the member may publish to.
        location: of a block by its number, for the event; empty when the node has no address.
        random: gives so many random bytes that nobody can guess.
    """

    publisher: Publisher
    topic: str
    location: Callable[[int], str]
    random: Callable[[int], bytes]
    limits: BlockLimits = BlockLimits()


class UsageLog:
    """The log of the member whose publisher signs its blocks."""

    def __init__(self, store: Store, sealing: Sealing, now_ms: Callable[[], int]) -> None:
        self._store = store
        self._sealing = sealing
        self._now_ms = now_ms
        self.seller = sealing.publisher.did

    def append(self, records: Sequence[UsageRecord]) -> list[Outcome]:
        """Take records in one transaction; give what became of each."""
        with self._store.write() as txn:
            return self.append_in(txn.connection, records)

    def append_in(self, connection: Connection, records: Sequence[UsageRecord]) -> list[Outcome]:
        """Take records in a transaction of somebody else."""
        known = _known(connection, records)
        outcomes, taken = take(records, known, last_number(connection) + 1)
        if taken:
            append_segments(connection, taken, self._now_ms())
            _insert_rows(connection, taken)
        return outcomes

    def condense(self) -> UsageBlock | None:
        """Make the next block if one is due; None when there is nothing to do yet.

        One caller at a time. The work is done on a snapshot, and only the result is written: what
        waits can become more meanwhile, but not less.
        """
        secret = self._sealing.random(HASH_BYTES)
        with self._store.read() as reading:
            made = self._condense(reading.connection, secret)
        if made is None:
            return None
        row = self._row(made, secret)
        with self._store.write() as txn:
            txn.connection.execute(insert(BLOCKS).values(row))
            pack_segments(txn.connection, made.block.first, made.block.last)
        return made.block

    def _condense(self, connection: Connection, secret: bytes) -> Condensed | None:
        tip = _tip(connection, self.seller)
        limits = self._sealing.limits
        if not is_due(waiting_after(connection, tip.last), limits, self._now_ms()):
            return None
        reader, earlier = SegmentReader(connection), SegmentReader(connection)
        end = min(tip.last + limits.records, last_number(connection))
        return condense(
            tip,
            reader.entries(range(tip.last + 1, end + 1)),
            lambda number: read_body(earlier.entry(number).body),
            secret,
            limits,
        )

    def _row(self, made: Condensed, secret: bytes) -> dict[str, object]:
        block, hash_ = made.block, block_hash(made.data)
        opened = self._sealing.publisher.sign(
            self._sealing.topic,
            BLOCK_TYPE,
            subject=block_subject(self.seller),
            entity_hash=hash_,
            previous_hash=block.previous,
            location=self._sealing.location(block.number),
            content_type=BLOCK_CONTENT_TYPE,
            data=made.data,
            time_ms=self._now_ms(),
        )
        return {
            "number": block.number,
            "first": block.first,
            "last": block.last,
            "from_ms": block.from_ms,
            "to_ms": block.to_ms,
            "data": made.data,
            "secret": secret,
            "entry": opened.entry,
            "sequence": None,
            "bundle": _NO_BUNDLE,
            "fault": "",
        }


def last_number(connection: Connection) -> int:
    """Give the number of the newest record; 0 for none."""
    return connection.execute(select(func.max(RECORDS.c.number))).scalar_one() or 0


def waiting_after(connection: Connection, number: int) -> Waiting:
    """Give what waits behind the last record of the newest block.

    A segment that a block ends within counts whole: a few records of two hundred.
    """
    last = last_number(connection)
    found = connection.execute(
        select(func.sum(SEGMENTS.c.bytes), func.min(SEGMENTS.c.arrived_ms)).where(
            SEGMENTS.c.first > number - USAGE_SEGMENT_RECORDS, SEGMENTS.c.last > number
        )
    ).one()
    return Waiting(last - number, int(found[0] or 0), found[1] or 0)


def _tip(connection: Connection, seller: str) -> Tip:
    row = connection.execute(
        select(BLOCKS.c.number, BLOCKS.c.last, BLOCKS.c.data)
        .order_by(BLOCKS.c.number.desc())
        .limit(1)
    ).one_or_none()
    return Tip(seller, row.number, block_hash(row.data), row.last) if row else Tip(seller)


def _known(connection: Connection, records: Sequence[UsageRecord]) -> dict[bytes, list[Known]]:
    """Find the versions that the log holds of any of the records."""
    keys = sorted(set(digests([record.id.encode() for record in records])))
    known: dict[bytes, list[Known]] = defaultdict(list)
    for part in _parts(keys):
        rows = (
            select(RECORDS.c.key, RECORDS.c.number, RECORDS.c.digest, NAMES.c.name)
            .join_from(RECORDS, NAMES, RECORDS.c.buyer == NAMES.c.number)
            .where(RECORDS.c.key.in_(part))
            .order_by(RECORDS.c.number)
        )
        for row in connection.execute(rows):
            known[row.key].append(Known(row.number, row.digest, row.name.decode()))
    return known


def _insert_rows(connection: Connection, taken: Sequence[Taken]) -> None:
    names = name_numbers(
        connection, {name for one in taken for name in (one.record.buyer, one.record.product)}
    )
    connection.execute(
        insert(RECORDS),
        [
            {
                "number": one.number,
                "key": one.key,
                "digest": one.digest,
                "buyer": names[one.record.buyer],
                "product": names[one.record.product],
                "usage_ms": one.record.usage_ms,
            }
            for one in taken
        ],
    )


def name_numbers(connection: Connection, names: set[str]) -> dict[str, int]:
    """Give the numbers of names, new ones for those that have none."""
    wanted = {name.encode(): name for name in names}
    found: dict[str, int] = {}
    for part in _parts(sorted(wanted)):
        known = select(NAMES).where(NAMES.c.name.in_(part))
        missing = set(part) - {bytes(row.name) for row in connection.execute(known)}
        if missing:
            connection.execute(insert(NAMES), [{"name": name} for name in sorted(missing)])
        found |= {wanted[bytes(row.name)]: row.number for row in connection.execute(known)}
    return found


def _parts(values: Sequence[bytes]) -> Iterator[Sequence[bytes]]:
    for start in range(0, len(values), TMF_STATEMENT_ROWS_MAX):
        yield values[start : start + TMF_STATEMENT_ROWS_MAX]
