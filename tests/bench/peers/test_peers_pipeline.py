"""The load generator against a peer of a few lines: how much is under way, and what is counted."""

import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.network.sustained import LoadShape
from bench.peers.cluster import Daemons
from bench.peers.measure import LostMessagesError, Plan, Step, measure_cluster
from bench.peers.pipeline import Link, keep_in_flight
from bench.peers.wire import PublishError

_RECORD_BYTES = 8


class _CountingWire:
    """Messages and acknowledgements are numbers of eight bytes; the number 13 may be refused."""

    messages = 2

    def __init__(self, refused: int = -1) -> None:
        self.replies = bytearray()
        self._refused = refused
        self._left = b""

    def may_publish(self) -> bool:
        return True

    def publish(self, number: int, payload: bytes) -> bytes:
        assert payload == b"payload"
        return number.to_bytes(_RECORD_BYTES, "big")

    def acknowledged(self, received: bytes) -> Iterator[int]:
        data = self._left + received
        whole = len(data) - len(data) % _RECORD_BYTES
        self._left = data[whole:]
        for at in range(0, whole, _RECORD_BYTES):
            number = int.from_bytes(data[at : at + _RECORD_BYTES], "big")
            if number == self._refused:
                raise PublishError("refused")
            yield number


class _Peer(threading.Thread):
    """Sends back whatever it gets, and notes the most that it got at once."""

    def __init__(self, connection: socket.socket) -> None:
        super().__init__(daemon=True)
        self._connection = connection
        self.most = 0
        self.messages = 0

    def run(self) -> None:
        with self._connection:
            while received := self._connection.recv(1 << 16):
                self.most = max(self.most, len(received) // _RECORD_BYTES)
                self.messages += len(received) // _RECORD_BYTES
                self._connection.sendall(received)


def _connected(wires: list[_CountingWire]) -> tuple[list[Link], list[_Peer]]:
    links, peers = [], []
    for wire in wires:
        near, far = socket.socketpair()
        links.append(Link(near, wire))
        peers.append(_Peer(far))
        peers[-1].start()
    return links, peers


def _close(links: list[Link], peers: list[_Peer]) -> None:
    for link in links:
        link.socket.close()
    for peer in peers:
        peer.join()


def test_the_number_under_way_is_kept() -> None:
    """No more than asked for is under way, spread over the connections, and all is acknowledged."""
    links, peers = _connected([_CountingWire(), _CountingWire()])
    edges: list[int] = []
    window = keep_in_flight(links, 7, [b"payload"], (0.02, 0.05), lambda: edges.append(1))
    _close(links, peers)
    assert [peer.most for peer in peers] == [4, 3]
    assert len(edges) == 2
    assert window.acknowledged == 2 * sum(peer.messages for peer in peers)
    assert 0 < window.messages == 2 * len(window.times_ms) < window.acknowledged
    assert window.seconds >= 0.05
    assert all(0 < ms < 1000 for ms in window.times_ms)


class _Cluster:
    """A cluster of echoes that holds some messages less than it acknowledged."""

    def __init__(self, directory: Path, lost: int) -> None:
        self.daemons = Daemons(directory)
        self._lost = lost
        self.peers: list[_Peer] = []

    def links(self, count: int, puts: int = 1) -> list[Link]:
        assert puts == 2
        links, peers = _connected([_CountingWire() for _ in range(count)])
        self.peers += peers
        return links

    def stored(self) -> int:
        for peer in self.peers:
            peer.join()
        return 2 * sum(peer.messages for peer in self.peers) - self._lost


def _plan() -> Plan:
    bulk = [LoadShape(1, 1, wait=True, warm_up_s=0.0, window_s=0.0)]
    return Plan(1, 0.01, 0.03, bulk, [], [], [b"payload"])


def test_levels_are_held_one_after_the_other(tmp_path: Path) -> None:
    """Each step gives a level with its number under way, and all messages are accounted for."""
    steps = [Step(1, 1, 2), Step(8, 2, 2)]
    measured = measure_cluster(_Cluster(tmp_path / "peer", 0), steps, _plan())
    assert [level.in_flight for level in measured.levels] == [2, 16]
    assert all(level.messages_per_s > 0 for level in measured.levels)
    assert measured.stored == measured.acknowledged > 0


def test_lost_messages_are_noticed(tmp_path: Path) -> None:
    """A peer that holds one message less than it acknowledged is not measured."""
    with pytest.raises(LostMessagesError):
        measure_cluster(_Cluster(tmp_path / "peer", 1), [Step(1, 1, 2)], _plan())


def test_a_refusal_ends_the_measurement() -> None:
    """A message that is not taken is no slow success."""
    links, peers = _connected([_CountingWire(refused=13)])
    with pytest.raises(PublishError, match="refused"):
        keep_in_flight(links, 4, [b"payload"], (0.01, 5.0), lambda: None)
    _close(links, peers)


def test_a_lost_connection_ends_the_measurement() -> None:
    """A peer that goes away is noticed at once."""
    near, far = socket.socketpair()
    far.close()
    link = Link(near, _CountingWire())
    with pytest.raises((PublishError, BrokenPipeError)):
        keep_in_flight([link], 1, [b"payload"], (0.01, 5.0), lambda: None)
    near.close()
