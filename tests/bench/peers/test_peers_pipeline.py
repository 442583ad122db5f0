"""The load generator against a peer of a few lines: how much is under way, and what is counted."""

import socket
import threading
from collections.abc import Iterator

import pytest

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
