"""What the engine gives to those who pull, and what it tells about a consumer."""

from typing import NamedTuple

from ledger.core.event import OpenEntry
from ledger.core.ids import Height, Sequence
from pubsub.core.consumer.config import ConsumerConfig
from pubsub.core.limits import CONSUMER_FETCH_BYTES_MAX, CONSUMER_FETCH_EVENTS
from pubsub.core.rights import Principal
from pubsub.io.feed import FeedRow

__all__ = ["ConsumerView", "Delivery", "Fetch", "Lag"]


class Fetch(NamedTuple):
    """What somebody asks of a consumer.

    Attributes:
        limit: at most so many events.
        wait_ms: wait so long for the first one.
        bytes_max: at most so many bytes of entries, but one event whatever its size.
    """

    limit: int = CONSUMER_FETCH_EVENTS
    wait_ms: int = 0
    bytes_max: int = CONSUMER_FETCH_BYTES_MAX


class Delivery(NamedTuple):
    """One event that is given out.

    Attributes:
        row: the event with its place in the log.
        deliveries: how often it has been given out now, 1 the first time.
        failures: how many of these have failed since it was no dead letter.
    """

    row: FeedRow
    deliveries: int
    failures: int = 0

    @property
    def sequence(self) -> Sequence:
        """Its place in the log."""
        return self.row.sequence

    @property
    def height(self) -> Height:
        """The block that it came with."""
        return self.row.height

    @property
    def opened(self) -> OpenEntry:
        """The event."""
        return self.row.opened


class Lag(NamedTuple):
    """How far a consumer is behind the log.

    Attributes:
        events: matching events that were never given out; where ``is_exact`` is false, entries of
            the log that were not looked at, of which not all need to match.
    """

    events: int
    is_exact: bool


class ConsumerView(NamedTuple):
    """One consumer at a moment.

    Attributes:
        position: the next sequence that it has not looked at.
        in_flight: events given out and not settled; waiting: those that wait for another attempt.
        paused_until_ms: nothing is given out before; None when it is not paused.
        delivered, redelivered, acknowledged: events in all so far.
    """

    config: ConsumerConfig
    owner: str
    created_ms: int
    position: Sequence
    in_flight: int
    waiting: int
    dead_letters: int
    paused_until_ms: int | None
    delivered: int
    redelivered: int
    acknowledged: int
    lag: Lag

    def shown_to(self, principal: Principal, log_end: int) -> "ConsumerView":
        """Give what ``principal`` may see of it, with a log of ``log_end`` entries.

        A count of matching events tells of those that may not be read; the log's length everybody
        sees.
        """
        if principal.reads_all:
            return self
        behind = max(0, log_end - self.position)
        return self._replace(lag=Lag(behind, is_exact=behind == 0))
