"""Hunts: many seeds in several processes, their failures and their marks added up.

Seeds are handed out in groups and results are taken in the order of the seeds, so what a hunt finds
depends on the seeds alone and not on the number of processes. A hunt that is stopped, by its
budget or by Ctrl-C, has run a prefix of its seeds.
"""

import multiprocessing
import signal
import time
from collections import Counter
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from typing import Final

import msgspec

from simnet.changes import DRAWN
from simnet.mark_names import FULL_MARKS, MARKS
from simnet.marks import Marks
from simnet.run import Outcome, simulate
from simnet.scenario import Plan, Scenario

__all__ = ["Order", "Tally", "hunt", "run_seeds", "scenario_of"]

_GROUP: Final = {"core": 25, "full": 2, "change": 10}


@dataclass(frozen=True, slots=True)
class Order:
    """What to hunt through.

    Attributes:
        first, seeds: the range of seeds.
        jobs: processes; 1 runs in this one.
        seconds: stop after so long, 0 for no limit.
        failures_max: stop after so many failures.
        mutant: the rule that is broken on purpose in all runs, "" for none.
    """

    tier: str = "core"
    first: int = 0
    seeds: int = 1_000
    jobs: int = 1
    seconds: float = 0.0
    failures_max: int = 1
    mutant: str = ""


@dataclass(slots=True)
class Tally:
    """What a hunt came to.

    Attributes:
        seeds: runs that ended.
        failures: plans of those that broke a promise, in order of their seeds.
        marks: name -> how often it was hit in all runs.
        virtual_us: virtual time of all runs together.
        blocks: highest final blocks, added up.
        seconds: of real time.
    """

    seeds: int = 0
    failures: list[Plan] = field(default_factory=list)
    marks: Counter[str] = field(default_factory=Counter)
    virtual_us: int = 0
    blocks: int = 0
    seconds: float = 0.0

    def add(self, other: "Tally") -> None:
        """Add up."""
        self.seeds += other.seeds
        self.failures += other.failures
        self.marks.update(other.marks)
        self.virtual_us += other.virtual_us
        self.blocks += other.blocks

    def never_hit(self, tier: str) -> list[str]:
        """Give the marks of a tier that no run hit."""
        due = MARKS if tier == "full" else set(MARKS) - FULL_MARKS
        return sorted(name for name in due if not self.marks[name])


def scenario_of(tier: str, seed: int, mutant: str = "") -> Scenario:
    """Give the scenario of a seed."""
    scenario = DRAWN[tier](seed)
    return msgspec.structs.replace(scenario, mutant=mutant) if mutant else scenario


def run_seeds(tier: str, seeds: range, mutant: str = "") -> Tally:
    """Run seeds one after the other in this process."""
    tally = Tally()
    for seed in seeds:
        marks = Marks()
        outcome: Outcome = simulate(scenario_of(tier, seed, mutant), (marks,))
        tally.seeds += 1
        tally.marks.update(marks.hit)
        tally.virtual_us += outcome.virtual_us
        tally.blocks += outcome.height
        if outcome.promise:
            tally.failures.append(outcome.plan)
    return tally


def hunt(order: Order, on_progress: Callable[[Tally], None] = lambda _tally: None) -> Tally:
    """Run an order; give what was found so far when Ctrl-C ends it."""
    begin = time.perf_counter()
    total = Tally()
    groups = _group_results(order)
    try:
        for part in groups:
            total.add(part)
            total.seconds = time.perf_counter() - begin
            on_progress(total)
            is_late = 0 < order.seconds <= total.seconds
            if is_late or len(total.failures) >= order.failures_max:
                break
    except KeyboardInterrupt:
        pass
    finally:
        groups.close()
    total.seconds = time.perf_counter() - begin
    return total


def _group_results(order: Order) -> Generator[Tally, None, None]:
    size, end = _GROUP[order.tier], order.first + order.seeds
    tasks = [
        (order.tier, range(start, min(start + size, end)), order.mutant)
        for start in range(order.first, end, size)
    ]
    if order.jobs == 1:
        for task in tasks:
            yield run_seeds(*task)
        return
    # Not forked: the progress line has a thread, and a fork would copy its locks.
    context = multiprocessing.get_context("spawn")
    with context.Pool(order.jobs, _ignore_interrupts) as pool:  # ends by terminate()
        yield from pool.imap(_run_task, tasks)


def _run_task(task: tuple[str, range, str]) -> Tally:
    return run_seeds(*task)


def _ignore_interrupts() -> None:
    """Leave Ctrl-C to the process that asked."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
