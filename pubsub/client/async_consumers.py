"""The asynchronous client's side of durable consumers, as ``client.consumers``.

``sync_consumers.py`` is made from this file by ``tests/support/unasync.py`` and never edited.
"""

from collections.abc import AsyncIterator, Iterable
from types import TracebackType
from typing import Protocol, Self, TypeVar, Unpack

from ledger.core.errors import Unavailable
from ledger.core.event import Event
from ledger.core.ids import EventId, Sequence
from pubsub.client.answers import LedgerEvent
from pubsub.client.consumer_calls import ConsumerCalls, ConsumerTerms, Fetch, Fetched, Row
from pubsub.client.consumer_session import ConsumerSession
from pubsub.client.exchange import Flow
from pubsub.core.consumer.settlement import Nak, Settlement, Termination
from pubsub.core.consumer_documents import ConsumerDocument
from pubsub.core.consumer_event_documents import LetterDocument, SettledDocument

__all__ = ["AsyncConsumerPort", "AsyncConsumers", "AsyncMessage", "AsyncMessages"]

T = TypeVar("T")


class AsyncConsumerPort(Protocol):
    """What this needs of the client: to carry out a flow."""

    async def run(self, flow: Flow[T]) -> T:
        """Carry out the steps of a flow and give its value."""
        ...


class AsyncConsumers:
    """The durable consumers of this client's principal (docs/consumers.md).

    A gateway keeps them, and no other one knows them: all of this asks the first of the client's
    URLs. Every method may raise ``Refused``, whose ``code`` says why.
    """

    def __init__(self, port: AsyncConsumerPort, calls: ConsumerCalls) -> None:
        """Ask through ``port``."""
        self._port = port
        self._calls = calls

    async def create(self, name: str, **terms: Unpack[ConsumerTerms]) -> ConsumerDocument:
        """Make a consumer; the same one made again is given as it stands.

        Raises:
            ValueError: the terms make no sense.
            Refused: there is another one of this name.
        """
        return await self._port.run(self._calls.create(name, terms))

    async def get(self, name: str) -> ConsumerDocument | None:
        """Read how a consumer stands; None when there is none."""
        return await self._port.run(self._calls.get(name))

    async def list(self) -> AsyncIterator[ConsumerDocument]:
        """Iterate over the consumers, by name."""
        after: str | None = None
        while True:
            page = await self._port.run(self._calls.page(after))
            for document in page.consumers:
                yield document
            if page.next is None:
                return
            after = page.next

    async def delete(self, name: str) -> bool:
        """Delete a consumer with its position and dead letters; False when there is none."""
        return await self._port.run(self._calls.delete(name))

    async def pause(self, name: str, until_ms: int | None = None) -> ConsumerDocument:
        """Give nothing out before a time in ms since 1970, or until :meth:`resume`."""
        return await self._port.run(self._calls.pause(name, until_ms))

    async def resume(self, name: str) -> ConsumerDocument:
        """End a pause."""
        return await self._port.run(self._calls.resume(name))

    async def fetch(
        self,
        name: str,
        events_max: int = 100,
        wait_ms: int = 0,
        *,
        settle: Settlement | None = None,
        verify: bool = True,
    ) -> Fetched:
        """Have events given out, waiting up to ``wait_ms`` for the first one.

        Args:
            settle: what became of earlier events; taken before anything is given out.
            verify: prove each event against the client's genesis.

        Raises:
            ProofError: a gateway sent what the ledger does not hold.
            ValueError: there is no genesis to verify with, or a number is out of range.
        """
        if verify:
            self._calls.require_genesis()
        fetch = Fetch(events_max, wait_ms, settle)
        fetched = await self._port.run(self._calls.fetch(name, fetch))
        if verify and fetched.rows:
            return fetched._replace(rows=await self._port.run(self._calls.prove(fetched.rows)))
        return fetched

    async def settle(self, name: str, settlement: Settlement) -> SettledDocument:
        """Say what became of events; durable when it returns. Refused as a whole or not at all."""
        return await self._port.run(self._calls.settle(name, settlement))

    async def dead_letters(self, name: str) -> AsyncIterator[LetterDocument]:
        """Iterate over the events that were given up, by sequence."""
        after: int | None = -1
        while after is not None:
            page = await self._port.run(self._calls.letters(name, after))
            for letter in page.dead_letters:
                yield letter
            after = page.next

    async def replay(self, name: str, sequences: Iterable[int] | None = None) -> int:
        """Have dead letters given out again, all by default; give how many will come."""
        return await self._port.run(self._calls.replay(name, sequences))

    def consume(self, name: str, events_max: int, *, verify: bool) -> "AsyncMessages":
        """Iterate over what a consumer gives out; see ``AsyncClient.consume``."""
        session = ConsumerSession(self._calls, name, events_max, verify=verify)
        return AsyncMessages(session, self._port)


class AsyncMessage:
    """One event that was given out, to be settled by one of its methods.

    What is said is told to the gateway together with what is said of other events, within about a
    second while messages are taken or settled; what is never told comes again after the ack wait.

    Attributes:
        received: the event as it was read, with ``is_verified``.
        deliveries: how often it was given out, 1 the first time.
    """

    def __init__(self, row: Row, session: ConsumerSession, port: AsyncConsumerPort) -> None:
        """Give ``row`` to a subscriber."""
        self.received: LedgerEvent = row.event
        self.deliveries = row.deliveries
        self._session = session
        self._port = port

    @property
    def event(self) -> Event:
        """What the publisher signed."""
        return self.received.event

    @property
    def sequence(self) -> Sequence:
        """The event's ledger sequence number."""
        return self.received.sequence

    @property
    def id(self) -> EventId:
        """The event's id: handle each only once, for an event may come again."""
        return self.received.id

    async def ack(self) -> None:
        """The event was handled; with a cumulative consumer everything before it, too."""
        self._session.say(self.sequence, "ack")
        await self._tell()

    async def nak(self, delay_ms: int | None = None) -> None:
        """It could not be handled: give it out again, after the consumer's backoff by default."""
        self._session.say(self.sequence, Nak(self.sequence, delay_ms))
        await self._tell()

    async def terminate(self, reason: str = "") -> None:
        """It can never be handled: make it a dead letter."""
        self._session.say(self.sequence, Termination(self.sequence, reason))
        await self._tell()

    async def in_progress(self) -> None:
        """It is still being handled: its ack wait begins anew, at once."""
        await self._port.run(self._session.flush((self.sequence,)))

    async def _tell(self) -> None:
        if self._session.is_due:
            await self._port.run(self._session.flush())


class AsyncMessages:
    """The events of a durable consumer as they come: an iterator that does not end.

    Leaving it as a context manager tells what was said, and hands back what was not given out.
    """

    def __init__(self, session: ConsumerSession, port: AsyncConsumerPort) -> None:
        """Iterate over ``session``."""
        self._session = session
        self._port = port

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> AsyncMessage:
        while (row := self._session.take()) is None:
            try:
                await self._port.run(self._session.receive())
            except Unavailable:
                continue  # each call has waited long enough between its own attempts
        return AsyncMessage(row, self._session, self._port)

    async def flush(self) -> None:
        """Tell the gateway now what was said of messages; durable when it returns."""
        await self._port.run(self._session.flush())

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._port.run(self._session.close())
