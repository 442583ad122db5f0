"""Events that were read from the log lately, decoded and encoded once for all consumers.

Owns a bounded number of rows. Consumers that catch up often read the same part of the log: the
first one decodes an event, the others find it here. The log never changes, so nothing is stale.
"""

from collections import OrderedDict
from collections.abc import Iterable

from ledger.core.ids import Sequence
from pubsub.core.limits import CONSUMER_CACHE_BYTES_MAX, CONSUMER_CACHE_EVENTS_MAX
from pubsub.io.feed import FeedRow

__all__ = ["RowCache"]


class RowCache:
    """Rows by sequence; the oldest give way. Threads may ask, one task alone adds."""

    def __init__(self) -> None:
        self._rows: OrderedDict[Sequence, FeedRow] = OrderedDict()
        self._bytes = 0

    def get(self, sequence: Sequence) -> FeedRow | None:
        """Give the row of ``sequence`` if it is here."""
        return self._rows.get(sequence)

    def add(self, rows: Iterable[FeedRow]) -> None:
        """Keep rows."""
        for row in rows:
            if row.sequence not in self._rows:
                self._rows[row.sequence] = row
                self._bytes += len(row.opened.entry)
        while len(self._rows) > CONSUMER_CACHE_EVENTS_MAX or self._bytes > CONSUMER_CACHE_BYTES_MAX:
            _, oldest = self._rows.popitem(last=False)
            self._bytes -= len(oldest.opened.entry)
