"""Incoming connections: authenticates them and puts what they say into the inbox.

Until its key and its greeting are checked a connection is a stranger's: there are few of these at
a time, each has a short time, and the oldest gives way to the newest, so that idle strangers
cannot keep peers out. A peer has one connection a lane; a newer one replaces the older.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial

import structlog
import trio

from consensus.core.cosigning_messages import (
    COSIGNING,
    CosigningMessage,
    decode_peer_message,
)
from consensus.core.frames import Frame, FrameSplitter
from consensus.core.inputs import PeerMessage, PeerMisbehaved
from consensus.core.messages import Lane
from consensus.io.hello import greet_back
from consensus.io.inbox import Inbox, Share
from consensus.io.network import LOST, Network, TransportCounters, tune_socket
from consensus.io.ready import ReadyPoll
from consensus.io.receiver import Receiver
from consensus.io.tls import peer_key
from consensus.io.tls_stream import TlsStream
from ledger.core.errors import DecodeError, Offence, PeerFault
from ledger.core.ids import NodeIndex
from ledger.core.limits import (
    CONSENSUS_FRAME_BYTES_MAX,
    FRAME_BYTES_MAX,
    HANDSHAKE_MS_MAX,
    INBOX_BYTES_MAX,
    INBOX_FRAMES_MAX,
    PEER_COOLDOWN_MS,
    PENDING_CONNECTIONS_MAX,
)

__all__ = ["Listener"]

_log = structlog.get_logger()
_FRAME_BYTES_MAX: Mapping[Lane, int] = {
    Lane.CONSENSUS: CONSENSUS_FRAME_BYTES_MAX,
    Lane.BULK: FRAME_BYTES_MAX,
}
_Source = tuple[NodeIndex, Lane]


class Listener:
    """Serves the connections that peers dialled."""

    def __init__(
        self,
        network: Network,
        inbox: Inbox,
        counters: TransportCounters,
        on_peer: Callable[[NodeIndex], None],
        on_cosigning: Callable[[NodeIndex, CosigningMessage], None],
    ) -> None:
        """Call ``on_peer`` when a peer has connected and is who it says.

        What peers say of checkpoints is given to ``on_cosigning``, the rest to ``inbox``.
        """
        self._network = network
        self._inbox = inbox
        self._counters = counters
        self._on_peer = on_peer
        self._on_cosigning = on_cosigning
        self._index_of_key = {key: index for index, key in network.keys.items()}
        self._strangers: dict[trio.CancelScope, None] = {}
        self._connected: dict[_Source, trio.CancelScope] = {}
        self._ready = ReadyPoll(inbox.turn)
        self._silenced_until: dict[NodeIndex, float] = {}
        self._shares = {
            (peer, lane): Share(
                count_max=INBOX_FRAMES_MAX[lane],
                bytes_max=INBOX_BYTES_MAX[lane],
                is_urgent=lane is Lane.CONSENSUS,
            )
            for peer in network.keys
            for lane in Lane
        }

    async def run(self, listeners: list[trio.SocketListener]) -> None:
        """Accept connections until cancelled."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._ready.run)
            nursery.start_soon(trio.serve_listeners, self._serve, listeners)

    def silence(self, peer: NodeIndex) -> None:
        """Disconnect a peer and hear nothing from it for a bounded time.

        Bounded and short, because a validator that is shut out for long is missing in quorums.
        """
        self._silenced_until[peer] = trio.current_time() + PEER_COOLDOWN_MS / 1_000
        for lane in Lane:
            scope = self._connected.get((peer, lane))
            if scope is not None:
                scope.cancel()

    async def _serve(self, socket_stream: trio.SocketStream) -> None:
        self._counters.connections_accepted += 1
        try:
            tune_socket(socket_stream)
        except LOST:
            return
        stream = TlsStream(socket_stream, self._network.identity.server, server_side=True)
        try:
            source = await self._admit(stream)
            if source is not None:
                await self._hear(stream, source)
        except LOST:
            pass  # the peer dials again
        finally:
            stream.close()

    async def _admit(self, stream: TlsStream) -> _Source | None:
        """Find out who it is. None when it took too long or had to give way."""
        if len(self._strangers) >= PENDING_CONNECTIONS_MAX:
            next(iter(self._strangers)).cancel()
            self._counters.connections_evicted += 1
        with trio.move_on_after(HANDSHAKE_MS_MAX / 1_000) as scope:
            self._strangers[scope] = None
            peer = None
            try:
                await stream.do_handshake()
                peer = self._identify(stream)
                if trio.current_time() < self._silenced_until.get(peer, 0):
                    return None
                return peer, (await greet_back(stream, self._network.hello)).lane
            except PeerFault as fault:
                self.blame(peer, fault)
            finally:
                del self._strangers[scope]
        return None

    def _identify(self, stream: TlsStream) -> NodeIndex:
        peer = self._index_of_key.get(peer_key(stream))
        if peer is None:
            raise PeerFault(Offence.WRONG_IDENTITY, "its key is none of the validators'")
        return peer

    async def _hear(self, stream: TlsStream, source: _Source) -> None:
        with trio.CancelScope() as scope:
            older = self._connected.get(source)
            if older is not None:
                older.cancel()
            self._connected[source] = scope
            self._on_peer(source[0])
            receiver = Receiver(
                stream,
                self._ready,
                self._shares[source],
                FrameSplitter(_FRAME_BYTES_MAX[source[1]]),
                partial(self._take_in, *source),
            )
            try:
                await receiver.run(scope)
            except PeerFault as fault:
                self.blame(source[0], fault)
            finally:
                if self._connected.get(source) is scope:
                    del self._connected[source]

    def _take_in(self, peer: NodeIndex, lane: Lane, size: int, frames: Sequence[Frame]) -> None:
        """Take in what one read of ``size`` bytes has completed. Raises PeerFault."""
        self._counters.bytes_received += size
        if not frames:
            return
        try:
            messages = [decode_peer_message(frame) for frame in frames]
        except DecodeError as error:
            raise PeerFault(Offence.MALFORMED, str(error)) from None
        self._counters.messages_received += len(messages)
        inputs: list[PeerMessage] = []
        for message in messages:
            if message.lane is not lane:
                raise PeerFault(Offence.MALFORMED, f"a message that is not of lane {lane.name}")
            if isinstance(message, COSIGNING):
                self._on_cosigning(peer, message)
            else:
                inputs.append(PeerMessage(peer, message))
        if inputs:
            self._inbox.put(self._shares[peer, lane], inputs, sum(map(len, frames)))

    def blame(self, peer: NodeIndex | None, fault: PeerFault) -> None:
        """Count a fault; disconnect the peer for a while, and tell the core."""
        self._counters.count_fault(fault.offence)
        if peer is None:
            _log.debug("stranger_refused", fault=str(fault))
            return
        _log.warning("peer_fault", peer=peer, fault=str(fault))
        self.silence(peer)
        self._inbox.put_own(PeerMisbehaved(peer, fault.offence))
