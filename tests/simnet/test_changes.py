"""Changes of members in simulation: courses, what carries over, and rules broken on purpose."""

from collections.abc import Sequence

import msgspec
import pytest

from simnet.changes import COURSES, changing_scenario
from simnet.mutants import membership
from simnet.mutants.killing import kill
from simnet.observer import Observer
from simnet.run import simulate
from simnet.scenario import Scenario
from simnet.world import World


class _End(Observer):
    """Keeps the world of a run."""

    world: World

    def on_end(self, world: World) -> None:
        """Keep it."""
        self.world = world


def _course(name: str, **fields: object) -> Scenario:
    course = COURSES[name]
    calm = Scenario(seed=3, chaos_ms=2_000, sets=course.sets, renewed=course.renewed)
    return msgspec.structs.replace(calm, **fields)


def _run(scenario: Scenario) -> World:
    end = _End()
    outcome = simulate(scenario, [end])
    assert outcome.plan.failure == ""
    return end.world


def _names(members: Sequence[object]) -> list[object]:
    return [getattr(member, "name", None) for member in members]


@pytest.mark.parametrize("name", sorted(COURSES))
def test_every_course_is_run_to_its_end(name: str) -> None:
    """All members, also those who left, know every epoch and hold one log with all events."""
    world = _run(_course(name))
    for machine in world.machines:
        assert len(machine.storage.epochs) == len(COURSES[name].sets) + 1
    logs = {tuple(machine.storage.log) for machine in world.machines}
    longest = max(logs, key=len)
    assert all(log == longest[: len(log)] for log in logs)


def test_a_new_key_keeps_the_name() -> None:
    """After a rotation the same names are validators, with another key at one index."""
    world = _run(_course("a new key"))
    before, after = world.machines[0].storage.epochs
    assert _names(before.members) == _names(after.members)
    keys = [old.key == new.key for old, new in zip(before.members, after.members, strict=True)]
    assert keys == [True, True, False, True]


def test_a_twin_takes_part_in_a_change() -> None:
    """One member with two machines does not split the epochs."""
    _run(_course("4 7 4", actors=((1, "twin"),)))


@pytest.mark.parametrize("seed", range(6))
def test_changes_survive_the_swarm(seed: int) -> None:
    """Seeds with crashes, partitions, liars and bad disks keep every promise."""
    outcome = simulate(changing_scenario(seed))
    assert outcome.plan.failure == ""


@pytest.mark.parametrize("name", sorted(membership.registry.mutants))
def test_every_mutant_of_the_change_is_noticed(name: str) -> None:
    """A rule of 0004 that is dropped breaks a promise within its budget."""
    assert kill(name).promise
