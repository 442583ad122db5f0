"""An HTTP endpoint that a test plays: it keeps what it is sent and answers as it is told."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

import anyio
from anyio.abc import SocketAttribute, SocketStream

ACCEPTED = b"HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\n\r\n"
WAIT_S = 5


@dataclass
class Received:
    """One request."""

    target: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Endpoint:
    """A listening endpoint.

    Attributes:
        answer: gives the bytes that are sent back; empty ones close the connection.
    """

    port: int
    received: list[Received] = field(default_factory=list)
    answer: Callable[[Received], bytes] = lambda _: ACCEPTED

    @property
    def url(self) -> str:
        """Where notifications go."""
        return f"http://127.0.0.1:{self.port}/api/v2/notifications/dlt"

    async def until(self, count: int) -> None:
        """Wait for so many requests."""
        with anyio.fail_after(WAIT_S):
            while len(self.received) < count:  # noqa: ASYNC110 - simplest
                await anyio.sleep(0.005)

    async def serve(self, stream: SocketStream) -> None:
        """Serve one connection."""
        buffer = b""
        with suppress(anyio.EndOfStream, anyio.BrokenResourceError, anyio.ClosedResourceError):
            async with stream:
                while True:
                    while b"\r\n\r\n" not in buffer:
                        buffer += await stream.receive()
                    head, _, buffer = buffer.partition(b"\r\n\r\n")
                    first, *rows = head.decode().split("\r\n")
                    headers = {n.lower(): v for n, v in (row.split(": ", 1) for row in rows)}
                    length = int(headers.get("content-length", 0))
                    while len(buffer) < length:
                        buffer += await stream.receive()
                    request = Received(first, headers, buffer[:length])
                    buffer = buffer[length:]
                    self.received.append(request)
                    answer = self.answer(request)
                    if not answer:
                        return
                    await stream.send(answer)


@asynccontextmanager
async def listening(port: int = 0) -> AsyncIterator[Endpoint]:
    """Listen on a loopback port while the block runs."""
    listener = await anyio.create_tcp_listener(local_host="127.0.0.1", local_port=port)
    endpoint = Endpoint(listener.extra(SocketAttribute.local_port))  # noqa: S610 - no Django
    async with listener, anyio.create_task_group() as group:
        group.start_soon(listener.serve, endpoint.serve)
        yield endpoint
        group.cancel_scope.cancel()
