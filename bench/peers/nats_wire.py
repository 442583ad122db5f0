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

_CONNECT = b'CONNECT {"verbose":false,"pedantic":false,"headers":true,"lang":"bench"}\r\n'
_LINE = re.compile(rb"MSG _INBOX\.\w+\.(\d+) 1 +\d+\r\n([^\r]*)\r\n|(PING|INFO|-ERR)([^\r]*)\r\n")
_ANSWER = re.compile(rb"MSG _INBOX\.a \d+ +(\d+)\r\n")
_WAIT_S = 10.0
_QUOTED_BYTES = 200


class NatsWire:
    """One connection that publishes to one subject."""

    def __init__(self, subject: str, inbox: str, messages: int = 1) -> None:
        """Publish to ``subject``, acknowledged to the connection's ``inbox``.

        Several ``messages`` go out as one batch, which the stream stores whole or not at all.
        """
        self.replies = bytearray()
        self.messages = messages
        self._subject = subject.encode()
        self._inbox = b"_INBOX.%b." % inbox.encode()
        self._left = b""

    def may_publish(self) -> bool:
        """Always: NATS has no flow control of its own."""
        return True

    def publish(self, number: int, payload: bytes) -> bytes:
        """Give the bytes of one message, or of one batch of them."""
        reply = b"%b%d" % (self._inbox, number)
        if self.messages == 1:
            return b"PUB %b %b %d\r\n%b\r\n" % (self._subject, reply, len(payload), payload)
        # Only the last message of a batch, which commits it, is acknowledged.
        return b"".join(
            self._part((reply, place), payload) for place in range(1, self.messages + 1)
        )

    def _part(self, at: tuple[bytes, int], payload: bytes) -> bytes:
        """Give the message at a place of the batch that is named like its inbox."""
        name, place = at
        is_last = place == self.messages
        head = b"NATS/1.0\r\nNats-Batch-Id: %b\r\nNats-Batch-Sequence: %d\r\n%b\r\n" % (
            name,
            place,
            b"Nats-Batch-Commit: 1\r\n" if is_last else b"",
        )
        lengths = b"%b%d %d" % (
            name + b" " if is_last else b"",
            len(head),
            len(head) + len(payload),
        )
        return b"HPUB %b %b\r\n%b%b\r\n" % (self._subject, lengths, head, payload)

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
