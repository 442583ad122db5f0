"""Hunting mutants: the first seed whose run notices, and what it notices.

A run that breaks a promise with nothing broken on purpose proves nothing, so each kill is checked
against the same run of the correct core.
"""

import time
from typing import NamedTuple

import msgspec

from simnet.marks import Marks
from simnet.mutants import MUTANTS, broken
from simnet.mutants.mutant import Mutant
from simnet.observer import PromiseError
from simnet.run import simulate
from simnet.scenario import Scenario
from simnet.schedules.catalogue import SCHEDULES

__all__ = ["Kill", "kill"]


class Kill(NamedTuple):
    """How a mutant ended.

    Attributes:
        promise: what it broke, "" when it survived its budget.
        seed: of the run that noticed; -1 for a directed schedule.
        seconds: spent on all seeds until then.
    """

    name: str
    promise: str
    seed: int
    seconds: float


def kill(name: str) -> Kill:
    """Run a mutant's seeds, or its schedule, until one notices."""
    mutant = MUTANTS[name]
    begin = time.perf_counter()
    promise, seed = _hunt(mutant)
    return Kill(name, promise, seed, time.perf_counter() - begin)


def _hunt(mutant: Mutant) -> tuple[str, int]:
    if mutant.schedule:
        return _act_out(mutant), -1
    if mutant.mark:
        return _miss_mark(mutant)
    for seed in range(mutant.seeds):
        scenario = mutant.scenario(seed)
        promise = simulate(scenario).promise
        if promise and not simulate(_whole(scenario)).promise:
            return promise, seed
    return "", mutant.seeds


def _whole(scenario: Scenario) -> Scenario:
    return msgspec.structs.replace(scenario, mutant="")


def _act_out(mutant: Mutant) -> str:
    """Play the mutant's schedule; give what it notices."""
    play = SCHEDULES[mutant.schedule]
    play()  # raises, and so fails the hunt, when the correct core does not pass
    try:
        with broken(mutant.name):
            play()
    except PromiseError as error:
        return f"{error.promise} in {mutant.schedule}"
    except Exception as error:  # noqa: BLE001 - whatever a core raises is noticed
        return f"raised {type(error).__name__} in {mutant.schedule}"
    return ""


def _miss_mark(mutant: Mutant) -> tuple[str, int]:
    """Run all seeds: the correct core hits the mark in some of them, the broken one in none."""
    is_missed = True
    for seed in range(mutant.seeds):
        hits = Marks()
        outcome = simulate(mutant.scenario(seed), (hits,))
        if outcome.promise and not simulate(_whole(mutant.scenario(seed))).promise:
            return outcome.promise, seed
        is_missed = is_missed and not hits.hit.get(mutant.mark)
    if not is_missed:
        return "", mutant.seeds
    for seed in range(mutant.seeds):
        hits = Marks()
        simulate(_whole(mutant.scenario(seed)), (hits,))
        if hits.hit.get(mutant.mark):
            return f"never again: {mutant.mark}", seed
    return "", mutant.seeds
