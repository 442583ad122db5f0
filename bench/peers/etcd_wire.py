"""etcd: puts by gRPC, over HTTP/2 written by hand.

The client libraries for Python cost more per call than etcd itself. The headers of all calls are
the same bytes, made once without a compression table; of an answer only its frames are told
apart. A call that succeeded has a message (DATA) before its end, a refused one has only headers.
"""

import socket
import struct
from collections.abc import Iterator, Sequence

from bench.peers.wire import PublishError, connect

__all__ = ["EtcdWire", "open_connection", "put_request", "transaction"]

_DATA, _HEADERS, _RESET, _SETTINGS, _PING, _GO_AWAY, _WINDOW_UPDATE = 0, 1, 3, 4, 6, 7, 8
_END_STREAM, _END_HEADERS, _ACK = 1, 4, 1
_HEAD_BYTES = 9
_WINDOW_BYTES = 65_535  # of the connection at its start, by the protocol
_WINDOW_BYTES_MAX = 2**31 - 1
_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_INITIAL_WINDOW_SIZE = 4


class EtcdWire:
    """One connection that puts each message under a key of its own."""

    def __init__(self, prefix: str, puts: int = 1) -> None:
        """Put under keys that begin with ``prefix``; ``puts`` of them in one transaction."""
        self.replies = bytearray()
        self.messages = puts
        self._prefix = prefix.encode()
        method = "Put" if puts == 1 else "Txn"
        self._headers = _header_block(f"/etcdserverpb.KV/{method}")
        self._room = _WINDOW_BYTES
        self._answered: set[int] = set()
        self._left = b""
        self._call_bytes_max = puts * 640 + 64

    def may_publish(self) -> bool:
        """Say whether the connection's window has room."""
        return self._room >= self._call_bytes_max

    def publish(self, number: int, payload: bytes) -> bytes:
        """Give the bytes of one call."""
        stream = 2 * number + 1
        if self.messages == 1:
            request = put_request(b"%b%012d" % (self._prefix, number), payload)
        else:
            first = number * self.messages
            keys = (b"%b%012d" % (self._prefix, first + place) for place in range(self.messages))
            request = transaction([put_request(key, payload) for key in keys])
        data = struct.pack(">BI", 0, len(request)) + request
        self._room -= len(data)
        return _frame(_HEADERS, _END_HEADERS, stream, self._headers) + b"".join(
            _frame(
                _DATA,
                _END_STREAM if at + 16_384 >= len(data) else 0,
                stream,
                data[at : at + 16_384],
            )
            for at in range(0, len(data), 16_384)
        )

    def acknowledged(self, received: bytes) -> Iterator[int]:
        """Give the numbers of the calls that were answered."""
        data, at = self._left + received, 0
        while len(data) - at >= _HEAD_BYTES:
            high, low, kind, flags, stream = struct.unpack_from(">BHBBI", data, at)
            begin = at + _HEAD_BYTES
            end = begin + (high << 16 | low)
            if len(data) < end:
                break
            at = end
            if kind == _DATA:
                self._answered.add(stream)
            elif kind == _HEADERS:
                if flags & _END_STREAM:
                    yield self._ended(stream)
            else:
                self._control(kind, flags, stream, data[begin:end])
        self._left = data[at:]

    def _ended(self, stream: int) -> int:
        if stream not in self._answered:
            raise PublishError("a call was refused")
        self._answered.remove(stream)
        return stream // 2

    def _control(self, kind: int, flags: int, stream: int, body: bytes) -> None:
        if kind in (_RESET, _GO_AWAY):
            raise PublishError(f"frame {kind}: {body!r}")
        if kind == _WINDOW_UPDATE and stream == 0:
            self._room += struct.unpack(">I", body)[0]
        elif kind == _SETTINGS and not flags & _ACK:
            self.replies += _frame(_SETTINGS, _ACK, 0, b"")
        elif kind == _PING and not flags & _ACK:
            self.replies += _frame(_PING, _ACK, 0, body)


def open_connection(port: int) -> socket.socket:
    """Connect and offer a window that never fills. Raises OSError."""
    connection = connect(port)
    settings = struct.pack(">HI", _INITIAL_WINDOW_SIZE, _WINDOW_BYTES_MAX)
    window = struct.pack(">I", _WINDOW_BYTES_MAX - _WINDOW_BYTES)
    connection.sendall(
        _PREFACE + _frame(_SETTINGS, 0, 0, settings) + _frame(_WINDOW_UPDATE, 0, 0, window)
    )
    return connection


def put_request(key: bytes, value: bytes) -> bytes:
    """Encode etcdserverpb.PutRequest."""
    return _field(1, key) + _field(2, value)


def transaction(puts: Sequence[bytes]) -> bytes:
    """Encode etcdserverpb.TxnRequest that does ``puts`` without a condition."""
    return b"".join(_field(2, _field(2, put)) for put in puts)


def _field(number: int, data: bytes) -> bytes:
    length, rest = [], len(data)
    while rest > 127:
        length.append(rest & 127 | 128)
        rest >>= 7
    return bytes([number << 3 | 2, *length, rest]) + data


def _frame(kind: int, flags: int, stream: int, body: bytes) -> bytes:
    length = len(body)
    return struct.pack(">BHBBI", length >> 16, length & 0xFFFF, kind, flags, stream) + body


def _header_block(path: str) -> bytes:
    """Encode a call's headers by HPACK's static table and plain literals, never indexed."""
    return (
        b"\x83\x86\x04"  # :method POST, :scheme http, :path
        + _literal(path)
        + b"\x01" + _literal("localhost")  # :authority
        + b"\x0f\x10" + _literal("application/grpc")  # content-type
        + b"\x00" + _literal("te") + _literal("trailers")
    )  # fmt: skip


def _literal(text: str) -> bytes:
    return bytes([len(text)]) + text.encode()
