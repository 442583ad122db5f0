"""The WebSocket protocol of the server: a pipe that nobody writes to from the other side.

Owns what happens below the application: a reader only sends control frames, so a message of its
own closes the connection; frames that are finished are written past the library, which keeps no
state about data frames that a server sends.
"""

import asyncio
from collections.abc import Callable
from http import HTTPStatus

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import Frame
from websockets.http11 import Request

from pubsub.core.limits import WEBSOCKET_CLOSE_MS_MAX, WEBSOCKET_PINGS_MAX
from pubsub.core.websocket import CloseCode
from pubsub.io.pipe import PIPE_EXTENSION

__all__ = ["WebSocketProtocol"]

_NO_HANDSHAKE = b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"


class WebSocketProtocol(WebSocketsSansIOProtocol):
    """One connection.

    Attributes:
        on_lost: see ``Pipe``; also called when the reader sent what it may not.
    """

    on_lost: Callable[[], None] | None = None
    _pings_owed = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take over a connection."""
        super().connection_made(transport)
        self.close_timeout = WEBSOCKET_CLOSE_MS_MAX / 1000

    def connection_lost(self, exc: Exception | None) -> None:
        """End a connection."""
        super().connection_lost(exc)
        if self.on_lost is not None:
            self.on_lost()

    def data_received(self, data: bytes) -> None:
        """Take bytes; end a connection whose handshake the library gave up without an answer."""
        super().data_received(data)
        if self.conn.handshake_exc is not None and not self.handshake_initiated:
            self.transport.write(_NO_HANDSHAKE)
            self.transport.close()

    def shutdown(self) -> None:
        """End when the server does; an open stream says itself that it goes away."""
        if self.on_lost is None:
            super().shutdown()

    def handle_connect(self, event: Request) -> None:
        """Begin to serve a request that is a sound handshake."""
        super().handle_connect(event)
        if self.response.status_code == HTTPStatus.SWITCHING_PROTOCOLS:
            self.scope["extensions"][PIPE_EXTENSION] = {"pipe": self}

    def start_keepalive(self) -> None:
        """Forget the handshake, which was answered; the fan-out gives the signs of life."""
        del self.request, self.response

    def handle_text(self, event: Frame) -> None:
        """Refuse a message."""
        self._refuse_message(event)

    def handle_bytes(self, event: Frame) -> None:
        """Refuse a message."""
        self._refuse_message(event)

    def handle_cont(self, event: Frame) -> None:
        """Refuse what is left of a message."""
        self._refuse_message(event)

    def handle_pong(self, event: Frame) -> None:
        """Note that the reader is there."""
        del event
        self._pings_owed = 0

    @property
    def is_lost(self) -> bool:
        """Whether the connection is no more, or ends."""
        return self.close_sent or self.transport.is_closing()

    @property
    def is_blocked(self) -> bool:
        """Whether the reader must first take what it was given."""
        return not self.writable.is_set()

    def write(self, data: bytes) -> None:
        """Write whole frames; a connection that ends drops them."""
        if not self.is_lost:
            self.transport.write(data)

    def beat(self, data: bytes) -> None:
        """Write a ping; cut the connection of a reader that answers none."""
        if self._pings_owed == WEBSOCKET_PINGS_MAX:
            self.cut()
        else:
            self._pings_owed += 1
            self.write(data)

    async def drained(self) -> None:
        """Wait until the reader took most of what it was given, or is gone."""
        await self.writable.wait()

    def cut(self) -> None:
        """End the connection at once."""
        self.transport.abort()

    def _refuse_message(self, event: Frame) -> None:
        """Close: there is nothing that a reader could tell."""
        del event
        if self.close_sent:
            return
        self.conn.send_close(CloseCode.UNSUPPORTED_DATA, "readers send no messages")
        self.transport.write(b"".join(self.conn.data_to_send()))
        self.close_sent = True
        self.close_timer = self.loop.call_later(self.close_timeout, self.transport.close)
        if self.on_lost is not None:
            self.on_lost()
