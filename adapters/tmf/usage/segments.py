"""Segments: how records lie on the disk, compressed together.

Owns the form of a segment's data, and reading records by their numbers. What arrives in small
pieces makes small segments; they are packed when a block is made of them, which no reader notices.
"""

import zlib
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

import msgspec
from sqlalchemy import Connection, Row, delete, insert, select

from adapters.tmf.usage.intake import Taken
from adapters.tmf.usage.leaves import Entry
from adapters.tmf.usage.limits import USAGE_SEGMENT_RECORDS, USAGE_SEGMENTS_REMEMBERED
from adapters.tmf.usage.schema import SEGMENTS
from ledger.core.errors import InvariantError

__all__ = ["SegmentReader", "append_segments", "pack_segments"]

_FAST: Final = 1  # of zlib: half the time for a tenth more bytes

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(list[Entry]).decode


def append_segments(connection: Connection, taken: Sequence[Taken], arrived_ms: int) -> None:
    """Store records, which are not empty and have numbers that follow each other."""
    entries = [Entry(one.supersedes, one.record.body) for one in taken]
    connection.execute(insert(SEGMENTS), _rows(taken[0].number, entries, arrived_ms))


def pack_segments(connection: Connection, first: int, last: int) -> None:
    """Pack the records ``first`` to ``last`` of a block, if they lie in many more segments."""
    within = (SEGMENTS.c.first >= first) & (SEGMENTS.c.last <= last)
    rows = connection.execute(select(SEGMENTS).where(within).order_by(SEGMENTS.c.first)).all()
    if len(rows) * USAGE_SEGMENT_RECORDS <= 2 * (last - first + 1) + USAGE_SEGMENT_RECORDS:
        return
    entries = [entry for row in rows for entry in _entries(row)]
    connection.execute(delete(SEGMENTS).where(within))
    connection.execute(insert(SEGMENTS), _rows(rows[0].first, entries, rows[0].arrived_ms))


class SegmentReader:
    """Reads records within one transaction; the segments that it read last stay at hand."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._held: OrderedDict[int, list[Entry]] = OrderedDict()

    def entries(self, numbers: Iterable[int]) -> Iterator[Entry]:
        """Read records that are in the log, in the order that is asked for.

        Raises:
            InvariantError: a record is not there, or its segment is broken.
        """
        first, entries = 0, list[Entry]()
        for number in numbers:
            if not first <= number < first + len(entries):
                first, entries = self._segment(number)
            yield entries[number - first]

    def entry(self, number: int) -> Entry:
        """Read one record. Raises as :meth:`entries`."""
        return next(self.entries([number]))

    def _segment(self, number: int) -> tuple[int, list[Entry]]:
        for first, entries in self._held.items():
            if first <= number < first + len(entries):
                self._held.move_to_end(first)
                return first, entries
        row = self._connection.execute(
            select(SEGMENTS)
            .where(SEGMENTS.c.first <= number)
            .order_by(SEGMENTS.c.first.desc())
            .limit(1)
        ).one_or_none()
        if row is None or row.last < number:
            raise InvariantError(f"the usage log lacks record {number}")
        self._held[row.first] = entries = _entries(row)
        if len(self._held) > USAGE_SEGMENTS_REMEMBERED:
            self._held.popitem(last=False)
        return row.first, entries


def _rows(first: int, entries: Sequence[Entry], arrived_ms: int) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = []
    for start in range(0, len(entries), USAGE_SEGMENT_RECORDS):
        part = entries[start : start + USAGE_SEGMENT_RECORDS]
        rows.append(
            {
                "first": first + start,
                "last": first + start + len(part) - 1,
                "bytes": sum(len(entry.body) for entry in part),
                "arrived_ms": arrived_ms,
                "data": zlib.compress(_encode(part), _FAST),
            }
        )
    return rows


def _entries(row: Row[Any]) -> list[Entry]:
    try:
        entries = _decode(zlib.decompress(row.data))
    except (zlib.error, msgspec.MsgspecError) as error:
        raise InvariantError(f"the usage segment {row.first} is broken: {error}") from None
    if len(entries) != row.last - row.first + 1:
        raise InvariantError(f"the usage segment {row.first} holds {len(entries)} records")
    return entries
