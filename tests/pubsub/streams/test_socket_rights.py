"""Rights on WebSockets: the same principal, the same topics, and an end when a token is void."""

import re
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path

import anyio
import pytest

from pubsub.core.rights import Scope
from pubsub.io.pipe import PIPE_EXTENSION
from pubsub.io.rights import RightsSettings
from tests.pubsub.gateway_world import World, gateway_world, sample
from tests.pubsub.rights.test_principals import add, api_token, revoke, settings_of, text_of

OPEN = sample(0, topic="catalog.open")
SECRET = sample(1, topic="catalog.private")


class Socket:
    """A WebSocket of a test's own: what was accepted, written, and why it was closed."""

    is_blocked = False
    is_lost = False

    def __init__(self, world: World, token: str | None, query: str = "after=-1") -> None:
        self.on_lost: Callable[[], None] | None = None
        self.sequences: list[int] = []
        self.subprotocol: object = None
        self.closed: tuple[object, object] | None = None
        self.news = anyio.Event()
        self._app = world.app
        rows = [] if token is None else [(b"authorization", f"Bearer {token}".encode())]
        self._scope: dict[str, object] = {
            "type": "websocket",
            "path": "/v1/stream",
            "query_string": query.encode(),
            "root_path": "",
            "scheme": "ws",
            "headers": [(b"host", b"gateway"), *rows],
            "subprotocols": ["cloudevents.json"],
            "extensions": {PIPE_EXTENSION: {"pipe": self}},
        }

    async def run(self) -> None:
        """Live until it is closed."""
        await self._app(self._scope, self._receive, self._send)

    async def until(self, is_so: Callable[[], bool]) -> None:
        """Wait for something to be so after a message."""
        with anyio.fail_after(5):
            while not is_so():
                await self.news.wait()
                self.news = anyio.Event()

    def write(self, data: bytes) -> None:
        """Take frames."""
        self.sequences += map(int, re.findall(rb'"sequence":"(\d+)"', data))
        self.news.set()

    def beat(self, data: bytes) -> None:
        """Take a ping."""

    async def drained(self) -> None:
        """Never wait."""

    def cut(self) -> None:
        """Never happens."""

    async def _receive(self) -> dict[str, object]:
        return {"type": "websocket.connect"}

    async def _send(self, message: Mapping[str, object]) -> None:
        if message["type"] == "websocket.accept":
            self.subprotocol = message["subprotocol"]
        else:
            assert message["type"] == "websocket.close"
            self.closed = (message["code"], str(message["reason"]).partition(":")[0])
        self.news.set()


@pytest.fixture
def rights(tmp_path: Path) -> RightsSettings:
    """Give a restricted topic and three tokens."""
    made = settings_of(tmp_path, restricted=("catalog.private",), anonymous=frozenset())
    for token in (
        api_token("reader", Scope.READ),
        api_token("insider", Scope.READ, topics=("catalog.private",)),
        api_token("publisher", Scope.PUBLISH),
    ):
        add(made, token)
    return made


@pytest.fixture
async def world(tmp_path: Path, rights: RightsSettings) -> AsyncIterator[World]:
    """Give a gateway with these rights and two events."""
    async with gateway_world(tmp_path, rights=rights) as running:
        await running.node.extend([OPEN.entry, SECRET.entry])
        yield running


@pytest.mark.parametrize(("name", "sequences"), [("reader", [0, 2]), ("insider", [0, 1, 2, 3])])
async def test_only_readable_topics_come(world: World, name: str, sequences: list[int]) -> None:
    """Stored or new, an event on a restricted topic comes to those alone who may read it."""
    socket = Socket(world, text_of(name))
    async with anyio.create_task_group() as group:
        group.start_soon(socket.run)
        await socket.until(lambda: 0 in socket.sequences)
        await world.node.extend([sample(2, topic="catalog.open").entry])
        await socket.until(lambda: 2 in socket.sequences)
        await world.node.extend([sample(3, topic="catalog.private").entry])
        await world.node.extend([sample(4, topic="catalog.open").entry])
        await socket.until(lambda: 4 in socket.sequences)
        assert socket.sequences == [*sequences, 4]
        assert socket.subprotocol == "cloudevents.json"
        group.cancel_scope.cancel()


@pytest.mark.parametrize(
    ("token", "code"),
    [
        (None, "unauthenticated"),
        ("nonsense", "unauthenticated"),
        (text_of("nobody"), "unauthenticated"),
        (text_of("publisher"), "forbidden"),
    ],
)
async def test_who_may_not_read_is_closed(world: World, token: str | None, code: str) -> None:
    """Without the right to read a WebSocket closes with 1008, and brought nothing."""
    socket = Socket(world, token)
    with anyio.fail_after(5):
        await socket.run()
    assert socket.closed == (1008, code)
    assert socket.sequences == []


async def test_a_revoked_token_ends_its_sockets(world: World, rights: RightsSettings) -> None:
    """The next heartbeat closes the WebSockets of a token that was revoked, and no others."""
    socket, other = Socket(world, text_of("reader")), Socket(world, text_of("insider"))
    async with anyio.create_task_group() as group:
        group.start_soon(socket.run)
        group.start_soon(other.run)
        await socket.until(lambda: 0 in socket.sequences)
        await other.until(lambda: 1 in other.sequences)
        revoke(rights, "reader")
        with anyio.fail_after(10):
            while socket.closed is None:
                world.gateway.fanout._beat()
                await anyio.sleep(0.05)
        assert socket.closed == (1008, "unauthenticated")
        assert other.closed is None
        group.cancel_scope.cancel()
    assert world.gateway.streams_count == 0
