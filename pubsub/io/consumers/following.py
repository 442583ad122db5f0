"""Telling consumers of the newest events, so that none of them reads the log to find out.

Owns up to where the log was followed. Each event that the feed got is led once to the consumers
that want it; the others cost nothing. Where the feed did not read everything, or nobody was there
to be told, consumers know that they have to read the log.
"""

from typing import Final

from ledger.core.limits import INT_MAX
from pubsub.core.interest_index import InterestIndex
from pubsub.io.consumers.entry import Entry
from pubsub.io.feed import Feed

__all__ = ["Following"]

_NOWHERE: Final = -1  # the log was not followed yet


class Following:
    """Follows the feed for consumers.

    Attributes:
        end: the log was followed up to here.
    """

    def __init__(self, feed: Feed) -> None:
        self.end = _NOWHERE
        self._feed = feed
        self._index: InterestIndex[Entry] = InterestIndex()
        self._entries: dict[Entry, None] = {}  # a set that keeps its order

    def add(self, entry: Entry) -> None:
        """Tell a consumer of what comes from now on."""
        if not self._entries and self._feed.end:
            self.end = self._feed.end  # nobody was told of what came before
        self._entries[entry] = None
        self._tell_from_now(entry)

    def remove(self, entry: Entry) -> None:
        """Tell a consumer nothing more."""
        del self._entries[entry]
        self._index.remove(entry)

    def change(self, entry: Entry) -> None:
        """Tell a consumer of what it wants now."""
        self._index.remove(entry)
        self._tell_from_now(entry)

    def follow(self) -> None:
        """Tell of what the feed has got since the last time."""
        first = max(self.end, self._feed.start)
        if first != self.end:  # it did not read everything
            for entry in self._entries:
                entry.forget_ahead(first)
                entry.queue.notify()
        for row in self._feed.after(first - 1, self._feed.end - first):
            for entry in self._index.keys(row.opened.event, row.opened.id):
                entry.add_ahead(row.sequence)
        self.end = self._feed.end

    def _tell_from_now(self, entry: Entry) -> None:
        self._index.add(entry, entry.state.config.interest)
        entry.forget_ahead(INT_MAX if self.end == _NOWHERE else self.end)
