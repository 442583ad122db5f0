"""A subscription's life over many connections: what arrived, what to do when one is lost.

Owns the events that were accepted but not yet taken, and the pauses between connections. Both
clients feed it bytes and carry out the flow that it gives; it never touches a connection itself.
"""

from collections import deque
from typing import Final

from ledger.core.errors import ProofError, Unavailable
from ledger.core.limits import CLIENT_BACKOFF_MS_MAX
from pubsub.client.answers import Answer, LedgerEvent, raise_problem, read_problem
from pubsub.client.calls import Calls, stream_request
from pubsub.client.checking import LogChecker, is_fork
from pubsub.client.exchange import Call, Flow, has_forgotten, may_pass, pause_ms
from pubsub.client.following import Follower
from pubsub.client.topic_calls import TopicChecker

__all__ = ["Session"]

_OK: Final = 200


class Session:
    """One subscription.

    Attributes:
        last_error: why the last connection was lost; empty before the first loss.
        losses: how many connections were lost.
    """

    def __init__(
        self, calls: Calls, follower: Follower, *, verify: bool, complete: bool = False
    ) -> None:
        """Read what ``follower`` wants; with ``verify`` check it against the client's genesis.

        Args:
            complete: check that nothing was left out, too.

        Raises:
            ValueError: the client has no genesis to verify with, or what is wanted cannot be
                checked so.
        """
        self._calls = calls
        self._follower = follower
        self._checker: LogChecker | TopicChecker | None = None
        if verify or complete:
            self._checker = calls.checker(follower, complete=complete)
        self._ready: deque[LedgerEvent] = deque()
        self._taken: int | None = follower.cursor
        self._attempt = 0
        self._url = calls.gateways.url
        self._liars: set[str] = set()
        self._forgetful: set[str] = set()  # gateways whose members hold no such old events
        self.last_error = ""
        self.losses = 0

    @property
    def cursor(self) -> int | None:
        """Where a later subscription goes on (``after=``) behind everything that was taken."""
        return self._taken if self._ready else self._follower.cursor

    def take(self) -> LedgerEvent | None:
        """Take the next event, or None while more must be received."""
        if not self._ready:
            return None
        event = self._ready.popleft()
        self._taken = event.sequence
        return event

    def call(self) -> Call:
        """Give the request that opens the next connection."""
        self._url = self._calls.gateways.url
        return Call(self._url, stream_request(self._follower))

    def opened(self, answer: Answer) -> None:
        """Judge the answer's head; of a refusal with its body.

        Raises:
            Unavailable: not now.
            Rejected, PeerFault: never.
        """
        if answer.status == _OK:
            return
        if has_forgotten(answer):
            self._forgetful.add(self._url)
        is_elsewhere = 0 < len(self._forgetful) < len(self._calls.gateways.urls)
        if may_pass(answer.status) or (has_forgotten(answer) and is_elsewhere):
            raise Unavailable(f"answered {answer.status}: {read_problem(answer).detail}")
        raise_problem(answer)

    def receive(self, chunk: bytes) -> Flow[None]:
        """Take bytes of the stream; afterwards their events can be taken.

        Raises:
            PeerFault, Unavailable: leave this connection.
            ProofError: the ledger does not hold what the gateway sent.
        """
        batch = self._follower.read_stream(chunk)
        before = self._follower.cursor
        self._ready.extend((yield from self._calls.accept(self._follower, batch, self._checker)))
        if self._follower.cursor != before:
            self._attempt = 0
            self._liars.clear()
            self._forgetful.clear()

    def lost(self, error: Exception) -> int:
        """Note that the connection is gone; give the pause in ms before the next one.

        Raises:
            ProofError: ``error``, when proofs contradict each other, or when every gateway has
                sent what the ledger does not hold since something was accepted.
        """
        gateways = self._calls.gateways
        if isinstance(error, ProofError):
            self._blame(error)
        self.last_error = f"{self._url}: {str(error) or type(error).__name__}"
        self.losses += 1
        self._attempt += 1
        gateways.leave(self._url)
        if self._attempt < len(gateways.urls):
            return 0
        pause = pause_ms(gateways.timing, self._attempt - len(gateways.urls) + 1)
        return max(pause, min(self._follower.retry_ms, CLIENT_BACKOFF_MS_MAX))

    def _blame(self, error: ProofError) -> None:
        """Remember who lied, when events and proofs were both of one gateway. Raises ``error``."""
        gateways = self._calls.gateways
        if self._url == gateways.url:
            self._liars.add(self._url)
        if is_fork(error) or self._liars.issuperset(gateways.urls):
            self._liars.clear()
            raise error
