"""Runs in which the members change while everything else happens: what kind a seed stands for.

The workload and the troubles are those of the swarm. Sets grow and shrink, keys are renewed,
indexes move, and whole sets are replaced. In every set at most f members are faulty.
"""

from collections.abc import Callable
from typing import Final, NamedTuple

import msgspec

from simnet.choices import Draw
from simnet.scenario import Scenario
from simnet.swarm import core_scenario, full_scenario

__all__ = ["COURSES", "DRAWN", "Course", "changing_scenario", "governed_scenario"]


class Course(NamedTuple):
    """How the members of a run change, as ``Scenario.sets`` and ``Scenario.renewed`` say it."""

    sets: tuple[tuple[int, ...], ...]
    renewed: tuple[tuple[int, int], ...] = ()


_FOUR: Final = (0, 1, 2, 3)
_GOVERNED: Final = 3
_SEVEN: Final = (0, 1, 2, 3, 4, 5, 6)

COURSES: Final = {
    "4 5 4": Course(((0, 1, 2, 3, 4), _FOUR)),
    "4 7 4": Course((_SEVEN, _FOUR)),
    "a new key": Course(((0, 1, 4, 3),), ((4, 2),)),
    "two new keys, one after the other": Course(((0, 1, 4, 3), (0, 1, 4, 5)), ((4, 2), (5, 3))),
    "one for another": Course(((1, 2, 3, 4),)),
    "in another order": Course(((3, 2, 1, 0),)),
    "half of them": Course((_SEVEN, (3, 4, 5, 6))),
    "all of them": Course(((4, 5, 6, 7),)),
    "away and back": Course(((1, 2, 3, 4), _FOUR)),
}


def changing_scenario(seed: int) -> Scenario:
    """Give the run of a seed: the core tier's, of four members that then change."""
    drawn, draw = core_scenario(seed), Draw(seed, "swarm changes")
    course = COURSES[sorted(COURSES)[draw.below(len(COURSES))]]
    is_drawn_for_four = drawn.validators == len(_FOUR)
    return msgspec.structs.replace(
        drawn,
        validators=len(_FOUR),
        chaos_ms=2 * drawn.chaos_ms,
        actors=drawn.actors if is_drawn_for_four else (),
        sets=course.sets,
        renewed=course.renewed,
    )


def governed_scenario(seed: int) -> Scenario:
    """Give the full tier's run of a seed; in every third governors change the members."""
    drawn, draw = full_scenario(seed), Draw(seed, "swarm governance")
    if draw.below(_GOVERNED):
        return drawn
    course = COURSES[sorted(COURSES)[draw.below(len(COURSES))]]
    return msgspec.structs.replace(drawn, sets=course.sets, renewed=course.renewed)


DRAWN: Final[dict[str, Callable[[int], Scenario]]] = {
    "core": core_scenario,
    "full": governed_scenario,
    "change": changing_scenario,
}
"""What a hunt may go through: the run of a seed, of each kind."""
