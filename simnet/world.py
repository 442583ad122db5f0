"""The world of one run: virtual time, the machines, the network between them, and the workload.

Time is an integer of microseconds and events at one time happen in the order in which they were
made, so a run is a function of its scenario and its plan. Nothing here knows the real clock.
"""

import heapq
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, Final, get_args

from consensus.core.context import OBSERVER
from consensus.core.effects import Effect
from consensus.core.inputs import Input, Submitted
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
_CHANGE: Final = 1_000_000  # tickets of changes of members
_GOVERN_US: Final = 300_000
_TWICE: Final = 150_000  # of submissions that go to two members
_INPUTS: Final[tuple[type[Any], ...]] = get_args(Input)
_EFFECTS: Final[tuple[type[Any], ...]] = get_args(Effect)


class World:
    """One federation and its surroundings.

    Attributes:
        now_us: virtual time since the run began.
        epoch_us: the true wall clock at its beginning.
        faulty: indexes of the Byzantine members, and of those who put an old record back.
        observers: in the order in which they are told of anything.
        on_input, on_effect: kind -> those methods of theirs that do something with it.
        on_sent: those that do something.
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
        self.observers: tuple[Observer, ...] = ()
        self.watch(*observers)
        self.tuning = _tuning(scenario)
        self.now_us = 0
        self.epoch_us = self.genesis.time_ms * 1_000
        self.is_calm = False
        self.applied = 0
        self.faulty: set[int] = {index for index, _ in scenario.actors}
        self._heap: list[tuple[int, int, Callable[[], None]]] = []
        self._order = 0
        self._tickets = _CHANGE
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

    def watch(self, *observers: Observer) -> None:
        """Let observers see what comes, after those that do already."""
        self.observers = (*self.observers, *observers)
        inputs = [o for o in self.observers if _looks(o, Observer.on_input)]
        effects = [o for o in self.observers if _looks(o, Observer.on_effect)]
        self.on_input = {k: [o.on_input for o in inputs if _wants(o, k)] for k in _INPUTS}
        self.on_effect = {k: [o.on_effect for o in effects if _wants(o, k)] for k in _EFFECTS}
        self.on_sent = [o.on_sent for o in self.observers if _looks(o, Observer.on_sent)]

    # --- time -------------------------------------------------------------------------------

    def at(self, delay_us: int, action: Callable[[], None]) -> None:
        """Do something after a while."""
        self._order += 1
        heapq.heappush(self._heap, (self.now_us + delay_us, self._order, action))

    def run(self, until_us: int, done: Callable[[], bool] | None = None) -> bool:
        """Let time pass until then, or until ``done`` holds; say whether it does."""
        heap, pop = self._heap, heapq.heappop
        while heap and heap[0][0] <= until_us:
            if done is not None and done():
                return True
            self.now_us, _, action = pop(heap)
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
        for number in range(len(self.scenario.sets)):
            share = self.scenario.chaos_ms * 1_000 // (len(self.scenario.sets) + 1)
            self.at((number + 1) * share, partial(self._govern, number))
        self.federation.begin(self)

    def _govern(self, number: int) -> None:
        """Ask for the n-th later set, once the one before it is in force, until this one is."""
        reached = max(machine.epoch for machine in self.honest)
        if reached > number:
            return
        if reached == number:
            self._come_back(self.scenario.sets[number])
            entries = self.federation.change(number, self.true_ms)
            for machine in self.honest:
                self._tickets += 1
                machine.step(Submitted(self._tickets, entries))
        self.at(_GOVERN_US, partial(self._govern, number))

    def _come_back(self, numbers: tuple[int, ...]) -> None:
        """Start the machines of members that left and are to be validators again."""
        for machine in self.machines:
            if machine.left and machine.index in numbers:
                machine.left = False
                self.faults.revive(machine)

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
            if not self._stays(machine):
                continue
            expected |= self.federation.own_open_entries(machine)
            number = self.scenario.submissions + machine.index
            entry = self.federation.probe(number, self.true_ms)
            expected.add(entry)
            self._submit(machine.index, (entry,), number)
        return expected

    def _stays(self, machine: Machine) -> bool:
        """Say whether a machine's member is one now and in all sets to come, and no observer.

        One that lost its chain follows to the epoch of its record, and takes no entries till then.
        """
        to_come = self.scenario.sets[machine.epoch :]
        takes_part = machine.core is not None and machine.core.index != OBSERVER
        return takes_part and all(machine.index in set_ for set_ in to_come)

    def tell_fault(self, key: str, value: Value) -> None:
        """Let observers know that a fault happens now."""
        for observer in self.observers:
            observer.on_fault(key, value)


def _looks(observer: Observer, method: Callable[..., None]) -> bool:
    """Say whether an observer does something in a method of its base."""
    return getattr(type(observer), method.__name__) is not method


def _wants(observer: Observer, kind: type[Any]) -> bool:
    return observer.kinds is None or kind in observer.kinds


def _tuning(scenario: Scenario) -> Tuning:
    """Choose timeouts that fit the scenario's network, as its operators would."""
    weather = scenario.weather
    round_trip_ms = 2 * (weather.latency_us + weather.jitter_us) // 1_000
    return Tuning(round_timeout_ms=max(100, 4 * round_trip_ms))
