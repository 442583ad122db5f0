"""A client that posts as fast as it can at one gateway, and heeds no answer; a process of its own.

Each connection sends in turn new valid events, events that it sent before, events with broken
signatures, and noise. It never waits for finality and never pauses when it is told to. What it was
answered is counted by kind and status.
"""

import itertools
import json
import secrets
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from bench.load.events import MEDIA_BULK, EventSource
from bench.load.http import Address, Connection
from bench.machine.description import ROOT
from ledger.core.codec import encode
from ledger.io.keystore import KeyPurpose, open_key

__all__ = ["Flooder", "start_flooder"]

_CONNECTIONS = 8
_EVENTS = 200  # of a request
_CHEAP_TURNS = 4
_KEPT_BODIES = 20  # that are sent again
_NOISE_BYTES = 100_000
_RECONNECT_S = 0.05
_END_S = 20.0


class Flooder(NamedTuple):
    """The running client."""

    process: "subprocess.Popen[bytes]"

    def stop(self) -> dict[str, int]:
        """End it; give the number of its requests by kind and status."""
        told, _ = self.process.communicate(b"end\n", timeout=_END_S)
        answers: dict[str, int] = json.loads(told)
        return answers

    def kill(self) -> None:
        """End it, whatever it does."""
        self.process.kill()
        self.process.wait()


def start_flooder(address: Address, key: Path, chain_id: str) -> Flooder:
    """Flood a gateway, as the publisher whose ``key`` lies in a file without password."""
    command = [sys.executable, "-m", "bench.load.flooder", *map(str, address), str(key), chain_id]
    return Flooder(
        subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    )


class _Client(threading.Thread):
    """One connection, opened again whenever the gateway closes it."""

    def __init__(self, address: Address, source: EventSource) -> None:
        super().__init__(daemon=True)
        self._address = address
        self._source = source
        self._sent: list[bytes] = []
        self.answers: Counter[str] = Counter()

    def run(self) -> None:
        connection: Connection | None = None
        for kind, body in self._bodies():
            try:
                connection = connection or Connection(self._address)
                answer = connection.post("/v1/events", body, MEDIA_BULK)
                self.answers[f"{kind} {answer.status}"] += 1
            except OSError:
                self.answers[f"{kind} disconnected"] += 1
                if connection is not None:
                    connection.close()
                connection = None
                time.sleep(_RECONNECT_S)

    def _bodies(self) -> Iterator[tuple[str, bytes]]:
        for number in itertools.count():
            entries = [opened.entry for opened in self._source.entries(_EVENTS)]
            body = encode(entries)
            self._sent = [*self._sent[-_KEPT_BODIES + 1 :], body]
            yield "valid", body
            forged = encode([entry[:-64] + secrets.token_bytes(64) for entry in entries])
            noise = secrets.token_bytes(_NOISE_BYTES)
            # What costs this client nothing goes more often: signing must not be what limits it.
            for turn in range(_CHEAP_TURNS):
                yield "repeated", self._sent[(number + turn) % len(self._sent)]
                yield "forged", forged
                yield "noise", noise


def _main(arguments: Sequence[str]) -> None:
    """Flood until standard input says something or ends, then say what was answered."""
    host, port, path, chain_id = arguments
    key = open_key(Path(path), KeyPurpose.PUBLISHER, password=None)
    clients = [
        _Client((host, int(port)), EventSource(key.info.owner, key.signer, chain_id))
        for _ in range(_CONNECTIONS)
    ]
    for client in clients:
        client.start()
    sys.stdin.buffer.readline()
    print(json.dumps(sum((client.answers for client in clients), Counter())))


if __name__ == "__main__":
    _main(sys.argv[1:])
