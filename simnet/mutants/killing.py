"""Hunting mutants: the first seed whose run notices, and what it notices."""

import time
from typing import NamedTuple

from simnet.mutants import MUTANTS
from simnet.run import simulate

__all__ = ["Kill", "kill"]


class Kill(NamedTuple):
    """How a mutant ended.

    Attributes:
        promise: what it broke, "" when it survived its budget.
        seed: of the run that noticed.
        seconds: spent on all seeds until then.
    """

    name: str
    promise: str
    seed: int
    seconds: float


def kill(name: str) -> Kill:
    """Run a mutant's seeds until one notices."""
    mutant = MUTANTS[name]
    begin = time.perf_counter()
    for seed in range(mutant.seeds):
        outcome = simulate(mutant.scenario(seed))
        if outcome.promise:
            return Kill(name, outcome.promise, seed, time.perf_counter() - begin)
    return Kill(name, "", mutant.seeds, time.perf_counter() - begin)
