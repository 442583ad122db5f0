"""What readers wait for: random events by id, their proofs, and pages of a topic."""

import random
import time
from collections.abc import Callable, Iterator

import msgspec

from bench.load.http import Connection
from bench.network.logs import Logs
from bench.report.results import Quantiles, quantiles
from ledger.core.event import entry_id, open_entry
from tests.support.processes import RealNetwork

__all__ = ["Reads", "measure_reads"]

_PAGE_EVENTS = 100


class Reads(msgspec.Struct, frozen=True):
    """One client, one request after the other, at an otherwise idle gateway."""

    by_id: Quantiles
    proof: Quantiles
    page: Quantiles


def measure_reads(network: RealNetwork, logs: Logs, count: int) -> Reads:
    """Read ``count`` events spread over the whole log, in each of the three ways.

    They are read at the gateway of the first member whose log is given.

    Raises:
        RuntimeError: one cannot be read.
    """
    dice = random.Random(count)
    size = logs.sizes()[0]
    places = sorted(dice.sample(range(size), min(count, size)))
    ids, topics = [], []
    for entry in logs.entries(places):
        ids.append(entry_id(entry).hex())
        topics.append(open_entry(entry).event.topic)
    order = dice.sample(range(len(places)), len(places))
    connection = Connection(network.address(logs.members[0]))

    def times(path: Callable[[int], str]) -> Iterator[float]:
        for number in order:
            begin = time.perf_counter()
            answer = connection.get(path(number))
            yield (time.perf_counter() - begin) * 1000
            if answer.status != 200:
                raise RuntimeError(f"{path(number)}: {answer.status} {answer.body[:200].decode()}")

    pages = [
        f"/v1/events?topic={topic}&after={max(-1, place - 1)}&limit={_PAGE_EVENTS}"
        for topic, place in zip(topics, places, strict=True)
    ]
    try:
        return Reads(
            by_id=quantiles([*times(lambda n: f"/v1/events/{ids[n]}")]),
            proof=quantiles([*times(lambda n: f"/v1/events/{ids[n]}/proof")]),
            page=quantiles([*times(lambda n: pages[n])]),
        )
    finally:
        connection.close()
