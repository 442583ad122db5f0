"""The cheapest HTTP client that does: one blocking keep-alive connection to a gateway.

Owns nothing but bytes. A load generator on the machine that it measures must cost little, and a
latency must not contain the client's own event loop; so this parses only what it needs.
"""

import socket
from typing import NamedTuple

__all__ = [
    "Address",
    "Answer",
    "Connection",
    "connect",
    "open_stream",
    "parse_answer",
    "post_request",
]

Address = tuple[str, int]
"""Host and TCP port of a gateway."""

_CHUNK_BYTES = 1 << 18
_TIMEOUT_S = 60.0  # an answer that is later than this ends the measurement


class Answer(NamedTuple):
    """Status and whole body of one answer."""

    status: int
    body: bytes


class Connection:
    """One keep-alive connection; not for several threads."""

    def __init__(self, address: Address) -> None:
        """Connect to a gateway. Raises OSError."""
        self._socket = connect(address)

    def close(self) -> None:
        """Close the connection; a request under way in another thread fails."""
        self._socket.close()

    def post(self, path: str, body: bytes, content_type: str, headers: str = "") -> Answer:
        """Send one request and wait for its answer.

        Args:
            headers: more of them, each with its end of line.

        Raises:
            OSError: the connection is gone.
        """
        self._socket.sendall(post_request(path, body, content_type, headers))
        return self._read_answer()

    def get(self, path: str) -> Answer:
        """Send one GET request and wait for its answer. Raises OSError."""
        self._socket.sendall(f"GET {path} HTTP/1.1\r\nhost: bench\r\n\r\n".encode())
        return self._read_answer()

    def _read_answer(self) -> Answer:
        received = bytearray()
        while (answer := parse_answer(received)) is None:
            received += self._receive()
        return answer

    def _receive(self) -> bytes:
        chunk = self._socket.recv(_CHUNK_BYTES)
        if not chunk:
            raise ConnectionResetError("the gateway closed the connection")
        return chunk


def post_request(path: str, body: bytes, content_type: str, headers: str = "") -> bytes:
    """Give the bytes of a POST request."""
    return (
        f"POST {path} HTTP/1.1\r\nhost: bench\r\ncontent-type: {content_type}\r\n"
        f"content-length: {len(body)}\r\n{headers}\r\n"
    ).encode() + body


def parse_answer(received: bytearray) -> Answer | None:
    """Read the one answer that ``received`` begins with; None while it is not whole."""
    end = received.find(b"\r\n\r\n")
    if end < 0:
        return None
    head = bytes(received[:end]).lower()
    _, _, rest = head.partition(b"\r\ncontent-length:")
    whole = end + 4 + int(rest.partition(b"\r\n")[0])
    if len(received) < whole:
        return None
    return Answer(int(head.split(None, 2)[1]), bytes(received[end + 4 : whole]))


def open_stream(address: Address, path: str) -> socket.socket:
    """Ask for an event stream; give the socket after the answer's first bytes.

    Raises:
        OSError: the connection is gone, or the gateway refuses.
    """
    stream = connect(address)
    stream.sendall(f"GET {path} HTTP/1.1\r\nhost: bench\r\n\r\n".encode())
    head = stream.recv(_CHUNK_BYTES)
    if not head.startswith(b"HTTP/1.1 200"):
        stream.close()
        raise ConnectionRefusedError(head.decode(errors="replace"))
    return stream


def connect(address: Address) -> socket.socket:
    """Open a connection whose small requests leave at once. Raises OSError."""
    connection = socket.create_connection(address, timeout=_TIMEOUT_S)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection
