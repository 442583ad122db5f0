"""What is beside consensus passes by the core: to whom it belongs, on the bulk lane alone."""

import trio

from consensus.core.cosigning_messages import (
    CosignatureMessage,
    CosigningMessage,
    encode_cosigning,
)
from consensus.core.frames import encode_frame
from consensus.core.inputs import PeerMessage, PeerMisbehaved, PeerUp
from consensus.core.messages import BatchMessage, Lane
from consensus.io.inbox import Inbox
from consensus.io.transport import PeerTransport
from ledger.core.errors import Offence, PeerFault
from ledger.core.ids import Epoch, NodeIndex
from tests.consensus.io.loopback import Peer, address, eventually, networks, open_ports

MESSAGE = CosignatureMessage(Epoch(0), 1, 2, bytes(32), bytes(64), bytes(64))
FRAME = encode_frame(encode_cosigning(MESSAGE))


class Aside:
    """Notes what it is told."""

    def __init__(self) -> None:
        self.heard: list[tuple[NodeIndex, CosigningMessage]] = []
        self.up: list[NodeIndex] = []

    def on_message(self, peer: NodeIndex, message: CosigningMessage) -> None:
        """Note a message."""
        self.heard.append((peer, message))

    def on_peer_up(self, peer: NodeIndex) -> None:
        """Note a peer."""
        self.up.append(peer)


async def test_cosigning_passes_by_the_core() -> None:
    """Its messages go aside in their order among others, and a peer that comes up is told of."""
    ports = await open_ports(2)
    asides = [Aside(), Aside()]
    peers = []
    for network, listeners, aside in zip(
        networks([address(port) for port in ports]), ports, asides, strict=True
    ):
        inbox = Inbox()
        transport = PeerTransport(network, inbox, aside=aside)
        peers.append(Peer(network, transport, inbox, listeners, []))
    async with trio.open_nursery() as nursery:
        for peer in peers:
            nursery.start_soon(peer.transport.run, peer.listeners)
        await peers[0].until(1, PeerUp)
        assert asides[0].up == [1]
        peers[0].transport.broadcast_frame(Lane.BULK, FRAME)
        peers[0].send(NodeIndex(1), BatchMessage(b"batch"))
        (got,) = await peers[1].until(1, PeerMessage)
        assert got == PeerMessage(NodeIndex(0), BatchMessage(b"batch"))
        assert asides[1].heard == [(NodeIndex(0), MESSAGE)]
        peers[1].transport.blame(NodeIndex(0), PeerFault(Offence.BAD_CHECKPOINT))
        await peers[1].until(1, PeerMisbehaved)
        assert peers[1].transport.counters.faults == {Offence.BAD_CHECKPOINT: 1}
        await peers[0].until(2, PeerUp)  # disconnected, and connected again after a while
        assert asides[0].up == [1, 1]
        peers[0].transport.send_frame(NodeIndex(1), Lane.CONSENSUS, FRAME)
        await eventually(lambda: Offence.MALFORMED in peers[1].transport.counters.faults)
        assert len(asides[1].heard) == 1
        nursery.cancel_scope.cancel()
