"""The asynchronous client, for asyncio and trio: carries out flows with httpx and anyio.

``sync_client.py`` is made from this file by ``tests/support/unasync.py`` and never edited.
"""

import ssl
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from types import TracebackType
from typing import Self, TypeVar, Unpack

import anyio
import httpx

from ledger.core.errors import PeerFault, ProofError, Unavailable
from ledger.core.event import OpenEntry
from ledger.core.genesis import Genesis
from ledger.core.ids import EventId
from ledger.core.limits import CLIENT_GIVE_UP_MS
from ledger.core.proof import ProofBundle
from pubsub.client.answers import Answer, LedgerEvent, Receipt
from pubsub.client.async_carrier import AsyncCarrier, end_answer
from pubsub.client.async_consumers import AsyncConsumers, AsyncMessages
from pubsub.client.async_trust import AsyncTrust
from pubsub.client.calls import Calls, Page, Wait, chunks, event_id_of
from pubsub.client.completeness import ProvenRange
from pubsub.client.consumer_calls import ConsumerCalls
from pubsub.client.exchange import Flow, Gateways, Timing
from pubsub.client.following import Filters, Follower
from pubsub.client.session import Session
from pubsub.client.tlog import CheckedLog, LogCalls
from pubsub.client.trust_calls import TrustCalls
from pubsub.client.wire import CALL_TIMEOUT, Bearer, require_room, url_list, verify_argument
from pubsub.core.documents import Status
from pubsub.core.topic_documents import TopicsDocument

__all__ = ["AsyncClient", "AsyncEvents", "AsyncSubscription"]

T = TypeVar("T")


class AsyncClient:
    """Publishes to a ledger and reads from it, through any of its gateways.

    Use it as a context manager, on one thread. A call that fails for a
    reason that may pass is repeated, at the next gateway, until ``give_up_ms``; this is safe,
    because an event is taken once however often it is handed in.

    Every method may raise ``Unavailable`` (no gateway could answer in time), ``Rejected`` (the
    request was refused, see its ``code``) and ``PeerFault`` (a gateway's answer is not of the API).

    Attributes:
        trust: the trusted lists, participants and governance.
        consumers: durable consumers at the first gateway.
    """

    def __init__(  # noqa: PLR0913 - what a user may choose, by name
        self,
        url: str | Sequence[str],
        genesis: Genesis | None = None,
        *,
        token: str | None = None,
        give_up_ms: int = CLIENT_GIVE_UP_MS,
        tls: ssl.SSLContext | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        """Use the gateway at ``url``, or several of them.

        Args:
            genesis: what proofs are checked against. Get it from a source that you trust.
            token: an API token, or an access token, of the gateways; sent to each ``url``, and to
                no other host. Use ``https`` URLs with it.
            give_up_ms: how long one call may take with all its attempts.
            tls: for gateways whose certificate no usual authority signed.
            transport: another way to send requests, for tests.

        Raises:
            ValueError: no URL, or one that is not of HTTP, or a malformed token.
        """
        timing = Timing(give_up_ms=give_up_ms)
        self._calls = Calls(Gateways(url_list(url), timing), genesis)
        http = httpx.AsyncClient(
            timeout=CALL_TIMEOUT, verify=verify_argument(tls), transport=transport
        )
        self._carrier = AsyncCarrier(timing, http, None if token is None else Bearer(token))
        self.trust = AsyncTrust(self, TrustCalls(self._calls))
        self.consumers = AsyncConsumers(self, ConsumerCalls(self._calls))
        self._log = None if genesis is None else LogCalls(self._calls.gateways, genesis)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close all connections."""
        await self._carrier.aclose()

    async def run(self, flow: Flow[T]) -> T:
        """Carry out the steps of a flow of requests and give its value."""
        return await self._carrier.run(flow)

    async def publish(self, opened: OpenEntry, wait: Wait = "accepted") -> Receipt:
        """Publish one signed event (see ``Publisher.sign``).

        Args:
            wait: return when the node took it over (``accepted``), when it is in the ledger for
                ever (``final``), or with its proof, verified if the client has genesis
                (``proof``).

        Raises:
            Rejected: the event was refused and changed nothing.
            Unavailable: not known in time. Publishing the same event again is safe.
        """
        return await self._carrier.run(self._calls.publish(opened, wait))

    async def publish_many(
        self, entries: Iterable[OpenEntry], wait: Wait = "accepted"
    ) -> list[Receipt]:
        """Publish many events in few requests; give one receipt for each, in order.

        A refused event takes no other with it: look at each receipt's ``status`` and ``code``.

        Raises:
            Unavailable: some were not taken in time. Publishing all of them again is safe.
        """
        receipts: list[Receipt] = []
        for piece in chunks(entries):
            receipts += await self._carrier.run(self._calls.publish_chunk(piece, wait))
        return receipts

    async def get(self, id_: EventId | str) -> LedgerEvent | None:
        """Read one event by its id; None when the gateway's ledger does not hold it.

        Its content is what has that id; that the ledger holds it at ``sequence`` only
        :meth:`proof` shows.
        """
        return await self._carrier.run(self._calls.event(event_id_of(id_)))

    async def proof(self, id_: EventId | str, kept: bytes | None = None) -> ProofBundle | None:
        """Read the proof of one event, verified if the client has genesis.

        Waits for it when the event became final just now; None when the ledger does not hold it.

        Args:
            kept: the event's entry: a gateway that has forgotten it gives the rest of the proof.

        Raises:
            ProofError: the proof does not hold.
            Refused: the gateway has forgotten the entry, and it is not given (FORGOTTEN).
        """
        return await self._carrier.run(self._calls.proof(event_id_of(id_), kept))

    async def topics(self, *, after: str = "") -> TopicsDocument:
        """Read a page of topics with their events counted, and all rules, as the gateway says."""
        return await self._carrier.run(self._calls.topics(after))

    async def prove_complete(
        self, topic: str, events: Iterable[LedgerEvent], *, begin: int | None = None
    ) -> ProvenRange:
        """Prove that these events are all that the ledger holds on a topic (or pattern).

        Args:
            events: those of other topics, and those in front of ``begin``, do not count.
            begin: from this sequence on; None for as early as the topic is complete.

        Returns:
            From where to where nothing is missing. A gateway can show an old end, never a wrong
            one: compare its ``time_ms`` with the clock.

        Raises:
            ProofError: an event is missing, or is not on the ledger, or the topic is not complete.
            ValueError: there is no genesis to verify with, or ``topic`` is no pattern.
        """
        return await self._carrier.run(self._calls.prove_complete(topic, events, begin))

    def events(
        self, *, after: int = -1, verify: bool = True, **filters: Unpack[Filters]
    ) -> "AsyncEvents":
        """Read the ledger from behind the sequence ``after`` to its end at this time.

        Args and errors as for :meth:`subscribe`.
        """
        follower = Follower(filters, after)
        checker = self._calls.checker(follower) if verify else None
        return AsyncEvents(self._carrier, lambda: self._calls.page(follower, checker))

    def subscribe(
        self,
        *,
        after: int | None = -1,
        verify: bool = True,
        complete: bool = False,
        **filters: Unpack[Filters],
    ) -> "AsyncSubscription":
        """Follow the ledger: iterate over what it holds and over what is added, without end.

        Lost connections are opened again, at the next gateway, where the last one ended. Without
        filters every event comes once, in order, none left out; with filters each matching event
        comes at most once, in order.

        Args:
            after: begin behind this sequence: -1 for the first event, None for what comes from
                now on.
            verify: prove each event against the client's genesis before it is given out.
            complete: prove also that no event of ``topic``, the only filter then, was left out
                before those given out. Governors must have made the topic complete.
            filters: ``topic`` (a pattern), ``subject``, ``publisher``, ``type``, ``filters``.

        Raises:
            ValueError: there is no genesis to verify with, or a filter is malformed.
            ProofError: while iterating: every gateway sent what the ledger does not hold, or left
                something out that must be complete (one that does is left for the next), or
                proofs contradict each other.
        """
        session = Session(self._calls, Follower(filters, after), verify=verify, complete=complete)
        return AsyncSubscription(session, self._carrier)

    def consume(self, name: str, *, events_max: int = 100, verify: bool = True) -> AsyncMessages:
        """Iterate over what a durable consumer gives out, without end; settle each message.

        Events come at least once: what was given out and not settled comes again, to whoever
        consumes. Several may consume from one consumer at the same time and share its events.

        Args:
            events_max: fetch at most so many at one time; less than the ack wait should handle.
            verify: prove each event against the client's genesis before it is given out.

        Raises:
            ValueError: there is no genesis to verify with.
            Refused: while iterating: there is no such consumer, or it is not for this client.
            ProofError: while iterating: no gateway shows that the ledger holds an event.
        """
        return self.consumers.consume(name, events_max, verify=verify)

    async def checkpoint(self) -> CheckedLog:
        """Read the newest checkpoint of the log, cosigned by a quorum that genesis leads to.

        The log had at least ``checkpoint.size`` events at ``time_s``: who has followed fewer is not
        told all by its gateway. A gateway can show an old one; one that is minutes old says so.

        Raises:
            ProofError: it is not shown that a quorum cosigned it.
            ValueError: there is no genesis to verify with.
        """
        if self._log is None:
            raise ValueError("checking a checkpoint needs genesis: Client(url, genesis=...)")
        return await self._carrier.run(self._log.checkpoint())

    async def fetch_genesis(self) -> Genesis:
        """Read the genesis that the gateway serves. Compare its ``hash`` before trusting it."""
        return await self._carrier.run(self._calls.genesis())

    async def status(self) -> Status:
        """Read what the gateway says of itself, its node and the chain."""
        return await self._carrier.run(self._calls.status())


class AsyncEvents:
    """The events of a ledger up to its end: an iterator that reads page after page."""

    def __init__(self, carrier: AsyncCarrier, next_page: Callable[[], Flow[Page]]) -> None:
        """Iterate over the events of the pages that ``next_page`` gives."""
        self._carrier = carrier
        self._next_page = next_page
        self._ready: deque[LedgerEvent] = deque()
        self._is_last = False

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> LedgerEvent:
        while not self._ready:
            if self._is_last:
                raise StopAsyncIteration
            page = await self._carrier.run(self._next_page())
            self._ready.extend(page.events)
            self._is_last = page.is_last
        return self._ready.popleft()


class AsyncSubscription:
    """The events of a ledger as they come: an iterator that does not end.

    Interrupting one step loses nothing: the next one goes on where the reader stands.
    """

    def __init__(self, session: Session, carrier: AsyncCarrier) -> None:
        """Iterate over ``session``; see ``AsyncClient.subscribe``."""
        self._session = session
        self._carrier = carrier
        self._response: httpx.Response | None = None
        self._chunks: AsyncIterator[bytes] | None = None
        self._is_usable = False

    @property
    def cursor(self) -> int | None:
        """The ``after`` of a later subscription that goes on behind what was taken here.

        It also moves past events that the filter hides, so keep it rather than a sequence.
        """
        return self._session.cursor

    @property
    def losses(self) -> int:
        """How many connections were lost so far; why, says ``last_error``."""
        return self._session.losses

    @property
    def last_error(self) -> str:
        """Why the last connection was lost; empty before the first loss."""
        return self._session.last_error

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> LedgerEvent:
        while (event := self._session.take()) is None:
            try:
                await self._receive()
            except (httpx.HTTPError, PeerFault, ProofError, Unavailable) as error:
                await self.aclose()
                await anyio.sleep(self._session.lost(error) / 1000)
        return event

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the connection. Iterating again opens one where the reader stands."""
        response, self._response = self._response, None
        chunks, self._chunks = self._chunks, None
        self._is_usable = False
        if response is not None and chunks is not None:
            await end_answer(response, chunks)

    async def _receive(self) -> None:
        if not self._is_usable:
            await self.aclose()
            await self._connect()
        # A cancelled or failed step must not go on behind events that were never given out.
        self._is_usable = False
        assert self._chunks is not None
        chunk = await anext(self._chunks, b"")
        if not chunk:
            raise Unavailable("the gateway ended the stream")
        await self._carrier.run(self._session.receive(chunk))
        self._is_usable = True

    async def _connect(self) -> None:
        response = await self._carrier.open(self._session.call())
        self._response, self._chunks = response, response.aiter_bytes()
        body = bytearray()
        if not response.is_success:
            async for chunk in self._chunks:
                body += chunk
                require_room(len(body))
        self._session.opened(Answer(response.status_code, bytes(body), response.headers))
