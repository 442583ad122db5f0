"""Twins scenarios: all of them, one of each kind up to symmetry, counted, or drawn by key.

A scenario gives each of its rounds a leader and a partition of the machines. Members 0 to k - 1
have two machines; ``n + i`` is the second one of member i. Renaming honest members, renaming
members with twins, and swapping the twins of a pair changes nothing that the protocol could notice
(indexes only decide who is asked first), so of the scenarios that such renamings turn into each
other one is run: the least in lexicographic order of its steps.
"""

from collections.abc import Iterator
from itertools import permutations, product
from typing import NamedTuple

from simnet.choices import Draw

__all__ = ["Cast", "Scenario", "Step", "count", "describe", "enumerate_all", "sample", "steps_of"]


class Cast(NamedTuple):
    """Who plays: ``members``, of whom the first ``twins`` have two machines."""

    members: int = 4
    twins: int = 1

    @property
    def machines(self) -> int:
        """Number of machines."""
        return self.members + self.twins

    @property
    def quorum(self) -> int:
        """Members of a quorum: two of them share more than a third of all members."""
        faulty_max = (self.members - 1) // 3
        return (self.members + faulty_max + 2) // 2

    def member(self, machine: int) -> int:
        """Give whose machine it is."""
        return machine if machine < self.members else machine - self.members

    def name(self, machine: int) -> str:
        """Give the name of a machine."""
        return str(machine) if machine < self.members else f"{machine - self.members}'"


class Step(NamedTuple):
    """One round: its leader, and the parts as bit masks of machines, in rising order."""

    leader: int
    parts: tuple[int, ...]


Scenario = tuple[Step, ...]
_Renaming = tuple[int, ...]


def steps_of(cast: Cast, parts_max: int = 2, *, quorate: bool = True) -> list[Step]:
    """Give what one round can be, in order.

    Args:
        parts_max: into so many parts at most the machines are cut.
        quorate: leave out partitions no part of which can certify anything: they only delay.
    """
    cuts = [
        cut
        for cut in _partitions(cast.machines, parts_max)
        if not quorate or any(_is_quorate(cast, part) for part in cut)
    ]
    return sorted(Step(leader, cut) for leader in range(cast.members) for cut in cuts)


def _is_quorate(cast: Cast, part: int) -> bool:
    present = {cast.member(i) for i in range(cast.machines) if part >> i & 1}
    return len(present) >= cast.quorum


def _partitions(machines: int, parts_max: int) -> list[tuple[int, ...]]:
    """Give all partitions into at most so many parts, each part a mask."""
    cuts: list[tuple[int, ...]] = [()]
    for machine in range(machines):
        bit = 1 << machine
        grown: list[tuple[int, ...]] = []
        for cut in cuts:
            grown += [(*cut[:i], part | bit, *cut[i + 1 :]) for i, part in enumerate(cut)]
            if len(cut) < parts_max:
                grown.append((*cut, bit))
        cuts = grown
    return sorted(tuple(sorted(cut)) for cut in cuts)


# --- symmetry -------------------------------------------------------------------------------


def _renamings(cast: Cast) -> list[_Renaming]:
    """Give every renaming of machines that leaves the cast as it is."""
    n, k = cast
    renamings: list[_Renaming] = []
    for twins in permutations(range(k)):
        for honest in permutations(range(k, n)):
            for swaps in product((False, True), repeat=k):
                to = list(range(n + k))
                for i, target in enumerate(twins):
                    first, second = target, n + target
                    to[i], to[n + i] = (second, first) if swaps[i] else (first, second)
                for i, target in zip(range(k, n), honest, strict=True):
                    to[i] = target
                renamings.append(tuple(to))
    return renamings


def _renamed(cast: Cast, to: _Renaming, step: Step) -> Step:
    parts = (sum(1 << to[i] for i in range(cast.machines) if part >> i & 1) for part in step.parts)
    return Step(cast.member(to[step.leader]), tuple(sorted(parts)))


def _table(cast: Cast, steps: list[Step]) -> list[list[int]]:
    """Give, for each renaming, what number each step becomes."""
    numbers = {step: number for number, step in enumerate(steps)}
    return [[numbers[_renamed(cast, to, step)] for step in steps] for to in _renamings(cast)]


def count(cast: Cast, steps: list[Step], rounds: int) -> int:
    """Count scenarios up to symmetry by Burnside's lemma: the mean number of fixed ones."""
    table = _table(cast, steps)
    fixed = [sum(row[i] == i for i in range(len(steps))) for row in table]
    total, rest = divmod(sum(int(f**rounds) for f in fixed), len(table))
    assert rest == 0, "orbits are counted whole"
    return total


def enumerate_all(cast: Cast, steps: list[Step], rounds: int) -> Iterator[Scenario]:
    """Give one scenario of each kind, in lexicographic order.

    Round by round: a step is taken only when no renaming that keeps the rounds before as they are
    makes it a lesser one.
    """
    table = _table(cast, steps)

    def extend(prefix: Scenario, keeping: list[list[int]]) -> Iterator[Scenario]:
        if len(prefix) == rounds:
            yield prefix
            return
        for number, step in enumerate(steps):
            if all(row[number] >= number for row in keeping):
                still = [row for row in keeping if row[number] == number]
                yield from extend((*prefix, step), still)

    yield from extend((), table)


def sample(steps: list[Step], rounds: int, number: int) -> Scenario:
    """Give the scenario of that number among endlessly many random ones."""
    draw = Draw(number, f"twins {rounds}")
    return tuple(steps[draw.below(len(steps))] for _ in range(rounds))


def describe(cast: Cast, scenario: Scenario) -> str:
    """Give a scenario in one line: ``leader:part|part`` for each round."""

    def part_names(part: int) -> str:
        return "".join(cast.name(i) for i in range(cast.machines) if part >> i & 1)

    return " ".join(f"{s.leader}:{'|'.join(map(part_names, s.parts))}" for s in scenario)
