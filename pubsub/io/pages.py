"""Reading the log in pages: filtered, in order, in short read transactions.

Owns how far one request may read. A page ends when it has enough events or bytes, or when its
time is over, which a rare combination of conditions can need; its cursor says up to where the log
was looked at, so that the next page goes on there and no entry is looked at twice.
"""

import time
from typing import NamedTuple

from ledger.core.event import open_entry
from ledger.core.ids import Sequence
from ledger.core.limits import (
    GATEWAY_SCAN_ENTRIES,
    GATEWAY_SCAN_MS_MAX,
)
from ledger.io.chain_reader import ChainReader
from ledger.io.chain_store import ChainStore
from pubsub.core.cloudevents import cloudevent_json
from pubsub.core.problems import NoLongerHeld
from pubsub.io.wanted import Wanted

__all__ = ["Page", "Row", "first_held", "read_page", "require_held"]

_SCAN_ROWS = 64  # entries that are read before their bytes are counted


class Row(NamedTuple):
    """One event of the log as CloudEvents JSON."""

    sequence: Sequence
    json: bytes


class Page(NamedTuple):
    """A piece of the log.

    Attributes:
        rows: the events that were asked for, ascending.
        cursor: the last sequence that was looked at; -1 when there was none.
        log_size: size of the log then.
    """

    rows: list[Row]
    cursor: int
    log_size: int


def read_page(
    store: ChainStore,
    wanted: Wanted,
    after: int,
    limit: int,
    bytes_max: int,
) -> Page:
    """Read up to ``limit`` events behind the sequence ``after``; blocks, so run it in a thread.

    Args:
        bytes_max: the page ends when its JSON reaches this much.

    Raises:
        Refusal: events behind ``after`` are forgotten here.
    """
    deadline = time.monotonic() + GATEWAY_SCAN_MS_MAX / 1000
    rows: list[Row] = []
    cursor, size = after, 0
    while True:
        with store.read() as reader:
            require_held(reader, cursor + 1)
            log_size = reader.head().log_size
            until = min(log_size, cursor + 1 + GATEWAY_SCAN_ENTRIES)
            asked = min(limit - len(rows), _SCAN_ROWS)
            found = reader.scan(wanted.selection, cursor, asked, until=until)
            read = _rows(reader, wanted, found)
        rows += read
        size += sum(len(row.json) for row in read)
        # Fewer than asked: nothing more below ``until``. A reader may be ahead of this store.
        cursor = found[-1][0] if len(found) == asked else max(cursor, until - 1)
        is_full = len(rows) >= limit or size >= bytes_max
        if is_full or cursor + 1 >= log_size or time.monotonic() >= deadline:
            return Page(rows, cursor, log_size)


def first_held(store: ChainStore) -> Sequence:
    """Give the first sequence whose contents are here."""
    with store.read() as reader:
        return reader.first_held()


def require_held(reader: ChainReader, position: int) -> None:
    """Refuse to read from a position on where events are forgotten. Raises Refusal."""
    if position < (first := reader.first_held()):
        raise NoLongerHeld(first)


def _rows(reader: ChainReader, wanted: Wanted, found: list[tuple[Sequence, bytes]]) -> list[Row]:
    """Give what is wanted of the entries that the indexes found."""
    rows: list[Row] = []
    for sequence, entry in found:
        opened = open_entry(entry)
        if wanted.matches(opened):
            text = cloudevent_json(opened, sequence, reader.height_of(sequence))
            rows.append(Row(sequence, text))
    return rows
