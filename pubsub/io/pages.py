"""Reading the log in pages: filtered, in order, in short read transactions.

Owns how far one request may read. A page ends when it has enough events or bytes, or when its
time is over, which a rare combination of conditions can need; its cursor says up to where the log
was looked at, so that the next page goes on there and no entry is looked at twice.
"""

import time
from typing import NamedTuple

from ledger.core.event import Event, open_entry
from ledger.core.ids import Height, Sequence
from ledger.core.limits import (
    DID_CHARS_MAX,
    EVENT_TYPE_CHARS_MAX,
    GATEWAY_PAGE_BYTES_MAX,
    GATEWAY_SCAN_ENTRIES,
    GATEWAY_SCAN_MS_MAX,
    SUBJECT_CHARS_MAX,
    TOPIC_CHARS_MAX,
)
from ledger.core.topics import TopicPattern
from ledger.io.chain_reader import ChainReader
from ledger.io.chain_scan import Selection
from ledger.io.chain_store import ChainStore
from pubsub.core.cloudevents import cloudevent_json
from pubsub.core.parameters import Parameters
from pubsub.core.problems import HttpCode, Refusal

__all__ = ["FILTER_NAMES", "Page", "Row", "Wanted", "event_json", "read_page", "read_wanted"]

FILTER_NAMES = ("topic", "subject", "publisher", "type")
_SCAN_ROWS = 64  # entries that are read before their bytes are counted


class Wanted(NamedTuple):
    """Which events a reader asked for, with the topic pattern compiled."""

    selection: Selection
    pattern: TopicPattern | None

    def matches(self, event: Event) -> bool:
        """Say whether ``event`` meets every condition."""
        return self.selection.matches(event, self.pattern)


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


def read_wanted(parameters: Parameters) -> Wanted:
    """Read the conditions of the ``FILTER_NAMES``. Raises Refusal for a malformed one."""
    topic = parameters.text("topic", TOPIC_CHARS_MAX)
    try:
        pattern = None if topic is None else TopicPattern(topic)
    except ValueError:
        raise Refusal(
            HttpCode.INVALID_PARAMETER,
            "topic is tokens of letters, digits, _ and - joined by dots; "
            "* stands for one token and a final > for one or more",
        ) from None
    selection = Selection(
        topic,
        parameters.text("subject", SUBJECT_CHARS_MAX),
        parameters.text("publisher", DID_CHARS_MAX),
        parameters.text("type", EVENT_TYPE_CHARS_MAX),
    )
    return Wanted(selection, pattern)


def read_page(store: ChainStore, selection: Selection, after: int, limit: int) -> Page:
    """Read up to ``limit`` events behind the sequence ``after``; blocks, so run it in a thread."""
    deadline = time.monotonic() + GATEWAY_SCAN_MS_MAX / 1000
    rows: list[Row] = []
    cursor, size = after, 0
    while True:
        with store.read() as reader:
            log_size = reader.head().log_size
            until = min(log_size, cursor + 1 + GATEWAY_SCAN_ENTRIES)
            wanted = min(limit - len(rows), _SCAN_ROWS)
            found = reader.scan(selection, cursor, wanted, until=until)
            rows += [
                Row(sequence, event_json(reader, sequence, entry)) for sequence, entry in found
            ]
        size += sum(len(entry) for _, entry in found)
        # Fewer than wanted: nothing more below ``until``. A reader may be ahead of this store.
        cursor = found[-1][0] if len(found) == wanted else max(cursor, until - 1)
        is_full = len(rows) >= limit or size >= GATEWAY_PAGE_BYTES_MAX
        if is_full or cursor + 1 >= log_size or time.monotonic() >= deadline:
            return Page(rows, cursor, log_size)


def event_json(reader: ChainReader, sequence: Sequence, entry: bytes) -> bytes:
    """Give the CloudEvent of the entry at ``sequence``."""
    height: Height = reader.height_of(sequence)
    return cloudevent_json(open_entry(entry), sequence, height)
