"""Serves a ``MemoryGateway`` on a loopback socket, for tests of what only real connections do."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import httpx

from tests.support.memory_gateway import MemoryGateway


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    gateway: MemoryGateway

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        url = f"http://gateway{self.path}"
        request = httpx.Request(self.command, url, headers=dict(self.headers), content=body)
        response = self.gateway.answer(request)
        self.send_response(response.status_code)
        for name, value in response.headers.items():
            if name not in ("content-length", "transfer-encoding"):
                self.send_header(name, value)
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        # A stream of the memory gateway ends in a broken connection, and so does it here.
        assert isinstance(response.stream, httpx.SyncByteStream)
        with suppress(httpx.ReadError, ConnectionError):
            for piece in response.stream:
                self.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece))
            self.wfile.write(b"0\r\n\r\n")
            return
        self.close_connection = True

    do_GET = do_POST = _answer  # noqa: N815 - the base class looks for these names

    def log_message(self, *_arguments: object) -> None:
        """Say nothing."""


@contextmanager
def served(gateway: MemoryGateway) -> Iterator[str]:
    """Serve ``gateway`` while the block runs; give its URL."""
    handler = type("Handler", (_Handler,), {"gateway": gateway})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
