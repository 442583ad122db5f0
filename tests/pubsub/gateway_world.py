"""A gateway with a real chain store and a node that a test plays, all in one process.

The node listens on a real Unix socket. What it answers is the test's choice; by default it takes
everything over and, when ``finalises`` is set, applies it to the chain at once.
"""

import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import anyio
import httpx
import msgspec
from anyio.abc import SocketStream
from starlette.applications import Starlette

from consensus.core.control import (
    Attend,
    ControlReply,
    ControlRequest,
    Head,
    MetricsReply,
    MetricsRequest,
    StatusReply,
    StatusRequest,
    Submit,
    SubmitReply,
    control_frame,
    decode_request,
)
from ledger.core.errors import RejectCode
from ledger.core.event import OpenEntry, open_entry
from ledger.core.execute import execute_block
from ledger.core.genesis import Genesis
from ledger.core.ids import EventId, Height
from ledger.io.chain_store import ChainStore
from pubsub.core.cloudevents import cloudevent_json
from pubsub.io.facade import Facade
from pubsub.io.gateway import GatewaySettings, create_app
from pubsub.io.rights import RightsSettings
from pubsub.io.state import Gateway
from pubsub.io.webhooks.settings import WebhookSettings
from tests.ledger.sample_network import GENESIS, batch, block_after, certificate_of, entry

WAIT_S = 5


class Chain:
    """The node's side of the chain store."""

    def __init__(self, path: Path, genesis: Genesis = GENESIS) -> None:
        self.store = ChainStore.create(path, genesis)
        self._number = 0
        self._grown = (Height(0), 0)

    def extend(self, entries: Sequence[bytes] = (), *, certified: bool = True) -> Height:
        """Apply the next block with these entries; give its height."""
        with self.store.write() as writer:
            payload = []
            if entries:
                self._number += 1
                id_, encoded = batch(entries, self._number)
                writer.store_batch(id_, encoded)
                payload.append(id_)
            head = writer.reader.head()
            block_id, block = block_after(writer.root, head.block_id, payload)
            result = execute_block(writer, block_id, block, lambda _: False)
            certificate = certificate_of(block_id, block.height) if certified else None
            writer.apply(result, certificate)
        if result.accepted:
            self._grown = (block.height, time.time_ns() // 1_000_000)
        return block.height

    def head(self) -> Head:
        """Give what the node tells about the store."""
        with self.store.read() as reader:
            head = reader.head()
        return Head(head.height, head.log_size, *self._grown)

    def has(self, id_: EventId) -> bool:
        """Say whether the log holds the event."""
        with self.store.read() as reader:
            return reader.has_event(id_)


class FakeNode:
    """The node's end of the control socket.

    Attributes:
        submissions: the entries of every submission.
        awaited: how many of them somebody waits for.
        attends: what gateways said of their readers, in order.
        finalises: apply what is submitted to the chain at once.
        judge: gives the code of an entry.
        is_silent: take requests and never answer.
    """

    def __init__(self, path: Path, chain: Chain) -> None:
        self.path = path
        self.chain = chain
        self.submissions: list[tuple[bytes, ...]] = []
        self.awaited = 0
        self.attends: list[bool] = []
        self.finalises = False
        self.is_silent = False
        self.status: bytes = b'{"progress":"ok","round":7}'
        self.judge: Callable[[bytes], str] = self._judge
        self.connections: set[SocketStream] = set()
        self._sending = anyio.Lock()

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[None]:
        """Serve while the block runs; afterwards nobody listens."""
        listener = await anyio.create_unix_listener(self.path)
        async with listener, anyio.create_task_group() as group:
            group.start_soon(listener.serve, self._serve)
            yield
            group.cancel_scope.cancel()
        self.path.unlink(missing_ok=True)

    async def tell_head(self) -> None:
        """Send the head of the chain to every gateway."""
        for stream in list(self.connections):
            with suppress(anyio.ClosedResourceError, anyio.BrokenResourceError):
                await self.send(stream, self.chain.head())

    async def extend(self, entries: Sequence[bytes] = (), *, certified: bool = True) -> None:
        """Apply a block and tell."""
        self.chain.extend(entries, certified=certified)
        await self.tell_head()

    async def send(self, stream: SocketStream, reply: ControlReply) -> None:
        """Send one frame."""
        await self.send_bytes(stream, bytes(control_frame(reply)))

    async def send_bytes(self, stream: SocketStream, data: bytes) -> None:
        """Send any bytes, one piece at a time."""
        async with self._sending:
            await stream.send(data)

    async def _serve(self, stream: SocketStream) -> None:
        async with stream:
            self.connections.add(stream)
            try:
                await self.send(stream, self.chain.head())
                buffer = b""
                while True:
                    buffer += await stream.receive()
                    while len(buffer) >= 4 and len(buffer) >= 4 + int.from_bytes(buffer[:4]):
                        end = 4 + int.from_bytes(buffer[:4])
                        await self._answer(stream, decode_request(buffer[4:end]))
                        buffer = buffer[end:]
            except (anyio.EndOfStream, anyio.BrokenResourceError, anyio.ClosedResourceError):
                pass
            finally:
                self.connections.discard(stream)

    async def _answer(self, stream: SocketStream, request: ControlRequest) -> None:
        if isinstance(request, Submit):
            self.submissions.append(request.entries)
            self.awaited += request.is_awaited
        elif isinstance(request, Attend):
            self.attends.append(request.is_live)
        if self.is_silent:
            return
        match request:
            case Submit(id_, entries, _):
                codes = tuple(self.judge(data) for data in entries)
                await self.send(stream, SubmitReply(id_, codes))
                taken = [data for data, code in zip(entries, codes, strict=True) if not code]
                if self.finalises and taken:
                    await self.extend(taken)
                    await self.extend()
            case StatusRequest(id_):
                await self.send(stream, StatusReply(id_, self.status))
            case MetricsRequest(id_):
                await self.send(stream, MetricsReply(id_, b"# TYPE node_up gauge\nnode_up 1.0\n"))

    def _judge(self, data: bytes) -> str:
        return RejectCode.DUPLICATE.value if self.chain.has(open_entry(data).id) else ""


class World:
    """A gateway, its store, its node, and an HTTP client of it."""

    def __init__(self, directory: Path, app: Starlette, chain: Chain, node: FakeNode) -> None:
        self.directory = directory
        self.app = app
        self.gateway: Gateway = app.state.gateway
        self.chain = chain
        self.node = node
        transport = httpx.ASGITransport(app=app)
        self.http = httpx.AsyncClient(transport=transport, base_url="http://gateway")

    async def until_connected(self, *, connected: bool = True) -> None:
        """Wait until the gateway and the node see each other, or no longer."""
        link, node = self.gateway.link, self.node
        with anyio.fail_after(WAIT_S):
            while not (link.is_connected is connected is bool(node.connections)):  # noqa: ASYNC110 - it has no event
                await anyio.sleep(0.005)

    async def get(self, target: str, accept: str = "*/*") -> httpx.Response:
        """Send a GET request."""
        return await self.http.get(target, headers={"accept": accept})

    async def post(
        self,
        body: bytes,
        media_type: str = "application/cloudevents+json",
        query: str = "",
        headers: Mapping[str, str] | None = None,
    ) -> httpx.Response:
        """Publish a body."""
        all_headers = {"content-type": media_type, **(headers or {})}
        return await self.http.post(f"/v1/events{query}", content=body, headers=all_headers)

    async def post_bulk(
        self, entries: Sequence[bytes], query: str = "", headers: Mapping[str, str] | None = None
    ) -> httpx.Response:
        """Publish entries in bulk."""
        body = msgspec.msgpack.encode(list(entries))
        return await self.post(body, "application/vnd.concordat.events+msgpack", query, headers)


@asynccontextmanager
async def gateway_world(  # noqa: PLR0913 - what tests vary
    directory: Path,
    *,
    with_node: bool = True,
    with_store: bool = True,
    facades: Sequence[Facade] = (),
    genesis: Genesis = GENESIS,
    rights: RightsSettings | None = None,
    webhooks: WebhookSettings | None = None,
) -> AsyncIterator[World]:
    """Run a gateway in this process. LMDB opens a store once a process: both sides share it."""
    chain = Chain(directory / "chain", genesis)
    settings = GatewaySettings(
        chain_dir=directory / ("chain" if with_store else "none"),
        control_path=directory / "control.sock",
        name="member-one",
        delivery_dir=directory / "delivery",
        rights=rights or RightsSettings(),
        webhooks=webhooks or WebhookSettings(),
    )
    app = create_app(settings, facades)
    node = FakeNode(settings.control_path, chain)
    world = World(directory, app, chain, node)
    if with_store:
        world.gateway.access._store = chain.store
        world.gateway.access.error = None
    async with app.router.lifespan_context(app), world.http:
        if with_node:
            async with node.listening():
                await world.until_connected()
                yield world
        else:
            yield world


def sample(nonce: int = 0, **changes: object) -> OpenEntry:
    """Give an admissible event."""
    return open_entry(entry(nonce, **changes))  # type: ignore[arg-type] # any field


def sample_json(nonce: int = 0, **changes: object) -> bytes:
    """Give an admissible event as a CloudEvent."""
    return cloudevent_json(sample(nonce, **changes))
