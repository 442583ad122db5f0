"""Segments: how records lie on the disk, compressed together.

Owns the form of a segment's data, and reading records by their numbers.
"""

import zlib
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

import msgspec
from sqlalchemy import Connection, insert, select

from adapters.tmf.usage.intake import Taken
from adapters.tmf.usage.leaves import Entry
from adapters.tmf.usage.limits import USAGE_SEGMENT_RECORDS
from adapters.tmf.usage.schema import SEGMENTS
from ledger.core.errors import InvariantError

__all__ = ["append_segments", "entries_at", "entry_at"]

_FAST: Final = 1  # of zlib: half the time for a tenth more bytes

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(list[Entry]).decode


def append_segments(connection: Connection, taken: Sequence[Taken], arrived_ms: int) -> None:
    """Store records, which are not empty and have numbers that follow each other."""
    rows = []
    for start in range(0, len(taken), USAGE_SEGMENT_RECORDS):
        part = taken[start : start + USAGE_SEGMENT_RECORDS]
        entries = [Entry(one.supersedes, one.record.body) for one in part]
        rows.append(
            {
                "first": part[0].number,
                "last": part[-1].number,
                "bytes": sum(len(entry.body) for entry in entries),
                "arrived_ms": arrived_ms,
                "data": zlib.compress(_encode(entries), _FAST),
            }
        )
    connection.execute(insert(SEGMENTS), rows)


def entries_at(connection: Connection, numbers: Iterable[int]) -> Iterator[Entry]:
    """Read records that are in the log; ascending numbers read each segment once.

    Raises:
        InvariantError: a record is not there, or its segment is broken.
    """
    first, entries = 0, list[Entry]()
    for number in numbers:
        if not first <= number < first + len(entries):
            first, entries = _segment(connection, number)
        yield entries[number - first]


def entry_at(connection: Connection, number: int) -> Entry:
    """Read one record that is in the log."""
    return next(entries_at(connection, [number]))


def _segment(connection: Connection, number: int) -> tuple[int, list[Entry]]:
    row = connection.execute(
        select(SEGMENTS.c.first, SEGMENTS.c.last, SEGMENTS.c.data)
        .where(SEGMENTS.c.first <= number)
        .order_by(SEGMENTS.c.first.desc())
        .limit(1)
    ).one_or_none()
    if row is None or row.last < number:
        raise InvariantError(f"the usage log lacks record {number}")
    try:
        entries = _decode(zlib.decompress(row.data))
    except (zlib.error, msgspec.MsgspecError) as error:
        raise InvariantError(f"the usage segment {row.first} is broken: {error}") from None
    if len(entries) != row.last - row.first + 1:
        raise InvariantError(f"the usage segment {row.first} holds {len(entries)} records")
    return row.first, entries
