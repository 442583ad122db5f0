"""Where a new consumer begins: its start policy, looked up in the log."""

import time
from typing import NamedTuple

from ledger.core.ids import Height, Sequence
from ledger.core.limits import INT_MAX
from ledger.io.chain_reader import ChainReader
from pubsub.core.consumer.config import Start, StartPolicy
from pubsub.core.problems import HttpCode, NoLongerHeld, Refusal
from pubsub.io.consumers.log_pages import Page, Reading, read_page
from pubsub.io.consumers.row_cache import RowCache
from pubsub.io.store_access import StoreAccess
from pubsub.io.wanted import Wanted

__all__ = ["Beginning", "find_beginning"]

_WINDOW = 256  # entries at the end of the log that are searched first for a last event; doubles
_WINDOW_MAX = 65_536


class Beginning(NamedTuple):
    """Where a consumer begins.

    Attributes:
        subjects_until: below it only the last event of each subject is given; 0 for none.
    """

    position: Sequence
    subjects_until: int = 0


async def find_beginning(access: StoreAccess, start: Start, wanted: Wanted) -> Beginning:
    """Look a start policy up.

    Raises:
        Refusal: the store cannot be read, the time is in the future, or the place is forgotten.
    """
    with access.store.read() as reader:
        log_size, first = reader.head().log_size, reader.first_held()
    match start.policy:
        case StartPolicy.FIRST:
            return Beginning(first)
        case StartPolicy.NEW:
            return Beginning(Sequence(log_size))
        case StartPolicy.SEQUENCE:
            return Beginning(_held(first, Sequence(start.value)))
        case StartPolicy.LAST_PER_SUBJECT:
            return Beginning(first, log_size)
        case StartPolicy.TIME:
            with access.store.read() as reader:
                return Beginning(_held(first, _at_time(reader, start.value)))
        case StartPolicy.LAST:
            return Beginning(await _last(access, wanted, range(first, log_size)))


def _held(first: Sequence, position: Sequence) -> Sequence:
    """Give a position where events are held. Raises Refusal."""
    if position < first:
        raise NoLongerHeld(first)
    return position


def _at_time(reader: ChainReader, time_ms: int) -> Sequence:
    """Give the first sequence of the first block of a time or later."""
    if time_ms > time.time_ns() // 1_000_000:
        raise Refusal(HttpCode.INVALID_PARAMETER, "a consumer cannot begin in the future")
    height = reader.first_height_at(time_ms)
    if height is None:
        return Sequence(reader.head().log_size)
    before = reader.root(Height(height - 1)) if height > 0 else None
    return Sequence(0 if before is None else before.log_size)


async def _last(access: StoreAccess, wanted: Wanted, log: range) -> Sequence:
    """Give the last matching event, or the end of the log; searches backwards in windows."""
    end, window = log.stop, _WINDOW
    while end > log.start:
        begin = max(log.start, end - window)
        last: Sequence | None = None
        position = begin
        while position < end:
            page = await _read(access, Reading(wanted, position, _WINDOW, INT_MAX, RowCache()))
            inside = [row.sequence for row in page.rows if row.sequence < end]
            last = inside[-1] if inside else last
            position = page.position
        if last is not None:
            return last
        end, window = begin, min(2 * window, _WINDOW_MAX)
    return Sequence(log.stop)


async def _read(access: StoreAccess, reading: Reading) -> Page:
    return await access.in_thread(lambda store: read_page(store, reading))
