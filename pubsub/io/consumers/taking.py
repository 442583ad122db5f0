"""Finding the next events for a consumer and noting them as given out.

Owns the order: what is due again first, then matching events behind the position. Everything is
found before anything is noted, so that a fetch which is cancelled while it reads has taken nothing.
Newest events come from the gateway's feed, where they were read and decoded once for all.
"""

from typing import NamedTuple

from ledger.core.ids import Sequence
from pubsub.io.consumers.delivery import Delivery, Fetch
from pubsub.io.consumers.entry import Entry
from pubsub.io.consumers.log_pages import Page, Reading, read_page, read_rows
from pubsub.io.consumers.row_cache import RowCache
from pubsub.io.consumers.waiting import now_ms
from pubsub.io.feed import Feed, FeedRow
from pubsub.io.store_access import StoreAccess
from pubsub.io.wanted import Readable, wanted_of

__all__ = ["Taken", "Taking"]


class Taken(NamedTuple):
    """What one look found.

    Attributes:
        is_changed: the state changed so that it must be stored.
        is_end: there is nothing more now; otherwise look again.
    """

    deliveries: list[Delivery]
    is_changed: bool
    is_end: bool


class _Again(NamedTuple):
    """Events that are due again: those that fit, those that may not be read, bytes."""

    rows: list[FeedRow]
    hidden: list[Sequence]
    size: int


class Taking:
    """Takes events for all consumers of a gateway."""

    def __init__(self, access: StoreAccess, feed: Feed) -> None:
        self._access = access
        self._feed = feed
        self._cache = RowCache()

    async def take(self, entry: Entry, fetch: Fetch, readable: Readable) -> Taken:
        """Take what there is for a consumer now; hold ``entry.taking`` meanwhile."""
        state = entry.state
        now = now_ms()
        entry.expire(now)
        if state.is_paused(now):
            return Taken([], is_changed=False, is_end=True)
        again = await self._again(state.due(now, fetch.limit), fetch.bytes_max, readable)
        page = await self._new(entry, fetch, readable, again)
        # Meanwhile others may have settled, paused or deleted, but nobody has given anything out.
        if entry.is_deleted or state.is_paused(now_ms()):
            return Taken([], is_changed=False, is_end=False)
        state.pass_over(again.hidden)
        rows, position = page.rows, page.position
        room = max(0, state.room - sum(row.sequence in state.replaying for row in again.rows))
        if len(rows) > room:
            rows, position = rows[:room], rows[room].sequence
        counts = state.give(
            [row.sequence for row in again.rows],
            [row.sequence for row in rows],
            max(Sequence(position), state.position),
            now_ms(),
        )
        by_sequence = {row.sequence: row for row in (*again.rows, *rows)}
        deliveries = [
            Delivery(by_sequence[number], count, state.failures(number)) for number, count in counts
        ]
        return Taken(deliveries, bool(deliveries or again.hidden), page.is_end)

    async def _again(self, due: list[Sequence], bytes_max: int, readable: Readable) -> _Again:
        """Read the events that are due again, as many as fit."""
        if not due:
            return _Again([], [], 0)
        rows = await self._rows(due)
        hidden = [row.sequence for row in rows if not readable(row.opened.event.topic)]
        seen, size = _fitting([row for row in rows if row.sequence not in hidden], bytes_max)
        return _Again(seen, hidden, size)

    async def _new(self, entry: Entry, fetch: Fetch, readable: Readable, again: _Again) -> Page:
        """Find events behind the position, as many as fit beside those that are due again."""
        state = entry.state
        replays = sum(row.sequence in state.replaying for row in again.rows)
        limit = min(fetch.limit - len(again.rows), state.room - replays)
        bytes_max = fetch.bytes_max - again.size
        is_behind = len(again.rows) + len(again.hidden) < len(state.pending) + len(state.replaying)
        if limit <= 0 or bytes_max <= 0 or (state.config.is_ordered and is_behind):
            return Page([], state.position, is_end=True)
        end = self._feed.end
        ahead = entry.ahead()
        if ahead is None:
            reading = Reading(
                wanted_of(state.config.interest, readable),
                state.position,
                limit,
                bytes_max,
                self._cache,
                state.subjects_until,
            )
            page = await self._access.in_thread(lambda store: read_page(store, reading))
            self._cache.add(page.rows)
            return page
        rows = await self._rows(ahead[:limit])
        seen, _ = _fitting([row for row in rows if readable(row.opened.event.topic)], bytes_max)
        last = rows[-1].sequence if rows else state.position - 1
        if len(rows) == len(ahead) and (not seen or seen[-1].sequence == last):
            return Page(seen, max(end, state.position), is_end=True)
        return Page(seen, (seen[-1].sequence if seen else last) + 1, is_end=False)

    async def _rows(self, sequences: list[Sequence]) -> list[FeedRow]:
        """Give the events at ``sequences``: from the feed where it has them, else from the log."""
        if not sequences or self._feed.holds(min(sequences), max(sequences)):
            return [self._feed.row(sequence) for sequence in sequences]
        return await self._access.in_thread(lambda store: read_rows(store, sequences))


def _fitting(rows: list[FeedRow], bytes_max: int) -> tuple[list[FeedRow], int]:
    """Give the first rows that have ``bytes_max`` together, at least one, and their size."""
    size = 0
    for count, row in enumerate(rows):
        size += len(row.opened.entry)
        if size > bytes_max and count:
            return rows[:count], bytes_max
    return rows, size
