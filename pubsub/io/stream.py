"""Opening a stream and letting it end: as server-sent events, and as a WebSocket.

Owns one task for each stream, which sleeps until the stream is over; what is written in between is
the fan-out's business. A WebSocket that is refused is opened first and closed at once, because a
browser shows a page the code and the reason of a close, but never the answer to a handshake.
"""

from typing import Protocol

from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket

from pubsub.core.problems import HttpCode, Refusal
from pubsub.core.sse import chunk, opening_block
from pubsub.core.websocket import CloseCode, close_reason
from pubsub.io.fanout import Fanout, Subscriber, Wish
from pubsub.io.pipe import Pipe, pipe_of

__all__ = ["STREAM_HEADERS", "EventStreamResponse", "Streams", "close_socket", "serve_socket"]

STREAM_HEADERS = {
    "content-type": "text/event-stream; charset=utf-8",
    "cache-control": "no-store",
    "x-accel-buffering": "no",
}
_TRY_AGAIN = frozenset(
    {HttpCode.TOO_MANY_STREAMS, HttpCode.STORE_UNAVAILABLE, HttpCode.ISSUER_UNAVAILABLE}
)


class Streams(Protocol):
    """What a stream needs from its gateway."""

    fanout: Fanout

    def begin_stream(self) -> None:
        """Count a stream that opens."""
        ...

    def end_stream(self) -> None:
        """Count a stream that ended."""
        ...


class EventStreamResponse:
    """The ASGI application that answers one request with an event stream."""

    def __init__(self, streams: Streams, wish: Wish, cursor: int) -> None:
        """Begin behind the sequence ``cursor``."""
        self._streams = streams
        self._wish = wish
        self._cursor = cursor

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Write until the reader leaves, takes nothing for too long, or the gateway ends."""
        del receive
        headers = [(name.encode(), value.encode()) for name, value in STREAM_HEADERS.items()]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        pipe = pipe_of(scope)
        pipe.write(chunk(opening_block(self._cursor)))
        await _follow(self._streams, pipe, self._wish, self._cursor)
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def serve_socket(streams: Streams, socket: WebSocket, wish: Wish, cursor: int) -> None:
    """Serve an accepted WebSocket until it ends."""
    refusal = await _follow(streams, pipe_of(socket.scope), wish, cursor)
    if refusal is not None:
        await close_socket(socket, refusal)


async def close_socket(socket: WebSocket, refusal: Refusal) -> None:
    """Close a WebSocket for the reason of ``refusal``, opening it first if need be."""
    if refusal.code == HttpCode.SHUTTING_DOWN:
        code = CloseCode.GOING_AWAY
    elif refusal.code in _TRY_AGAIN:
        code = CloseCode.TRY_AGAIN_LATER
    else:
        code = CloseCode.POLICY_VIOLATION
    await socket.close(code, close_reason(str(refusal.code), refusal.detail))


async def _follow(streams: Streams, pipe: Pipe, wish: Wish, cursor: int) -> Refusal | None:
    """Follow the log until the stream is over; give why the gateway ended it, if it did."""
    streams.begin_stream()
    try:
        subscriber: Subscriber = streams.fanout.subscribe(pipe, wish, cursor)
        try:
            await subscriber.over.wait()
        finally:
            streams.fanout.unsubscribe(subscriber)
    finally:
        streams.end_stream()
    return subscriber.refusal
