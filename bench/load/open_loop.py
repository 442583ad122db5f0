"""An open-loop client: each request leaves at its moment, whatever became of those before it.

Owns many keep-alive connections in one thread. A request whose moment comes while every connection
still waits for an answer leaves as soon as one is free; its latency counts from its moment all the
same, so a server that stalls is charged for every request that it kept from leaving (no coordinated
omission).
"""

import select
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

from bench.load.events import MEDIA_BULK
from bench.load.http import Address, Answer, connect, parse_answer, post_request

__all__ = ["CONNECTIONS_MAX", "Answered", "OpenLoop"]

CONNECTIONS_MAX = 256
_CHUNK_BYTES = 1 << 18
_IDLE_S = 0.05  # longest sleep while nothing is due


class Answered(NamedTuple):
    """One request.

    Attributes:
        intended_s, answered_s: on the machine's monotonic clock; of a request without an answer
            ``answered_s`` is when nobody waited any longer.
        answer: None when there was none.
    """

    intended_s: float
    answered_s: float
    answer: Answer | None


class _Exchange:
    """One connection, and the request that it carries."""

    def __init__(self, address: Address) -> None:
        self.socket = connect(address)
        self.socket.settimeout(0)
        self.intended_s = 0.0
        self._unsent = memoryview(b"")
        self._received = bytearray()

    def begin(self, intended_s: float, request: bytes) -> None:
        self.intended_s = intended_s
        self._unsent = memoryview(request)
        self._received.clear()

    def send(self) -> bool:
        """Send what the kernel takes now; say whether all is sent."""
        try:
            while self._unsent:
                self._unsent = self._unsent[self.socket.send(self._unsent) :]
        except BlockingIOError:
            return False
        return True

    def receive(self) -> Answer | None:
        """Read what is there; give the answer once it is whole. Raises OSError."""
        chunk = self.socket.recv(_CHUNK_BYTES)
        if not chunk:
            raise ConnectionResetError("the gateway closed the connection")
        self._received += chunk
        return parse_answer(self._received)


class OpenLoop:
    """Sends requests at given moments; for one run."""

    def __init__(
        self, addresses: Sequence[Address], path: str, connections_max: int = CONNECTIONS_MAX
    ) -> None:
        """Post to ``path`` of the gateways at ``addresses`` in turn."""
        self._addresses = addresses
        self._path = path
        self._connections_max = connections_max
        self._exchanges: dict[int, _Exchange] = {}
        self._free: list[_Exchange] = []
        self._waiting: deque[tuple[float, bytes]] = deque()
        self._events = select.epoll()
        self._answered: list[Answered] = []

    def run(
        self, begin_s: float, moments: Sequence[float], bodies: Sequence[bytes], drain_s: float
    ) -> list[Answered]:
        """Send ``bodies`` at ``moments`` after ``begin_s``, and wait ``drain_s`` for late answers.

        Raises:
            OSError: a connection was lost or refused.
        """
        assert len(moments) == len(bodies)
        with self._closing():
            due = deque(zip((begin_s + moment for moment in moments), bodies, strict=True))
            deadline = begin_s + (moments[-1] if moments else 0.0) + drain_s
            while len(self._answered) < len(bodies) and time.perf_counter() < deadline:
                now = time.perf_counter()
                while due and due[0][0] <= now:
                    self._waiting.append(due.popleft())
                self._send_waiting()
                self._await(due[0][0] if due else now + _IDLE_S)
            return [*self._answered, *self._given_up([*self._waiting, *due])]

    def _send_waiting(self) -> None:
        while self._waiting:
            if not self._free:
                if len(self._exchanges) >= self._connections_max:
                    return
                self._open()
            exchange = self._free.pop()
            intended_s, body = self._waiting.popleft()
            exchange.begin(intended_s, post_request(self._path, body, MEDIA_BULK))
            self._send(exchange)

    def _open(self) -> None:
        address = self._addresses[len(self._exchanges) % len(self._addresses)]
        exchange = _Exchange(address)
        self._exchanges[exchange.socket.fileno()] = exchange
        self._events.register(exchange.socket, select.EPOLLIN)
        self._free.append(exchange)

    def _send(self, exchange: _Exchange) -> None:
        is_sent = exchange.send()
        wanted = select.EPOLLIN if is_sent else select.EPOLLIN | select.EPOLLOUT
        self._events.modify(exchange.socket, wanted)

    def _await(self, until_s: float) -> None:
        """Read answers as they come, until something came or the moment is there."""
        # epoll rounds to milliseconds; select does not, and can wait for an epoll.
        select.select([self._events], [], [], max(0.0, min(until_s - time.perf_counter(), _IDLE_S)))
        for descriptor, event in self._events.poll(0):
            exchange = self._exchanges[descriptor]
            if event & select.EPOLLOUT:
                self._send(exchange)
            if event & ~select.EPOLLOUT:
                answer = exchange.receive()
                if answer is not None:
                    now = time.perf_counter()
                    self._answered.append(Answered(exchange.intended_s, now, answer))
                    exchange.intended_s = 0.0
                    self._free.append(exchange)

    def _given_up(self, unsent: Sequence[tuple[float, bytes]]) -> Iterator[Answered]:
        """Give what has no answer, with the time that it waited in vain."""
        now = time.perf_counter()
        for exchange in self._exchanges.values():
            if exchange.intended_s:
                yield Answered(exchange.intended_s, now, None)
        for intended_s, _ in unsent:
            yield Answered(intended_s, max(now, intended_s), None)

    @contextmanager
    def _closing(self) -> Iterator[None]:
        try:
            yield
        finally:
            self._events.close()
            for exchange in self._exchanges.values():
                exchange.socket.close()
