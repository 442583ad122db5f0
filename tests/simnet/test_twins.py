"""Twins: scenarios are counted right, none breaks the core, and too many twins do."""

from itertools import product

import pytest

from simnet.mutants import broken
from simnet.twins.__main__ import main
from simnet.twins.play import HELD, LOST, NARROW, WAYS, Theatre
from simnet.twins.scenarios import (
    Cast,
    Scenario,
    Step,
    _renamed,
    _renamings,
    count,
    describe,
    enumerate_all,
    sample,
    steps_of,
)

ONE, TOO_MANY = Cast(4, 1), Cast(4, 2)

# Fast-HotStuff as published (relab/hotstuff PR 55): leader and parts of 11 views, members from 1.
PUBLISHED = (
    *[(1, "1234")] * 4,
    (2, "134 2"),
    (1, "134 2"),
    (3, "124 3"),
    (2, "124 3"),
    (2, "134 2"),
    (3, "134 2"),
    (3, "134 2"),
)
BOTH_CERTIFY = Step(0, (0b000111, 0b111000))  # of two pairs: 0, 1, 2 and 0', 1', 3


def test_the_steps_of_a_round_are_partitions_times_leaders() -> None:
    """Two parts of five machines: S(5, 1) + S(5, 2) = 16, of which 13 hold a quorum."""
    assert len(steps_of(ONE, 2, quorate=False)) == 4 * 16
    assert len(steps_of(ONE)) == 4 * 13
    assert len(steps_of(ONE, 3, quorate=False)) == 4 * (16 + 25)
    assert len(steps_of(TOO_MANY, 2, quorate=False)) == 4 * 32


@pytest.mark.parametrize(
    ("cast", "rounds", "expected"), [(ONE, 1, 12), (ONE, 2, 320), (TOO_MANY, 1, 22)]
)
def test_formula_and_enumeration_agree(cast: Cast, rounds: int, expected: int) -> None:
    """As many scenarios are enumerated as Burnside's lemma counts, in order, none twice."""
    steps = steps_of(cast)
    found = list(enumerate_all(cast, steps, rounds))
    assert len(found) == count(cast, steps, rounds) == expected
    assert found == sorted(set(found))


def test_every_scenario_is_a_renaming_of_exactly_one_that_is_run() -> None:
    """The enumeration leaves nothing out and has no two that are the same up to symmetry."""
    steps = steps_of(ONE)
    renamings = _renamings(ONE)
    assert len(renamings) == 12

    def least(scenario: Scenario) -> Scenario:
        return min(tuple(_renamed(ONE, to, step) for step in scenario) for to in renamings)

    every = {least(scenario) for scenario in product(steps, repeat=2)}
    assert every == set(enumerate_all(ONE, steps, 2))


def test_four_rounds_are_counted() -> None:
    """The numbers in docs/simulation-schedules.md."""
    steps = steps_of(ONE)
    assert [count(ONE, steps, rounds) for rounds in (3, 4)] == [13_136, 632_608]
    assert count(ONE, steps_of(ONE, quorate=False), 4) == 1_502_936


def test_samples_are_keyed_and_differ() -> None:
    """The scenario of a number is always the same one."""
    steps = steps_of(ONE)
    drawn = [sample(steps, 6, number) for number in range(50)]
    assert drawn == [sample(steps, 6, number) for number in range(50)]
    assert len(set(drawn)) > 45


@pytest.mark.parametrize("way", WAYS)
def test_one_twin_pair_breaks_nothing(way: str) -> None:
    """All scenarios of one round, and some of three and six: every promise is kept."""
    steps, theatre = steps_of(ONE), Theatre(ONE, way)
    scenarios = list(enumerate_all(ONE, steps, 1))
    scenarios += [sample(steps, rounds, n) for rounds in (3, 6) for n in range(40)]
    for scenario in scenarios:
        result = theatre.play(scenario)
        assert not result.promise, f"{describe(ONE, scenario)}: {result.detail}"
        assert result.height


@pytest.mark.parametrize("way", [LOST, HELD])
def test_too_many_twins_break_agreement(way: str) -> None:
    """Two faulty members of four: both halves certify, commit, and apply different blocks."""
    scenario = (BOTH_CERTIFY, BOTH_CERTIFY)
    assert describe(TOO_MANY, scenario) == "0:012|30'1' 0:012|30'1'"
    assert scenario in set(enumerate_all(TOO_MANY, steps_of(TOO_MANY), 2))
    assert Theatre(TOO_MANY, way).play(scenario).promise == "agreement"


def test_the_same_halves_are_harmless_with_one_pair() -> None:
    """With as many faulty members as the protocol stands, no partition has two quorums."""
    halves = Step(0, (0b00111, 0b11000))
    assert not Theatre(ONE).play((halves, halves)).promise


def published() -> Scenario:
    """Give the published schedule in our terms."""
    return tuple(
        Step(leader - 1, tuple(sorted(sum(1 << int(m) - 1 for m in p) for p in parts.split())))
        for leader, parts in PUBLISHED
    )


@pytest.mark.parametrize("way", WAYS)
def test_the_published_schedule_of_fast_hotstuff_is_survived(way: str) -> None:
    """Four honest members, eleven views: agreement holds and it goes on (see also gaps.py)."""
    result = Theatre(Cast(4, 0), way).play(published())
    assert not result.promise, result.detail
    assert result.height > 2


def test_a_quorum_that_is_too_small_is_found() -> None:
    """With certificates of f + 1 the enumeration of one or two rounds finds a fork."""
    with broken("a_quorum_too_small"):
        theatre = Theatre(ONE)
        found = (theatre.play(s).promise for s in enumerate_all(ONE, steps_of(ONE), 2))
        assert any(found)


def test_a_play_is_repeatable() -> None:
    """The same scenario comes to the same end."""
    scenario = sample(steps_of(ONE), 5, 7)
    assert Theatre(ONE, NARROW).play(scenario) == Theatre(ONE, NARROW).play(scenario)


def test_the_command_runs_all_or_a_sample(capsys: pytest.CaptureFixture[str]) -> None:
    """It says what it runs, fails when a promise broke, and when too many twins broke none."""
    assert main(["--rounds", "1"]) == 0
    assert "12 all of 12 scenarios" in capsys.readouterr().out
    assert main(["--rounds", "3", "--most", "3", "--shard", "1/2"]) == 0
    assert "3 sampled of 13136" in capsys.readouterr().out
    assert main(["--rounds", "1", "--twins", "2", "--most", "2"]) == 1
    with_fork = main(["--rounds", "2", "--twins", "2", "--most", "60"])
    assert (with_fork, "BROKEN" in capsys.readouterr().out) == (0, True)
