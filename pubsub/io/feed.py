"""The newest events, read and encoded once for all streams.

Owns a window at the end of the log. Streams that are up to date take from it; a stream that is
behind reads pages of the store until the window covers its cursor. So a new event costs one read
for a thousand streams, and a slow stream loses nothing and costs no memory.
"""

from collections import deque

import anyio

from ledger.core.event import OpenEntry, open_entry
from ledger.core.ids import Height, Sequence
from ledger.core.limits import (
    GATEWAY_FEED_BYTES_MAX,
    GATEWAY_FEED_EVENTS_MAX,
    GATEWAY_STREAM_PAGE_EVENTS,
)
from ledger.io.chain_reader import ChainReader
from pubsub.core.cloudevents import cloudevent_json
from pubsub.core.limits import STREAM_PIECE_BYTES
from pubsub.io.stream_format import StreamFormat

__all__ = ["Feed", "FeedRow"]


class FeedRow:
    """One event of the window; each form of it is made when the first reader wants it."""

    __slots__ = ("_encoded", "_json", "height", "opened", "sequence")

    def __init__(self, opened: OpenEntry, sequence: Sequence, height: Height) -> None:
        self.opened = opened
        self.sequence = sequence
        self.height = height
        self._json: bytes | None = None
        self._encoded: dict[str, bytes] = {}

    @property
    def json(self) -> bytes:
        """The event as a CloudEvent."""
        if self._json is None:
            self._json = cloudevent_json(self.opened, self.sequence, self.height)
        return self._json

    def encoded(self, form: StreamFormat) -> bytes:
        """Give the event as it travels on streams of the format."""
        data = self._encoded.get(form.name)
        if data is None:
            data = self._encoded[form.name] = form.event(self.sequence, self.json)
        return data


class Feed:
    """The window over the sequences ``start`` to ``end`` - 1.

    Attributes:
        end: size of the log when it was last advanced; the window may be empty.
        is_followed: somebody waits, or has waited, for it to grow.
    """

    def __init__(self) -> None:
        self._rows: deque[FeedRow] = deque()
        self._bytes = 0
        self._changed: anyio.Event | None = None  # of those who wait
        self.end = 0
        self.is_followed = False

    @property
    def start(self) -> int:
        """The first sequence of the window."""
        return self.end - len(self._rows)

    def covers(self, cursor: int) -> bool:
        """Say whether all that is known behind ``cursor`` stands in the window."""
        return self.start <= cursor + 1

    def after(self, cursor: int, limit: int) -> list[FeedRow]:
        """Give up to ``limit`` rows behind a covered ``cursor``."""
        first = cursor + 1 - self.start
        return [self._rows[i] for i in range(first, min(first + limit, len(self._rows)))]

    def piece(self, cursor: int) -> list[FeedRow]:
        """Give so many rows behind a covered ``cursor`` as are written to a stream at one time."""
        rows: list[FeedRow] = []
        size = 0
        for row in self.after(cursor, GATEWAY_STREAM_PAGE_EVENTS):
            rows.append(row)
            size += len(row.opened.entry)
            if size >= STREAM_PIECE_BYTES:
                break
        return rows

    def holds(self, first: int, last: int) -> bool:
        """Say whether the events at ``first`` to ``last`` stand in the window."""
        return self.start <= first and last < self.end

    def row(self, sequence: Sequence) -> FeedRow:
        """Give the row of a ``sequence`` that stands in the window."""
        return self._rows[sequence - self.start]

    async def wait_beyond(self, cursor: int) -> None:
        """Return when the log is known to go on behind ``cursor``, or at :meth:`wake`."""
        self.is_followed = True
        if self.end <= cursor + 1:
            if self._changed is None:
                self._changed = anyio.Event()
            await self._changed.wait()

    def skip_to(self, log_size: int) -> None:
        """Move the window to the end of the log without reading: nobody listens."""
        self._rows.clear()
        self._bytes = 0
        self._advance_end(log_size)

    def read(self, reader: ChainReader, log_size: int, limit: int) -> bool:
        """Read up to ``limit`` new events into the window; say whether all are there now."""
        earliest = max(log_size - GATEWAY_FEED_EVENTS_MAX, reader.first_held())
        if self.end < earliest:
            self.skip_to(earliest)
        until = min(log_size, self.end + limit)
        for number in range(self.end, until):
            sequence = Sequence(number)
            entry = reader.entry(sequence)
            assert entry is not None, "the log has no gap"
            self._rows.append(FeedRow(open_entry(entry), sequence, reader.height_of(sequence)))
            self._bytes += len(entry)
        while len(self._rows) > GATEWAY_FEED_EVENTS_MAX or self._bytes > GATEWAY_FEED_BYTES_MAX:
            self._bytes -= len(self._rows.popleft().opened.entry)
        self._advance_end(until)
        return until == log_size

    def wake(self) -> None:
        """Let everybody who waits look around, because the log grew or the gateway ends."""
        if self._changed is not None:
            self._changed.set()
            self._changed = None

    def _advance_end(self, log_size: int) -> None:
        if log_size != self.end:
            self.end = log_size
            self.wake()
