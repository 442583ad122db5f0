"""Mutants: every rule of the protocol has one, and a few are hunted down here; ``make sim`` all."""

import re
from pathlib import Path

import pytest

from consensus.core.safety import SafetyRules
from simnet.hunt import run_seeds
from simnet.mutants import CANARY, MUTANTS, broken
from simnet.mutants.killing import kill
from simnet.run import simulate
from simnet.schedules.catalogue import SCHEDULES
from simnet.sim_smoke import too_many_twins

PROTOCOL = Path(__file__).parents[2] / "docs" / "consensus.md"
FUZZED = "any bytes, any message"  # held by test_core_fuzz, not by a rule that could be dropped
QUICK = (
    "several_votes_a_round",
    "commits_over_a_gap",
    "a_timeout_that_hides_the_lock",
    "signatures_that_leave_before_the_record_is_kept",
    "a_quorum_too_small",
    "no_bracha_join",
    "acknowledged_before_it_is_stored",
    "repetition_is_evidence",
)


def rules() -> list[str]:
    """Give the rules of the protocol's table "What holds each rule"."""
    table = PROTOCOL.read_text().split("## What holds each rule")[1]
    rows = re.findall(r"^\| (.+?) \|", table, re.MULTILINE)
    return [row for row in rows if row not in {"rule", FUZZED} and not row.startswith("---")]


def test_every_rule_has_a_mutant() -> None:
    """No row of the protocol's table is without a mutant, and no mutant is of an unknown row."""
    assert len(rules()) >= 15
    assert {mutant.rule for mutant in MUTANTS.values()} == set(rules())


def test_mutants_are_many_and_documented() -> None:
    """There are at least two dozen, each with a sentence, a budget, and a schedule that exists."""
    assert len(MUTANTS) >= 24
    for mutant in MUTANTS.values():
        assert mutant.description.endswith("."), mutant.name
        assert 0 < mutant.seeds <= 400
        assert not mutant.schedule or mutant.schedule in SCHEDULES


@pytest.mark.parametrize("name", MUTANTS)
def test_mutants_are_undone(name: str) -> None:
    """A rule is broken within the context only."""
    before = vars(SafetyRules).copy()
    with broken(name):
        pass
    assert vars(SafetyRules) == before


@pytest.mark.parametrize("name", QUICK)
def test_mutants_are_killed(name: str) -> None:
    """Dropping the rule is noticed within its budget, and the same run is clean without that."""
    assert kill(name).promise


def test_the_canary_lives() -> None:
    """Nobody notices a mutant that changes nothing."""
    assert not run_seeds("core", range(10), CANARY.name).failures


def test_unknown_mutants_are_refused() -> None:
    """A name that stands for nothing is an error, never a run with nothing broken."""
    with pytest.raises(KeyError), broken("no_such_rule"):
        pass


def test_too_many_twins_break_agreement() -> None:
    """With two faulty members of four the checkers see agreement break."""
    promises = (simulate(too_many_twins(seed)).promise for seed in range(15, 400))
    assert "agreement" in promises
