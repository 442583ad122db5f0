"""The load generator: keeps a fixed number of messages under way over some connections.

One thread, epoll, no task and no object per message. A message's time runs from when its bytes are
made until the read that holds its acknowledgement; whenever messages are acknowledged as many new
ones go out. Nothing is dropped or sent twice: a refusal ends the measurement.
"""

import selectors
import socket
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

from bench.peers.wire import PublishError, Wire

__all__ = ["Link", "Window", "keep_in_flight"]

_CHUNK_BYTES = 1 << 18
_DRAIN_S = 30.0  # what is under way at the end must be acknowledged in this
_POLL_S = 0.05


class Window(NamedTuple):
    """What was acknowledged while the clock ran.

    Attributes:
        messages: acknowledged in the window.
        times_ms: of each publish that ended in it.
        acknowledged: in all, before and after the window too.
    """

    seconds: float
    messages: int
    times_ms: list[float]
    acknowledged: int


class Link:
    """One connection of the generator and what is under way on it."""

    def __init__(self, connection: socket.socket, wire: Wire) -> None:
        """Take over a connection whose handshake is done."""
        connection.settimeout(0)
        self.socket = connection
        self.sent_s: dict[int, float] = {}
        self._wire = wire
        self._next = 0
        self._unsent = bytearray()

    @property
    def is_choked(self) -> bool:
        """Say whether the socket took less than there is to send."""
        return bool(self._unsent)

    def receive(self) -> list[float]:
        """Read what is there; give when each message that is acknowledged now was sent."""
        try:
            received = self.socket.recv(_CHUNK_BYTES)
        except BlockingIOError:
            return []
        if not received:
            raise PublishError("the peer closed the connection")
        take = self.sent_s.pop
        return [take(number) for number in self._wire.acknowledged(received)]

    def fill(self, quota: int, payloads: Sequence[bytes]) -> None:
        """Publish until ``quota`` messages are under way, and send what the socket takes."""
        wire, sent_s, out = self._wire, self.sent_s, self._unsent
        if wire.replies:
            out += wire.replies
            wire.replies.clear()
        now, kinds = time.perf_counter(), len(payloads)
        while len(sent_s) < quota and wire.may_publish():
            sent_s[self._next] = now
            out += wire.publish(self._next, payloads[self._next % kinds])
            self._next += 1
        if out:
            try:
                del out[: self.socket.send(out)]
            except BlockingIOError:
                return

    @property
    def messages_per_publish(self) -> int:
        """Messages that one publish carries."""
        return self._wire.messages


class _Clock:
    """Counts what ends between begin and end of the window."""

    def __init__(self, warm_up_s: float, window_s: float, at_edges: Callable[[], None]) -> None:
        self._begin_s = time.perf_counter() + warm_up_s
        self._window_s = window_s
        self._at_edges = at_edges
        self._is_open = False
        self.is_over = False
        self.seconds = 0.0
        self.times_ms: list[float] = []
        self.acknowledged = 0

    def count(self, sent_s: list[float]) -> None:
        now = time.perf_counter()
        self.acknowledged += len(sent_s)
        if not self._is_open and not self.is_over and now >= self._begin_s:
            self._is_open = True
            self._begin_s = now
            self._at_edges()
            return
        if not self._is_open:
            return
        self.times_ms += [(now - sent) * 1000 for sent in sent_s]
        if now >= self._begin_s + self._window_s:
            self._is_open, self.is_over = False, True
            self.seconds = now - self._begin_s
            self._at_edges()


def keep_in_flight(
    links: Sequence[Link],
    count: int,
    payloads: Sequence[bytes],
    lengths_s: tuple[float, float],
    at_edges: Callable[[], None],
) -> Window:
    """Keep ``count`` messages under way on ``links``; close nothing.

    Args:
        lengths_s: of the warm-up and of the window.
        at_edges: called when the window begins and when it ends.

    Raises:
        PublishError: a message was not taken, or not acknowledged in time.
    """
    quotas = [count // len(links) + (place < count % len(links)) for place in range(len(links))]
    clock = _Clock(*lengths_s, at_edges)
    with selectors.DefaultSelector() as selector:
        for link, quota in zip(links, quotas, strict=True):
            selector.register(link.socket, selectors.EVENT_READ, (link, quota))
        while not clock.is_over:
            for link, quota in zip(links, quotas, strict=True):
                if len(link.sent_s) < quota:
                    _fill(selector, link, quota, payloads)
            _turn(selector, clock, payloads)
        deadline = time.perf_counter() + _DRAIN_S
        while any(link.sent_s for link in links):
            if time.perf_counter() > deadline:
                raise PublishError(f"not acknowledged {_DRAIN_S:.0f} s after the end")
            _turn(selector, clock, ())
    each = links[0].messages_per_publish
    return Window(
        clock.seconds, len(clock.times_ms) * each, clock.times_ms, clock.acknowledged * each
    )


def _turn(selector: selectors.BaseSelector, clock: _Clock, payloads: Sequence[bytes]) -> None:
    """Read what came, and publish as many again; without ``payloads`` publish nothing new."""
    sent_s: list[float] = []
    for key, mask in selector.select(_POLL_S):
        link, quota = key.data
        if mask & selectors.EVENT_READ:
            sent_s += link.receive()
        _fill(selector, link, quota if payloads else 0, payloads)
    clock.count(sent_s)


def _fill(
    selector: selectors.BaseSelector, link: Link, quota: int, payloads: Sequence[bytes]
) -> None:
    was_choked = link.is_choked
    link.fill(quota, payloads)
    if link.is_choked != was_choked:
        events = selectors.EVENT_READ | (selectors.EVENT_WRITE if link.is_choked else 0)
        selector.modify(link.socket, events, selector.get_key(link.socket).data)
