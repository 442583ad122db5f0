"""Reading the log for a consumer that is behind it: matching events, in short transactions.

Owns how much of the log one fetch may read. The chain store's indexes lead to the events that can
match, and only these are read. A page says up to where the log was looked at, also when it found
nothing.
"""

import time
from typing import NamedTuple

from ledger.core.event import OpenEntry, open_entry
from ledger.core.ids import Sequence
from ledger.core.limits import GATEWAY_SCAN_ENTRIES, GATEWAY_SCAN_MS_MAX
from ledger.io.chain_reader import ChainReader
from ledger.io.chain_scan import Selection
from ledger.io.chain_store import ChainStore
from pubsub.io.consumers.row_cache import RowCache
from pubsub.io.feed import FeedRow
from pubsub.io.pages import require_held
from pubsub.io.wanted import Wanted

__all__ = ["Page", "Reading", "read_page", "read_rows"]

_SCAN_ROWS = 64  # entries that are read before their bytes are counted
_SUBJECT_ROWS = 8  # later events of a subject that are looked at together


class Reading(NamedTuple):
    """What is to be read.

    Attributes:
        position: the first sequence to look at.
        limit, bytes_max: how much is wanted; one event is given whatever its size.
        cache: events that were read before.
        subjects_until: below it only the last wanted event of each subject counts.
    """

    wanted: Wanted
    position: int
    limit: int
    bytes_max: int
    cache: RowCache
    subjects_until: int = 0


class Page(NamedTuple):
    """Events found, and where to go on.

    Attributes:
        position: the next sequence to look at.
        is_end: whether the log ended there.
    """

    rows: list[FeedRow]
    position: int
    is_end: bool


def read_page(store: ChainStore, reading: Reading) -> Page:
    """Read until there is enough, the log ends, or the time is over; blocks.

    Raises:
        Refusal: the position is forgotten here.
    """
    deadline = time.monotonic() + GATEWAY_SCAN_MS_MAX / 1000
    rows: list[FeedRow] = []
    position, size = reading.position, 0
    chunk = min(reading.limit, _SCAN_ROWS)
    while True:
        with store.read() as reader:
            require_held(reader, position)
            log_size = reader.head().log_size
            until = min(log_size, position + GATEWAY_SCAN_ENTRIES)
            wanted_count = reading.limit - len(rows)
            found, position = _scan(reader, reading, range(position, until), chunk, wanted_count)
            for row in found:
                size += len(row.opened.entry)
                if rows and size > reading.bytes_max:
                    return Page(rows, row.sequence, is_end=False)
                rows.append(row)
        if position >= log_size:
            return Page(rows, max(position, reading.position), is_end=True)
        if len(rows) >= reading.limit or time.monotonic() >= deadline:
            return Page(rows, position, is_end=False)
        chunk = _SCAN_ROWS


def read_rows(store: ChainStore, sequences: list[Sequence]) -> list[FeedRow]:
    """Read the events at ``sequences``; blocks."""
    with store.read() as reader:
        return [_row(reader, sequence) for sequence in sequences]


def _scan(
    reader: ChainReader, reading: Reading, window: range, chunk: int, wanted_count: int
) -> tuple[list[FeedRow], int]:
    """Look at up to ``chunk`` entries that the indexes find; give wanted ones, where to go on."""
    wanted: list[FeedRow] = []
    found = reader.scan(reading.wanted.selection, window.start - 1, chunk, until=window.stop)
    for sequence, entry in found:
        row = reading.cache.get(sequence)
        opened = open_entry(entry) if row is None else row.opened
        if reading.wanted.matches(opened) and not _has_later(reader, reading, sequence, opened):
            wanted.append(row or FeedRow(opened, sequence, reader.height_of(sequence)))
            if len(wanted) == wanted_count:
                return wanted, sequence + 1
    # Fewer than ``chunk``: there is nothing more in the window.
    return wanted, found[-1][0] + 1 if len(found) == chunk else max(window.stop, window.start)


def _has_later(
    reader: ChainReader, reading: Reading, sequence: Sequence, opened: OpenEntry
) -> bool:
    """Say whether the event is passed over for a later one of its subject."""
    subject = opened.event.subject
    if sequence >= reading.subjects_until or not subject:
        return False
    after = int(sequence)
    while True:
        rows = reader.scan(
            Selection(subject=subject), after, _SUBJECT_ROWS, until=reading.subjects_until
        )
        if any(reading.wanted.matches(open_entry(entry)) for _, entry in rows):
            return True
        if len(rows) < _SUBJECT_ROWS:
            return False
        after = rows[-1][0]


def _row(reader: ChainReader, sequence: Sequence) -> FeedRow:
    entry = reader.entry(sequence)
    assert entry is not None, "the log keeps what it had"
    return FeedRow(open_entry(entry), sequence, reader.height_of(sequence))
