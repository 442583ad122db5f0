"""A seller's usage log on a real database, with a ledger that a test plays."""

import json
from collections.abc import AsyncIterator, Callable
from typing import Any, Unpack

import anyio

from adapters.tmf.store.database import Store
from adapters.tmf.usage.condensing import BlockLimits
from adapters.tmf.usage.intake import Outcome
from adapters.tmf.usage.log import Sealing
from adapters.tmf.usage.record import UsageRecord, read_record
from adapters.tmf.usage.service import UsageService
from ledger.core.errors import ConcordatError, Unavailable
from ledger.core.event import Event, OpenEntry, open_entry
from ledger.core.ids import EventId, Sequence
from ledger.core.proof import ProofBundle, build_bundle
from pubsub.client.answers import LedgerEvent, Receipt
from pubsub.client.calls import Wait
from pubsub.client.following import Filters
from pubsub.client.identity import Publisher
from tests.adapters.tmf.usage.usage_world import NOW_MS, SELLER, SIGNER
from tests.support.memory_chain import MemoryChain

LIMITS = BlockLimits(4, 2**30, 60_000)


class PlayedLedger:
    """Takes each event once and proves it.

    Attributes:
        errors: raised by the next publications, one each.
        loses_answer: the next event is taken and the answer lost.
        handed_in: ids of all events that were handed in, in order.
    """

    def __init__(self) -> None:
        self.chain = MemoryChain()
        self.errors: list[ConcordatError] = []
        self.loses_answer = False
        self.handed_in: list[EventId] = []
        self._grown = anyio.Event()

    @property
    def held(self) -> list[Event]:
        """What the ledger holds."""
        return [open_entry(entry).event for entry in self.chain.entries]

    async def publish(self, opened: OpenEntry, wait: Wait) -> Receipt:
        """Take one event."""
        assert wait == "proof"
        self.handed_in.append(opened.id)
        if self.errors:
            raise self.errors.pop(0)
        is_known = self.chain.sequence_of(opened.id) is not None
        if not is_known:
            self.chain.grow([opened])
            for _ in range(3):
                self.chain.grow()
            self._grown.set()
            self._grown = anyio.Event()
        if self.loses_answer:
            self.loses_answer = False
            raise Unavailable("the answer was lost")
        bundle = await self.proof(opened.id)
        assert bundle is not None
        sequence = self.chain.sequence_of(opened.id)
        return Receipt(opened.id, "final", sequence=sequence, duplicate=is_known, proof=bundle)

    async def _read(self, after: int, filters: Filters) -> AsyncIterator[LedgerEvent]:
        for sequence, entry in enumerate(self.chain.entries):
            opened = open_entry(entry)
            event = opened.event
            is_wanted = (event.subject, event.publisher) == (
                filters["subject"],
                filters["publisher"],
            )
            if sequence > after and is_wanted:
                yield LedgerEvent(Sequence(sequence), event, opened.id, entry, is_verified=True)

    def events(self, *, after: int = -1, **filters: Unpack[Filters]) -> AsyncIterator[LedgerEvent]:
        """Read what it holds of a subject."""
        return self._read(after, filters)

    async def holds(self, count: int) -> None:
        """Wait until so many events are there."""
        while len(self.chain.entries) < count:
            await self._grown.wait()

    async def proof(self, id_: EventId) -> ProofBundle | None:
        """Prove an event that the ledger holds."""
        sequence = self.chain.sequence_of(id_)
        return None if sequence is None else build_bundle(self.chain, sequence)


class Clock:
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        self.ms = NOW_MS

    def __call__(self) -> int:
        """Give the time."""
        return self.ms


def counting_random() -> Callable[[int], bytes]:
    """Give "random" bytes that differ each time and are the same in each run."""
    drawn = iter(range(1, 1_000))
    return lambda size: next(drawn).to_bytes(size, "big")


class Node:
    """One node: what a restart keeps is the store and the ledger."""

    def __init__(self, store: Store, ledger: PlayedLedger, limits: BlockLimits = LIMITS) -> None:
        self.store = store
        self.ledger = ledger
        self.clock = Clock()
        publisher = Publisher(SELLER, SIGNER, ledger.chain.genesis.chain_id)
        sealing = Sealing(publisher, "usage.block", _location, counting_random(), limits)
        self.service = UsageService(store, sealing, ledger, self.clock)
        self.log = self.service.log
        self.evidence = self.service.evidence

    def append(self, *sent: dict[str, Any]) -> list[Outcome]:
        """Take documents."""
        return self.log.append([parsed(document) for document in sent])

    def condense(self) -> int:
        """Make all blocks that are due; give how many."""
        count = 0
        while self.log.condense() is not None:
            count += 1
        return count


def parsed(document: dict[str, Any]) -> UsageRecord:
    """Read a document."""
    return read_record(json.dumps(document).encode(), SELLER, NOW_MS)


def _location(number: int) -> str:
    return f"https://seller.example/usage-log/v1/blocks/{number}"
