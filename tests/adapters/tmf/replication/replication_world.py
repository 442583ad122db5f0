"""Access nodes that replicate over a played ledger and a network that loses what it is told to.

The databases are real; the ledger is a list that orders, refuses strangers and takes an event once.
"""

import random
import time
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from hashlib import sha256
from pathlib import Path
from uuid import UUID

import anyio
import httpx
import msgspec
from msgspec import Raw
from sqlalchemy import delete, select
from starlette.applications import Starlette

from adapters.tmf.caller import OPERATOR
from adapters.tmf.entities.service import Entities
from adapters.tmf.entity import OWN, Change, Entity, JsonObject
from adapters.tmf.replication.context import Context
from adapters.tmf.replication.core.model import Told, Tracked
from adapters.tmf.replication.core.selection import Selection
from adapters.tmf.replication.form import Taken
from adapters.tmf.replication.ledger import Identity, Members
from adapters.tmf.replication.native import NativeForm
from adapters.tmf.replication.replicator import Replicator
from adapters.tmf.replication.tables import QUARANTINE, TRACKED
from adapters.tmf.replication.tracking import page
from adapters.tmf.resources.model import Resource
from adapters.tmf.resources.registry import RESOURCES
from adapters.tmf.store.database import Store
from adapters.tmf.store.ports import Writing
from ledger.core.errors import RejectCode, Unavailable
from ledger.core.event import OpenEntry
from ledger.core.genesis import Participant, ParticipantKey
from ledger.core.ids import Height, Sequence
from ledger.core.signing import SeedSigner
from ledger.core.state_proof import StateProofBundle
from pubsub.client.answers import LedgerEvent, Receipt
from pubsub.client.trust_calls import Reading
from pubsub.core.documents import ChainStatus, GatewayStatus, Progress, Status
from pubsub.io.egress import Errand, Reply

WAIT_S = 20


class PlayedLedger:
    """A ledger in memory.

    Attributes:
        events: what it holds.
        refuses: code for every event that is handed in, when set.
        answers_lost: so many publications take effect without an answer.
    """

    def __init__(self) -> None:
        self.events_held: list[LedgerEvent] = []
        self.participants: dict[str, Participant] = {}
        self.refuses: RejectCode | None = None
        self.answers_lost = 0
        self._seen: set[bytes] = set()
        self._ids: dict[bytes, Sequence] = {}
        self._more = anyio.Event()

    @property
    def trust(self) -> "PlayedLedger":
        """The participants."""
        return self

    async def participant(self, did: str) -> Reading[Participant]:
        """Give a participant."""
        bundle: StateProofBundle = None  # type: ignore[assignment] # nobody looks at it
        return Reading(self.participants.get(did), Height(1), 0, bundle, is_verified=True)

    async def status(self) -> Status:
        """Say how long it is."""
        chain = ChainStatus(1, "", 0, 0, len(self.events_held))
        gateway = GatewayStatus("", "", True, None, 0, 0)
        return Status("test", Progress("ok", ""), chain, gateway, Raw(b"null"))

    def join(self, did: str, signer: SeedSigner) -> None:
        """Make somebody a participant."""
        key = ParticipantKey(signer.public_key, revoked=False)
        self.participants[did] = Participant(did=did, name=did, keys=(key,), topics=("tmf.>",))

    async def publish_many(self, entries: Iterable[OpenEntry], wait: str) -> list[Receipt]:
        """Take events, each once."""
        assert wait == "final"
        await anyio.lowlevel.checkpoint()
        receipts = [self._publish(opened) for opened in entries]
        if self.answers_lost:
            self.answers_lost -= 1
            raise Unavailable("no answer")
        return receipts

    @property
    def seen_count(self) -> int:
        """Give how many different events were handed in."""
        return len(self._seen)

    def _publish(self, opened: OpenEntry) -> Receipt:
        self._seen.add(opened.id)
        if self.refuses and opened.id not in self._ids:
            return Receipt(opened.id, "refused", self.refuses)
        sequence = self._ids.get(opened.id)
        if sequence is None:
            sequence = self._ids[opened.id] = Sequence(len(self.events_held))
            held = LedgerEvent(sequence, opened.event, opened.id, opened.entry, is_verified=True)
            self.events_held.append(held)
            self._more.set()
            self._more = anyio.Event()
        return Receipt(opened.id, "final", sequence=sequence, height=Height(1))

    def events(self, *, after: int = -1, **filters: object) -> "PlayedEvents":
        """Read to the end."""
        return PlayedEvents(self, after, filters, ends=True)

    def subscribe(self, *, after: int | None = -1, **filters: object) -> "PlayedEvents":
        """Follow without end."""
        assert after is not None
        return PlayedEvents(self, after, filters, ends=False)

    async def until_more(self, count: int) -> None:
        """Wait until there are more than so many events."""
        while len(self.events_held) <= count:
            await self._more.wait()


class PlayedEvents:
    """An iterator over the events of a played ledger."""

    def __init__(
        self, ledger: PlayedLedger, after: int, filters: dict[str, object], *, ends: bool
    ) -> None:
        self._ledger = ledger
        self._next = after + 1
        self._filters = filters
        self._ends = ends

    def __aiter__(self) -> "PlayedEvents":
        return self

    async def __anext__(self) -> LedgerEvent:
        held = self._ledger.events_held
        while True:
            if self._next >= len(held):
                if self._ends:
                    raise StopAsyncIteration
                await self._ledger.until_more(self._next)
            event = held[self._next]
            self._next += 1
            wanted = self._filters.items()
            if all(getattr(event.event, name) == value for name, value in wanted):
                return event

    async def aclose(self) -> None:
        """Nothing is open."""


class Clock:
    """A clock that tests may set forward."""

    def __init__(self) -> None:
        self.ahead_ms = 0

    def now_ms(self) -> int:
        """Give the time."""
        return time.time_ns() // 1_000_000 + self.ahead_ms


class Network:
    """Carries errands to the nodes of a world.

    Attributes:
        clock: all nodes' clock.
        loss: the chance that an errand gets no answer, in percent.
        down: hosts that do not answer at all.
        stuck: hosts that take requests and answer only when ``released``.
        asked: URLs of all errands.
        twisted: gives another body for one, when set.
    """

    def __init__(self, seed: int = 0) -> None:
        self.clock = Clock()
        self.apps: dict[str, Starlette] = {}
        self.loss = 0
        self.down: set[str] = set()
        self.stuck: set[str] = set()
        self.asked: list[str] = []
        self.twisted: Callable[[bytes], bytes] | None = None
        self._random = random.Random(seed)

    def spread(self) -> int:
        """Give a random number for pauses."""
        return self._random.randrange(1_001)

    async def run(self, errand: Errand) -> Reply:
        """Send a request."""
        url = httpx.URL(errand.url)
        self.asked.append(errand.url)
        if url.host in self.down or self._random.randrange(100) < self.loss:
            raise Unavailable("lost on the way")
        if url.host in self.stuck:
            await anyio.sleep_forever()
        transport = httpx.ASGITransport(app=self.apps[url.host])
        async with httpx.AsyncClient(transport=transport) as client:
            answer = await client.request(errand.method, url, headers=dict(errand.headers))
        if self._random.randrange(100) < self.loss:
            raise Unavailable("lost on the way back")
        body = answer.content
        if self.twisted and answer.status_code == 200:
            body = self.twisted(body)
        return Reply(answer.status_code, answer.headers, body)


class PoisonedEntities(Entities):
    """Entities of which one may have to wait.

    Attributes:
        poisoned: id of the entity that cannot be judged now.
    """

    poisoned = ""

    def accept(
        self,
        txn: Writing,
        origin: str,
        resource: Resource,
        id_: str,
        document: JsonObject | None,
    ) -> Change | None:
        """Store a replica, but not that one."""
        if id_ == self.poisoned:
            raise Unavailable("its certificate cannot be looked up")
        return super().accept(txn, origin, resource, id_, document)


class Node:
    """One access node without its front.

    Attributes:
        accepts: judges what would be replicated.
    """

    def __init__(
        self, name: str, directory: Path, ledger: PlayedLedger, network: Network, url: str = ""
    ) -> None:
        """Make a node; its database is a file unless another ``url`` is given."""
        self.did = f"did:web:{name}.example"
        self.clock = network.clock
        self.chain_id = "test"
        self.signer = SeedSigner(name.encode().ljust(32, b"."))
        ledger.join(self.did, self.signer)
        self._url = url or f"sqlite:///{directory / name}.sqlite"
        self.ledger, self.network, self._host = ledger, network, f"{name}.example"
        self._ids = 0
        self.selection: Selection | None = None
        self.origin = f"https://{self._host}"
        self.is_published: Callable[[str, JsonObject], bool] = lambda _resource, _document: True
        self.spread: Callable[[], int] = lambda: 0
        self.accepts: Callable[[Told, Taken], None] = lambda _told, _taken: None
        self.open()

    def open(self) -> None:
        """Start with what the database holds."""
        self.store = Store.open(self._url)
        self.entities = PoisonedEntities((), self.clock.now_ms, self._new_id)
        identity = Identity(self.did, self.signer, self.chain_id, f"https://{self._host}", "prd")
        self.form = NativeForm(
            identity,
            self.network,
            self.clock.now_ms,
            lambda resource, document: self.is_published(resource, document),  # noqa: PLW0108
        )

        async def accepts(told: Told, taken: Taken) -> None:
            self.accepts(told, taken)

        self.context = Context(
            store=self.store,
            ledger=self.ledger,
            members=Members(self.ledger, self.clock.now_ms),
            identity=identity,
            forms={"native": self.form},
            replicas=self.entities,
            accepts=accepts,
            now_ms=self.clock.now_ms,
            spread=lambda: self.spread(),  # noqa: PLW0108 - a test may set another
        )
        self.replicator = Replicator(self.context, (self.form,), self.form, self.selection)
        self.network.apps[self._host] = Starlette(routes=self.replicator.routes())

    def reopen(self) -> None:
        """End as a crash does, and start again."""
        self.store.close()
        self.open()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Replicate while the block runs."""
        async with anyio.create_task_group() as group:
            group.start_soon(self.replicator.run)
            yield
            group.cancel_scope.cancel()

    async def skip(self, minutes: int = 10) -> None:
        """Let time pass."""
        self.clock.ahead_ms += minutes * 60_000
        await self.replicator.fetching.wake_all()

    def create(self, resource: str = "productOffering", **document: object) -> str:
        """Make an own entity; give its id."""
        with self.store.write() as txn:
            sent = {"name": "x", **document}
            return self.entities.create(txn, OPERATOR, RESOURCES[resource], sent).id

    def change(self, id_: str, resource: str = "productOffering", **document: object) -> None:
        """Store a new version of an own entity, past all rules."""
        with self.store.write() as txn:
            kept = txn.get(resource, id_)
            assert kept is not None
            body = msgspec.json.encode({**kept.document(), **document}, order="sorted")
            txn.put(msgspec.structs.replace(kept, body=body), "attribute")

    def remove(self, id_: str, resource: str = "productOffering") -> None:
        """Delete an own entity."""
        with self.store.write() as txn:
            txn.remove(resource, id_)

    def replicas(self, resource: str = "productOffering") -> dict[str, bytes]:
        """Give the bodies of all entities of others, by id."""
        return {item.id: item.body for item in self._every(resource) if item.origin != OWN}

    def own(self, resource: str = "productOffering") -> dict[str, bytes]:
        """Give the bodies of all own entities, by id."""
        return {item.id: item.body for item in self._every(resource) if item.origin == OWN}

    def tracked(self) -> list[Tracked]:
        """Give what is known of all entities of the ledger, in order of their keys."""
        with self.store.read() as reading:
            return [line.tracked for line in page(reading.connection, "", 100_000)]

    def quarantined(self) -> list[tuple[str, str]]:
        """Give (publisher, code) of what is in quarantine."""
        with self.store.read() as reading:
            rows = reading.connection.execute(select(QUARANTINE).order_by(QUARANTINE.c.sequence))
            return [(row.publisher, row.code) for row in rows]

    def forget(self, id_: str) -> None:
        """Make it as if no event of a product offering had ever come."""
        key = "product-offering/" + sha256(id_.encode()).hexdigest()
        with self.store.write() as txn:
            txn.connection.execute(delete(TRACKED).where(TRACKED.c.key == key))

    def _every(self, resource: str) -> list[Entity]:
        with self.store.read() as reading:
            return list(reading.every(resource, limit=100_000))

    def _new_id(self) -> str:
        self._ids += 1
        return str(UUID(int=random.getrandbits(128)))


@asynccontextmanager
async def world(directory: Path, names: str = "one two") -> AsyncIterator[list[Node]]:
    """Give nodes that replicate; the first one knows the ledger and the network."""
    ledger, network = PlayedLedger(), Network()
    nodes = [Node(name, directory, ledger, network) for name in names.split()]
    async with AsyncExitStack() as stack:
        for node in nodes:
            await stack.enter_async_context(node.running())
        yield nodes
    for node in nodes:
        node.store.close()


async def until(holds: Callable[[], bool]) -> None:
    """Wait until something holds."""
    with anyio.fail_after(WAIT_S):
        while not holds():  # noqa: ASYNC110 - what is waited for has no event
            await anyio.sleep(0.01)
