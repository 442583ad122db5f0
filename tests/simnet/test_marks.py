"""Marks are reached: most in a few dozen runs, all in some of the seeds kept here."""

from collections import Counter

import pytest

from simnet.changes import governed_scenario
from simnet.mark_names import FULL_MARKS, MARKS
from simnet.marks import Marks
from simnet.run import simulate
from simnet.scenario import Scenario, Weather
from simnet.swarm import core_scenario

_COMMON = {
    "view change",
    "timeout certificate",
    "proposal after view change",
    "lock kept",
    "lock raised",
    "joined",
    "timeout repeated",
    "straggler helped",
    "several final at once",
    "synced by blocks",
    "proposal fetched",
    "batch fetched",
    "inline batch",
    "empty flush",
    "idle heartbeat",
    "duplicate ordered",
    "fork",
    "two votes",
    "evidence",
    "penalty",
    "crash before sending",
    "vote sent again",
    "proposal sent again",
    "timeout sent again",
    "vote of the past",
}


def _hits(seeds: range) -> Counter[str]:
    hits: Counter[str] = Counter()
    for seed in seeds:
        marks = Marks()
        simulate(core_scenario(seed), [marks])
        hits.update(marks.hit)
    return hits


def test_a_few_runs_reach_what_is_common() -> None:
    """Forty seeds of the swarm are enough for the common marks."""
    assert _COMMON - set(_hits(range(40))) == set()


def test_whole_nodes_reach_marks_of_their_own() -> None:
    """Runs of whole nodes refuse entries and have subscribers that crash."""
    hits: Counter[str] = Counter()
    for seed in range(6):
        marks = Marks()
        simulate(governed_scenario(seed), [marks])
        hits.update(marks.hit)
    assert set(FULL_MARKS) <= set(hits)


def test_a_calm_run_reaches_little() -> None:
    """Without trouble nothing is marked that only trouble brings."""
    marks = Marks()
    simulate(Scenario(seed=1, weather=Weather()), [marks])
    brought_by_trouble = {
        "fork",
        "two votes",
        "evidence",
        "penalty",
        "crash before sending",
        "vote sent again",
        "write failed",
        "record lost",
        "chain lost",
        "old record put back",
        "all down",
        "partition held votes",
        "own batch recovered",
        "clock jump of the leader",
    }
    assert set(marks.hit) & brought_by_trouble == set()
    assert "inline batch" in marks.hit


def test_every_mark_is_explained() -> None:
    """Each name has a sentence, and nothing is counted under another name."""
    assert all(MARKS.values())
    assert set(MARKS) >= FULL_MARKS
    assert set(_hits(range(5))) <= set(MARKS)


@pytest.mark.slow
def test_long_runs_reach_every_mark() -> None:
    """Two thousand seeds of the swarm reach everything that core-only runs can."""
    assert set(MARKS) - set(_hits(range(2_000))) - FULL_MARKS == set()
