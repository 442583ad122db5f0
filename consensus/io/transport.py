"""The node's connections to its peers: two outgoing ones to each, and whatever they dialled.

Owns who is up: a peer is up while both lanes to it are connected. Sending never waits and never
fails; what does not fit is dropped, because the protocol repeats what matters.
"""

from typing import Protocol

import trio

from consensus.core.cosigning_messages import CosigningMessage
from consensus.core.inputs import PeerDown, PeerUp
from consensus.core.messages import Lane, Message, lane_of, message_frame
from consensus.io.dialler import Dialler
from consensus.io.inbox import Inbox
from consensus.io.listener import Listener
from consensus.io.network import Network, TransportCounters
from ledger.core.errors import PeerFault
from ledger.core.ids import NodeIndex

__all__ = ["Aside", "PeerTransport"]


class Aside(Protocol):
    """Whom peers concern beside consensus."""

    def on_message(self, peer: NodeIndex, message: CosigningMessage, /) -> None:
        """Take a message that is not for consensus."""
        ...

    def on_peer_up(self, peer: NodeIndex, /) -> None:
        """Note that a peer is up."""
        ...


class _Nobody:
    """Takes nothing in."""

    def on_message(self, peer: NodeIndex, message: CosigningMessage, /) -> None: ...

    def on_peer_up(self, peer: NodeIndex, /) -> None: ...


class PeerTransport:
    """Speaks to every peer of a network and hears them.

    Attributes:
        counters: totals since the start.
    """

    def __init__(
        self,
        network: Network,
        inbox: Inbox,
        counters: TransportCounters | None = None,
        aside: Aside | None = None,
    ) -> None:
        """Report what peers say and who is up to ``inbox``; count on in ``counters``.

        What is not for consensus goes to ``aside``.
        """
        self.counters = counters or TransportCounters()
        self._inbox = inbox
        self._aside = aside or _Nobody()
        self._listener = Listener(
            network, inbox, self.counters, self._on_peer, self._aside.on_message
        )
        self._diallers = {
            (peer, lane): Dialler(network, peer, lane, self.counters, self._on_change)
            for peer in network.keys
            for lane in Lane
        }
        self._by_lane = {
            lane: [
                d
                for (peer, its_lane), d in self._diallers.items()
                if its_lane is lane and peer not in network.guests
            ]
            for lane in Lane
        }
        self._guests = network.guests
        self._up: set[NodeIndex] = set()
        self._unflushed: dict[Dialler, None] = {}

    async def run(self, listeners: list[trio.SocketListener]) -> None:
        """Dial and accept until cancelled."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._listener.run, listeners)
            for dialler in self._diallers.values():
                nursery.start_soon(dialler.run)

    def send(self, peer: NodeIndex, message: Message) -> None:
        """Queue a message for one peer; it leaves with :meth:`flush`."""
        dialler = self._diallers.get((peer, lane_of(message)))
        if dialler is not None:  # an answer may come out of an epoch in which there was such a peer
            dialler.queue.put(message_frame(message))
            self._unflushed[dialler] = None

    def broadcast(self, message: Message) -> None:
        """Queue a message for every validator; it is encoded once, and leaves with :meth:`flush`.

        So what one step says to a peer is one record, and wakes it once.
        """
        frame = message_frame(message)
        for dialler in self._by_lane[lane_of(message)]:
            dialler.queue.put(frame)
            self._unflushed[dialler] = None

    def flush(self, first: NodeIndex) -> None:
        """Send what was queued, to the peer ``first`` before all others: they wait for it."""
        unflushed = self._unflushed
        if not unflushed:
            return
        for lane in Lane:
            dialler = self._diallers.get((first, lane))
            if dialler in unflushed:
                dialler.flush()
                del unflushed[dialler]
        for dialler in unflushed:
            dialler.flush()
        unflushed.clear()

    def send_frame(self, peer: NodeIndex, lane: Lane, frame: bytes) -> None:
        """Send a message that is encoded and framed already."""
        dialler = self._diallers.get((peer, lane))
        if dialler is not None:
            dialler.queue.put(frame)
            dialler.flush()

    def broadcast_frame(self, lane: Lane, frame: bytes) -> None:
        """Send every validator a message that is encoded and framed already."""
        for dialler in self._by_lane[lane]:
            dialler.queue.put(frame)
            dialler.flush()

    def send_guests(self, lane: Lane, frame: bytes) -> None:
        """Send every guest a message that is encoded and framed already."""
        for guest in self._guests:
            self.send_frame(guest, lane, frame)

    def silence(self, peer: NodeIndex) -> None:
        """Disconnect a peer whose offence the core found, and do not hear it for a while."""
        self._listener.silence(peer)

    def blame(self, peer: NodeIndex, fault: PeerFault) -> None:
        """Count a fault of a peer that was found beside the core, and silence it."""
        self._listener.blame(peer, fault)

    @property
    def peers_up(self) -> frozenset[NodeIndex]:
        """The peers to which both lanes are connected."""
        return frozenset(self._up)

    def queues(self) -> dict[Lane, tuple[int, int, int]]:
        """Give, for each lane, frames and bytes that wait and frames dropped, over all peers."""
        return {
            lane: (
                sum(len(d.queue) for d in diallers),
                sum(d.queue.bytes_count for d in diallers),
                sum(d.queue.dropped for d in diallers),
            )
            for lane, diallers in self._by_lane.items()
        }

    def _on_peer(self, peer: NodeIndex) -> None:
        for lane in Lane:
            self._diallers[peer, lane].hurry()

    def _on_change(self, peer: NodeIndex) -> None:
        is_up = all(self._diallers[peer, lane].is_up for lane in Lane)
        if is_up and peer not in self._up:
            self._up.add(peer)
            self._inbox.put_own(PeerUp(peer))
            self._aside.on_peer_up(peer)
        elif not is_up and peer in self._up:
            self._up.remove(peer)
            self._inbox.put_own(PeerDown(peer))
