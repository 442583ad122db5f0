"""Shrinking: from a failing plan to a small one that breaks the same promise.

Delta debugging (ddmin, Zeller and Hildebrandt 2002) over the faults, then shorter delays, then a
smaller scenario, then the faults again. A plan is replayed by its keys and not by a stream of
random numbers, so leaving one fault out changes nothing else that is drawn.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Final, NamedTuple

import msgspec

from simnet.choices import Value
from simnet.run import Outcome, replay
from simnet.scenario import Plan, Scenario

__all__ = ["RUNS_MAX", "Shrunk", "shrink"]

RUNS_MAX: Final = 600
_DURATION: Final = 1  # of a fault of several numbers: (start or time, duration or amount, ...)

Progress = Callable[[int, int], None]
"""Told (runs so far, faults left) after each replay."""


class Shrunk(NamedTuple):
    """What shrinking came to.

    Attributes:
        plan: small, and breaks the same promise.
        promise: that one.
        runs: replays that it took.
        faults_before: number of faults of the plan that was given.
    """

    plan: Plan
    promise: str
    runs: int
    faults_before: int


def shrink(
    plan: Plan, *, runs_max: int = RUNS_MAX, on_progress: Progress = lambda _runs, _left: None
) -> Shrunk:
    """Make a failing plan smaller for as long as it breaks the promise that it breaks now.

    Raises:
        ValueError: it does not fail.
    """
    first = replay(plan)
    if not first.promise:
        raise ValueError("the plan does not fail, so there is nothing to shrink")
    search = _Search(first, runs_max, on_progress)
    search.drop_faults()
    search.shorten_faults()
    search.simplify_scenario()
    search.drop_faults()
    best = msgspec.structs.replace(search.best, note=plan.note)
    return Shrunk(best, first.promise, search.runs, len(plan.faults))


class _Search:
    """The smallest failing plan so far, and what may still be spent."""

    def __init__(self, first: Outcome, runs_max: int, on_progress: Progress) -> None:
        self.best = first.plan  # only the faults that happened
        self.runs = 1
        self._promise = first.promise
        self._runs_max = runs_max
        self._on_progress = on_progress

    def _try(self, candidate: Plan) -> bool:
        """Replay a candidate; keep it if it fails in the same way and is no larger."""
        if self.runs >= self._runs_max:
            return False
        self.runs += 1
        outcome = replay(candidate)
        fails = outcome.promise == self._promise
        if fails and len(outcome.plan.faults) <= len(self.best.faults):
            self.best = outcome.plan
        self._on_progress(self.runs, len(self.best.faults))
        return fails

    def _keep_only(self, keys: Sequence[str]) -> bool:
        faults = {key: self.best.faults[key] for key in keys if key in self.best.faults}
        return self._try(msgspec.structs.replace(self.best, faults=faults))

    def drop_faults(self) -> None:
        """Leave out all faults that are not needed, in ever smaller groups."""
        if self._keep_only(()):
            return
        size = max(1, len(self.best.faults) // 2)
        while True:
            shrank = self._drop_groups(size)
            if size == 1 and not shrank:
                return
            if self.runs >= self._runs_max:
                return
            size = max(1, min(size // 2, len(self.best.faults) // 2))

    def _drop_groups(self, size: int) -> bool:
        before = len(self.best.faults)
        for start in range(0, before, size):
            keys = list(self.best.faults)
            group = set(keys[start : start + size])
            # What is left moves up when a group goes, so the same place is tried again.
            while group and self._keep_only([key for key in keys if key not in group]):
                keys = list(self.best.faults)
                group = set(keys[start : start + size])
        return len(self.best.faults) < before

    def shorten_faults(self) -> None:
        """Halve each delay and duration for as long as that does no harm."""
        for key in list(self.best.faults):
            while (value := self.best.faults.get(key)) is not None:
                shorter = _halved(key, value)
                faults = {**self.best.faults, key: shorter}
                if shorter == value or not self._try(
                    msgspec.structs.replace(self.best, faults=faults)
                ):
                    break

    def simplify_scenario(self) -> None:
        """Hand in less, end the chaos sooner, do without actors and needless weather."""
        for change in (_without_weather, _without_actors, _with_fewer_entries, _with_less_chaos):
            for scenario in change(self.best.scenario):
                if not self._try(msgspec.structs.replace(self.best, scenario=scenario)):
                    break


def _halved(key: str, value: Value) -> Value:
    """Give half of a delay or duration; what is a place (an emit, a bit mask) stays."""
    kind = key.split(" ", 1)[0]
    if isinstance(value, int):
        return max(1, value // 2) if kind in {"hold", "copy", "down", "execute"} else value
    shorter = list(value)
    if len(shorter) > _DURATION and kind in {"partition", "clock"}:
        shorter[_DURATION] = int(shorter[_DURATION] / 2) or shorter[_DURATION]
    return tuple(shorter)


def _without_weather(scenario: Scenario) -> Iterator[Scenario]:
    """Probabilities mean nothing to a plan; a plain network and disk are easier to follow."""
    calm = msgspec.structs.replace(
        scenario.weather, drop=0, copy=0, hold=0, crash=0, partition_us=0, clock_us=0
    )
    yield msgspec.structs.replace(scenario, weather=calm)
    yield msgspec.structs.replace(scenario, weather=msgspec.structs.replace(calm, jitter_us=0))


def _without_actors(scenario: Scenario) -> Iterator[Scenario]:
    if scenario.actors:
        yield msgspec.structs.replace(scenario, actors=())


def _with_fewer_entries(scenario: Scenario) -> Iterator[Scenario]:
    submissions = scenario.submissions
    while submissions > 0:
        submissions //= 2
        yield msgspec.structs.replace(scenario, submissions=submissions)


def _with_less_chaos(scenario: Scenario) -> Iterator[Scenario]:
    chaos_ms = scenario.chaos_ms
    while chaos_ms > 50:
        chaos_ms //= 2
        yield msgspec.structs.replace(scenario, chaos_ms=chaos_ms)
