"""Many subscribers in one process: they only take the time of each event and check its place.

Owns nothing but sockets and times. ``start_readers`` starts the process; the functions below it
run there. A reader must cost little, because it shares the machine with the gateway that it
measures: an event costs it one system call and the search for one number.
"""

import re
import selectors
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from bench.load.http import Address, connect, open_stream
from bench.machine.description import ROOT

__all__ = ["Arrivals", "Readers", "start_readers"]

_CHUNK_BYTES = 1 << 16
_END_S = 60.0
_STREAM_EVENT = re.compile(rb"\nid: (\d+)\ndata: [^\n]*\n\n")
_SEQUENCE = re.compile(rb'"sequence":"(\d{19})"')
_PING = b"\x89\x00"
_PONG = b"\x8a\x80\x00\x00\x00\x00"
_HANDSHAKE = (
    "GET {path} HTTP/1.1\r\nhost: bench\r\nupgrade: websocket\r\nconnection: upgrade\r\n"
    "sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\nsec-websocket-version: 13\r\n"
    "sec-websocket-protocol: cloudevents.json\r\n\r\n"
)


class Arrivals(msgspec.Struct):
    """What the readers of one process saw.

    Attributes:
        times: sequence -> when each reader had it, in seconds of the machine's monotonic clock.
        faults: readers that missed an event, had one twice, or lost their connection.
    """

    times: dict[int, list[float]]
    faults: int


class Readers(NamedTuple):
    """A process of readers that all follow the log."""

    process: "subprocess.Popen[bytes]"

    def finish(self) -> Arrivals:
        """End the process and give what it saw. Raises msgspec.DecodeError when it failed."""
        told, _ = self.process.communicate(b"end\n", timeout=_END_S)
        return msgspec.msgpack.decode(told, type=Arrivals)

    def kill(self) -> None:
        """End the process, whatever it does."""
        self.process.kill()
        self.process.wait()


def start_readers(kind: str, address: Address, count: int, after: int) -> Readers:
    """Start ``count`` readers of the ``kind`` sse or ws; all are connected when this returns.

    Raises:
        RuntimeError: they are not.
    """
    arguments = [
        sys.executable,
        "-m",
        "bench.load.stream_readers",
        kind,
        *map(str, address),
        str(count),
    ]
    process = subprocess.Popen(
        [*arguments, str(after)], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    if process.stdout.readline() != b"ready\n":
        process.kill()
        process.wait()
        raise RuntimeError("the readers did not get their streams")
    return Readers(process)


class _Reader:
    """One connection."""

    def __init__(self, kind: str, address: Address, after: int) -> None:
        path = f"/v1/stream?after={after}"
        self._is_socket = kind == "ws"
        opened = _open_socket if self._is_socket else open_stream
        self.connection = opened(address, path)
        self.connection.settimeout(0)
        self._next = after + 1
        self._rest = b""
        self.is_sound = True

    def take(self, times: dict[int, list[float]]) -> None:
        """Read what is there."""
        data = self.connection.recv(_CHUNK_BYTES)
        now = time.perf_counter()
        if not data:
            self.is_sound = False
            raise ConnectionResetError
        self._rest += data
        for number in self._messages() if self._is_socket else self._blocks():
            self.is_sound &= number == self._next
            self._next = number + 1
            times.setdefault(number, []).append(now)

    def _blocks(self) -> list[int]:
        """Give the sequences of the whole blocks that came, and keep the rest."""
        found = [*_STREAM_EVENT.finditer(self._rest)]
        if found:
            self._rest = self._rest[found[-1].end() - 1 :]
        return [int(match[1]) for match in found]

    def _messages(self) -> list[int]:
        """Give the sequences of the whole messages that came, answer pings, keep the rest."""
        numbers: list[int] = []
        while len(self._rest) >= 4:
            if self._rest.startswith(_PING):
                self.connection.send(_PONG)
                self._rest = self._rest[2:]
                continue
            length, start = self._rest[1], 2
            if length == 126:
                length, start = int.from_bytes(self._rest[2:4], "big"), 4
            if len(self._rest) < start + length:
                break
            match = _SEQUENCE.search(self._rest, start, start + length)
            assert match is not None, "every message is an event of the ledger"
            numbers.append(int(match[1]))
            self._rest = self._rest[start + length :]
        return numbers


def _open_socket(address: Address, path: str) -> socket.socket:
    connection = connect(address)
    connection.sendall(_HANDSHAKE.format(path=path).encode())
    head = b""
    while b"\r\n\r\n" not in head:
        head += connection.recv(1)
    if not head.startswith(b"HTTP/1.1 101"):
        raise ConnectionRefusedError(head.decode(errors="replace"))
    return connection


def _main(arguments: Sequence[str]) -> None:
    """Connect, say so, read until told to end, tell what was seen."""
    kind, host = arguments[:2]
    port, count, after = map(int, arguments[2:])
    readers = [_Reader(kind, (host, port), after) for _ in range(count)]
    times: dict[int, list[float]] = {}
    selector = selectors.DefaultSelector()
    for reader in readers:
        selector.register(reader.connection, selectors.EVENT_READ, reader)
    selector.register(sys.stdin.buffer, selectors.EVENT_READ, None)
    sys.stdout.buffer.write(b"ready\n")
    sys.stdout.buffer.flush()
    while True:
        for key, _ in selector.select():
            if key.data is None:
                faults = sum(not reader.is_sound for reader in readers)
                sys.stdout.buffer.write(msgspec.msgpack.encode(Arrivals(times, faults)))
                return
            try:
                key.data.take(times)
            except OSError:
                selector.unregister(key.fileobj)


if __name__ == "__main__":
    _main(sys.argv[1:])
