"""``python -m simnet.bench``: how many seeds of each tier one core runs in an hour.

Runs the seeds of the default swarm with the standard checkers, one after the other in one process,
and counts the CPU time of each. Nothing is left out: making the world, the chaos, the calm.
"""

import argparse
import os
import platform
import statistics
import time
from collections.abc import Callable
from typing import Final

from simnet.failure import code_version
from simnet.run import simulate
from simnet.scenario import Scenario
from simnet.swarm import core_scenario, full_scenario

__all__ = ["main"]

_TIERS: Final[dict[str, tuple[Callable[[int], Scenario], int, int]]] = {
    "core": (core_scenario, 300, 100_000),
    "full": (full_scenario, 60, 5_000),
}
"""Tier -> what its seeds stand for, seeds to run, and the least that an hour shall do."""


def main(arguments: list[str] | None = None) -> None:
    """Measure both tiers, a line for each; the exit status says if both are fast enough."""
    parser = argparse.ArgumentParser(prog="python -m simnet.bench", description=__doc__)
    parser.add_argument("--seed", type=int, default=0, help="the first seed")
    parser.add_argument("--share", type=int, default=1, help="run so many times the seeds")
    chosen = parser.parse_args(arguments)
    print(f"{code_version()}, Python {platform.python_version()}, {os.cpu_count()} cores, one used")
    enough = [_measure(tier, chosen.seed, chosen.share) for tier in _TIERS]
    raise SystemExit(0 if all(enough) else 1)


def _measure(tier: str, first: int, share: int) -> bool:
    make, count, least = _TIERS[tier]
    costs_ms: list[float] = []
    virtual_us = broken = 0
    simulate(make(first))  # imports and caches are paid once, not by a seed
    for seed in range(first, first + count * share):
        scenario = make(seed)

        began = time.process_time()
        outcome = simulate(scenario)
        costs_ms.append((time.process_time() - began) * 1_000)
        virtual_us += outcome.virtual_us
        broken += bool(outcome.promise)
    mean_ms = statistics.mean(costs_ms)
    an_hour = int(3_600_000 / mean_ms)
    print(
        f"{tier}: {len(costs_ms)} seeds, {mean_ms:.1f} ms each (median "
        f"{statistics.median(costs_ms):.1f}, slowest {max(costs_ms):.0f}), "
        f"{virtual_us / len(costs_ms) / 1e6:.1f} virtual s each, {broken} broke a promise: "
        f"{an_hour:,} seeds an hour on one core (at least {least:,})"
    )
    return an_hour >= least


if __name__ == "__main__":
    main()
