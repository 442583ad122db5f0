"""What a peer's protocol looks like to the load generator: bytes out, acknowledged numbers in.

A wire is one connection's protocol after its handshake, without the socket. It spends next to
nothing on a message, so that the generator is not what is measured; so it reads of the peer's
answers only what tells an acknowledgement from a refusal.
"""

import socket
from collections.abc import Iterable
from typing import Protocol

__all__ = ["HOST", "PublishError", "Wire", "connect"]

HOST = "127.0.0.1"
_TIMEOUT_S = 30.0  # of a handshake


class PublishError(Exception):
    """The peer did not take a message, or said what no peer says in a good run."""


class Wire(Protocol):
    """One connection.

    Attributes:
        replies: bytes that the peer waits for besides messages; the generator takes them.
        messages: that one publish carries.
    """

    replies: bytearray
    messages: int

    def may_publish(self) -> bool:
        """Say whether the peer's flow control takes a message more."""

    def publish(self, number: int, payload: bytes) -> bytes:
        """Give the bytes that publish a message; numbers count up from 0, one at a time."""

    def acknowledged(self, received: bytes) -> Iterable[int]:
        """Take bytes of the peer; give the numbers of messages that are durable now.

        Raises:
            PublishError: a message was not taken.
        """


def connect(port: int) -> socket.socket:
    """Connect to a peer on this machine. Raises OSError."""
    connection = socket.create_connection((HOST, port), timeout=_TIMEOUT_S)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection
