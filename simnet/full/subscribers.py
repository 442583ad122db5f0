"""Simulated subscribers: read the durable log of some member by a cursor, and survive crashes.

A subscriber asks a gateway for what stands after its cursor, handles each event, and then saves
the cursor. When its member's machine is down it goes to another. When it crashes itself it begins
again at the saved cursor: it may see an event twice, and must never miss one.
"""

from typing import TYPE_CHECKING, Final

from ledger.core.event import open_entry
from ledger.core.ids import Height, Sequence
from ledger.core.topics import TopicPattern
from pubsub.core.cloudevents import cloudevent_json, read_cloudevent
from pubsub.core.parameters import read_cursor
from simnet.full.storage import FullStorage

if TYPE_CHECKING:
    from simnet.machine import Machine
    from simnet.world import World

__all__ = ["PATTERNS", "Subscriber"]

PATTERNS: Final = (">", "city.>", "energy.*.meter", "city.air.south")
_POLL_US: Final = 250_000
_PAGE: Final = 8  # small, so that crashes fall between pages too


class Subscriber:
    """One consumer of one topic pattern.

    Attributes:
        name: its number.
        pattern: the topics that it wants.
        seen: (sequence, event id) of all that it handled, in order, repetitions too.
        cursor: the saved cursor, as text: the last sequence that it is done with.
    """

    def __init__(self, world: "World", number: int) -> None:
        self._world = world
        self.name = str(number)
        self.pattern = PATTERNS[number % len(PATTERNS)]
        self.seen: list[tuple[int, bytes]] = []
        self.cursor = "-1"
        self._wanted = TopicPattern(self.pattern)
        self._member = number
        self._polls = 0

    def begin(self) -> None:
        """Start to poll."""
        self._world.at(_POLL_US, self._poll)

    def _poll(self) -> None:
        self._polls += 1
        machine = self._choose()
        if machine is not None:
            self._read(machine)
        self._world.at(_POLL_US, self._poll)

    def _choose(self) -> "Machine | None":
        """Stay with the member as long as it is up and honest, else take the next that is."""
        honest = self._world.honest
        for step in range(len(honest)):
            machine = honest[(self._member + step) % len(honest)]
            if machine.is_up:
                return machine
        return None

    def _read(self, machine: "Machine") -> None:
        storage = machine.storage
        assert isinstance(storage, FullStorage)
        snapshot = storage.snapshot
        start = read_cursor("after", self.cursor) + 1
        end = min(snapshot.log_size, start + _PAGE)
        if end <= start:
            return
        for sequence in range(start, end):
            self._handle(storage, Sequence(sequence))
        if not self._crashes():
            self.cursor = str(end - 1)

    def _handle(self, storage: FullStorage, sequence: Sequence) -> None:
        opened = open_entry(storage.log[sequence])
        if self._wanted.matches(opened.event.topic):
            height: Height = storage.chain.log_heights[sequence]
            received = read_cloudevent(cloudevent_json(opened, sequence, height))
            assert received.sequence is not None
            self.seen.append((received.sequence, received.opened.id))

    def _crashes(self) -> bool:
        """Say whether it crashes now: after it handled a page, before the cursor was saved."""
        world = self._world
        key = f"subscriber {self.name} {self._polls}"
        drawn = int(world.choices.draw(key).hits(world.scenario.weather.subscriber_crash))
        if world.choices.settle(key, drawn):
            world.tell_fault(key, drawn)
            self._member += 1
            return True
        return False
