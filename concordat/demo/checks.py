"""What the demonstration must have shown, checked on what was seen, and the summary of it.

A check restates the promise in its simplest form; none of them believes a node's word.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import quantiles

from concordat.demo.workload import Notes, Published
from ledger.core.ids import EventId

__all__ = ["Check", "Measures", "Outcome", "evaluate", "order_digest"]


@dataclass(frozen=True, slots=True)
class Check:
    """One promise and whether it held."""

    promise: str
    held: bool


@dataclass(frozen=True, slots=True)
class Measures:
    """What was timed and counted.

    Attributes:
        pause_ms: longest time without a final event while one validator was dead.
        caught_up_ms: from starting the killed validator again until it held every event.
        proofs: bundles that were fetched and verified one by one, each with genesis alone.
        killed: name of the validator that was killed.
    """

    pause_ms: float
    caught_up_ms: float
    proofs: int
    killed: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """The end of the demonstration."""

    events: int
    marketplaces: int
    digests: Mapping[str, str]
    latency_p50_ms: float
    latency_p99_ms: float
    losses: int
    measures: Measures
    checks: Sequence[Check]

    @property
    def succeeded(self) -> bool:
        """True when every check held."""
        return all(check.held for check in self.checks)


def order_digest(ids: Iterable[EventId]) -> str:
    """Give one digest of the events and their order, 64 hexadecimal digits."""
    return hashlib.sha256(b"".join(ids)).hexdigest()


def evaluate(
    wanted: int, notes: Notes, logs: Mapping[str, Sequence[EventId]], measures: Measures
) -> Outcome:
    """Check everything.

    Args:
        wanted: number of events that were to be published.
        logs: the whole log of every node, as its own gateway gives it.
    """
    published = notes.published
    received = [event.id for event in notes.received]
    digests = {name: order_digest(ids) for name, ids in logs.items()}
    latencies = [item.latency_ms for item in published]
    percentiles = quantiles(latencies, n=100) if len(latencies) > 1 else [0.0] * 99
    checks = [
        Check("every event was acknowledged as final", len(published) == wanted),
        Check(
            "every node holds the same events in the same order", len(set(digests.values())) == 1
        ),
        Check(
            "each acknowledged event is in every log once, at the acknowledged place",
            all(_holds(log, published) for log in logs.values()),
        ),
        Check(
            "the subscriber got every event once, in order, no gap, no duplicate",
            all(received == list(log) for log in logs.values())
            and [event.sequence for event in notes.received] == list(range(wanted)),
        ),
        Check(
            "the subscriber proved every event against genesis",
            all(event.is_verified for event in notes.received),
        ),
        Check("every event has a proof that holds with genesis alone", measures.proofs == wanted),
        Check("each offering's hash chain is whole, in the ledger's order", _is_chained(notes)),
    ]
    return Outcome(
        events=len(published),
        marketplaces=len({item.change.marketplace for item in published}),
        digests=digests,
        latency_p50_ms=percentiles[49],
        latency_p99_ms=percentiles[98],
        losses=notes.losses,
        measures=measures,
        checks=checks,
    )


def _holds(log: Sequence[EventId], published: Sequence[Published]) -> bool:
    return len(set(log)) == len(log) == len(published) and all(
        item.sequence < len(log) and log[item.sequence] == item.id for item in published
    )


def _is_chained(notes: Notes) -> bool:
    last: dict[str, bytes] = {}
    for item in notes.received:
        if item.event.previous_hash != last.get(item.event.subject, b""):
            return False
        last[item.event.subject] = item.event.entity_hash
    return True
