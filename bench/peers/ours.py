"""Concordat in the comparison: a fresh network of four validators for each round.

It is measured by the same parts as ``python -m bench``; this only puts their numbers into the form
that the peers' have.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TypeVar

from bench.load.events import EventSource
from bench.load.http import Address
from bench.network.in_flight import measure_in_flight
from bench.network.latency import measure_low_load
from bench.network.sustained import LoadShape, measure_sustained
from bench.peers.measure import Plan, Sampler
from bench.peers.results import IN_FLIGHT, LOW_LOAD, Level, Round
from bench.report.results import InFlight, LowLoad, Throughput
from tests.support.processes import RealNetwork

__all__ = [
    "SETTINGS",
    "VALIDATORS",
    "measure_ours",
    "some_payloads",
]

T = TypeVar("T")

VALIDATORS = 4
SETTINGS = {
    "replicas": "4 validators, final by 3 of them (one may lie)",
    "fsync": "default: a validator syncs each vote and each batch it vouches for before it says so",
    "publish": (
        "best: clients that each have one bulk request of signed events under way and wait until "
        "all of it is final; else one signed event a request"
    ),
    "client": "connections to all gateways, HTTP; events are signed before the clock starts",
    "other": "links between validators by TLS 1.3, everything default",
}
_EVENTS = 200  # of the closed loop


def some_payloads(directory: Path, count: int) -> list[bytes]:
    """Make signed events of a network that is never started, for the peers to carry."""
    return [opened.entry for opened in _source(_network(directory)).entries(count)]


def measure_ours(directory: Path, plan: Plan) -> Round:
    """Start a network, measure it and end it.

    Raises:
        RuntimeError: an event did not become final, or a process did not end well.
    """
    load = round(os.getloadavg()[0], 2)
    network = _network(directory)
    source = _source(network)
    everybody = range(network.size)
    with network.running():
        network.wait_ready()
        addresses = [network.address(member) for member in everybody]
        pids = {f"{part}{member}": pid for (member, part), pid in network.pids().items()}
        low, others_low = _beside(pids, lambda: _low(source, addresses))
        many, others_many = _beside(
            pids,
            lambda: measure_in_flight(source, addresses, IN_FLIGHT, plan.window_s + plan.warm_up_s),
        )
        full = [
            _beside(pids, partial(measure_sustained, network, everybody, source, shape))
            for shape in plan.bulk
        ]
        if faults := network.stop_all():
            raise RuntimeError("; ".join(faults))
    levels = [
        _low_level(low, others_low),
        _many_level(many, others_many),
        *(
            _full_level(part, shape, others)
            for shape, (part, others) in zip(plan.bulk, full, strict=True)
        ),
    ]
    events = sum(part.events for part, _ in full)
    disk = VALIDATORS * sum(part.disk_bytes_per_event * part.events for part, _ in full) / events
    return Round(levels, events, events, disk, load)


def _network(directory: Path) -> RealNetwork:
    return RealNetwork.create(
        directory, validators=VALIDATORS, settings={"log": {"level": "warning"}}
    )


def _source(network: RealNetwork) -> EventSource:
    did, signer = network.publisher(0)
    return EventSource(did, signer, network.testnet.genesis.chain_id)


def _low(source: EventSource, addresses: Sequence[Address]) -> LowLoad:
    return measure_low_load(source, (addresses[0], addresses[1]), (1, _EVENTS), 0)


def _beside(pids: Mapping[str, int], measure: Callable[[], T]) -> tuple[T, float]:
    """Measure something; give the cores too that were busy with neither it nor the network."""
    sampler = Sampler(pids)
    sampler.look()
    measured = measure()
    sampler.look()
    return measured, sampler.others_share()


def _low_level(load: LowLoad, others: float) -> Level:
    times = load.median.final
    mean_ms = max(times.p50_ms, 0.01)
    return Level(LOW_LOAD, 1, round(1000 / mean_ms, 1), times, 0.0, others, None, 0, 0.0)


def _many_level(part: InFlight, others: float) -> Level:
    share = part.generator_cpu_share
    return Level(part.in_flight, 1, part.events_per_s, part.final, share, others, None, 0, 0.0)


def _full_level(part: Throughput, shape: LoadShape, others: float) -> Level:
    return Level(
        in_flight=shape.clients * shape.events_per_request,
        messages_per_request=shape.events_per_request,
        messages_per_s=part.events_per_s,
        times=part.bulk_final,
        generator_cpu_share=part.generator_cpu_share,
        others_cpu_share=others,
        cpu_us_per_message=round(sum(each.cpu_us_per_event for each in part.processes), 1),
        rss_bytes=sum(each.rss_bytes for each in part.processes),
        written_bytes_per_message=sum(each.written_bytes_per_event for each in part.processes),
    )
