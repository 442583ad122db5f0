"""AMQP 0-9-1: as much as a publisher with confirms needs, one channel per connection.

The broker confirms each persistent message once the queue's quorum has it on disk; it may confirm
many at once. A ``basic.nack`` or a closed channel ends the measurement.
"""

import socket
import struct
from collections.abc import Iterator

from bench.peers.wire import PublishError, connect

__all__ = ["AmqpWire", "declare_quorum_queue", "messages_of", "open_connection"]

_METHOD, _HEADER, _BODY, _HEARTBEAT = 1, 2, 3, 8
_HEAD_BYTES = 7
_FRAME_BYTES_MAX = 131_072

_START, _START_OK = (10, 10), (10, 11)
_TUNE, _TUNE_OK = (10, 30), (10, 31)
_OPEN, _OPEN_OK = (10, 40), (10, 41)
_CHANNEL_OPEN, _CHANNEL_OPEN_OK = (20, 10), (20, 11)
_DECLARE, _DECLARE_OK = (50, 10), (50, 11)
_CONFIRM, _CONFIRM_OK = (85, 10), (85, 11)
_PUBLISH, _ACK = (60, 40), (60, 80)

_PERSISTENT = struct.pack(">HB", 0x1000, 2)  # the one property: delivery mode 2
_DURABLE, _PASSIVE = 0b10, 0b01


class AmqpWire:
    """One connection that publishes to one queue by the default exchange."""

    messages = 1

    def __init__(self, queue: str) -> None:
        """Publish to ``queue``; the channel must be in confirm mode."""
        self.replies = bytearray()
        arguments = b"\0\0" + _short("") + _short(queue) + b"\0"
        self._head = _method(1, _PUBLISH, arguments)
        self._pending: dict[int, None] = {}
        self._left = b""

    def may_publish(self) -> bool:
        """Always: the broker stops reading when it wants less."""
        return True

    def publish(self, number: int, payload: bytes) -> bytes:
        """Give the bytes of one message."""
        self._pending[number] = None
        header = struct.pack(">HHQ", 60, 0, len(payload)) + _PERSISTENT
        return self._head + _frame(_HEADER, 1, header) + _frame(_BODY, 1, payload)

    def acknowledged(self, received: bytes) -> Iterator[int]:
        """Give the numbers of the confirmed messages; delivery tags count from 1."""
        data, at = self._left + received, 0
        while len(data) - at >= _HEAD_BYTES:
            kind, _, length = struct.unpack_from(">BHI", data, at)
            begin, end = at + _HEAD_BYTES, at + _HEAD_BYTES + length + 1
            if len(data) < end:
                break
            at = end
            if kind == _HEARTBEAT:
                continue
            method = struct.unpack_from(">HH", data, begin)
            if kind != _METHOD or method != _ACK:
                raise PublishError(f"method {method}: {data[begin:end]!r}")
            tag, is_multiple = struct.unpack_from(">Q?", data, begin + 4)
            yield from self._confirm(tag - 1, is_multiple=is_multiple)
        self._left = data[at:]

    def _confirm(self, number: int, *, is_multiple: bool) -> list[int]:
        if not is_multiple:
            del self._pending[number]
            return [number]
        numbers = []
        for pending in self._pending:
            if pending > number:
                break
            numbers.append(pending)
        for pending in numbers:
            del self._pending[pending]
        return numbers


def open_connection(port: int) -> socket.socket:
    """Connect as guest and open a channel in confirm mode.

    Raises:
        OSError: the broker is not there.
        PublishError: the broker closes instead of going on.
    """
    connection = connect(port)
    connection.sendall(b"AMQP\0\0\x09\x01")
    _expect(connection, _START)
    login = _long(b"\0guest\0guest")
    _call(connection, 0, (_START_OK, _TUNE), _table({}) + _short("PLAIN") + login + _short("en_US"))
    connection.sendall(_method(0, _TUNE_OK, struct.pack(">HIH", 1, _FRAME_BYTES_MAX, 0)))
    _call(connection, 0, (_OPEN, _OPEN_OK), _short("/") + b"\0\0")
    _call(connection, 1, (_CHANNEL_OPEN, _CHANNEL_OPEN_OK), b"\0")
    _call(connection, 1, (_CONFIRM, _CONFIRM_OK), b"\0")
    return connection


def declare_quorum_queue(port: int, queue: str, members: int) -> None:
    """Make a durable quorum queue with ``members`` replicas, led by the broker on ``port``."""
    arguments = _table({"x-queue-type": "quorum", "x-quorum-initial-group-size": members})
    with open_connection(port) as connection:
        body = b"\0\0" + _short(queue) + bytes([_DURABLE]) + arguments
        _call(connection, 1, (_DECLARE, _DECLARE_OK), body)


def messages_of(port: int, queue: str) -> int:
    """Give how many messages a queue holds."""
    with open_connection(port) as connection:
        body = b"\0\0" + _short(queue) + bytes([_PASSIVE]) + _table({})
        answer = _call(connection, 1, (_DECLARE, _DECLARE_OK), body)
        count: int = struct.unpack_from(">I", answer, 1 + answer[0])[0]
        return count


def _call(
    connection: socket.socket, channel: int, methods: tuple[tuple[int, int], ...], body: bytes
) -> bytes:
    """Send a method and give the arguments of the one that must follow."""
    connection.sendall(_method(channel, methods[0], body))
    return _expect(connection, methods[1])


def _expect(connection: socket.socket, method: tuple[int, int]) -> bytes:
    head = _exactly(connection, _HEAD_BYTES)
    body = _exactly(connection, struct.unpack(">BHI", head)[2] + 1)[:-1]
    if struct.unpack_from(">HH", body) != method:
        raise PublishError(f"expected method {method}: {body!r}")
    return body[4:]


def _exactly(connection: socket.socket, count: int) -> bytes:
    received = b""
    while len(received) < count:
        chunk = connection.recv(count - len(received))
        if not chunk:
            raise ConnectionResetError("the broker closed the connection")
        received += chunk
    return received


def _frame(kind: int, channel: int, body: bytes) -> bytes:
    return struct.pack(">BHI", kind, channel, len(body)) + body + b"\xce"


def _method(channel: int, method: tuple[int, int], arguments: bytes) -> bytes:
    return _frame(_METHOD, channel, struct.pack(">HH", *method) + arguments)


def _short(text: str) -> bytes:
    return bytes([len(text)]) + text.encode()


def _long(data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + data


def _table(values: dict[str, str | int]) -> bytes:
    return _long(
        b"".join(
            _short(name)
            + (
                b"S" + _long(value.encode())
                if isinstance(value, str)
                else struct.pack(">cI", b"I", value)
            )
            for name, value in values.items()
        )
    )
