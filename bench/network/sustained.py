"""Sustained throughput: full load until the state is steady, then a window that is counted.

Counts what is final in the members' logs, never what was accepted: the number of a window is that
of the live member whose log grew least. Beside the load one client publishes single events, to
tell what finality costs then.
"""

import itertools
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.load.bulk import Bodies, BulkClient, Supply, start_clients, stop_clients
from bench.load.events import EventSource
from bench.load.http import Address, Connection
from bench.machine.usage import disk_bytes, own_cpu_s, read_processes, used_between
from bench.network.latency import publish_one
from bench.network.logs import Logs
from bench.report.results import Quantiles, Throughput, quantiles
from tests.support.processes import RealNetwork

__all__ = ["LoadShape", "Offer", "measure_sustained", "measure_window"]

_CALIBRATION_EVENTS = 64_000
_SUPPLY_FACTOR = 1.7  # over what calibration promises: a warm network is quicker
_PROBE_PAUSE_S = 0.1


@dataclass(frozen=True, slots=True)
class LoadShape:
    """What is offered, and for how long.

    Attributes:
        clients: connections, each with one request under way.
        events_per_request: signed events in one bulk request.
        wait: whether a client waits for finality before its next request.
    """

    clients: int
    events_per_request: int
    wait: bool
    warm_up_s: float
    window_s: float


@dataclass(frozen=True, slots=True)
class Offer:
    """What one window takes.

    Attributes:
        bodies: bulk requests for all clients, enough for warm-up and window.
        probes: requests of single events, sent beside the load in the window.
        warm_up: returns when the window may begin; the load goes on meanwhile.
    """

    bodies: Bodies
    probes: list[bytes]
    warm_up: Callable[[], None]


class _Probe(threading.Thread):
    """Publishes single events beside the load, each until it is final."""

    def __init__(self, address: Address, bodies: list[bytes]) -> None:
        super().__init__(daemon=True)
        self._address = address
        self._bodies = bodies
        self.stopping = threading.Event()
        self.times: list[tuple[float, float]] = []

    def run(self) -> None:
        # Not before: a connection that says nothing during a long warm-up is refused.
        connection = Connection(self._address)
        for body in self._bodies:
            if self.stopping.wait(_PROBE_PAUSE_S):
                break
            _, begin, end = publish_one(connection, body)
            self.times.append((end, (end - begin) * 1000))
        connection.close()


@dataclass(slots=True)
class _Moment:
    """Everything that is read at one end of the window."""

    time_s: float
    sizes: list[int]
    cpu_s: float
    disk: int


def measure_sustained(
    network: RealNetwork, members: Sequence[int], source: EventSource, shape: LoadShape
) -> Throughput:
    """Measure the steady state of the live ``members``; publish through all their gateways.

    Raises:
        RuntimeError: the load could not be kept up; the message says why.
    """
    with Logs.opened(network, members) as logs:
        per_second = _calibrate(network, members, source, shape, logs)
        seconds = shape.warm_up_s + shape.window_s
        events_count = int(per_second * _SUPPLY_FACTOR * seconds) + _CALIBRATION_EVENTS
        offer = Offer(
            Supply(source.bodies(events_count, shape.events_per_request)),
            source.bodies(int(shape.window_s / _PROBE_PAUSE_S), 1),
            lambda: time.sleep(shape.warm_up_s),
        )
        result = measure_window(network, logs, shape, offer)
        logs.wait_level()
    return result


def _calibrate(
    network: RealNetwork,
    members: Sequence[int],
    source: EventSource,
    shape: LoadShape,
    logs: Logs,
) -> float:
    """Find out roughly how many events a second will be needed."""
    supply = Supply(source.bodies(_CALIBRATION_EVENTS, shape.events_per_request))
    begin = time.perf_counter()
    addresses = [network.address(member) for member in members]
    clients = start_clients(addresses, shape.clients, supply, wait=True)
    for client in clients:
        client.join()
    seconds = time.perf_counter() - begin
    stop_clients(clients)
    logs.wait_level()
    return _CALIBRATION_EVENTS / seconds


def measure_window(network: RealNetwork, logs: Logs, shape: LoadShape, offer: Offer) -> Throughput:
    """Load the members whose ``logs`` are given until warm, and measure a window.

    The clients have ended when this returns; the logs may still grow by what they were not
    answered for.

    Raises:
        RuntimeError: the load could not be kept up; the message says why.
    """
    members = logs.members
    probe = _Probe(network.address(members[0]), offer.probes)
    pids = {f"{part}{member}": pid for (member, part), pid in sorted(network.pids().items())}
    home = network.chain_dir(members[0]).parent
    addresses = [network.address(member) for member in members]
    clients = start_clients(addresses, shape.clients, offer.bodies, wait=shape.wait)
    offer.warm_up()
    probe.start()
    before, processes_before = _look(logs, home), read_processes(pids)
    per_second = _watch(logs, before, shape.window_s)
    after, processes_after = _look(logs, home), read_processes(pids)
    starved = any(client.is_starved for client in clients)
    probe.stopping.set()
    stop_clients(clients)
    probe.join()
    if starved:
        raise RuntimeError("the load generator ran out of signed events")
    seconds = after.time_s - before.time_s
    events = min(new - old for new, old in zip(after.sizes, before.sizes, strict=True))
    return Throughput(
        alive=len(members),
        seconds=round(seconds, 2),
        events=events,
        events_per_s=round(events / seconds, 1),
        per_second=per_second,
        final_under_load=_within(probe.times, before, after),
        bulk_final=_within(_finished(clients), before, after) if shape.wait else quantiles([]),
        overloaded=sum(client.overloaded for client in clients),
        generator_cpu_share=round((after.cpu_s - before.cpu_s) / seconds, 3),
        disk_bytes_per_event=(after.disk - before.disk) // max(events, 1),
        processes=used_between(processes_before, processes_after, seconds, events),
    )


def _look(logs: Logs, home: Path) -> _Moment:
    return _Moment(time.perf_counter(), logs.sizes(), own_cpu_s(), disk_bytes(home))


def _watch(logs: Logs, before: _Moment, window_s: float) -> list[int]:
    """Sleep through the window; give the slowest log's growth for each whole second of it."""
    rows = [before.sizes]
    for second in range(1, int(window_s) + 1):
        time.sleep(max(0.0, before.time_s + second - time.perf_counter()))
        rows.append(logs.sizes())
    time.sleep(max(0.0, before.time_s + window_s - time.perf_counter()))
    slowest = min(range(len(before.sizes)), key=lambda i: rows[-1][i] - before.sizes[i])
    return [new[slowest] - old[slowest] for old, new in itertools.pairwise(rows)]


def _finished(clients: Sequence[BulkClient]) -> list[tuple[float, float]]:
    return [row for client in clients for row in client.finished]


def _within(rows: list[tuple[float, float]], before: _Moment, after: _Moment) -> Quantiles:
    return quantiles([ms for end, ms in rows if before.time_s <= end <= after.time_s])
