"""What one exploration covers: how many validators, rounds and blocks, and under which rules."""

import enum
from collections.abc import Callable
from typing import NamedTuple

from consensus.core.safety import SafetyRules
from consensus.core.safety_record import SafetyRecord
from ledger.core.certificate import Domain
from ledger.core.signing import Signer

__all__ = ["Phase", "RulesFactory", "Scope"]

RulesFactory = Callable[[SafetyRecord, Domain, Signer], SafetyRules]


class Phase(enum.Enum):
    """What an honest validator may do next within a round; it may always let it pass."""

    VOTE = "vote"
    GIVE_UP = "give up"
    FORGET = "forget"  # a restart without the record: no correct validator does this


class Scope(NamedTuple):
    """The bounds of an exploration.

    Attributes:
        validators: n; the last ``faulty`` of them are Byzantine.
        rounds: how many rounds are explored, from 1.
        siblings: blocks offered on the same parent in one round.
        eager: honest validators learn no certificate before they must, and give every round up.
            Sound (docs/specification.md, reduction 4), and much smaller.
        phases: what an honest validator may do in a round, in this order.
        rules: makes the rules that honest validators run.
        quorum: overrides the quorum, to plant a bug.
    """

    validators: int = 4
    faulty: int = 1
    rounds: int = 4
    siblings: int = 2
    eager: bool = False
    phases: tuple[Phase, ...] = (Phase.VOTE, Phase.GIVE_UP)
    rules: RulesFactory = SafetyRules
    quorum: int | None = None

    @property
    def honest(self) -> range:
        """The indices of the honest validators."""
        return range(self.validators - self.faulty)

    @property
    def is_correct(self) -> bool:
        """True when honest validators run the real rules and keep their records."""
        return self.rules is SafetyRules and Phase.FORGET not in self.phases
