"""What a run of the benchmark gives: plain records that become JSON, a table and a page."""

import statistics
from collections.abc import Sequence

import msgspec

from bench.machine.usage import ProcessUse
from bench.parts.tmf_usage import UsageRun

__all__ = [
    "Baseline",
    "FanOut",
    "FanOutRun",
    "InFlight",
    "InterestRun",
    "Latency",
    "LowLoad",
    "Quantiles",
    "RatePoint",
    "Run",
    "Throughput",
    "quantiles",
]


class Quantiles(msgspec.Struct, frozen=True):
    """Milliseconds; nearest ranks. Of fewer than 1,000 times, p99.9 is the longest."""

    p50_ms: float
    p99_ms: float
    p999_ms: float
    max_ms: float
    count: int


class Latency(msgspec.Struct, frozen=True):
    """Finality of single events, from the request.

    Attributes:
        final: until the answer to ``?wait=final``.
        delivered: until a subscriber at another member's gateway has the event.
    """

    final: Quantiles
    delivered: Quantiles


class LowLoad(msgspec.Struct, frozen=True):
    """One way of offering little load, repeated.

    Attributes:
        pause_ms: between an answer and the next request, at most; the pauses are random.
        median: of each number over the repeats.
    """

    pause_ms: int
    median: Latency
    repeats: list[Latency]


class InFlight(msgspec.Struct, frozen=True):
    """A fixed number of single events under way, each one a request.

    Attributes:
        generator_cpu_share: cores that the load generator took from the network.
    """

    in_flight: int
    events_per_s: float
    final: Quantiles
    generator_cpu_share: float


class RatePoint(msgspec.Struct, frozen=True):
    """One offered rate, open loop: latencies count from when a request was meant to leave.

    Attributes:
        offered_per_s: events that were meant to leave, per second.
        final_per_s: events that were answered as final within the same time, per second.
        final: until the answer; what was never answered counts with the time that it waited.
        delivered: until a subscriber at another member's gateway has the request's first event.
        refused, unanswered: events.
        is_kept: the network kept up with the rate.
        generator_cpu_share: cores that the load generator took from the network.
        cpu_us_per_event: of all processes of all members together.
    """

    offered_per_s: float
    final_per_s: float
    final: Quantiles
    delivered: Quantiles
    refused: int
    unanswered: int
    is_kept: bool
    generator_cpu_share: float
    cpu_us_per_event: float


class Throughput(msgspec.Struct, frozen=True):
    """A steady state under full load.

    Attributes:
        alive: members that ran.
        events: became final in the window, in the log of the live member that had fewest.
        events_per_s: that, per second; the JSON's headline.
        per_second: the same second by second, to show that the state was steady.
        final_under_load: of a single event that is published beside the load.
        bulk_final: of whole bulk requests, when they waited for finality.
        overloaded: requests that the node did not take at once and that were sent again.
        generator_cpu_share: cores that the load generator took from the network.
        disk_bytes_per_event: growth of one member's two stores, per event.
    """

    alive: int
    seconds: float
    events: int
    events_per_s: float
    per_second: list[int]
    final_under_load: Quantiles
    bulk_final: Quantiles
    overloaded: int
    generator_cpu_share: float
    disk_bytes_per_event: int
    processes: list[ProcessUse]


class Baseline(msgspec.Struct, frozen=True):
    """What one core can do of the work that no design avoids, in one process, per second.

    Attributes:
        verify_per_s: signature checks in one call.
        open_per_s: entries decoded, checked for canonical form and identified.
        scan_per_s: entries of a batch read and identified by the kernel.
        leaf_per_s: log leaves hashed.
        fsync_ms: one synced write of 4 KiB, median.
        write_us: CPU an event of large synced writes.
        loopback_us: CPU an event of large transfers on loopback, both ends.
    """

    verify_per_s: int
    open_per_s: int
    scan_per_s: int
    leaf_per_s: int
    fsync_ms: float
    write_us: float
    loopback_us: float


class FanOut(msgspec.Struct, frozen=True):
    """One event to all streams, repeated.

    Attributes:
        received: from when the first of publisher and readers knew that an event is final, until
            a reader had it; over all readers and events.
        last: the same until the last reader had it; over all events.
        complete: streams that had every event once and in order.
        bytes_per_stream: what the gateway's memory grew by, for each stream.
        cpu_us_per_delivery: of the gateway, while events came.
    """

    streams: int
    events: int
    received: Quantiles
    last: Quantiles
    complete: int
    bytes_per_stream: int
    cpu_us_per_delivery: float


class InterestRun(msgspec.Struct, frozen=True):
    """Who wants an event, of many interests, in one process.

    Attributes:
        index_us: one event, by the index.
        naive_us: the same event, by asking each compiled interest.
        wanting: interests that want an event, on average.
    """

    interests: int
    index_us: float
    naive_us: float
    wanting: float


class FanOutRun(msgspec.Struct, frozen=True):
    """What ``make bench`` records."""

    server_sent_events: FanOut
    websocket: FanOut
    interests: InterestRun


class Run(msgspec.Struct, frozen=True):
    """One whole run.

    Attributes:
        offered: single events at rising rates; offered_bulk: requests of 100 events.
        one_dead_ratio: throughput with one validator dead over that with all.
        fan_out: streams of one gateway.
        usage: the access node's usage log, which needs no network.
    """

    date: str
    commit: str
    command: str
    machine: dict[str, str]
    settings: dict[str, int]
    baseline: Baseline
    closed_loop: LowLoad
    paced: LowLoad
    in_flight: InFlight
    offered: list[RatePoint]
    offered_bulk: list[RatePoint]
    sustained: Throughput
    one_dead: Throughput
    one_dead_ratio: float
    fan_out: FanOutRun
    usage: UsageRun


def quantiles(milliseconds: Sequence[float]) -> Quantiles:
    """Summarise measured times; of none, zeros."""
    ordered = sorted(milliseconds)
    if not ordered:
        return Quantiles(0.0, 0.0, 0.0, 0.0, 0)
    return Quantiles(
        p50_ms=round(statistics.median(ordered), 2),
        p99_ms=round(ordered[_rank(len(ordered), 990)], 2),
        p999_ms=round(ordered[_rank(len(ordered), 999)], 2),
        max_ms=round(ordered[-1], 2),
        count=len(ordered),
    )


def _rank(count: int, of_thousand: int) -> int:
    """Give the place of the smallest of ``count`` values that so many of 1,000 do not pass."""
    return max(0, -(-count * of_thousand // 1_000) - 1)
