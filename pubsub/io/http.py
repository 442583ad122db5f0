"""The HTTP/1.1 protocol of the server, with the bounds that uvicorn leaves to a proxy.

Owns what happens before a request reaches the application: how many connections there are, how
long the head of a request may be, and how long it may take to arrive; how much of a body may be no
content (trailers, which nobody reads, and the framing of chunks), and how long a body may go on
when its request is answered. A connection is also the pipe of the event stream that it carries
(``pubsub.io.pipe``).
"""

import asyncio
from collections.abc import Callable, Sequence

from starlette.types import ASGIApp
from uvicorn.protocols.http.httptools_impl import (
    STATUS_LINE,
    HttpToolsProtocol,
    RequestResponseCycle,
)

from ledger.core.limits import GATEWAY_HEADER_BYTES_MAX, GATEWAY_HEADER_READ_MS_MAX
from pubsub.io.pipe import PIPE_EXTENSION

__all__ = ["Protocol"]

_REFUSAL = (
    b"HTTP/1.1 %s\r\ncontent-type: application/problem+json\r\n"
    b"content-length: %d\r\nconnection: close\r\n\r\n%s"
)
_BODY = b'{"type":"urn:concordat:problem:%s","title":"%s","status":%d,"code":"%s"}'


class Protocol(HttpToolsProtocol):
    """One connection.

    Attributes:
        on_lost: see ``Pipe``.
    """

    on_lost: Callable[[], None] | None = None
    _served: RequestResponseCycle | None = None  # the request that the application has
    _deadline: asyncio.TimerHandle | None = None
    _head_bytes = 0
    _is_head = False  # between the first byte of a request and the end of its headers
    _is_body = False  # between the end of the headers and the last byte of a request
    _empty_bytes = 0  # of a body, since there was content in it

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin a connection, or cut it when there are too many."""
        super().connection_made(transport)
        if self.limit_concurrency and len(self.connections) > self.limit_concurrency:
            transport.abort()
            return
        self._set_deadline(self._on_late)

    def connection_lost(self, exc: Exception | None) -> None:
        """End a connection."""
        self._clear_deadline()
        super().connection_lost(exc)
        if self.on_lost is not None:
            self.on_lost()
        if self.scope is not None:
            self.scope.pop("extensions", None)  # or the connection would hold itself

    @property
    def is_lost(self) -> bool:
        """Whether the connection is no more, or ends."""
        return self.transport.is_closing()

    @property
    def is_blocked(self) -> bool:
        """Whether the reader must first take what it was given."""
        return self.flow.write_paused

    @property
    def has_body(self) -> bool:
        """Whether all of the body of the request under way is here."""
        return self._served is not None and not self._served.more_body

    def write(self, data: bytes) -> None:
        """Write chunks of the body of the answer under way; a lost connection drops them."""
        if not self.is_lost:
            self.transport.write(data)

    def beat(self, data: bytes) -> None:
        """Write a sign of life, which no reader answers."""
        self.write(data)

    def answer(self, status: int, headers: Sequence[tuple[bytes, bytes]], body: bytes) -> bool:
        """Answer the request under way, no HEAD, with all of an answer: in one packet if small.

        Args:
            headers: of our own making, unchecked; names in lower case, the content's length among
                them, and no ``connection``.

        Returns:
            False: the reader must first take what it was given: answer in the way of ASGI.
        """
        cycle = self._served
        assert cycle is not None, "only the application answers"
        if self.is_blocked or cycle.response_started:
            return False
        parts = [STATUS_LINE[status]]
        for name, value in (*self.server_state.default_headers, *headers):
            parts += (name, b": ", value, b"\r\n")
        parts.append(b"\r\n" if cycle.keep_alive else b"connection: close\r\n\r\n")
        parts.append(body)
        cycle.response_started = cycle.response_complete = True
        cycle.waiting_for_100_continue = False
        self.write(b"".join(parts))
        cycle.message_event.set()
        if not cycle.keep_alive:
            self.transport.close()
        cycle.on_response()
        return True

    async def drained(self) -> None:
        """Wait until the reader took most of what it was given, or is gone."""
        await self.flow.drain()

    def cut(self) -> None:
        """End the connection at once."""
        self.transport.abort()

    def data_received(self, data: bytes) -> None:
        """Take bytes; count those of an unfinished head, and of a body without content."""
        self._empty_bytes += len(data)
        super().data_received(data)
        if self._is_body and self._empty_bytes > GATEWAY_HEADER_BYTES_MAX:
            self.cut()  # an answer may be under way: there is no place for a refusal
        if self._is_head:
            self._head_bytes += len(data)
            if self._head_bytes > GATEWAY_HEADER_BYTES_MAX:
                self._refuse(431, b"Request Header Fields Too Large", b"headers_too_large")

    def on_message_begin(self) -> None:
        """Begin a request."""
        super().on_message_begin()
        self.scope["extensions"] = {PIPE_EXTENSION: {"pipe": self}}
        self._is_head = True
        self._head_bytes = 0
        if self._deadline is None:
            self._set_deadline(self._on_late)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header; a trailer is none, and comes when the headers were judged already."""
        if self._is_head:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Begin to serve a request, unless its head is too long."""
        self._is_head = False
        self._is_body = True
        self._empty_bytes = 0
        self._clear_deadline()
        size = len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)
        if size > GATEWAY_HEADER_BYTES_MAX:
            self._refuse(431, b"Request Header Fields Too Large", b"headers_too_large")
        else:
            super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Take a piece of a body; of a refused request there is none."""
        self._empty_bytes = 0
        if self.cycle is not None:
            super().on_body(body)

    def on_message_complete(self) -> None:
        """End a request; a refused one has no cycle."""
        self._is_body = False
        self._clear_deadline()
        if self.cycle is not None:
            super().on_message_complete()

    def on_response_complete(self) -> None:
        """End an answer; what is left of its request must come soon."""
        super().on_response_complete()
        if self._is_body and self.cycle.response_complete and self._deadline is None:
            self._set_deadline(self.cut)

    def send_400_response(self, msg: str) -> None:
        """Answer what is not HTTP."""
        del msg
        self._refuse(400, b"Bad Request", b"malformed")

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGIApp) -> None:  # type: ignore[override]
        """Give a request to the application; those behind it wait until it is answered."""
        self._served = cycle
        super()._start_asgi_task(cycle, app)  # type: ignore[arg-type]

    def _on_late(self) -> None:
        self._refuse(408, b"Request Timeout", b"headers_timeout")

    def _refuse(self, status: int, phrase: bytes, code: bytes) -> None:
        """Answer without the application, and close."""
        self._is_head = False
        if not self.transport.is_closing():
            body = _BODY % (code, phrase, status, code)
            line = b"%d %s" % (status, phrase)
            self.transport.write(_REFUSAL % (line, len(body), body))
            self.transport.close()

    def _set_deadline(self, then: Callable[[], None]) -> None:
        self._deadline = self.loop.call_later(GATEWAY_HEADER_READ_MS_MAX / 1000, then)

    def _clear_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
