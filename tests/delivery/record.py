"""What one subscriber was given, and what may be wrong with it.

Owns the promises of each kind of subscriber, judged against a naive filter over the log of another
member: everything that matches, nothing else, in order where that was asked for, and again only
what was not durably settled.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from tests.delivery.wants import Want

__all__ = ["Kind", "Record", "find_faults"]

_SHOWN = 5  # sequences that a sentence names


class Kind(StrEnum):
    """How a subscriber is told."""

    SSE = "sse"
    WEBSOCKET = "websocket"
    PULL = "pull"
    WEBHOOK = "webhook"

    @property
    def keeps_its_cursor(self) -> bool:
        """Whether the subscriber itself knows where it stands, so that nothing comes twice."""
        return self in (Kind.SSE, Kind.WEBSOCKET)


@dataclass
class Record:
    """One subscriber: everything that it was given, in the order in which it came.

    Attributes:
        given: sequences as they came; done: those that it handled, as it handled them.
        settled: sequences whose settlement was answered as durable.
        after_settled: sequences that were given although they were settled before.
    """

    name: str
    kind: Kind
    want: Want
    is_ordered: bool
    given: list[int] = field(default_factory=list)
    done: list[int] = field(default_factory=list)
    settled: set[int] = field(default_factory=set)
    after_settled: list[int] = field(default_factory=list)

    def give(self, sequence: int) -> None:
        """Note an event that came."""
        self.given.append(sequence)
        if sequence in self.settled:
            self.after_settled.append(sequence)

    def do(self, sequence: int) -> None:
        """Note that the subscriber handled an event: it acknowledged it, or answered 2xx."""
        self.done.append(sequence)


def find_faults(record: Record, expected: Sequence[int]) -> list[str]:
    """Give what is wrong with a subscriber that had to be given ``expected``, ascending."""
    faults = []
    lacks = sorted(set(expected) - set(record.done))
    foreign = sorted(set(record.given) - set(expected))
    first_done = list(dict.fromkeys(record.done))
    if lacks:
        faults.append(f"never got {len(lacks)} events: {lacks[:_SHOWN]}")
    if foreign:
        faults.append(f"got {len(foreign)} events that it did not want: {foreign[:_SHOWN]}")
    if record.kind.keeps_its_cursor and len(set(record.given)) < len(record.given):
        faults.append("got events twice")
    if record.is_ordered and first_done != sorted(first_done):
        faults.append("got events out of order")
    if record.after_settled:
        faults.append(f"got settled events again: {record.after_settled[:_SHOWN]}")
    return [f"{record.name} {fault}" for fault in faults]
