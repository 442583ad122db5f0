"""Shrinking: a long failing plan becomes a short one that breaks the same promise, always."""

import pytest

from simnet.mutants import MUTANTS
from simnet.run import replay, simulate
from simnet.scenario import Plan
from simnet.shrink import shrink


@pytest.fixture(scope="module")
def failing() -> Plan:
    """A run with about a hundred faults that ends with a vote for a round that was given up."""
    mutant = MUTANTS["votes_after_a_timeout"]
    for seed in range(mutant.seeds):
        outcome = simulate(mutant.scenario(seed))
        if outcome.promise == "vote after timeout" and len(outcome.plan.faults) >= 80:
            return outcome.plan
    pytest.fail("no seed makes a long failing plan")


def test_a_failure_shrinks_and_replays(failing: Plan) -> None:
    """About a hundred faults become at most twelve, and ten replays of ten fail in the same way."""
    shrunk = shrink(failing, runs_max=150)
    assert shrunk.faults_before >= 80
    assert len(shrunk.plan.faults) <= 12
    assert shrunk.runs <= 150
    assert {replay(shrunk.plan).promise for _ in range(10)} == {shrunk.promise}


def test_shrinking_is_bounded(failing: Plan) -> None:
    """It spends no more runs than it may, tells of each, and gives the best so far."""
    told: list[tuple[int, int]] = []
    shrunk = shrink(failing, runs_max=5, on_progress=lambda run, left: told.append((run, left)))
    assert shrunk.runs == 5
    assert [run for run, _ in told] == [2, 3, 4, 5]
    assert replay(shrunk.plan).promise == shrunk.promise


def test_what_does_not_fail_is_refused(failing: Plan) -> None:
    """A plan of a run that keeps every promise cannot be shrunk."""
    with pytest.raises(ValueError, match="does not fail"):
        shrink(Plan(failing.scenario.__class__(seed=1), {}))
