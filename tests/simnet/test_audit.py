"""Runs are functions of their plan: any two processes give the same audit."""

import os
import subprocess
import sys
from pathlib import Path

from simnet.audit import Audit
from simnet.run import replay, simulate
from simnet.swarm import core_scenario, full_scenario

_ROOT = Path(__file__).parents[2]
_PROGRAM = """
from simnet.audit import Audit
from simnet.changes import governed_scenario
from simnet.run import simulate
from simnet.swarm import core_scenario, full_scenario
from msgspec.structs import replace
governed = replace(governed_scenario(2), chaos_ms=3_000, lasts_ms=0)
scenarios = [core_scenario(seed) for seed in range(20, 36)]
for scenario in [*scenarios, full_scenario(9), governed]:
    audit = Audit()
    outcome = simulate(scenario, [audit])
    print(audit.effects, audit.digest(), outcome.virtual_us, outcome.plan.failure)
"""


def _run(hash_seed: str) -> list[str]:
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
    process = subprocess.run(
        [sys.executable, "-c", _PROGRAM],
        cwd=_ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
        timeout=55,
    )
    return process.stdout.splitlines()


def test_processes_with_other_hash_seeds_agree() -> None:
    """The same seeds give the same effects at the same times, in both tiers."""
    first, second = _run("1"), _run("4242")
    assert len(first) == 18
    assert first == second
    assert len(set(first)) == len(first), "runs differ from each other"


def test_a_replay_is_the_run() -> None:
    """A plan repeats every effect of the run that it was recorded from, and its own plan."""
    for scenario in (core_scenario(3), core_scenario(17), full_scenario(4)):
        drawn, planned = Audit(), Audit()
        outcome = simulate(scenario, [drawn])
        repeated = replay(outcome.plan, [planned])
        assert planned.digest() == drawn.digest()
        assert repeated.plan == outcome.plan


def test_the_audit_sees_every_effect_and_its_time() -> None:
    """Another seed, or one effect more, is another digest."""
    one, other = Audit(), Audit()
    simulate(core_scenario(3), [one])
    before = one.digest()
    simulate(core_scenario(4), [other])
    assert other.digest() != before
    assert one.effects > 100
