"""A subscriber of one durable consumer: what was fetched, and what is still to be said about it.

Owns the promise of at least once on the client's side: what the subscriber said is kept until the
gateway has confirmed it, and an event that was never given out is handed back. Acknowledgements are
said together, with the next fetch if it is soon. It never touches a connection.
"""

from collections import deque
from typing import Final, Literal

from pubsub.client.answers import Refused
from pubsub.client.consumer_calls import ConsumerCalls, Fetch, Row
from pubsub.client.exchange import Flow
from pubsub.core.consumer.config import AckPolicy
from pubsub.core.consumer.settlement import Nak, Settlement, Termination
from pubsub.core.limits import CLIENT_FETCH_WAIT_MS_MAX, CLIENT_SETTLE_COUNT, CLIENT_SETTLE_MS
from pubsub.core.problems import HttpCode

__all__ = ["ConsumerSession"]

_ACK: Final = "ack"
_Said = Literal["ack"] | Nak | Termination


class ConsumerSession:
    """What one subscriber took from one consumer."""

    def __init__(self, calls: ConsumerCalls, name: str, events_max: int, *, verify: bool) -> None:
        """Fetch at most ``events_max`` events at one time; with ``verify`` prove each.

        Raises:
            ValueError: the client has no genesis to verify with.
        """
        if verify:
            calls.require_genesis()
        self._calls = calls
        self._name = name
        self._events_max = events_max
        self._verify = verify
        self._policy: AckPolicy | None = None
        self._unproven: list[Row] = []
        self._ready: deque[Row] = deque()
        self._said: dict[int, _Said] = {}
        self._said_ms = 0

    @property
    def is_due(self) -> bool:
        """Whether what was said should be told to the gateway now."""
        age_ms = self._calls.now_ms() - self._said_ms
        return bool(self._said) and (
            len(self._said) >= CLIENT_SETTLE_COUNT or age_ms >= CLIENT_SETTLE_MS
        )

    def take(self) -> Row | None:
        """Take the next event, or None while more must be received."""
        return self._ready.popleft() if self._ready else None

    def receive(self) -> Flow[None]:
        """Tell what was said, and wait for events; afterwards they can be taken, if any came.

        Raises:
            Refused: there is no such consumer, or it is not for this client.
            ProofError: the ledger does not hold what the gateway sent.
        """
        if self._policy is None:
            document = yield from self._calls.get(self._name)
            if document is None:
                raise Refused(HttpCode.CONSUMER_NOT_FOUND, f"there is no consumer {self._name!r}")
            self._policy = document.ack_policy
        if not self._unproven:
            told = dict(self._said)
            settle = self._settlement(told)
            fetch = Fetch(self._events_max, CLIENT_FETCH_WAIT_MS_MAX, settle)
            fetched = yield from self._calls.fetch(self._name, fetch)
            self._forget(told)
            self._unproven = fetched.rows
        # Kept until they are proven: a failure on the way must not lose what was given out.
        rows = self._unproven
        if self._verify and rows:
            rows = yield from self._calls.prove(rows)
        self._ready.extend(rows)
        self._unproven = []

    def say(self, sequence: int, said: _Said) -> None:
        """Note what became of an event."""
        if self._policy is AckPolicy.NONE:
            return
        if not self._said:
            self._said_ms = self._calls.now_ms()
        self._said[sequence] = said

    def flush(self, in_progress: tuple[int, ...] = ()) -> Flow[None]:
        """Tell all that was said; it is durable then."""
        told = dict(self._said)
        settlement = self._settlement(told, in_progress)
        if settlement is not None:
            yield from self._calls.settle(self._name, settlement)
            self._forget(told)

    def close(self) -> Flow[None]:
        """Hand back what was fetched and not taken, and tell all that was said."""
        for row in (*self._unproven, *self._ready):
            self.say(row.event.sequence, Nak(row.event.sequence, 0))
        self._unproven = []
        self._ready.clear()
        yield from self.flush()

    def _settlement(
        self, told: dict[int, _Said], in_progress: tuple[int, ...] = ()
    ) -> Settlement | None:
        """Give what was said in the form of the consumer's policy; None when it is nothing."""
        if not told and not in_progress:
            return None
        acks = tuple(number for number, said in told.items() if said == _ACK)
        through = None
        if acks and self._policy is AckPolicy.CUMULATIVE:
            through = max(acks)
            told = {number: said for number, said in told.items() if number > through}
            in_progress = tuple(number for number in in_progress if number > through)
            acks = ()
        return Settlement(
            ack=acks,
            ack_through=through,
            nak=tuple(said for said in told.values() if isinstance(said, Nak)),
            in_progress=tuple(number for number in in_progress if number not in told),
            terminate=tuple(said for said in told.values() if isinstance(said, Termination)),
        )

    def _forget(self, told: dict[int, _Said]) -> None:
        """Drop what the gateway has confirmed, and nothing that was said since."""
        for number, said in told.items():
            if self._said.get(number) is said:
                del self._said[number]
        self._said_ms = self._calls.now_ms()
