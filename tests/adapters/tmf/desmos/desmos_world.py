"""An access node in Desmos-compatible mode beside a Desmos-like peer, over one real chain store.

The peer speaks to the DLT adapter of its own gateway and to the node over a real socket; the node
reads and writes the ledger with the client library and proves every event.
"""

import time
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import anyio
import httpx
from anyio.abc import TaskGroup
from starlette.applications import Starlette
from starlette.requests import Request

from adapters.dome.dlt.identity import derived_address
from adapters.tmf.caller import ANYBODY, OPERATOR, Caller
from adapters.tmf.desmos.audit_log import AuditLog
from adapters.tmf.desmos.endpoints import DesmosApi, DesmosServing
from adapters.tmf.desmos.form import DesmosForm, DesmosMember
from adapters.tmf.desmos.peers import DesmosPeers
from adapters.tmf.desmos.shelf import Shelf
from adapters.tmf.desmos.sync import Peer, PeerSync, Surroundings
from adapters.tmf.entities.patching import MergePatch
from adapters.tmf.entities.policy import Policy, Proposed
from adapters.tmf.entities.service import Entities
from adapters.tmf.entity import JsonObject
from adapters.tmf.query.model import Comparison, Condition
from adapters.tmf.replication.context import Context
from adapters.tmf.replication.core.model import Told
from adapters.tmf.replication.couriers import Couriers
from adapters.tmf.replication.form import Taken
from adapters.tmf.replication.ledger import Identity, Members
from adapters.tmf.replication.replicator import Replicator
from adapters.tmf.resources.model import Resource
from adapters.tmf.resources.registry import RESOURCES
from adapters.tmf.store.database import Store
from adapters.tmf.store.ports import Reading
from ledger.core.event import OpenEntry
from pubsub.client.answers import LedgerEvent, Receipt
from pubsub.client.async_client import AsyncClient
from pubsub.core.documents import Status
from pubsub.io.body import Bodies
from pubsub.io.egress import Egress
from tests.adapters.dlt.desmos import TOKEN
from tests.adapters.dlt.dlt_world import (
    BUYER,
    BUYER_DID,
    BUYER_ID,
    SELLER_DID,
    SELLER_ID,
    dlt_world,
)
from tests.adapters.dlt.endpoint import listening
from tests.adapters.tmf.desmos.desmos_peer import DesmosPeer
from tests.ledger.sample_network import CHAIN_ID, GENESIS, START_MS
from tests.pubsub.gateway_world import World

WAIT_S = 30
NODE = "http://node.example"
PEER_TOKEN, OPERATOR_TOKEN = "the peer's", "the operator's"
ADDRESS = f"0x{derived_address(BUYER_DID).hex()}"


class GatewayLedger:
    """The ledger as a gateway in this process serves it; following it is asking again."""

    def __init__(self, world: World) -> None:
        transport = httpx.ASGITransport(app=world.app)
        self.client = AsyncClient("http://gateway", GENESIS, transport=transport)
        self.trust = self.client.trust

    async def publish_many(self, entries: Iterable[OpenEntry], wait: Any) -> list[Receipt]:  # noqa: ANN401
        """Publish."""
        return await self.client.publish_many(entries, wait)

    def events(self, *, after: int = -1, **filters: Any) -> Any:  # noqa: ANN401
        """Read to the end."""
        return self.client.events(after=after, **filters)

    async def status(self) -> Status:
        """Ask the gateway how it is."""
        return await self.client.status()

    async def subscribe(self, *, after: int | None = -1, **_filters: Any) -> Any:  # noqa: ANN401
        """Follow without end."""
        assert after is not None
        while True:
            async for event in self.client.events(after=after):
                after = int(event.sequence)
                yield event
            await anyio.sleep(0.02)


class _NoDigests:
    """Nobody gives a digest: Desmoses have none."""

    async def digest(self, _told: Told) -> bytes | None:
        """Give none."""
        return None


class DesmosNode:
    """The access node, without the fronts that are not Desmos'.

    Attributes:
        trusted: addresses of trusted access nodes.
        hints: how often it was told to look at the ledger.
    """

    def __init__(self, directory: Path, world: World, peer_url: str, *policies: Policy) -> None:
        self.store = Store.open(f"sqlite:///{directory}/node.sqlite")
        self.entities = Entities(policies, now_ms, new_id)
        self.ledger = GatewayLedger(world)
        self.couriers = Couriers(Egress())
        self.trusted: set[str] = set()
        self.hints = 0
        self.log = AuditLog(now_ms, new_id)
        self.peers = DesmosPeers(self.couriers, self._token, NODE)
        member = DesmosMember(BUYER_DID, BUYER_ID, derived_address(BUYER_DID), NODE, "prd")
        self.form = DesmosForm(member, self.peers, self.log, now_ms)
        identity = Identity(BUYER_DID, BUYER, CHAIN_ID, NODE, "prd")
        self.context = Context(
            store=self.store,
            ledger=self.ledger,
            members=Members(self.ledger.trust, now_ms),
            identity=identity,
            forms={"desmos": self.form},
            replicas=self.entities,
            accepts=self._accepts,
            now_ms=chain_clock(),
            spread=lambda: 0,
        )
        self.replicator = Replicator(self.context, (self.form,), _NoDigests())
        self.shelf = Shelf(self.entities, now_ms)
        around = Surroundings(
            self.store,
            self.entities,
            self.shelf,
            self.log,
            self.peers,
            self._accepts,
            now_ms,
        )
        self.peer = Peer(peer_url, SELLER_DID)
        self.sync = PeerSync(around, [self.peer])
        serving = DesmosServing(
            store=self.store,
            shelf=self.shelf,
            sync=self.sync,
            bodies=Bodies(),
            caller_of=_caller,
            trusted=self._trusted,
            hint=self._hint,
            public_url=NODE,
        )
        self.app = Starlette(routes=DesmosApi(serving).routes())

    async def close(self) -> None:
        """End."""
        await self.couriers.close()
        await self.ledger.client.aclose()
        self.store.close()

    def create(self, resource: str, **document: object) -> JsonObject:
        """Make an own entity; give it as it is stored."""
        with self.store.write() as txn:
            change = self.entities.create(txn, OPERATOR, RESOURCES[resource], document)
        return self.get(resource, change.id)

    def change(self, resource: str, id_: str, **members: object) -> JsonObject:
        """Change an own entity; give it as it is stored."""
        with self.store.write() as txn:
            self.entities.patch(txn, OPERATOR, RESOURCES[resource], id_, MergePatch(members))
        return self.get(resource, id_)

    def remove(self, resource: str, id_: str) -> None:
        """Delete an own entity."""
        with self.store.write() as txn:
            self.entities.remove(txn, OPERATOR, RESOURCES[resource], id_)

    def find(self, resource: str, id_: str) -> JsonObject | None:
        """Give an entity, or None."""
        with self.store.read() as reading:
            entity = reading.get(resource, id_)
        return None if entity is None else entity.document()

    def get(self, resource: str, id_: str) -> JsonObject:
        """Give an entity that is there."""
        found = self.find(resource, id_)
        assert found is not None, id_
        return found

    def http(self) -> httpx.AsyncClient:
        """Give a client that reaches the node, and everything else over the network."""
        return httpx.AsyncClient(
            mounts={NODE: httpx.ASGITransport(app=self.app)}, trust_env=False, timeout=WAIT_S
        )

    async def _token(self) -> str:
        return TOKEN

    async def _trusted(self) -> set[str]:
        return self.trusted

    def _hint(self) -> None:
        self.hints += 1

    async def _accepts(self, told: Told, taken: Taken) -> None:
        """Take everything."""


class OnlyShown:
    """A policy that hides entities of another name."""

    def fill(self, resource: Resource, document: JsonObject, caller: Caller) -> None:
        """Add nothing."""

    def judge(self, proposed: Proposed, reading: Reading) -> None:
        """Allow everything."""

    def visible(self, _resource: Resource, caller: Caller) -> tuple[Condition, ...]:
        """Show what is named so."""
        return () if caller.is_operator else (Comparison("name", "eq", "shown"),)


class Pair:
    """The node and the peer.

    Attributes:
        group: runs tasks until the world ends.
    """

    def __init__(self, node: DesmosNode, peer: DesmosPeer, group: TaskGroup) -> None:
        self.node = node
        self.peer = peer
        self.group = group

    async def events(self) -> list[LedgerEvent]:
        """Give all of DOME's events in the ledger."""
        found = [event async for event in self.node.ledger.events()]
        return [event for event in found if event.event.topic.startswith("dome.")]


def now_ms() -> int:
    """Give the time at which entities are valid and records are made."""
    return START_MS


def chain_clock() -> Callable[[], int]:
    """Give a clock that starts at the chain's beginning."""
    start_ns = time.monotonic_ns()
    return lambda: START_MS + (time.monotonic_ns() - start_ns) // 1_000_000


def new_id() -> str:
    """Give a UUID."""
    return str(uuid4())


async def _caller(request: Request) -> Caller:
    known = {f"Bearer {PEER_TOKEN}": Caller(SELLER_DID), f"Bearer {OPERATOR_TOKEN}": OPERATOR}
    return known.get(request.headers.get("authorization", ""), ANYBODY)


@asynccontextmanager
async def desmos_pair(directory: Path, *, replicates: bool = True) -> AsyncIterator[Pair]:
    """Run an access node and a peer; ``replicates``: over the ledger, too."""
    async with dlt_world(directory) as world, listening() as endpoint:
        node = DesmosNode(directory, world, f"http://127.0.0.1:{endpoint.port}")
        async with node.http() as nodes, anyio.create_task_group() as group:
            peer = DesmosPeer(SELLER_ID, world.http, endpoint, {ADDRESS}, nodes=nodes)
            peer.token = PEER_TOKEN
            if replicates:
                assert await peer.start()
                group.start_soon(peer.run)
                group.start_soon(node.replicator.run)
            yield Pair(node, peer, group)
            group.cancel_scope.cancel()
        await node.close()


async def until(holds: Callable[[], bool]) -> None:
    """Wait until something holds."""
    with anyio.fail_after(WAIT_S):
        while not holds():  # noqa: ASYNC110 - what is waited for has no event
            await anyio.sleep(0.01)
