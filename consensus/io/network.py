"""What dialler and listener share: who the peers are, what is counted, how sockets are set up."""

import socket
from collections.abc import Mapping
from dataclasses import dataclass, field

import trio

from consensus.core.messages import Lane
from consensus.io.hello import Hello
from consensus.io.tls import PeerIdentity
from ledger.core.errors import Offence
from ledger.core.ids import NodeIndex, PublicKey
from ledger.core.limits import PEER_SILENCE_MS_MAX, PROTOCOL_VERSION

__all__ = ["LOST", "Address", "Network", "TransportCounters", "tune_socket"]

Address = tuple[str, int]

LOST = (OSError, trio.BrokenResourceError, trio.ClosedResourceError)
"""What a stream raises when its connection is gone; TLS faults are among them."""


@dataclass(frozen=True)
class Network:
    """This node and its peers.

    Attributes:
        keys: peer key of every other validator, and of every guest: one that was a validator of
            the epoch before and may have to hear that it is none any more; addresses: where to
            dial it.
        guests: indexes of guests, beyond those of all validators.
    """

    identity: PeerIdentity
    genesis_hash: bytes
    index: NodeIndex
    keys: Mapping[NodeIndex, PublicKey]
    addresses: Mapping[NodeIndex, Address]
    guests: frozenset[NodeIndex] = frozenset()

    def hello(self, lane: Lane) -> Hello:
        """Give this node's greeting."""
        return Hello(PROTOCOL_VERSION, self.genesis_hash, lane, self.index)


@dataclass
class TransportCounters:
    """Totals since the start. ``faults`` counts by offence, of known peers and of strangers."""

    bytes_sent: int = 0
    bytes_received: int = 0
    messages_received: int = 0
    connections_accepted: int = 0
    connections_evicted: int = 0
    dials_failed: int = 0
    faults: dict[Offence, int] = field(default_factory=dict)

    def count_fault(self, offence: Offence) -> None:
        """Count one offence."""
        self.faults[offence] = self.faults.get(offence, 0) + 1


def tune_socket(stream: trio.SocketStream) -> None:
    """Send small frames at once, and notice a peer whose machine has vanished.

    A stopped process is noticed too, once data for it has waited so long: dialling again is
    cheap, and the connection would have been of no use.
    """
    silence_s = PEER_SILENCE_MS_MAX // 1_000
    stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    stream.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, silence_s // 3)
    stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, silence_s // 3)
    stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 2)
    stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, PEER_SILENCE_MS_MAX)
