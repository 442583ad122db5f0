"""Finality at low load: one client, single events, one at a time.

The client waits for ``?wait=final`` at one member's gateway; a subscriber listens at another's.
Both only take the time and keep bytes while the clock runs; everything is read afterwards.
"""

import random
import re
import statistics
import threading
import time
from contextlib import suppress

from bench.load.events import MEDIA_BULK, EventSource
from bench.load.http import Address, Connection, open_stream
from bench.load.receipts import FINAL, read_receipts
from bench.report.results import Latency, LowLoad, Quantiles, quantiles

__all__ = ["Watcher", "measure_low_load", "publish_one"]

_EVENT_ID = re.compile(rb"\nid: (\d+)\ndata: ")
_DELIVERY_S = 10.0  # how long after the last answer its event may reach the subscriber
_CHUNK_BYTES = 1 << 18


class Watcher(threading.Thread):
    """A subscriber that notes when each piece of the stream arrived."""

    def __init__(self, address: Address, after: int, query: str = "") -> None:
        """Listen at a gateway behind the sequence ``after`` to what a further ``query`` asks."""
        super().__init__(daemon=True)
        self._stream = open_stream(address, f"/v1/stream?after={after}{query}")
        self._ends: list[int] = []
        self._times: list[float] = []
        self._received = bytearray()

    def run(self) -> None:
        """Receive until :meth:`finish`."""
        with suppress(OSError):
            while chunk := self._stream.recv(_CHUNK_BYTES):
                self._times.append(time.perf_counter())
                self._received += chunk
                self._ends.append(len(self._received))

    def finish(self, last: int) -> dict[int, float]:
        """Wait for the event ``last``, end, and give the arrival of each event by sequence."""
        deadline = time.perf_counter() + _DELIVERY_S
        mark = b"\nid: %d\ndata: " % last
        while mark not in self._received and time.perf_counter() < deadline:
            time.sleep(0.005)
        with suppress(OSError):
            self._stream.shutdown(2)
        self.join()
        self._stream.close()
        arrivals: dict[int, float] = {}
        piece = 0
        for match in _EVENT_ID.finditer(self._received):
            while self._ends[piece] < match.end():
                piece += 1
            arrivals[int(match[1])] = self._times[piece]
        return arrivals


def publish_one(connection: Connection, body: bytes) -> tuple[int, float, float]:
    """Publish one event and wait until it is final; give sequence, begin and end.

    Raises:
        RuntimeError: it did not become final.
    """
    begin = time.perf_counter()
    answer = connection.post("/v1/events?wait=final", body, MEDIA_BULK)
    end = time.perf_counter()
    if answer.status != 200:
        raise RuntimeError(f"{answer.status}: {answer.body.decode()}")
    (receipt,) = read_receipts(answer.body)
    if receipt.status != FINAL:
        raise RuntimeError(answer.body.decode())
    return receipt.sequence, begin, end


def measure_low_load(
    source: EventSource, addresses: tuple[Address, Address], shape: tuple[int, int], pause_ms: int
) -> LowLoad:
    """Measure one way of offering little load.

    Args:
        addresses: gateways of the publisher and of the subscriber.
        shape: number of repeats, events of each.
        pause_ms: longest of the random pauses between events, 0 for none.
    """
    repeats_count, events_count = shape
    repeats = [_repeat(source, addresses, events_count, pause_ms) for _ in range(repeats_count)]
    median = Latency(
        final=_median([repeat.final for repeat in repeats]),
        delivered=_median([repeat.delivered for repeat in repeats]),
    )
    return LowLoad(pause_ms, median, repeats)


def _repeat(
    source: EventSource, addresses: tuple[Address, Address], count: int, pause_ms: int
) -> Latency:
    pauses = random.Random(count)
    bodies = source.bodies(count + 1, 1)
    connection = Connection(addresses[0])
    try:
        # The first event wakes everything and tells where the log ends.
        first, _, _ = publish_one(connection, bodies.pop())
        watcher = Watcher(addresses[1], first)
        watcher.start()
        rows = []
        for body in bodies:
            if pause_ms:
                time.sleep(pauses.random() * pause_ms / 1000)
            rows.append(publish_one(connection, body))
    finally:
        connection.close()
    arrivals = watcher.finish(rows[-1][0])
    return Latency(
        final=quantiles([(end - begin) * 1000 for _, begin, end in rows]),
        delivered=quantiles([(arrivals[number] - begin) * 1000 for number, begin, _ in rows]),
    )


def _median(parts: list[Quantiles]) -> Quantiles:
    return Quantiles(
        p50_ms=round(statistics.median(part.p50_ms for part in parts), 2),
        p99_ms=round(statistics.median(part.p99_ms for part in parts), 2),
        p999_ms=round(statistics.median(part.p999_ms for part in parts), 2),
        max_ms=round(statistics.median(part.max_ms for part in parts), 2),
        count=sum(part.count for part in parts),
    )
