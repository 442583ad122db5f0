"""A gateway with consumers, over HTTP in this process: everybody may do everything."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import httpx

from pubsub.core.rights import Scope
from pubsub.io.consumers.engine import Consumers, ConsumerSettings
from pubsub.io.delivery_store import DeliveryStore
from pubsub.io.feed import Feed
from pubsub.io.rights import RightsSettings
from pubsub.io.store_access import StoreAccess
from tests.pubsub.gateway_world import Chain, World, gateway_world, sample

OPEN = RightsSettings(anonymous=frozenset(Scope))
QUICK: dict[str, Any] = {"ack_wait_ms": 200, "backoff_ms": [100]}


class ConsumerWorld:
    """A running gateway and short forms of what tests ask of it."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.http = world.http
        self._nonce = 0

    @property
    def consumers(self) -> Consumers:
        """The engine."""
        return self.world.gateway.consumers

    async def publish(self, count: int = 1, **changes: object) -> None:
        """Put events into the ledger, one block for all."""
        entries = []
        for _ in range(count):
            self._nonce += 1
            entries.append(sample(self._nonce, **changes).entry)
        await self.world.node.extend(entries)

    async def followed(self, log_size: int) -> None:
        """Wait until the gateway has seen so many events."""
        with anyio.fail_after(5):
            while self.world.gateway.feed.end < log_size:  # noqa: ASYNC110 - it has no event
                await anyio.sleep(0.005)

    async def create(self, name: str = "c", **config: object) -> httpx.Response:
        """Make a consumer that begins with the first event."""
        body = {"name": name, "start": {"policy": "first"}, **config}
        return await self.http.post("/v1/consumers", json=body)

    async def ask(self, target: str, **body: object) -> httpx.Response:
        """Post a body to a consumer."""
        return await self.http.post(f"/v1/consumers/{target}", json=body)

    async def fetch(self, name: str = "c", **body: object) -> list[tuple[int, int]]:
        """Fetch; give (sequence, deliveries) of each event."""
        answer = await self.ask(f"{name}/fetch", **body)
        assert answer.status_code == 200, answer.text
        return [(row["sequence"], row["deliveries"]) for row in answer.json()["deliveries"]]

    async def settle(self, name: str = "c", **body: object) -> dict[str, object]:
        """Settle; give the answer."""
        answer = await self.ask(f"{name}/settle", **body)
        assert answer.status_code == 200, answer.text
        document: dict[str, object] = answer.json()
        return document

    async def show(self, name: str = "c") -> dict[str, Any]:
        """Give a consumer's document."""
        answer = await self.http.get(f"/v1/consumers/{name}")
        assert answer.status_code == 200, answer.text
        document: dict[str, Any] = answer.json()
        return document


@asynccontextmanager
async def consumer_world(
    directory: Path, rights: RightsSettings = OPEN
) -> AsyncIterator[ConsumerWorld]:
    """Run a gateway."""
    async with gateway_world(directory, rights=rights) as world:
        yield ConsumerWorld(world)


@asynccontextmanager
async def engine_life(directory: Path, chain: Chain) -> AsyncIterator[Consumers]:
    """Run the engine alone over a chain that outlives it; it ends as when it is told to."""
    access = StoreAccess(directory / "chain")
    access._store = chain.store
    feed = Feed()
    store = DeliveryStore.open(directory / "delivery")
    try:
        consumers = Consumers(ConsumerSettings(), store, access, feed)
        with chain.store.read() as reader:
            feed.read(reader, reader.head().log_size, 1000)
        consumers.follow()
        async with anyio.create_task_group() as group:
            group.start_soon(store.run)
            group.start_soon(consumers.run)
            yield consumers
            group.cancel_scope.cancel()
    finally:
        store.close()
