"""What a network makes of a given rate, and of a ladder of rates up to more than it can do.

Open loop: requests leave when it is their time, not when an answer came, and latencies count from
that time. Delivery is taken from a subscriber at another member's gateway that asks for the first
event of each request only, so that watching costs the network little at any rate.
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from bench.load.events import EventSource
from bench.load.http import Connection
from bench.load.open_loop import Answered, OpenLoop
from bench.load.receipts import FINAL, read_receipts
from bench.load.schedule import Arrivals, schedule
from bench.machine.usage import own_cpu_s, read_processes
from bench.network.latency import Watcher, publish_one
from bench.report.results import RatePoint, quantiles
from tests.support.processes import RealNetwork

__all__ = ["Ladder", "measure_ladder", "measure_rate"]

_PATH = "/v1/events?wait=final&timeout_ms=60000"
_LEAD_S = 0.05
_DRAIN_S = 5.0  # how long answers may come after the last request's time
_KEPT = 0.95  # of the offered rate: with less, the network is full


@dataclass(frozen=True, slots=True)
class Ladder:
    """Rates to offer.

    Attributes:
        rates: events a second, ascending.
        events_per_request: 1 for single events; else each request is an arrival of so many.
    """

    rates: tuple[int, ...]
    seconds: float
    events_per_request: int = 1
    arrivals: Arrivals = Arrivals.POISSON


def measure_ladder(
    network: RealNetwork, members: Sequence[int], source: EventSource, ladder: Ladder
) -> list[RatePoint]:
    """Offer each rate to the live ``members``; end after the first that the network cannot keep.

    Raises:
        RuntimeError: an event was refused for another reason than lack of room.
    """
    points: list[RatePoint] = []
    for rate in ladder.rates:
        points.append(measure_rate(network, members, source, (rate, ladder)))
        if not points[-1].is_kept:
            break
    return points


def measure_rate(
    network: RealNetwork,
    members: Sequence[int],
    source: EventSource,
    offer: tuple[int, Ladder],
) -> RatePoint:
    """Offer one rate to the live ``members`` and wait for the answers."""
    rate, ladder = offer
    size = ladder.events_per_request
    moments = schedule(ladder.arrivals, rate / size, ladder.seconds, seed=rate)
    bodies = source.probe_bodies(len(moments), size)
    pids = {f"{part}{member}": pid for (member, part), pid in network.pids().items()}
    loop = OpenLoop([network.address(member) for member in members], _PATH)
    watcher = _watch(network, members, source)
    before, cpu_s = read_processes(pids), own_cpu_s()
    begin_s = time.perf_counter() + _LEAD_S
    answered = loop.run(begin_s, moments, bodies, _DRAIN_S)
    generator_s = own_cpu_s() - cpu_s
    after, seconds = read_processes(pids), time.perf_counter() - begin_s
    rows = [*_finals(answered)]
    arrivals = watcher.finish(max((first for _, first, _ in rows), default=-1))
    end_s = begin_s + ladder.seconds
    final = sum(count for row, _, count in rows if row.answered_s <= end_s)
    used_s = sum(after[name].cpu_s - before[name].cpu_s for name in before)
    offered = len(moments) * size
    return RatePoint(
        offered_per_s=round(offered / ladder.seconds, 1),
        final_per_s=round(final / ladder.seconds, 1),
        final=quantiles([(row.answered_s - row.intended_s) * 1000 for row in answered]),
        delivered=quantiles(
            [(arrivals[n] - row.intended_s) * 1000 for row, n, _ in rows if n in arrivals]
        ),
        refused=sum(row.answer is not None for row in answered) * size
        - sum(count for *_, count in rows),
        unanswered=sum(row.answer is None for row in answered) * size,
        is_kept=final >= _KEPT * offered - size,
        generator_cpu_share=round(generator_s / seconds, 3),
        cpu_us_per_event=round(used_s * 1e6 / max(1, sum(count for *_, count in rows)), 1),
    )


def _watch(network: RealNetwork, members: Sequence[int], source: EventSource) -> Watcher:
    """Listen at the gateway of the last member, behind everything that was there."""
    connection = Connection(network.address(members[0]))
    try:
        last, _, _ = publish_one(connection, source.bodies(1, 1)[0])
    finally:
        connection.close()
    watcher = Watcher(network.address(members[-1]), last, f"&topic={source.probe_topic}")
    watcher.start()
    return watcher


def _finals(answered: Sequence[Answered]) -> Iterator[tuple[Answered, int, int]]:
    """Give each request that has final events, its first one's sequence, and their number."""
    for row in answered:
        receipts = [] if row.answer is None else read_receipts(row.answer.body)
        final = [receipt.sequence for receipt in receipts if receipt.status == FINAL]
        if any(receipt.code not in ("", "overloaded") for receipt in receipts):
            assert row.answer is not None
            raise RuntimeError(f"refused: {row.answer.body[:300].decode()}")
        if final:
            yield row, final[0], len(final)
