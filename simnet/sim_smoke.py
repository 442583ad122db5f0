"""``make sim``: what continuous integration simulates, within three minutes on two cores.

Seeds of both tiers, equal digests in processes with different hash seeds, every kept plan, every
mutant, the canaries, and the model check. Each check is small and independent of the others; a pool
of processes takes them as they come. Exit code 1 when one fails.
"""

import multiprocessing
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Final, NamedTuple

import msgspec
from rich.console import Console

from simnet.audit import Audit
from simnet.hunt import run_seeds, scenario_of
from simnet.mutants import CANARY, MUTANTS
from simnet.mutants.killing import kill
from simnet.run import replay, simulate
from simnet.scenario import Scenario, read_plan

__all__ = ["Verdict", "checks", "main", "plans"]

_ROOT: Final = Path(__file__).parents[1]
_PLANS: Final = _ROOT / "tests" / "simnet" / "plans"
_HASH_SEEDS: Final = ("1", "2")
_TWIN_SEEDS: Final = 400


class Verdict(NamedTuple):
    """How a check ended, in one line."""

    name: str
    ok: bool
    detail: str
    seconds: float


Check = Callable[[], tuple[bool, str]]


def plans() -> list[Path]:
    """Give the plans that are kept for ever."""
    return sorted(_PLANS.glob("*.json"))


def check_seeds(tier: str, first: int, count: int) -> tuple[bool, str]:
    """Run seeds; none may break a promise."""
    tally = run_seeds(tier, range(first, first + count))
    failures = [f"seed {plan.scenario.seed}: {plan.failure}" for plan in tally.failures]
    return not failures, "; ".join(failures) or f"{tally.blocks} final blocks"


def check_digests(tier: str, first: int, count: int) -> tuple[bool, str]:
    """Run seeds in two processes with different hash seeds; every effect must be the same."""
    command = [sys.executable, "-m", "simnet.sim_smoke", "digests", tier, str(first), str(count)]
    outputs = [
        subprocess.run(  # noqa: S603 - this very program
            command,
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            cwd=_ROOT,
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for hash_seed in _HASH_SEEDS
    ]
    same = outputs[0] == outputs[1] and len(outputs[0].splitlines()) == count
    return same, "equal digests" if same else "the digests differ: " + " / ".join(outputs)


def check_plan(path: Path) -> tuple[bool, str]:
    """Replay a kept plan; it must break the promise that it says, or none if it says none."""
    plan = read_plan(path)
    failure = replay(plan).plan.failure
    return failure.partition(":")[0] == plan.failure.partition(":")[0], failure or "kept"


def check_mutant(name: str) -> tuple[bool, str]:
    """Hunt a mutant down within its budget."""
    found = kill(name)
    return bool(found.promise), f"{found.promise or 'SURVIVED'} at {found.seed}"


def check_canary(first: int, count: int) -> tuple[bool, str]:
    """A mutant that changes nothing must not be noticed."""
    tally = run_seeds("core", range(first, first + count), CANARY.name)
    return not tally.failures, "not noticed" if not tally.failures else tally.failures[0].failure


def too_many_twins(seed: int) -> Scenario:
    """Give a run with two twins among four members: one more than agreement can bear."""
    return msgspec.structs.replace(scenario_of("core", seed), validators=4, actors=_TWINS)


_TWINS: Final = ((0, "twin"), (1, "twin"))


def check_too_many_twins() -> tuple[bool, str]:
    """With more faulty members than f the checkers must see agreement break."""
    for seed in range(_TWIN_SEEDS):
        outcome = simulate(too_many_twins(seed))
        if outcome.promise == "agreement":
            return True, f"agreement breaks at {seed}"
    return False, f"agreement held for {_TWIN_SEEDS} seeds"


def check_model() -> tuple[bool, str]:
    """Run the machine-checked specification."""
    command = [sys.executable, "-m", "simnet.model"]
    result = subprocess.run(command, cwd=_ROOT, capture_output=True, text=True, check=False)  # noqa: S603 - fixed
    lines = result.stdout.strip().splitlines() or result.stderr.strip().splitlines()
    return result.returncode == 0, lines[-1] if lines else "no output"


def checks() -> Iterator[tuple[str, Check]]:
    """Give all checks, long ones first so that no process waits for another at the end."""
    yield "model", check_model
    for number in range(15):
        yield f"full seeds, group {number}", partial(check_seeds, "full", 4 * number, 4)
    yield "digests, core", partial(check_digests, "core", 0, 40)
    yield "digests, full", partial(check_digests, "full", 0, 3)
    for name in MUTANTS:
        yield f"mutant {name}", partial(check_mutant, name)
    yield "digests, changes of members", partial(check_digests, "change", 0, 10)
    for number in range(4):
        yield f"changes of members, group {number}", partial(check_seeds, "change", 30 * number, 30)
    for number in range(25):
        yield f"core seeds, group {number}", partial(check_seeds, "core", 60 * number, 60)
    yield "canary: nothing broken", partial(check_canary, 0, 60)
    yield "canary: too many twins", check_too_many_twins
    for path in plans():
        yield f"plan {path.stem}", partial(check_plan, path)


def _judge(task: tuple[str, Check]) -> Verdict:
    name, check = task
    begin = time.perf_counter()
    ok, detail = check()
    return Verdict(name, ok, detail, time.perf_counter() - begin)


def main(jobs: int) -> int:
    """Run every check, print a line for each, and give the exit code."""
    console = Console(soft_wrap=True, highlight=False, markup=False)
    begin = time.perf_counter()
    tasks = list(checks())
    failed = 0
    with multiprocessing.get_context("spawn").Pool(jobs) as pool:
        for verdict in pool.imap_unordered(_judge, tasks):
            failed += not verdict.ok
            word, style = ("ok", "green") if verdict.ok else ("FAILED", "bold red")
            console.print(
                f"{word:<7}{verdict.seconds:6.1f} s  {verdict.name}: {verdict.detail}", style=style
            )
    seconds = time.perf_counter() - begin
    console.print(f"{len(tasks)} checks, {failed} failed, in {seconds:.0f} s")
    return 1 if failed else 0


def _print_digests(tier: str, first: int, count: int) -> None:
    for seed in range(first, first + count):
        audit = Audit()
        simulate(scenario_of(tier, seed), (audit,))
        print(seed, audit.effects, audit.digest())


if __name__ == "__main__":
    if sys.argv[1:2] == ["digests"]:
        _print_digests(sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
    else:
        sys.exit(main(os.cpu_count() or 1))
