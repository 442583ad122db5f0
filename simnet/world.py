"""The world of one run: virtual time, the machines, the network between them, and the workload.

Time is an integer of microseconds and events at one time happen in the order in which they were
made, so a run is a function of its scenario and its plan. Nothing here knows the real clock.
"""

import heapq
from collections.abc import Callable, Iterable
from functools import partial
from typing import Final

from consensus.core.inputs import Submitted
from consensus.core.pacemaker import Tuning
from ledger.core.genesis import Genesis
from ledger.core.ids import NodeIndex
from simnet.choices import Choices, Value
from simnet.faults import Faults
from simnet.federation import Federation
from simnet.machine import Machine
from simnet.network import Network
from simnet.observer import Observer
from simnet.scenario import Scenario

__all__ = ["World"]

_CLOCK_SLACK_US: Final = 50_000
_TWICE: Final = 150_000  # of submissions that go to two members


class World:
    """One federation and its surroundings.

    Attributes:
        now_us: virtual time since the run began.
        epoch_us: the true wall clock at its beginning.
        faulty: indexes of the Byzantine members, and of those who put an old record back.
        is_calm: whether the chaos is over.
        applied: number of blocks that were applied by all machines together.
    """

    def __init__(
        self,
        scenario: Scenario,
        choices: Choices,
        federation: Federation,
        observers: Iterable[Observer] = (),
    ) -> None:
        self.scenario = scenario
        self.choices = choices
        self.genesis: Genesis = federation.genesis
        self.federation = federation
        self.observers: list[Observer] = list(observers)
        self.tuning = _tuning(scenario)
        self.now_us = 0
        self.epoch_us = self.genesis.time_ms * 1_000
        self.is_calm = False
        self.applied = 0
        self.faulty: set[int] = {index for index, _ in scenario.actors}
        self._heap: list[tuple[int, int, Callable[[], None]]] = []
        self._order = 0
        self.network = Network(self)
        self.faults = Faults(self)
        self.machines = federation.machines(self)
        self.network.join(self.machines)
        self._of: dict[int, list[Machine]] = {}
        for machine in self.machines:
            self._of.setdefault(machine.index, []).append(machine)

    def machines_of(self, index: NodeIndex) -> list[Machine]:
        """Give the machines of a member: one, or two twins."""
        return self._of[index]

    @property
    def honest(self) -> list[Machine]:
        """The machines of members that follow the protocol."""
        return [machine for machine in self.machines if machine.is_honest]

    # --- time -------------------------------------------------------------------------------

    def at(self, delay_us: int, action: Callable[[], None]) -> None:
        """Do something after a while."""
        self._order += 1
        heapq.heappush(self._heap, (self.now_us + delay_us, self._order, action))

    def run(self, until_us: int, done: Callable[[], bool] | None = None) -> bool:
        """Let time pass until then, or until ``done`` holds; say whether it does."""
        heap = self._heap
        while heap and heap[0][0] <= until_us:
            if done is not None and done():
                return True
            self.now_us, _, action = heapq.heappop(heap)
            action()
        self.now_us = until_us
        return done is not None and done()

    # --- the course of a run ----------------------------------------------------------------

    def begin(self) -> None:
        """Start every machine, and lay out faults and workload."""
        for observer in self.observers:
            observer.on_begin(self)
        self.faults.schedule()
        for machine in self.machines:
            self.faults.revive(machine)
        for number in range(self.scenario.submissions):
            draw = self.choices.draw(f"submission {number}")
            at_us, index = draw.below(self.scenario.chaos_ms * 1_000), draw.below(len(self._of))
            size = draw.heavy(self.scenario.entry_bytes)
            # Some clients hand in to two members, as those do who fear to be ignored by one.
            also = draw.below(len(self._of)) if draw.hits(_TWICE) else index
            members = sorted({index, also})
            self.at(at_us, partial(self._hand_in, members, number, size))
        self.federation.begin(self)

    @property
    def true_ms(self) -> int:
        """The wall clock of everybody whose clock is right."""
        return (self.epoch_us + self.now_us) // 1_000

    def _hand_in(self, members: list[int], number: int, size: int) -> None:
        entries = self.federation.submission(number, size, self.true_ms)
        for index in members if entries else ():
            self._submit(index, entries, number)

    def _submit(self, index: int, entries: tuple[bytes, ...], ticket: int) -> None:
        for machine in self.machines_of(NodeIndex(index)):
            machine.step(Submitted(ticket, entries))

    def heal(self) -> set[bytes]:
        """End the chaos; give the entries that must be final soon on every honest machine."""
        self.choices.is_over = self.is_calm = True
        for observer in self.observers:
            observer.on_calm(self)
        self.network.heal()
        for machine in self.machines:
            machine.clock_us = max(-_CLOCK_SLACK_US, min(_CLOCK_SLACK_US, machine.clock_us))
            machine.drift_ppm = 0
            self.faults.revive(machine)
        expected: set[bytes] = set()
        for machine in self.honest:
            expected |= self.federation.own_open_entries(machine)
            number = self.scenario.submissions + machine.index
            entry = self.federation.probe(number, self.true_ms)
            expected.add(entry)
            self._submit(machine.index, (entry,), number)
        return expected

    def tell_fault(self, key: str, value: Value) -> None:
        """Let observers know that a fault happens now."""
        for observer in self.observers:
            observer.on_fault(key, value)


def _tuning(scenario: Scenario) -> Tuning:
    """Choose timeouts that fit the scenario's network, as its operators would."""
    weather = scenario.weather
    round_trip_ms = 2 * (weather.latency_us + weather.jitter_us) // 1_000
    return Tuning(round_timeout_ms=max(100, 4 * round_trip_ms))
