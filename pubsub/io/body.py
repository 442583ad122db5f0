"""Request bodies: whole, in time, and together never more than a fixed number of bytes."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import anyio
from starlette.requests import ClientDisconnect, Request

from ledger.core.errors import RejectCode
from ledger.core.limits import GATEWAY_BODIES_BYTES_MAX, GATEWAY_BODY_READ_MS_MAX
from pubsub.core.problems import HttpCode, Refusal
from pubsub.io.pipe import answering_of

__all__ = ["Bodies"]

_CLOSE: Final = {"connection": "close"}  # what else comes on this connection belongs to the body


class _Reading:
    """What was read of one body."""

    __slots__ = ("chunks", "held", "is_whole")

    def __init__(self) -> None:
        self.chunks: list[bytes] = []
        self.held = 0
        self.is_whole = False


class Bodies:
    """The bodies that are held at one time, over all requests of a gateway."""

    def __init__(self) -> None:
        self._held_bytes = 0

    @asynccontextmanager
    async def read(self, request: Request, bytes_max: int) -> AsyncIterator[bytes]:
        """Read the body and hold it while the block runs.

        Raises:
            Refusal: it is encoded, longer than ``bytes_max``, late, or too much is held already.
            starlette.requests.ClientDisconnect: the client left.
        """
        headers = request.headers
        if headers.get("content-encoding", "identity") != "identity":
            raise Refusal(
                HttpCode.UNSUPPORTED_MEDIA_TYPE, "the body must not have a content encoding"
            )
        _require_length(headers.get("content-length", "0"), bytes_max)
        reading = _Reading()
        try:
            connection = answering_of(request.scope)
            if connection is not None and connection.has_body:
                await self._take(request, reading, bytes_max)  # it waits for nobody
            if not reading.is_whole:
                with anyio.move_on_after(GATEWAY_BODY_READ_MS_MAX / 1000):
                    while not reading.is_whole:
                        await self._take(request, reading, bytes_max)
            if not reading.is_whole:
                detail = f"{reading.held} bytes came in time, then nothing"
                raise Refusal(HttpCode.BODY_TIMEOUT, detail, None, _CLOSE)
            yield b"".join(reading.chunks)
        finally:
            self._held_bytes -= reading.held

    async def _take(self, request: Request, reading: _Reading, bytes_max: int) -> None:
        """Take the next piece of a body."""
        message = await request.receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        chunk = message.get("body", b"")
        reading.held += len(chunk)
        self._held_bytes += len(chunk)
        self._require_room(reading.held, bytes_max)
        reading.chunks.append(chunk)
        reading.is_whole = not message.get("more_body", False)

    def _require_room(self, held: int, bytes_max: int) -> None:
        if held > bytes_max:
            raise _too_large(bytes_max)
        if self._held_bytes > GATEWAY_BODIES_BYTES_MAX:
            raise Refusal(RejectCode.OVERLOADED, "too many request bodies at once", None, _CLOSE)


def _require_length(content_length: str, bytes_max: int) -> None:
    """Refuse an announced length before anything of it is read."""
    if len(content_length) > len(str(bytes_max)) or int(content_length) > bytes_max:
        raise _too_large(bytes_max)


def _too_large(bytes_max: int) -> Refusal:
    return Refusal(HttpCode.BODY_TOO_LARGE, f"a body may have {bytes_max} bytes here", None, _CLOSE)
