"""Where a reader stands in the log, and the rules by which it moves on.

Owns the promise of a subscription: of an unfiltered log every event once and in order, since
sequences are consecutive; of a filtered one only matching events, never one twice, in order. A
gateway that breaks this is at fault and is left; nothing it sent after that is used.

A batch is read without moving the reader: only when its events were accepted (and, where asked
for, proven) does the cursor move. So whatever fails in between, reading goes on from there.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, TypedDict

import msgspec

from ledger.core.errors import DecodeError, Offence, PeerFault
from ledger.core.event import Event, OpenEntry
from ledger.core.ids import EventId
from ledger.core.limits import CLIENT_PAGE_EVENTS, INT_MAX
from ledger.core.topics import TopicPattern
from pubsub.client.answers import Answer, read_received
from pubsub.client.sse import Block, BlockReader
from pubsub.core.cloudevents import ReceivedEvent
from pubsub.core.interest import Interest, read_filters
from pubsub.core.interest_match import compile_interest

__all__ = ["Batch", "Filters", "Follower"]

_read_page = msgspec.json.Decoder(list[msgspec.Raw]).decode
_START = -1


class Filters(TypedDict, total=False):
    """Which events are wanted; all given conditions must hold.

    ``topic`` is a pattern: ``*`` is one token, a final ``>`` one or more. The next three are exact.
    ``filters`` are those of CloudEvents Subscriptions, such as ``[{"prefix": {"type": "org."}}]``
    (docs/streams.md).
    """

    topic: str
    subject: str
    publisher: str
    type: str
    filters: Sequence[Mapping[str, object]]


class Batch(NamedTuple):
    """Events read in one piece, in order, and where the reader stands after them."""

    events: list[ReceivedEvent]
    cursor: int | None


class Follower:
    """A reader of the log.

    Attributes:
        cursor: sequence of the last event that needs no second look, -1 for none; None while
            the reader waits to be told where "now" is.
        is_complete: no filter: every event is wanted.
        retry_ms: the pause before reconnecting that the gateway asked for, or 0.
    """

    __slots__ = ("_blocks", "_filters", "_holds", "_pattern", "cursor", "is_complete", "retry_ms")

    def __init__(self, filters: Filters, after: int | None) -> None:
        """Begin behind the sequence ``after``; with None behind the newest event.

        Raises:
            ValueError: ``after`` is below -1 or too large, the topic is no pattern, or a filter
                is none.
        """
        if after is not None and not _START <= after <= INT_MAX:
            raise ValueError(f"after is -1 or a sequence, not {after}")
        self._filters = {
            name: str(value)
            for name, value in filters.items()
            if name != "filters" and value is not None
        }
        if self._filters.get("topic") == ">":
            del self._filters["topic"]
        topic = self._filters.get("topic")
        self._pattern = None if topic is None else TopicPattern(topic)
        self._holds = self._read_filters(filters.get("filters", ()))
        self._blocks = BlockReader()
        self.is_complete = not self._filters
        self.cursor = after
        self.retry_ms = 0

    @property
    def topic(self) -> str | None:
        """The topic pattern, when it is the only condition."""
        return self._filters.get("topic") if len(self._filters) == 1 else None

    def _read_filters(
        self, filters: Sequence[Mapping[str, object]]
    ) -> Callable[[Event, EventId], bool] | None:
        """Take filters into the query; give what holds events to them."""
        if not filters:
            return None
        text = msgspec.json.encode(filters)
        try:
            interest = Interest((), read_filters(text))
        except DecodeError as error:
            raise ValueError(f"filters: {error}") from None
        self._filters["filter"] = text.decode()
        return compile_interest(interest)

    def stream_parameters(self) -> dict[str, str]:
        """Begin a new stream: forget half-read blocks, and give the query to go on."""
        self._blocks = BlockReader()
        after = {} if self.cursor is None else {"after": str(self.cursor)}
        return {**self._filters, **after}

    def page_parameters(self) -> dict[str, str]:
        """Give the query of the next page."""
        return {**self.stream_parameters(), "limit": str(CLIENT_PAGE_EVENTS)}

    def read_stream(self, chunk: bytes) -> Batch:
        """Read the next bytes of the stream.

        Raises:
            PeerFault: it is not the stream that was asked for.
        """
        batch = Batch([], self.cursor)
        for block in self._blocks.feed(chunk):
            if block.retry_ms is not None:
                self.retry_ms = block.retry_ms
            batch = self._take_block(batch, block)
        return batch

    def read_page(self, answer: Answer) -> Batch:
        """Read a page.

        Raises:
            PeerFault: it is not the page that was asked for.
        """
        try:
            rows = _read_page(answer.body)
        except (msgspec.MsgspecError, ValueError, RecursionError) as error:
            raise PeerFault(Offence.MALFORMED, f"not a page of events: {error}") from None
        batch = Batch([], self.cursor)
        for row in rows:
            batch = self._take_event(batch, read_received(bytes(row)))
        return self._move(batch, answer.number("concordat-cursor", _START))

    def _take_block(self, batch: Batch, block: Block) -> Batch:
        cursor = None if block.id is None else _cursor(block.id)
        if block.data is None:
            return batch if cursor is None else self._move(batch, cursor)
        received = read_received(block.data)
        if cursor != received.sequence:
            raise PeerFault(Offence.MALFORMED, "an event under another event's sequence")
        return self._take_event(batch, received)

    def _take_event(self, batch: Batch, received: ReceivedEvent) -> Batch:
        sequence = received.sequence
        assert sequence is not None
        if batch.cursor is not None and sequence <= batch.cursor:
            return batch  # it was read already
        if self.is_complete and batch.cursor is not None and sequence != batch.cursor + 1:
            raise _gap(batch.cursor, sequence)
        if not self._wants(received.opened):
            raise PeerFault(Offence.MALFORMED, f"event {sequence} was not asked for")
        batch.events.append(received)
        return Batch(batch.events, sequence)

    def _move(self, batch: Batch, cursor: int) -> Batch:
        """Move past events that the filter hides."""
        if batch.cursor is None:
            return Batch(batch.events, cursor)
        if cursor <= batch.cursor:
            return batch
        if self.is_complete:
            raise _gap(batch.cursor, cursor + 1)
        return Batch(batch.events, cursor)

    def _wants(self, opened: OpenEntry) -> bool:
        event, get = opened.event, self._filters.get
        return (
            (self._pattern is None or self._pattern.matches(event.topic))
            and get("subject") in (None, event.subject)
            and get("publisher") in (None, event.publisher)
            and get("type") in (None, event.type)
            and (self._holds is None or self._holds(event, opened.id))
        )


def _cursor(text: bytes) -> int:
    try:
        cursor = int(text) if len(text) <= len(str(INT_MAX)) else None
    except ValueError:
        cursor = None
    if cursor is None or not _START <= cursor <= INT_MAX:
        raise PeerFault(Offence.MALFORMED, "a stream id that is no sequence")
    return cursor


def _gap(cursor: int, sequence: int) -> PeerFault:
    return PeerFault(Offence.BAD_SYNC, f"events {cursor + 1} to {sequence - 1} are missing")
