"""Request bodies: whole, in time, and together never more than a fixed number of bytes."""

from contextlib import AbstractAsyncContextManager
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
    """The body of one request: read when the block begins, held until it ends.

    A class of its own and no generator: every request reads one.
    """

    __slots__ = ("_bodies", "_bytes_max", "_chunks", "_is_whole", "_request", "held")

    def __init__(self, bodies: "Bodies", request: Request, bytes_max: int) -> None:
        self._bodies = bodies
        self._request = request
        self._bytes_max = bytes_max
        self._chunks: list[bytes] = []
        self._is_whole = False
        self.held = 0

    async def __aenter__(self) -> bytes:
        try:
            await self._read()
        except BaseException:
            self._bodies.release(self.held)
            raise
        return self._chunks[0] if len(self._chunks) == 1 else b"".join(self._chunks)

    async def __aexit__(self, *_exception: object) -> None:
        self._bodies.release(self.held)

    async def _read(self) -> None:
        headers = self._request.headers
        if headers.get("content-encoding", "identity") != "identity":
            raise Refusal(
                HttpCode.UNSUPPORTED_MEDIA_TYPE, "the body must not have a content encoding"
            )
        _require_length(headers.get("content-length", "0"), self._bytes_max)
        connection = answering_of(self._request.scope)
        if connection is not None and connection.has_body:
            await self._take()  # it waits for nobody
        if not self._is_whole:
            with anyio.move_on_after(GATEWAY_BODY_READ_MS_MAX / 1000):
                while not self._is_whole:
                    await self._take()
        if not self._is_whole:
            detail = f"{self.held} bytes came in time, then nothing"
            raise Refusal(HttpCode.BODY_TIMEOUT, detail, None, _CLOSE)

    async def _take(self) -> None:
        """Take the next piece of the body."""
        message = await self._request.receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        chunk = message.get("body", b"")
        self.held += len(chunk)
        self._bodies.hold(len(chunk))
        self._require_room()
        self._chunks.append(chunk)
        self._is_whole = not message.get("more_body", False)

    def _require_room(self) -> None:
        if self.held > self._bytes_max:
            raise _too_large(self._bytes_max)
        if self._bodies.held_bytes > GATEWAY_BODIES_BYTES_MAX:
            raise Refusal(RejectCode.OVERLOADED, "too many request bodies at once", None, _CLOSE)


class Bodies:
    """The bodies that are held at one time, over all requests of a gateway.

    Attributes:
        held_bytes: of all of them.
    """

    def __init__(self) -> None:
        self.held_bytes = 0

    def read(self, request: Request, bytes_max: int) -> AbstractAsyncContextManager[bytes]:
        """Read the body and hold it while the block runs.

        Raises:
            Refusal: it is encoded, longer than ``bytes_max``, late, or too much is held already.
            starlette.requests.ClientDisconnect: the client left.
        """
        return _Reading(self, request, bytes_max)

    def hold(self, size: int) -> None:
        """Count bytes that came."""
        self.held_bytes += size

    def release(self, size: int) -> None:
        """Count bytes that nobody holds any longer."""
        self.held_bytes -= size


def _require_length(content_length: str, bytes_max: int) -> None:
    """Refuse an announced length before anything of it is read."""
    if len(content_length) > len(str(bytes_max)) or int(content_length) > bytes_max:
        raise _too_large(bytes_max)


def _too_large(bytes_max: int) -> Refusal:
    return Refusal(HttpCode.BODY_TOO_LARGE, f"a body may have {bytes_max} bytes here", None, _CLOSE)
