"""What a seed means: the same each time, only what the machine can do, most kinds left out."""

import pytest

from tests.chaos.scenario import KINDS, draw
from tests.chaos.surroundings import Surroundings

EVERYTHING = Surroundings(has_namespaces=True, has_clocks=True)
NOTHING = Surroundings(has_namespaces=False, has_clocks=False)


def test_a_seed_means_one_scenario() -> None:
    """The same seed gives the same testnet, another seed nearly always another."""
    scenarios = [draw(seed, EVERYTHING) for seed in range(50)]
    assert scenarios == [draw(seed, EVERYTHING) for seed in range(50)]
    assert len(set(map(str, scenarios))) > 45


def test_seeds_reach_everything_and_leave_most_out() -> None:
    """All kinds, sizes and profiles come up; no scenario has more than six kinds."""
    scenarios = [draw(seed, EVERYTHING) for seed in range(200)]
    assert {kind for scenario in scenarios for kind in scenario.kinds} == set(KINDS)
    assert {scenario.members for scenario in scenarios} == {4, 5, 7}
    assert {scenario.profile for scenario in scenarios} == {"clean", "near", "far", "rough"}
    assert all(3 <= len(scenario.kinds) <= 6 for scenario in scenarios)


def test_only_what_the_machine_can_do_is_drawn() -> None:
    """Without namespaces and clocks no fault needs them, and links are as they are."""
    scenarios = [draw(seed, NOTHING) for seed in range(200)]
    drawn = {kind for scenario in scenarios for kind in scenario.kinds}
    assert drawn == set(KINDS[: KINDS.index("cut")])
    assert {scenario.profile for scenario in scenarios} == {"clean"}


def test_what_is_not_available_is_said() -> None:
    """The first lines name what is missing, and only then."""
    assert not any("NOT AVAILABLE" in line for line in EVERYTHING.lines())
    missing = "\n".join(NOTHING.lines())
    assert "NOT AVAILABLE HERE: a network namespace for each member" in missing
    assert "a clock for each member" in missing


def test_a_caller_chooses_within_what_is_possible() -> None:
    """Chosen members and kinds replace the drawn ones; what cannot be done is left out."""
    chosen = draw(1, NOTHING, members=5, kinds=["cut", "kill"])
    assert (chosen.members, chosen.kinds) == (5, ["kill"])
    with pytest.raises(ValueError, match="not available here: cut"):
        draw(1, NOTHING, kinds=["cut"])


@pytest.mark.parametrize("members, faulty_max", [(4, 1), (5, 1), (7, 2)])
def test_never_more_than_f_are_hurt(members: int, faulty_max: int) -> None:
    """The number of members hurt at one time is what consensus tolerates."""
    assert draw(1, EVERYTHING, members=members).faulty_max == faulty_max
