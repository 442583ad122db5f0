"""A gateway with webhooks, in this process, that may call loopback addresses."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import httpx

from pubsub.core.rights import Scope
from pubsub.io.egress import Egress
from pubsub.io.rights import RightsSettings
from pubsub.io.webhooks.settings import WebhookSettings
from tests.pubsub.gateway_world import World, gateway_world, sample
from tests.pubsub.webhook.receiver import Receiver

OPEN = RightsSettings(anonymous=frozenset(Scope))
LOCAL = WebhookSettings(Egress(allows_private=True), "gateway.example", "http://gateway")
WAIT_S = 10


Document = dict[str, Any]
"""A JSON object."""


class WebhookWorld:
    """A running gateway and short forms of what tests ask of it."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.http = world.http
        self._nonce = 0

    async def publish(self, count: int = 1, **changes: object) -> list[str]:
        """Put events into the ledger, one block for all; give their ids."""
        events = []
        for _ in range(count):
            self._nonce += 1
            events.append(sample(self._nonce, **changes))
        await self.world.node.extend([event.entry for event in events])
        return [event.id.hex() for event in events]

    async def create(self, receiver: Receiver, **wish: object) -> str:
        """Make a webhook whose v1 secret the receiver knows; give its id."""
        body = {"url": receiver.url, "start": {"policy": "first"}, **wish}
        answer = await self.http.post("/v1/webhooks", json=body)
        assert answer.status_code == 201, answer.text
        document = answer.json()
        for secret in document["secrets"]:
            if secret["signature"] == "v1":
                receiver.secret = secret["key"]
        id_: str = document["webhook"]["id"]
        assert answer.headers["location"] == f"/v1/webhooks/{id_}"
        return id_

    async def get(self, target: str) -> Document:
        """Get a document about a webhook."""
        return _good(await self.http.get(f"/v1/webhooks/{target}"))

    async def ask(self, target: str, **body: object) -> Document:
        """Post to a webhook."""
        return _good(await self.http.post(f"/v1/webhooks/{target}", json=body))

    async def until(self, is_so: Callable[[Document], bool], id_: str) -> None:
        """Wait until a webhook's document is as it should be."""
        with anyio.fail_after(WAIT_S):
            while not is_so(await self.get(id_)):  # noqa: ASYNC110 - it has no event
                await anyio.sleep(0.01)


def _good(answer: httpx.Response) -> Document:
    assert answer.status_code == 200, answer.text
    document: Document = answer.json()
    return document


async def received(receiver: Receiver, count: int) -> None:
    """Wait for so many deliveries, while the gateway runs."""
    await anyio.to_thread.run_sync(receiver.until, count)


@asynccontextmanager
async def webhook_world(
    directory: Path, settings: WebhookSettings = LOCAL, rights: RightsSettings = OPEN
) -> AsyncIterator[WebhookWorld]:
    """Run a gateway."""
    async with gateway_world(directory, rights=rights, webhooks=settings) as world:
        yield WebhookWorld(world)
