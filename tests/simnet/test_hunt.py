"""Hunts: the same seeds find the same, whatever the number of processes; and what is kept."""

from pathlib import Path

from simnet.failure import keep_failure
from simnet.hunt import Order, Tally, hunt, run_seeds
from simnet.hunt_log import write_log
from simnet.mark_names import MARKS
from simnet.run import replay
from simnet.scenario import read_plan
from simnet.sim_smoke import check_plan, plans

MUTANT = "votes_after_a_timeout"


def test_processes_do_not_matter() -> None:
    """One process and two find the same failures and marks, and stop at the same seed."""
    alone, together = (hunt(Order(seeds=50, jobs=jobs, mutant=MUTANT)) for jobs in (1, 2))
    assert alone.failures
    assert alone.seeds == together.seeds == 25
    assert (alone.failures, alone.marks) == (together.failures, together.marks)


def test_a_budget_ends_a_hunt() -> None:
    """A hunt stops after its seconds, at the end of a group of seeds."""
    told: list[int] = []
    tally = hunt(Order(seeds=10_000, seconds=0.001), lambda seen: told.append(seen.seeds))
    assert tally.seeds == 25
    assert told == [25]


def test_marks_that_no_run_hits_are_named() -> None:
    """A hunt knows which states it never reached."""
    assert Tally().never_hit("core")
    tally = run_seeds("core", range(10))
    assert tally.marks["view change"]
    assert set(tally.never_hit("core")) < set(MARKS)


def test_a_failure_is_kept_with_all_that_repeats_it(tmp_path: Path) -> None:
    """The report names seed, commit, Python, files and the command; the files fail as it says."""
    plan = run_seeds("core", range(7), MUTANT).failures[0]
    text = keep_failure(plan, tmp_path)
    small, whole = sorted(tmp_path.glob("*.json"))
    for words in ("commit", "python", str(whole), f"concordat sim replay {small}", "machine 0"):
        assert words in text
    assert replay(read_plan(whole)).plan.failure == plan.failure
    assert len(read_plan(small).faults) <= len(plan.faults)


def test_the_log_says_what_ran() -> None:
    """The log of a hunt names its seeds, its commit, its failures and each mark."""
    order = Order(seeds=5)
    tally = hunt(order)
    log = write_log(order, tally)
    assert "0 to 4 (5)" in log
    assert "| failures | none |" in log
    assert all(f"| {name} |" in log for name in tally.marks)


def test_kept_plans_end_as_they_did() -> None:
    """What was found once stays repaired: each kept plan ends as it says, and says why."""
    assert plans()
    for path in plans():
        assert read_plan(path).note, path
        ok, detail = check_plan(path)
        assert ok, f"{path.name}: {detail}"
