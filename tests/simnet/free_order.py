"""The abstract protocol explored without any reduction: every order of every step.

A second, naive explorer, to judge the reductions of ``simnet.model.explorer``. It knows blocks by
name only, and honest validators act in any order and any round; certificates exist as soon as
enough statements do, and a timeout certificate may be any that its entries allow.
"""

from collections.abc import Iterator
from typing import NamedTuple

from simnet.model import abstract

Name = tuple[object, ...]
GENESIS: Name = (0,)
HONEST, NEEDED = 3, 2  # of four validators, one of whom is Byzantine and signs everything


class Member(NamedTuple):
    """What one honest validator knows and has signed."""

    acted: int = 0
    lock: int = 0
    high: Name = GENESIS
    votes: frozenset[Name] = frozenset()
    timeouts: frozenset[tuple[int, int]] = frozenset()  # (round, reported)


World = tuple[Member, ...]
Shape = tuple[object, ...]


def reachable_shapes(rounds: int, siblings: int) -> set[Shape]:
    """Explore everything; give what ``shape`` sees of each reachable world."""
    start: World = (Member(),) * HONEST
    seen, waiting = {start}, [start]
    while waiting:
        world = waiting.pop()
        for index, member in enumerate(world):
            for after in _steps(world, member, rounds, siblings):
                members = [*world[:index], after, *world[index + 1 :]]
                following = tuple(sorted(members, key=repr))
                if following not in seen:
                    seen.add(following)
                    waiting.append(following)
    return {shape(world, rounds) for world in seen}


def shape(world: World, rounds: int) -> Shape:
    """Give the certified tree, what each validator stands by, and the last round's demand."""
    certified = _certified(world)
    index_of = {name: index for index, name in enumerate(certified)}
    tree = tuple(
        (name[0], index_of[name[1]], not abstract.commits_parent(name[0], name[1][0]))  # type: ignore[index]
        for name in certified[1:]
    )
    standing = sorted((member.lock, index_of[member.high]) for member in world)
    return tree, tuple(standing), min(_demands(world, rounds), default=-1)


def _round(name: Name) -> int:
    assert isinstance(name[0], int)
    return name[0]


def _certified(world: World) -> list[Name]:
    names = {name for member in world for name in member.votes}
    enough = [n for n in names if sum(n in member.votes for member in world) >= NEEDED]
    return [GENESIS, *sorted(enough, key=_round)]


def _demands(world: World, round_: int) -> list[int]:
    """Give the highest report of every timeout certificate of ``round_`` that can be formed."""
    reports = [reported for m in world for r, reported in m.timeouts if r == round_]
    rounds = {_round(name) for name in _certified(world)}
    return [d for d in sorted(rounds) if sum(reported <= d for reported in reports) >= NEEDED]


def _steps(world: World, member: Member, rounds: int, siblings: int) -> Iterator[Member]:
    certified = _certified(world)
    known = _round(member.high)
    for round_ in range(max(member.acted, known + 1), rounds + 1):
        yield from _give_up(member, round_, certified)
        demands = [None, *_demands(world, round_ - 1)] if round_ > 1 else [None]
        for parent in certified:
            for demand in demands:
                if _is_votable(member, round_, _round(parent), demand):
                    for variant in range(siblings):
                        yield _vote(member, (round_, parent, demand, variant), parent)


def _is_votable(member: Member, round_: int, qc_round: int, demand: int | None) -> bool:
    tc_round, tc_max = (-1, -1) if demand is None else (round_ - 1, demand)
    justified = abstract.is_justified(round_, qc_round, tc_round, tc_max)
    return bool(justified & abstract.may_vote(member.acted, round_))


def _vote(member: Member, name: Name, parent: Name) -> Member:
    return member._replace(
        acted=_round(name),
        lock=max(member.lock, _round(parent)),
        high=max(member.high, parent, key=_round),
        votes=member.votes | {name},
    )


def _give_up(member: Member, round_: int, certified: list[Name]) -> Iterator[Member]:
    if any(round_ == r for r, _ in member.timeouts):
        return
    for learned in certified:
        reported = max(member.high, learned, key=_round)
        if abstract.may_report(member.lock, round_, _round(reported)):
            yield member._replace(
                acted=round_,
                high=reported,
                timeouts=member.timeouts | {(round_, _round(reported))},
            )
