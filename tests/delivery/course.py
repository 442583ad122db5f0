"""One run: a network under load, two hundred subscribers at one gateway, and that gateway killed.

Owns the timeline and the verdict. The log that subscribers are judged by is read through another
member's gateway, whose processes nobody touches.
"""

import random
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, Final, NamedTuple

import anyio
import httpx
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from pubsub.client.async_client import AsyncClient
from pubsub.client.identity import Publisher
from tests.delivery.record import Kind, Record, find_faults
from tests.delivery.subscribers import (
    Puller,
    follow_sse,
    follow_websocket,
    make_webhook,
    take_webhook,
)
from tests.delivery.wants import SUBJECTS, TOPICS, TYPES, WANTS
from tests.support.processes import Part, RealNetwork

__all__ = ["Course", "Plan"]

_HURT: Final = 0  # the member whose processes are killed
_LEVEL_S: Final = 420.0  # a webhook's second retry comes after five minutes
_LOG_S: Final = 20.0  # what is final at one member is soon in the log of another
_MODES: Final = ("structured", "binary", "batch")
_REFUSES: Final = 0.02  # how often a webhook's receiver is out of order
_BATCH_EVENTS: Final = 5


class Plan(NamedTuple):
    """What to do: for so many seconds, with so many subscribers of each kind."""

    seed: int
    seconds: float
    each: int
    per_second: float
    kinds: tuple[Kind, ...] = tuple(Kind)


class Course:
    """One run over a network whose files were made.

    Attributes:
        faults: what went wrong, a sentence each.
        kills: how often which processes were killed.
    """

    def __init__(self, network: RealNetwork, plan: Plan) -> None:
        """Start the network."""
        self._network = network
        self._plan = plan
        self._random = random.Random(f"delivery {plan.seed}")
        self._begun = time.monotonic()
        self.kills: Counter[str] = Counter()
        self._published = 0
        self._is_over = False
        self._expected: list[dict[str, Any]] = []
        self._refused: set[tuple[int, str]] = set()
        self.faults: list[str] = []
        self.records = [
            Record(f"{kind}-{number}", kind, WANTS[number % len(WANTS)], _is_ordered(kind, number))
            for kind in plan.kinds
            for number in range(plan.each)
        ]
        network.start_all()
        network.wait_ready(seconds=60)

    async def run(self) -> None:
        """Run to the verdict."""
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=None)
        timeout = httpx.Timeout(30, read=60)
        http = httpx.AsyncClient(limits=limits, timeout=timeout, trust_env=False)
        async with http, self._receivers() as sinks, anyio.create_task_group() as subscribers:
            await self._subscribe(http, sinks, subscribers)
            self._say(f"{len(self.records)} subscribers at member {_HURT}")
            async with anyio.create_task_group() as load:
                load.start_soon(self._publish)
                await self._hurt()
                self._is_over = True
            self._say(f"the load ends after {dict(self.kills)}; waiting for all to be level")
            await self._level(http)
            subscribers.cancel_scope.cancel()
        self.faults += self._network.unexpected_ends() + self._network.stop_all()
        for record in self.records:
            self.faults += find_faults(record, self._wanted(record))

    def summary(self) -> str:
        """Give what was done, in one line for each kind."""
        lines = [f"{len(self._expected)} events in the log; kills: {dict(self.kills)}"]
        for kind in self._plan.kinds:
            records = [record for record in self.records if record.kind is kind]
            given = sum(len(record.given) for record in records)
            apart = sum(len(set(record.given)) for record in records)
            lines.append(
                f"{kind}: {len(records)} got {apart} events, {given - apart} of them again"
            )
        return "\n".join(lines)

    # --- subscribers ------------------------------------------------------------------------

    async def _subscribe(self, http: httpx.AsyncClient, sinks: str, group: Any) -> None:  # noqa: ANN401 - anyio's group
        url = self._network.url(_HURT)
        for number, record in enumerate(self.records):
            match record.kind:
                case Kind.SSE:
                    group.start_soon(follow_sse, url, http, record)
                case Kind.WEBSOCKET:
                    group.start_soon(follow_websocket, url, record)
                case Kind.PULL:
                    puller = Puller(url, http, record, number)
                    await puller.make()
                    group.start_soon(puller.run)
                case Kind.WEBHOOK:
                    # An ordered webhook posts one event at a time.
                    mode = _MODES[number % (2 if record.is_ordered else 3)]
                    await make_webhook(url, http, record, f"{sinks}/{number}", mode)

    @asynccontextmanager
    async def _receivers(self) -> Any:  # noqa: ANN401 - an iterator
        """Serve the endpoints of all webhooks; give the URL in front of their numbers."""
        app = Starlette(routes=[Route("/{number:int}", self._receive, methods=["POST", "OPTIONS"])])
        config = uvicorn.Config(app, port=0, log_level="error", lifespan="off")
        server = uvicorn.Server(config)
        server.install_signal_handlers = lambda: None  # type: ignore[attr-defined]
        server.capture_signals = _no_signals  # type: ignore[method-assign]
        async with anyio.create_task_group() as group:
            group.start_soon(server.serve)
            while not server.started:  # noqa: ASYNC110 - it has no event
                await anyio.sleep(0.01)
            port = server.servers[0].sockets[0].getsockname()[1]
            yield f"http://127.0.0.1:{port}"
            server.should_exit = True

    async def _receive(self, request: Request) -> Response:
        """Answer as a receiver does that is out of order now and then."""
        if request.method == "OPTIONS":
            return Response(None, 204, {"webhook-allowed-origin": "*"})
        number = request.path_params["number"]
        body = await request.body()
        trial = (number, request.headers["webhook-id"])
        if trial not in self._refused and self._random.random() < _REFUSES:
            self._refused.add(trial)  # once: the second retry would take minutes
            return Response(None, 503)
        take_webhook(self.records[number], request.headers, body)
        return Response(None, 204)

    # --- load and faults --------------------------------------------------------------------

    async def _publish(self) -> None:
        """Publish at a steady rate through the other members."""
        network = self._network
        did, signer = network.publisher(0)
        publisher = Publisher(did, signer, network.testnet.genesis.chain_id)
        others = [network.url(member) for member in range(network.size) if member != _HURT]
        async with AsyncClient(others) as client:
            while not self._is_over:
                began = time.monotonic()
                entries = [
                    publisher.sign(
                        self._random.choice(TOPICS),
                        self._random.choice(TYPES),
                        subject=self._random.choice(SUBJECTS),
                        data=b'{"price":3}',
                        content_type="application/json",
                    )
                    for _ in range(_BATCH_EVENTS)
                ]
                await client.publish_many(entries, wait="final")
                self._published += len(entries)
                pause = _BATCH_EVENTS / self._plan.per_second - (time.monotonic() - began)
                await anyio.sleep(max(0.0, pause))

    async def _hurt(self) -> None:
        """Kill the node, the gateway or both of one member, again and again."""
        end = time.monotonic() + self._plan.seconds
        while time.monotonic() < end:
            await anyio.sleep(self._random.uniform(1.0, 5.0))
            parts = self._random.choices(
                ([Part.GATEWAY], [Part.NODE], [Part.NODE, Part.GATEWAY]), weights=(60, 20, 20)
            )[0]
            self.faults += self._network.unexpected_ends()
            self._network.kill(*[(_HURT, part) for part in parts])
            self.kills[" and ".join(parts)] += 1
            await anyio.sleep(self._random.uniform(0.0, 1.0))
            for part in parts:
                self._network.start(_HURT, part)
            await self._until_ready()

    async def _until_ready(self) -> None:
        """Wait for the member to serve: a gateway that is killed while it starts shows little."""
        with anyio.fail_after(60):
            while not await anyio.to_thread.run_sync(self._network.is_ready, _HURT):  # noqa: ASYNC110
                await anyio.sleep(0.1)

    # --- verdict ----------------------------------------------------------------------------

    async def _level(self, http: httpx.AsyncClient) -> None:
        """Wait until everybody was given what it wants, or it takes too long."""
        self._expected = await _read_log(http, self._network.url(_HURT + 1))
        if len(self._expected) < self._published:
            self.faults.append(
                f"the log lacks {self._published - len(self._expected)} final events"
            )
        with anyio.move_on_after(_LEVEL_S):
            while lagging := [record for record in self.records if self._lacks(record)]:
                self._say(f"{len(lagging)} subscribers are behind: {lagging[0].name} ...")
                await anyio.sleep(2)
        await anyio.sleep(3)  # what is given twice is given after this, too

    def _lacks(self, record: Record) -> bool:
        return not set(self._wanted(record)) <= set(record.done)

    def _wanted(self, record: Record) -> list[int]:
        return [int(event["sequence"]) for event in self._expected if record.want.holds(event)]

    def _say(self, text: str) -> None:
        print(f"{time.monotonic() - self._begun:8.2f}  {text}", flush=True)


async def _read_log(http: httpx.AsyncClient, url: str) -> list[dict[str, Any]]:
    """Read the whole log through a gateway."""
    events: list[dict[str, Any]] = []
    target = "/v1/events?limit=1000"
    while target:
        answer = (await http.get(url + target)).raise_for_status()
        events += answer.json()
        target = answer.links.get("next", {}).get("url", "")
    return events


def _is_ordered(kind: Kind, number: int) -> bool:
    return kind.keeps_its_cursor or number % 2 == 0


@contextmanager
def _no_signals() -> Iterator[None]:
    """Leave the signals of this process to whoever runs it."""
    yield
