"""``python -m bench.parts.consumers``: durable consumers of one gateway, through HTTP on loopback.

Measures how many events a second are fetched and acknowledged, each durable before it is answered,
by one consumer and by many at once, and what one event costs the gateway. The gateway is a process
of its own over a chain store that was filled before; each consumer is one connection that fetches,
and acknowledges with the next fetch what it got.
"""

import argparse
import re
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import msgspec

from bench.load.http import Connection
from bench.machine.usage import read_processes
from concordat.free_ports import free_ports
from pubsub.core.rights import Scope
from pubsub.io.gateway import GatewaySettings, serve_gateway
from pubsub.io.rights import RightsSettings
from tests.pubsub.gateway_world import Chain, sample
from tests.pubsub.live_server import await_port

__all__ = ["ConsumerRun", "main", "measure_consumers"]

_JSON = "application/json"
_SEQUENCES = re.compile(rb'\{"sequence":(\d+),')
_BLOCK_EVENTS = 500


class ConsumerRun(msgspec.Struct, frozen=True):
    """One load.

    Attributes:
        consumers: connections, each with a consumer of its own.
        events_per_fetch: that are asked for and acknowledged together.
        events_per_s: of all consumers together.
        round_ms: median of a fetch that acknowledges what the one before gave.
        cpu_us_per_event: of the gateway.
    """

    consumers: int
    events_per_fetch: int
    events_per_s: float
    round_ms: float
    cpu_us_per_event: float


class _Puller(threading.Thread):
    """One consumer; it ends when it has all events."""

    def __init__(self, port: int, name: str, plan: tuple[int, int]) -> None:
        super().__init__(daemon=True)
        self._connection = Connection(("127.0.0.1", port))
        self._name = name
        self._events, self._batch = plan
        self.rounds_s: list[float] = []
        body = {"name": name, "start": {"policy": "first"}, "max_in_flight": 1000}
        answer = self._connection.post("/v1/consumers", msgspec.json.encode(body), _JSON)
        if answer.status != 201:
            raise RuntimeError(answer.body.decode())

    def run(self) -> None:
        path, settle, seen = f"/v1/consumers/{self._name}/fetch", b"", 0
        while seen < self._events:
            begun = time.perf_counter()
            body = b'{"max_events":%d%b}' % (self._batch, settle)
            found = _SEQUENCES.findall(self._connection.post(path, body, _JSON).body)
            settle = b',"settle":{"ack":[%b]}' % b",".join(found)
            self.rounds_s.append(time.perf_counter() - begun)
            seen += len(found)
        answer = self._connection.post(path, b'{"max_events":1%b}' % settle, _JSON)
        assert answer.body.endswith(b'"settled":{"settled":%d,"unknown":[]}}' % len(found)), answer
        self._connection.close()


def measure_consumers(port: int, pid: int, shape: tuple[int, int, int], prefix: str) -> ConsumerRun:
    """Let ``consumers`` take ``events`` each, ``batch`` at a time; (consumers, events, batch)."""
    consumers, events, batch = shape
    pullers = [_Puller(port, f"{prefix}-{n}", (events, batch)) for n in range(consumers)]
    before = read_processes({"gateway": pid})["gateway"]
    begun = time.perf_counter()
    for puller in pullers:
        puller.start()
    for puller in pullers:
        puller.join()
    elapsed = time.perf_counter() - begun
    after = read_processes({"gateway": pid})["gateway"]
    rounds = sorted(each for puller in pullers for each in puller.rounds_s)
    total = consumers * events
    return ConsumerRun(
        consumers,
        batch,
        round(total / elapsed, 1),
        round(rounds[len(rounds) // 2] * 1000, 2),
        round((after.cpu_s - before.cpu_s) * 1e6 / total, 1),
    )


def main(arguments: list[str] | None = None) -> None:
    """Run all loads and print them."""
    parser = argparse.ArgumentParser(prog="python -m bench.parts.consumers", description=__doc__)
    parser.add_argument("--events", type=int, default=10_000, help="in the log")
    parser.add_argument("--serve", nargs=2, metavar=("DIRECTORY", "PORT"), help=argparse.SUPPRESS)
    chosen = parser.parse_args(arguments)
    if chosen.serve:
        _serve(Path(chosen.serve[0]), int(chosen.serve[1]))
        return
    with tempfile.TemporaryDirectory(prefix="bench-consumers-") as name:
        directory, (port,) = Path(name), free_ports(1)
        _fill(directory, chosen.events)
        command = [sys.executable, "-m", "bench.parts.consumers", "--serve", name, str(port)]
        with subprocess.Popen(command) as process:
            await_port(process, port)
            for number, shape in enumerate(_shapes(chosen.events)):
                run = measure_consumers(port, process.pid, shape, f"c{number}")
                print(msgspec.json.encode(run).decode(), flush=True)
            process.terminate()


def _shapes(events: int) -> list[tuple[int, int, int]]:
    return [
        (1, events, 100),
        (1, events // 20, 1),
        (50, events // 5, 100),
        (50, events // 100, 1),
        (50, events // 20, 10),
    ]


def _fill(directory: Path, events: int) -> None:
    chain = Chain(directory / "chain")
    for first in range(0, events, _BLOCK_EVENTS):
        count = min(_BLOCK_EVENTS, events - first)
        chain.extend([sample(first + number, data=b"x" * 200).entry for number in range(count)])
    chain.store.close()


def _serve(directory: Path, port: int) -> None:
    settings = GatewaySettings(
        directory / "chain",
        directory / "control.sock",
        "bench",
        rights=RightsSettings(anonymous=frozenset(Scope)),
        delivery_dir=directory / "delivery",
    )
    serve_gateway(settings, "127.0.0.1", port)


if __name__ == "__main__":
    main()
