"""DOME's events in the log: what is new behind a cursor, and the newest of each entity in a range.

All reads run in the gateway's reader threads, a bounded slice of the log in each snapshot.
"""

from functools import partial
from typing import NamedTuple

from adapters.dome.dlt.events import TOPICS, Listed, Notification, Place, listed, notification
from adapters.lists import Lists
from ledger.core.errors import RejectCode, Rejected
from ledger.core.event import open_entry
from ledger.core.ids import Height, Sequence
from ledger.core.limits import DLT_LISTED_ENTITIES_MAX, DLT_SLICE_EVENTS, GATEWAY_SCAN_ENTRIES
from ledger.io.chain_reader import ChainReader
from ledger.io.chain_scan import Selection
from ledger.io.chain_store import ChainStore
from pubsub.io.state import Gateway

__all__ = ["Slice", "Told", "last_of_each_entity", "slice_after"]

_SELECTION = Selection(topic=TOPICS)


class Told(NamedTuple):
    """One event of DOME's.

    Attributes:
        publisher: DID that signed it.
    """

    publisher: str
    notification: Notification


class Slice(NamedTuple):
    """A part of the log.

    Attributes:
        until: all sequences below it were looked at.
    """

    until: int
    events: list[Told]


async def slice_after(gateway: Gateway, cursor: int) -> Slice:
    """Give the next events behind ``cursor``; none and ``until == cursor + 1`` at the log's end."""

    def read(store: ChainStore) -> Slice:
        with store.read() as reader:
            return _slice(reader, cursor, reader.head().log_size)

    return await gateway.access.in_thread(read)


async def last_of_each_entity(
    gateway: Gateway, start_ms: int, end_ms: int, environment: str | None
) -> list[Listed]:
    """Give the newest event of each entity between two times, both included, newest first.

    Args:
        environment: only events with it among their metadata, when not None.

    Raises:
        Rejected: there are too many entities (TOO_LARGE).
    """

    def bounds(store: ChainStore) -> tuple[int, int]:
        with store.read() as reader:
            return _first_from(reader, start_ms), _first_from(reader, end_ms // 1000 * 1000 + 1000)

    newest: dict[str, Notification] = {}
    first, end = await gateway.access.in_thread(bounds)
    cursor = first - 1
    while cursor + 1 < end:
        part = await gateway.access.in_thread(partial(_read, cursor=cursor, end=end))
        for _, told in part.events:
            if told.timestamp * 1000 < start_ms:
                continue
            if environment is None or environment in told.relevant_metadata:
                newest[told.entity_id_hash] = told
        if len(newest) > DLT_LISTED_ENTITIES_MAX:
            raise Rejected(RejectCode.TOO_LARGE, "too many entities: ask for a shorter time")
        cursor = part.until - 1
    return [listed(told) for told in sorted(newest.values(), key=lambda told: -told.id)]


def _read(store: ChainStore, cursor: int, end: int) -> Slice:
    with store.read() as reader:
        return _slice(reader, cursor, end)


def _slice(reader: ChainReader, cursor: int, end: int) -> Slice:
    until = min(end, cursor + 1 + GATEWAY_SCAN_ENTRIES)
    rows = reader.scan(_SELECTION, cursor, DLT_SLICE_EVENTS, until)
    lists = Lists(reader)
    events: list[Told] = []
    for sequence, entry in rows:
        event = open_entry(entry).event
        time_ms = reader.stored_head(reader.height_of(sequence)).time_ms
        told = notification(event, Place(sequence, time_ms), lists)
        if told is not None:
            events.append(Told(event.publisher, told))
    if len(rows) == DLT_SLICE_EVENTS:
        until = rows[-1][0] + 1
    return Slice(max(until, cursor + 1), events)


def _first_from(reader: ChainReader, time_ms: int) -> int:
    """Give the sequence of the first event of a block that is not before a time."""
    height = reader.first_height_at(max(0, time_ms))
    if height is None:
        return reader.head().log_size
    return Sequence(reader.stored_head(Height(height - 1)).root.log_size) if height else 0
