"""Webhooks over a real log and delivery store in virtual time, with receivers that a test plays."""

import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import anyio
import anyio.lowlevel
import anyio.to_thread
import httpx
import msgspec
import pytest
import trio
from prometheus_client import CollectorRegistry
from trio.testing import MockClock

from pubsub.core.rights import Principal, Scope
from pubsub.core.webhook.handshake import Consent
from pubsub.core.webhook.registration import with_consent
from pubsub.core.webhook_documents import WebhookRequest
from pubsub.io.consumers import engine
from pubsub.io.consumers.engine import Consumers, ConsumerSettings
from pubsub.io.delivery_store import DeliveryStore
from pubsub.io.egress import Errand, Reply
from pubsub.io.feed import Feed
from pubsub.io.rights import Rights, RightsSettings
from pubsub.io.store_access import StoreAccess
from pubsub.io.webhooks import worker
from pubsub.io.webhooks.endpoint import Endpoint
from pubsub.io.webhooks.service import Webhooks
from pubsub.io.webhooks.settings import WebhookSettings
from tests.pubsub.gateway_world import Chain, sample

BEGIN_MS = 1_795_257_000_000
OPEN = RightsSettings(anonymous=frozenset(Scope))
OWNER = Principal("anonymous", frozenset(Scope))
Answer = tuple[int, dict[str, str]]


class Sent(NamedTuple):
    """A request that an endpoint got."""

    at_ms: int
    headers: dict[str, str]
    body: bytes

    @property
    def id(self) -> str:
        """What it is called in each attempt."""
        return self.headers["webhook-id"]


class VirtualWorld:
    """A log, a delivery store, and a network that answers as it is told.

    Attributes:
        sent: every request that was posted.
        answer: gives status and headers for a request, by the number of requests before it.
        refused: ids that are answered 500 whatever ``answer`` says.
        delay_s: how long an answer takes.
    """

    def __init__(self, directory: Path, clock: MockClock) -> None:
        self.clock = clock
        self.directory = directory
        self.chain = Chain(directory / "chain")
        self.access = StoreAccess(directory / "chain")
        self.access._store = self.chain.store
        self.feed = Feed()
        self.sent: list[Sent] = []
        self.answer: Callable[[int], Answer | Exception] = lambda _: (200, {})
        self.refused: set[str] = set()
        self.delay_s = 0.01
        self._changed = anyio.Event()
        self._nonce = 0
        self._consumers: Consumers | None = None

    @property
    def now_ms(self) -> int:
        """The virtual time."""
        return BEGIN_MS + int(self.clock.current_time() * 1000)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Webhooks]:
        """Run the gateway's part while the block runs; what is durable stays."""
        store = DeliveryStore.open(self.directory / "delivery")
        self._consumers = Consumers(ConsumerSettings(), store, self.access, self.feed)
        webhooks = Webhooks(
            WebhookSettings(), store, self._consumers, Rights(OPEN), CollectorRegistry()
        )
        async with anyio.create_task_group() as group:
            for run in (store.run, self._consumers.run, webhooks.run):
                group.start_soon(run)
            self.advance()
            yield webhooks
            group.cancel_scope.cancel()
        store.close()

    async def create(self, webhooks: Webhooks, **wish: object) -> Endpoint:
        """Make a webhook from the first event on, whose receiver has consented."""
        endpoint, _ = await webhooks.create(_wish(wish), OWNER)
        consent = Consent(None, self.now_ms)
        await webhooks.replace(endpoint, with_consent(endpoint.current, consent))
        return endpoint

    def publish(self, count: int = 1) -> list[str]:
        """Put events into the log; give their ids."""
        events = []
        for _ in range(count):
            self._nonce += 1
            events.append(sample(self._nonce))
        self.chain.extend([event.entry for event in events])
        self.advance()
        return [event.id.hex() for event in events]

    def advance(self) -> None:
        """Tell what is new in the log."""
        with self.chain.store.read() as reader:
            log_size = reader.head().log_size
            while not self.feed.read(reader, log_size, 100):
                pass
        if self._consumers is not None:
            self._consumers.follow()

    async def until(self, count: int) -> None:
        """Wait for so many requests."""
        while len(self.sent) < count:
            await self._changed.wait()

    async def pass_ms(self, ms: int) -> None:
        """Let so much time pass."""
        await anyio.sleep(ms / 1000)

    async def run(self, errand: Errand) -> Reply:
        """Stand in for an endpoint's connections."""
        answer = self.answer(len(self.sent))
        sent = Sent(self.now_ms, dict(errand.headers), errand.body)
        self.sent.append(sent)
        self._changed.set()
        self._changed = anyio.Event()
        await anyio.sleep(self.delay_s)
        if sent.id in self.refused:
            answer = (500, {})
        if isinstance(answer, Exception):
            raise answer
        status, headers = answer
        return Reply(status, httpx.Headers(headers), b"")


def _wish(members: dict[str, object]) -> WebhookRequest:
    defaults: dict[str, object] = {"url": "https://a.example/", "start": {"policy": "first"}}
    return msgspec.convert({**defaults, **members}, WebhookRequest)


async def _inline(work: Callable[..., Any], *args: Any, **_: Any) -> Any:  # noqa: ANN401
    await anyio.lowlevel.checkpoint()
    return work(*args)


def in_virtual_time(
    test: Callable[[VirtualWorld], Awaitable[None]],
) -> Callable[[Path], None]:
    """Run a test with its own world, whose time and network are virtual."""

    def run_test(tmp_path: Path) -> None:
        clock = MockClock(autojump_threshold=0)
        world = VirtualWorld(tmp_path, clock)

        async def run(_endpoint: Endpoint, errand: Errand) -> Reply:
            return await world.run(errand)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(time, "time_ns", lambda: world.now_ms * 1_000_000)
            patch.setattr(Endpoint, "run", run)
            patch.setattr(anyio.to_thread, "run_sync", _inline)  # threads take real time
            # What only looks around so often would make the virtual days long.
            patch.setattr(engine, "_SWEEP_MS", 10**12)
            patch.setattr(worker, "WEBHOOK_IDLE_MS", 24 * 3_600_000)
            trio.run(test, world, clock=clock)

    run_test.__name__, run_test.__doc__ = test.__name__, test.__doc__
    return run_test
