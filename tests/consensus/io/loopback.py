"""Peers on the loopback interface for the tests of the transport."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TypeVar

import msgspec
import trio

from consensus.core.inputs import Input
from consensus.core.messages import Lane, Message
from consensus.io.hello import greet
from consensus.io.inbox import Inbox
from consensus.io.network import Network
from consensus.io.tls import PeerIdentity
from consensus.io.tls_stream import TlsStream as OwnTlsStream
from consensus.io.transport import PeerTransport
from ledger.core.ids import NodeIndex

GENESIS_HASH = bytes(range(32))
WAIT_S = 50  # never reached on a machine that is not starved
InputType = TypeVar("InputType", bound=Input)
TlsStream = trio.SSLStream[trio.SocketStream]
ALICE, BOB = PeerIdentity(b"a" * 32), PeerIdentity(b"b" * 32)  # the ends of a ``tls_pair``
_dialled: list[TlsStream] = []


async def eventually(is_so: Callable[[], bool]) -> None:
    """Wait until something that nobody announces has become true."""
    with trio.fail_after(WAIT_S):
        while not is_so():  # noqa: ASYNC110 - the code under test has no event for it
            await trio.sleep(0.002)


async def tcp_pair() -> tuple[trio.SocketStream, trio.SocketStream]:
    """Give the two ends of a connection."""
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    async with listener:
        near = await trio.open_tcp_stream(*listener.socket.getsockname())
        return near, await listener.accept()


@asynccontextmanager
async def tls_pair() -> AsyncIterator[tuple[OwnTlsStream, OwnTlsStream]]:
    """Give the two ends of a connection, of ALICE and of BOB, after their handshake."""
    near, far = await tcp_pair()
    ends = (
        OwnTlsStream(near, ALICE.client),
        OwnTlsStream(far, BOB.server, server_side=True),
    )
    try:
        async with trio.open_nursery() as nursery:
            for end in ends:
                nursery.start_soon(end.do_handshake)
        yield ends
    finally:
        for end in ends:
            end.close()


def seed(index: int) -> bytes:
    """Give the peer seed of a test node."""
    return bytes([index + 1]) * 32


async def open_ports(count: int) -> list[list[trio.SocketListener]]:
    """Bind ``count`` free ports on the loopback interface."""
    return [await trio.open_tcp_listeners(0, host="127.0.0.1") for _ in range(count)]


def address(listeners: list[trio.SocketListener]) -> tuple[str, int]:
    """Give where a listener can be dialled."""
    host, port = listeners[0].socket.getsockname()[:2]
    return host, port


def networks(addresses: Sequence[tuple[str, int]]) -> list[Network]:
    """Give each of the nodes at ``addresses`` its view of the network."""
    identities = [PeerIdentity(seed(i)) for i in range(len(addresses))]
    return [
        Network(
            identity=identities[me],
            genesis_hash=GENESIS_HASH,
            index=NodeIndex(me),
            keys={
                NodeIndex(i): identity.public_key
                for i, identity in enumerate(identities)
                if i != me
            },
            addresses={NodeIndex(i): place for i, place in enumerate(addresses) if i != me},
        )
        for me in range(len(addresses))
    ]


@dataclass
class Peer:
    """A running transport and what it has put into its inbox so far."""

    network: Network
    transport: PeerTransport
    inbox: Inbox
    listeners: list[trio.SocketListener]
    seen: list[Input]

    def send(self, peer: NodeIndex, message: Message) -> None:
        """Send a message at once."""
        self.transport.send(peer, message)
        self.transport.flush(peer)

    def broadcast(self, message: Message) -> None:
        """Send everybody a message at once."""
        self.transport.broadcast(message)
        self.transport.flush(NodeIndex(0))

    async def until(self, count: int, kind: type[InputType]) -> list[InputType]:
        """Wait for ``count`` inputs of a kind; everything taken on the way is kept in ``seen``."""
        with trio.fail_after(WAIT_S):
            while sum(isinstance(item, kind) for item in self.seen) < count:
                await self.inbox.wait()
                self.seen += self.inbox.take()
        return [item for item in self.seen if isinstance(item, kind)]


@asynccontextmanager
async def running(count: int, *, only: Sequence[int] | None = None) -> AsyncIterator[list[Peer]]:
    """Run the transports of ``count`` nodes, or only those of the given indices."""
    ports = await open_ports(count)
    peers = []
    for network, listeners in zip(networks([address(p) for p in ports]), ports, strict=True):
        inbox = Inbox()
        peers.append(Peer(network, PeerTransport(network, inbox), inbox, listeners, []))
    try:
        async with trio.open_nursery() as nursery:
            for index, peer in enumerate(peers):
                if only is None or index in only:
                    nursery.start_soon(peer.transport.run, peer.listeners)
            yield peers
            nursery.cancel_scope.cancel()
    finally:
        while _dialled:
            await trio.aclose_forcefully(_dialled.pop())
        for port in ports:
            port[0].socket.close()


async def dial(network: Network, place: tuple[str, int]) -> TlsStream:
    """Connect with the identity of ``network``, up to the end of the TLS handshake."""
    stream = trio.SSLStream(
        await trio.open_tcp_stream(*place), network.identity.client, https_compatible=True
    )
    _dialled.append(stream)
    await stream.do_handshake()
    return stream


async def dial_and_greet(
    network: Network, place: tuple[str, int], lane: Lane, **changes: object
) -> TlsStream:
    """Connect and greet as ``network`` says, with some fields changed."""
    stream = await dial(network, place)
    await greet(stream, msgspec.structs.replace(network.hello(lane), **changes))
    return stream
