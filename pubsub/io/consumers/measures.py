"""Sums over consumers, by kind: ``pull``, or the part of the gateway that they belong to.

Everybody sees them, so that lag is the distance in the log and never a count of matching events,
which would tell of events that not everybody may read.
"""

from collections import Counter
from collections.abc import Iterable

from pubsub.core.consumer.state import ConsumerState
from pubsub.io.consumers.entry import Entry

__all__ = ["Measures", "kind_of", "measure", "totals_of"]

Measures = Counter[str]
"""Sums by name, see ``metrics.py``."""


def measure(
    entries: Iterable[Entry], followed_to: int, gone: dict[str, Measures]
) -> dict[str, Measures]:
    """Give the sums of ``entries``, and of the totals of those that are ``gone``."""
    found: dict[str, Measures] = {"pull": Measures()}
    for kind, totals in gone.items():
        found[kind] = Measures(totals)
    for entry in entries:
        state, sums = entry.state, found.setdefault(kind_of(entry.name), Measures())
        sums["consumers"] += 1
        sums["lag_events"] += max(0, followed_to - entry.state.position)
        sums["in_flight"] += state.pending.out_count
        sums["waiting"] += len(state.pending) - state.pending.out_count
        sums["dead_letters"] += len(state.letters)
        sums["fetches_waiting"] += len(entry.queue)
        sums.update(totals_of(state))
    return found


def kind_of(name: str) -> str:
    """Give the kind of the consumer of this name."""
    part, slash, _ = name.partition("/")
    return part if slash else "pull"


def totals_of(state: ConsumerState) -> dict[str, int]:
    """Give what a consumer counted since it was made."""
    totals = state.totals
    return {
        "delivered": totals.delivered,
        "redelivered": totals.redelivered,
        "acknowledged": totals.acknowledged,
        "failed": totals.failed,
    }
