"""What one seed means: a network, its load, how its links are, and which faults it gets.

Pure but for its seeded dice. Most seeds leave most kinds of faults out (swarm testing): a network
that is hurt in every way at once never gets far in any one of them.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass, fields

from simnet.checkers.promises import RESTART_S_MAX
from tests.chaos.surroundings import Surroundings
from tests.chaos.switch import Link

__all__ = ["KINDS", "Scenario", "draw"]

_ALWAYS = ("kill", "stop", "pause", "restart", "garbled", "old-record", "lost-record")
_IN_NAMESPACES = ("cut", "one-way", "slow", "lossy", "flap", "split", "full-disk", "read-only")
_WITH_CLOCKS = ("clock",)

KINDS = (*_ALWAYS, *_IN_NAMESPACES, *_WITH_CLOCKS)
"""Every kind of fault."""

_LINKS = {
    "clean": Link(),
    "near": Link(delay_s=0.001, jitter_s=0.001),
    "far": Link(delay_s=0.02, jitter_s=0.01),
    "rough": Link(delay_s=0.005, jitter_s=0.01, loss=0.01, reorder=0.02),
}
_LOADS = ((400.0, 0), (400.0, 0), (100.0, 0), (200.0, 1_000), (40.0, 20_000))
_ROUND_TIMEOUT_MS = 400
_KINDS_COUNT = (3, 6)
_START_S = 0.75  # a member more on two cores delays a full restart by this
_ROUND_TRIPS = 60  # of a restart: connections, TLS, catching up, rounds that time out


@dataclass(frozen=True, slots=True)
class Scenario:
    """One testnet.

    Attributes:
        rate: events a second, at most; data_bytes: content of each.
        profile: name of ``link``, how packets usually travel.
        kinds: which faults it gets.
    """

    members: int
    round_timeout_ms: int
    rate: float
    data_bytes: int
    profile: str
    kinds: Sequence[str]

    @property
    def link(self) -> Link:
        """How packets usually travel."""
        return _LINKS[self.profile]

    @property
    def faulty_max(self) -> int:
        """How many members may be faulty at one time."""
        return (self.members - 1) // 3

    @property
    def restart_s_max(self) -> float:
        """Seconds in which a full restart must give a new commit."""
        more = _START_S * (self.members - 4) + _ROUND_TRIPS * self.link.delay_s
        return RESTART_S_MAX + more + (self.round_timeout_ms - _ROUND_TIMEOUT_MS) / 1_000

    def __str__(self) -> str:
        """Give all of it in one line."""
        return ", ".join(f"{field.name} {getattr(self, field.name)}" for field in fields(self))


def draw(
    seed: int,
    surroundings: Surroundings,
    *,
    members: int | None = None,
    kinds: Sequence[str] = (),
) -> Scenario:
    """Give what ``seed`` means here, with what the caller insists on, where that is possible.

    Raises:
        ValueError: none of ``kinds`` is.
    """
    dice = random.Random(f"scenario {seed}")
    possible = [
        *_ALWAYS,
        *(_IN_NAMESPACES if surroundings.has_namespaces else ()),
        *(_WITH_CLOCKS if surroundings.has_clocks else ()),
    ]
    rate, data_bytes = dice.choice(_LOADS)
    profile = dice.choice(["clean", "clean", *_LINKS])
    drawn_members = dice.choice([4, 4, 4, 5, 7])
    drawn_kinds = dice.sample(possible, dice.randint(*_KINDS_COUNT))
    if kinds:
        drawn_kinds = [kind for kind in kinds if kind in possible]
    if not drawn_kinds:
        raise ValueError(f"not available here: {', '.join(kinds)}")
    return Scenario(
        members=members or drawn_members,
        round_timeout_ms=dice.choice([_ROUND_TIMEOUT_MS, _ROUND_TIMEOUT_MS, 800, 1_500]),
        rate=rate,
        data_bytes=data_bytes,
        profile=profile if surroundings.has_namespaces else "clean",
        kinds=sorted(drawn_kinds),
    )
