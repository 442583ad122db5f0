"""A fixed number of single events under way: the load at which other systems are compared.

Each client is one thread that publishes one event, waits until it is final, and goes on with the
next; the clients are spread over all gateways. Nothing is bulk, so every event costs a request.
"""

import threading
import time
from collections.abc import Sequence

from bench.load.events import EventSource
from bench.load.http import Address, Connection
from bench.machine.usage import own_cpu_s
from bench.network.latency import publish_one
from bench.report.results import InFlight, quantiles

__all__ = ["measure_in_flight"]

_WARM_UP = 0.2  # part of the time before the clock starts
_EVENTS_PER_S = 100  # at most, for each client: enough is signed before the clock starts


class _Client(threading.Thread):
    """One client; it ends at the time given to it."""

    def __init__(self, address: Address, bodies: list[bytes], end_s: float) -> None:
        super().__init__(daemon=True)
        self._connection = Connection(address)
        self._bodies = bodies
        self._end_s = end_s
        self.times: list[tuple[float, float]] = []
        self.fault: str | None = None

    def run(self) -> None:
        try:
            for body in self._bodies:
                _, begin, end = publish_one(self._connection, body)
                self.times.append((end, (end - begin) * 1000))
                if end >= self._end_s:
                    return
            self.fault = "the load generator ran out of signed events"
        except (OSError, RuntimeError) as error:
            self.fault = str(error)
        finally:
            self._connection.close()


def measure_in_flight(
    source: EventSource, addresses: Sequence[Address], count: int, seconds: float
) -> InFlight:
    """Keep ``count`` single events under way at the gateways at ``addresses``.

    Raises:
        RuntimeError: an event did not become final.
    """
    total = int(_EVENTS_PER_S * seconds)
    bodies = [source.bodies(total, 1) for _ in range(count)]
    end_s = time.perf_counter() + seconds
    clients = [_Client(addresses[i % len(addresses)], bodies[i], end_s) for i in range(count)]
    for client in clients:
        client.start()
    time.sleep(seconds * _WARM_UP)
    begin_s, cpu_s = time.perf_counter(), own_cpu_s()
    time.sleep(max(0.0, end_s - begin_s))
    window_s, used_s = time.perf_counter() - begin_s, own_cpu_s() - cpu_s
    for client in clients:
        client.join()
    if faults := {client.fault for client in clients if client.fault}:
        raise RuntimeError("; ".join(faults))
    times = [ms for c in clients for end, ms in c.times if begin_s <= end <= begin_s + window_s]
    return InFlight(
        in_flight=count,
        events_per_s=round(len(times) / window_s, 1),
        final=quantiles(times),
        generator_cpu_share=round(used_s / window_s, 3),
    )
