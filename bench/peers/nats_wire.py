"""NATS: the client protocol, as far as publishing to JetStream and asking its API need it.

Every publish names an inbox with its number; the acknowledgement comes to that inbox once the
stream's quorum has the message. A refusal comes there too, as JSON with ``error``.
"""

import re
import socket
import time
from collections.abc import Iterator
from typing import Any

import msgspec

from bench.peers.wire import PublishError, connect

__all__ = ["NatsWire", "ask", "open_connection"]

_CONNECT = b'CONNECT {"verbose":false,"pedantic":false,"lang":"bench","version":"1"}\r\n'
_LINE = re.compile(rb"MSG _INBOX\.\w+\.(\d+) 1 +\d+\r\n([^\r]*)\r\n|(PING|INFO|-ERR)([^\r]*)\r\n")
_ANSWER = re.compile(rb"MSG _INBOX\.a \d+ +(\d+)\r\n")
_WAIT_S = 10.0
_QUOTED_BYTES = 200


class NatsWire:
    """One connection that publishes to one subject."""

    messages = 1

    def __init__(self, subject: str, inbox: str) -> None:
        """Publish to ``subject``, acknowledged to the connection's ``inbox``."""
        self.replies = bytearray()
        self._head = f"PUB {subject} _INBOX.{inbox}.".encode()
        self._left = b""

    def may_publish(self) -> bool:
        """Always: NATS has no flow control of its own."""
        return True

    def publish(self, number: int, payload: bytes) -> bytes:
        """Give the bytes of one message."""
        return b"%b%d %d\r\n%b\r\n" % (self._head, number, len(payload), payload)

    def acknowledged(self, received: bytes) -> Iterator[int]:
        """Give the numbers of the stored messages."""
        data, end = self._left + received, 0
        for match in _LINE.finditer(data):
            if match.start() != end or match[3] == b"-ERR":
                raise PublishError(data[end : match.end()][:_QUOTED_BYTES].decode(errors="replace"))
            end = match.end()
            if match[3] == b"PING":
                self.replies += b"PONG\r\n"
            elif match[1]:
                yield self._stored(int(match[1]), match[2])
        self._left = data[end:]

    def _stored(self, number: int, answer: bytes) -> int:
        if b'"error"' in answer or b'"seq"' not in answer:
            raise PublishError(answer.decode(errors="replace"))
        return number


def open_connection(port: int, inbox: str) -> socket.socket:
    """Connect, and listen for acknowledgements to ``inbox``. Raises OSError."""
    connection = connect(port)
    connection.sendall(_CONNECT + b"SUB _INBOX.%b.* 1\r\nPING\r\n" % inbox.encode())
    received = b""
    while not received.endswith(b"PONG\r\n"):
        received += _receive(connection)
    return connection


def ask(port: int, subject: str, document: object) -> dict[str, Any]:
    """Ask the JetStream API, and give its answer. Raises OSError."""
    body = msgspec.json.encode(document)
    with connect(port) as connection:
        connection.settimeout(_WAIT_S)
        connection.sendall(
            _CONNECT
            + b"SUB _INBOX.a 2\r\nPUB %b _INBOX.a %d\r\n%b\r\n"
            % (subject.encode(), len(body), body)
        )
        received, deadline = b"", time.monotonic() + _WAIT_S
        while time.monotonic() < deadline:
            received += _receive(connection)
            match = _ANSWER.search(received)
            if match and len(received) >= match.end() + int(match[1]):
                answer = received[match.end() : match.end() + int(match[1])]
                return msgspec.json.decode(answer, type=dict[str, Any])
    raise TimeoutError(f"no answer to {subject}")


def _receive(connection: socket.socket) -> bytes:
    chunk = connection.recv(1 << 16)
    if not chunk:
        raise ConnectionResetError("the server closed the connection")
    return chunk
