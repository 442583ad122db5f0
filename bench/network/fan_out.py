"""``python -m bench.network.fan_out``: one event to a thousand subscribers of one gateway.

Measures a network of four validators as real processes: subscribers in processes of their own hold
streams of one gateway, single events are published there, and each subscriber takes the time at
which it has them. Says when the first and the last had an event, and what a stream costs in memory.
Also what it costs to find those who want an event, of 10,000 interests. Part of ``make bench``.
"""

import argparse
import gc
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec

from bench.load.events import EventSource
from bench.load.http import Connection
from bench.load.stream_readers import Arrivals, Readers, start_readers
from bench.machine.usage import read_processes
from bench.network.latency import publish_one
from bench.report.results import FanOut, FanOutRun, InterestRun, quantiles
from ledger.core.event import OpenEntry
from pubsub.core.interest import Interest, read_interest
from pubsub.core.interest_index import InterestIndex
from pubsub.core.interest_match import Predicate, compile_interest
from tests.support.processes import Part, RealNetwork

__all__ = ["fan_out_rows", "main", "measure_fan_out"]

_MEMBER = 0
_READER_PROCESSES = 2
_PAUSE_S = 0.1
_SETTLE_S = 1.0
_DELIVERY_S = 20.0
_VALUES = 500  # that interests of one kind name
_INTERESTS = (
    '{"topics":["m%d.catalogue.>"]}',
    '{"topics":["publisher%d.offerings.changed"]}',
    '{"filters":[{"exact":{"subject":"urn:offering:%d"}}]}',
    '{"topics":["*.catalogue.*"],"filters":[{"exact":{"source":"did:web:m%d.example"}}]}',
    '{"filters":[{"prefix":{"type":"org.t%d."}}]}',
    '{"filters":[{"any":[{"exact":{"type":"org.t%d"}},{"exact":{"tags":"urgent"}}]}]}',
    '{"topics":["m%d.>"],"filters":[{"not":{"exact":{"tags":"eu"}}}]}',
    '{"topics":["*.m%d"]}',
)


def measure_fan_out(
    network: RealNetwork, source: EventSource, streams: int, events: int
) -> FanOutRun:
    """Measure a running network.

    Raises:
        RuntimeError: a stream could not be opened, or an event did not become final.
    """
    return FanOutRun(
        _measure_streams(network, source, ("sse", streams, events)),
        _measure_streams(network, source, ("ws", streams, events)),
        _measure_interests(source, 10_000),
    )


def fan_out_rows(run: FanOutRun) -> Iterator[tuple[str, str, str, str]]:
    """Give the lines of the table that ``make bench`` prints."""
    yield ("", "p50 ms", "p99 ms", "")
    for name, part in (("SSE", run.server_sent_events), ("WebSocket", run.websocket)):
        kib = part.bytes_per_stream / 1024
        cpu = f"{part.cpu_us_per_delivery} us CPU a delivery"
        title = f"one event to {part.streams:,} {name} streams"
        yield (
            f"{title}: each",
            f"{part.received.p50_ms}",
            f"{part.received.p99_ms}",
            f"{part.complete:,} had all {part.events} events; {kib:.1f} KiB a stream, {cpu}",
        )
        yield (f"{title}: the last", f"{part.last.p50_ms}", f"{part.last.p99_ms}", "")
    found = run.interests
    yield ("", "us/event", "ratio", "")
    yield (
        f"who of {found.interests:,} interests wants it",
        f"{found.index_us}",
        f"{found.naive_us / found.index_us:,.0f}",
        f"asking each: {found.naive_us:,.0f} us; {found.wanting} want an event",
    )


def _measure_streams(
    network: RealNetwork, source: EventSource, plan: tuple[str, int, int]
) -> FanOut:
    kind, streams, events = plan
    address = network.address(_MEMBER)
    _restart_gateway(network)  # memory that an earlier measurement left behind would be used again
    gateway = {"gateway": network.pids()[_MEMBER, Part.GATEWAY]}
    bodies = source.bodies(events + 1, 1)
    connection = Connection(address)
    readers: list[Readers] = []
    try:
        first, _, _ = publish_one(connection, bodies.pop())
        time.sleep(_SETTLE_S)
        before = read_processes(gateway)["gateway"]
        share = streams // _READER_PROCESSES
        while len(readers) < _READER_PROCESSES:
            readers.append(start_readers(kind, address, share, first))
        time.sleep(_SETTLE_S)
        begun = read_processes(gateway)["gateway"]
        answered: dict[int, float] = {}
        for body in bodies:
            number, _, end = publish_one(connection, body)
            answered[number] = end
            time.sleep(_PAUSE_S)
        time.sleep(_SETTLE_S)
        ended = read_processes(gateway)["gateway"]
        arrivals = [reader.finish() for reader in readers]
    finally:
        connection.close()
        for reader in readers:
            reader.kill()
    deliveries = share * _READER_PROCESSES
    return FanOut(
        streams=deliveries,
        events=events,
        received=quantiles(
            [ms for number in answered for ms in _delays(number, answered[number], arrivals)]
        ),
        last=quantiles(
            [
                max(_delays(number, answered[number], arrivals), default=_DELIVERY_S * 1000)
                for number in answered
            ]
        ),
        complete=_complete(deliveries, answered, arrivals),
        bytes_per_stream=(begun.anonymous_bytes - before.anonymous_bytes) // deliveries,
        cpu_us_per_delivery=round(
            (ended.cpu_s - begun.cpu_s) * 1e6 / (deliveries * len(answered)), 1
        ),
    )


def _restart_gateway(network: RealNetwork) -> None:
    if faults := network.stop((_MEMBER, Part.GATEWAY)):
        raise RuntimeError("; ".join(faults))
    network.start(_MEMBER, Part.GATEWAY)
    network.wait_ready([_MEMBER])


def _delays(number: int, answered_s: float, arrivals: list[Arrivals]) -> list[float]:
    """Give the milliseconds from the first knowledge of an event to each arrival."""
    times = [at for part in arrivals for at in part.times.get(number, ())]
    first = min([answered_s, *times])
    return [(at - first) * 1000 for at in times]


def _complete(streams: int, answered: dict[int, float], arrivals: list[Arrivals]) -> int:
    """Count the streams that had everything: none at fault, and each event as often as readers."""
    seen = min(sum(len(part.times.get(number, ())) for part in arrivals) for number in answered)
    return min(seen, streams - sum(part.faults for part in arrivals))


def _measure_interests(source: EventSource, count: int) -> InterestRun:
    """Compare the index with asking each interest, in turns."""
    interests = [_interest(number) for number in range(count)]
    index: InterestIndex[int] = InterestIndex()
    for number, interest in enumerate(interests):
        index.add(number, interest)
    predicates = [compile_interest(interest) for interest in interests]
    events = [*source.entries(50)]
    index_us: list[float] = []
    naive_us: list[float] = []
    wanting = 0
    gc.collect()
    for opened in events:
        begun = time.perf_counter()
        found = index.keys(opened.event, opened.id)
        asked = time.perf_counter()
        wanted = _ask_each(predicates, opened)
        naive_us.append((time.perf_counter() - asked) * 1e6)
        index_us.append((asked - begun) * 1e6)
        assert sorted(found) == wanted
        wanting += len(found)
    return InterestRun(
        interests=count,
        index_us=round(statistics.median(index_us), 1),
        naive_us=round(statistics.median(naive_us), 1),
        wanting=round(wanting / len(events), 1),
    )


def _interest(number: int) -> Interest:
    kind, value = number % len(_INTERESTS), number // len(_INTERESTS) % _VALUES
    return read_interest((_INTERESTS[kind] % value).encode())


def _ask_each(predicates: list[Predicate], opened: OpenEntry) -> list[int]:
    event, id_ = opened.event, opened.id
    return [number for number, predicate in enumerate(predicates) if predicate(event, id_)]


def main(arguments: list[str] | None = None) -> None:
    """Run a network, measure it, print the lines; leave no process."""
    parser = argparse.ArgumentParser(prog="python -m bench.network.fan_out", description=__doc__)
    parser.add_argument("--streams", type=int, default=1_000)
    parser.add_argument("--events", type=int, default=100)
    chosen = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    with tempfile.TemporaryDirectory(prefix="fan-out-") as directory:
        network = RealNetwork.create(Path(directory), settings={"log": {"level": "warning"}})
        did, signer = network.publisher(0)
        source = EventSource(did, signer, network.testnet.genesis.chain_id)
        with network.running():
            network.wait_ready()
            run = measure_fan_out(network, source, chosen.streams, chosen.events)
    print(msgspec.json.format(msgspec.json.encode(run), indent=2).decode())
    for row in fan_out_rows(run):
        print("  ".join(row).rstrip())


if __name__ == "__main__":
    main()
