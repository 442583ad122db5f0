"""The HTTP server of a process: listening, limits, and how it ends.

Owns the settings of uvicorn for all our processes. What is served is told before the server waits
for its connections, so that whatever could go on for ever ends first.
"""

import gc
import signal
import socket
from collections.abc import Callable
from types import FrameType
from typing import Protocol

import uvicorn
from starlette.types import ASGIApp

from ledger.core.errors import InvariantError, Unavailable
from ledger.core.limits import GATEWAY_IDLE_MS_MAX, GATEWAY_SHUTDOWN_MS
from pubsub.core.limits import GARBAGE_OBJECTS_MAX, WEBSOCKET_MESSAGE_BYTES_MAX
from pubsub.io.http import Protocol as HttpProtocol
from pubsub.io.websocket_protocol import WebSocketProtocol

__all__ = ["Served", "listen", "make_server", "serve"]

_PORT_MAX = 65_535


class Served(Protocol):
    """What is served.

    Attributes:
        fatal: why the process must end, or None.
        on_fatal: to be called when ``fatal`` was set.
    """

    fatal: InvariantError | None
    on_fatal: Callable[[], None]

    def close(self) -> None:
        """End streams and waits."""
        ...


def listen(host: str, port: int) -> socket.socket:
    """Open the listening socket.

    Raises:
        Unavailable: the address cannot be listened on.
    """
    if not 0 <= port <= _PORT_MAX:
        raise Unavailable(f"cannot listen on {host} port {port}: a port is at most {_PORT_MAX}")
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host, port), family=family, backlog=1024)
    except OSError as error:
        raise Unavailable(f"cannot listen on {host} port {port}: {error}") from None


def serve(app: ASGIApp, served: Served, listener: socket.socket, connections_max: int) -> None:
    """Serve until the process is told to end (SIGINT, SIGTERM).

    Raises:
        InvariantError: ``served`` must not go on.
    """
    server = make_server(app, served, connections_max)
    _spare_garbage_collector()
    server.run([listener])
    if served.fatal is not None:
        raise served.fatal


def _spare_garbage_collector() -> None:
    """Let it look rarely, and never at what lives as long as the process.

    Nearly all objects of a request die without it: it cost every seventh moment of a request.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(GARBAGE_OBJECTS_MAX)


def make_server(app: ASGIApp, served: Served, connections_max: int) -> uvicorn.Server:
    """Make the server of ``app``, with our limits."""
    config = uvicorn.Config(
        app,
        http=HttpProtocol,
        loop="uvloop",
        ws=WebSocketProtocol,
        ws_max_size=WEBSOCKET_MESSAGE_BYTES_MAX,
        ws_ping_interval=None,  # the fan-out gives signs of life to all at one time
        ws_per_message_deflate=False,  # a compressed event would be another one for each reader
        lifespan="on",
        limit_concurrency=connections_max,
        timeout_keep_alive=GATEWAY_IDLE_MS_MAX // 1000,
        timeout_graceful_shutdown=GATEWAY_SHUTDOWN_MS // 1000,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        log_config=None,
    )
    return _Server(config, served)


class _Server(uvicorn.Server):
    """A server that ends streams and waits before it waits for their connections."""

    def __init__(self, config: uvicorn.Config, served: Served) -> None:
        super().__init__(config)
        self._served = served
        served.on_fatal = self._on_fatal

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End what could go on for ever, then the rest."""
        self._served.close()
        await super().shutdown(sockets)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """End; uvicorn would let the signal kill the process afterwards, as if it had failed."""
        del frame
        self.force_exit = self.should_exit and sig == signal.SIGINT
        self.should_exit = True

    def _on_fatal(self) -> None:
        self.should_exit = True
