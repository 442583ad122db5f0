"""One ``text/event-stream``: what to write next, and the ASGI response that writes it.

Owns a reader's cursor. Everything behind the cursor was written or is not wanted; nothing else is
kept for a stream, so a reader that is slow only falls behind. One that takes nothing at all for
GATEWAY_STREAM_SEND_MS_MAX is closed and may come back with its cursor.
"""

from collections.abc import Callable
from typing import Protocol

import anyio
from starlette.types import Receive, Scope, Send

from ledger.core.limits import (
    GATEWAY_STREAM_PAGE_EVENTS,
    GATEWAY_STREAM_SEND_MS_MAX,
)
from pubsub.core.sse import HEARTBEAT, cursor_block, event_block, opening_block
from pubsub.io.feed import Feed
from pubsub.io.pages import Wanted, read_page
from pubsub.io.store_access import StoreAccess

__all__ = ["STREAM_HEADERS", "EventStream", "EventStreamResponse", "Streams"]

STREAM_HEADERS = {
    "content-type": "text/event-stream; charset=utf-8",
    "cache-control": "no-store",
    "x-accel-buffering": "no",
}
_HIDDEN_MAX = 1_000  # entries hidden by the filter before the reader's cursor is moved


class Streams(Protocol):
    """What a stream needs from its gateway."""

    feed: Feed
    access: StoreAccess
    heartbeat_ms: int
    is_closing: bool


class EventStream:
    """The blocks of one stream, in order."""

    def __init__(self, streams: Streams, wanted: Wanted, cursor: int) -> None:
        """Begin behind the sequence ``cursor``."""
        self._streams = streams
        self._wanted = wanted
        self._cursor = cursor
        self._announced = cursor  # what the reader would come back with

    def opening(self) -> bytes:
        """Give the first block."""
        return opening_block(self._cursor)

    async def next(self) -> bytes | None:
        """Wait for the next blocks or the time for a heartbeat; None when the gateway ends."""
        streams = self._streams
        while not streams.is_closing:
            text = await self._read()
            if text:
                self._announced = self._cursor
                return text
            if self._cursor - self._announced >= _HIDDEN_MAX:
                return self._move_reader()
            if streams.feed.end > self._cursor + 1:
                continue
            with anyio.move_on_after(streams.heartbeat_ms / 1000) as scope:
                await streams.feed.wait_beyond(self._cursor)
            if scope.cancelled_caught:
                return self._move_reader() if self._cursor != self._announced else HEARTBEAT
        return None

    async def _read(self) -> bytes:
        """Take what is there behind the cursor, at most one page."""
        feed, cursor = self._streams.feed, self._cursor
        if feed.covers(cursor):
            rows = feed.after(cursor, GATEWAY_STREAM_PAGE_EVENTS)
            if rows:
                self._cursor = rows[-1].sequence
            return b"".join(row.block for row in rows if self._wanted.matches(row.opened.event))
        page = await self._streams.access.in_thread(
            lambda store: read_page(
                store, self._wanted.selection, cursor, GATEWAY_STREAM_PAGE_EVENTS
            )
        )
        self._cursor = page.cursor
        return b"".join(event_block(row.sequence, row.json) for row in page.rows)

    def _move_reader(self) -> bytes:
        self._announced = self._cursor
        return cursor_block(self._cursor)


class EventStreamResponse:
    """The ASGI application that answers one request with an event stream."""

    def __init__(self, stream: EventStream, on_end: Callable[[], None]) -> None:
        """Write ``stream``; ``on_end`` is called once when it is over."""
        self._stream = stream
        self._on_end = on_end

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Write until the reader leaves, takes nothing for too long, or the gateway ends."""
        del scope
        try:
            headers = [(name.encode(), value.encode()) for name, value in STREAM_HEADERS.items()]
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            async with anyio.create_task_group() as group:
                group.start_soon(self._watch, receive, group.cancel_scope)
                await self._write(send)
                group.cancel_scope.cancel()
        finally:
            self._on_end()

    async def _write(self, send: Send) -> None:
        text: bytes | None = self._stream.opening()
        while text is not None:
            with anyio.move_on_after(GATEWAY_STREAM_SEND_MS_MAX / 1000) as scope:
                await send({"type": "http.response.body", "body": text, "more_body": True})
            if scope.cancelled_caught:
                return  # the server cuts the connection of an unfinished answer
            text = await self._stream.next()
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _watch(self, receive: Receive, scope: anyio.CancelScope) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        scope.cancel()
