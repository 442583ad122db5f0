"""Request bodies: whole, in time, and together never more than a fixed number of bytes."""

from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager

import anyio
from starlette.requests import Request

from ledger.core.errors import RejectCode
from ledger.core.limits import GATEWAY_BODIES_BYTES_MAX, GATEWAY_BODY_READ_MS_MAX
from pubsub.core.problems import HttpCode, Refusal

__all__ = ["Bodies"]

_CLOSE = {"connection": "close"}  # what else comes on this connection is the rest of the body


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
        if request.headers.get("content-encoding", "identity") != "identity":
            raise Refusal(
                HttpCode.UNSUPPORTED_MEDIA_TYPE, "the body must not have a content encoding"
            )
        _require_length(request.headers.get("content-length", "0"), bytes_max)
        chunks: list[bytes] = []
        held = 0
        try:
            with anyio.move_on_after(GATEWAY_BODY_READ_MS_MAX / 1000) as deadline:
                async with aclosing(request.stream()) as stream:
                    async for chunk in stream:
                        held += len(chunk)
                        self._held_bytes += len(chunk)
                        self._require_room(held, bytes_max)
                        chunks.append(chunk)
            if deadline.cancelled_caught:
                raise Refusal(
                    HttpCode.BODY_TIMEOUT, f"{held} bytes came in time, then nothing", None, _CLOSE
                )
            yield b"".join(chunks)
        finally:
            self._held_bytes -= held

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
