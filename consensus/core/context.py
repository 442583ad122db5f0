"""What all parts of one core share."""

from dataclasses import dataclass, field
from typing import Final

from consensus.core.counters import Counters
from consensus.core.outbox import Outbox
from consensus.core.verification import RememberingDomain
from ledger.core.errors import InvariantError
from ledger.core.ids import NodeIndex
from ledger.core.limits import VALIDATORS_COUNT_MAX
from ledger.core.signing import Signer

__all__ = ["OBSERVER", "CoreContext"]

OBSERVER: Final = NodeIndex(VALIDATORS_COUNT_MAX)
"""Index of a node that is none of the validators, to itself. Guests have higher ones."""


@dataclass(slots=True, frozen=True)
class CoreContext:
    """The network, this validator's key, the effects of the step and the counters."""

    domain: RememberingDomain
    signer: Signer
    observes: bool = False
    outbox: Outbox = field(default_factory=Outbox)
    counters: Counters = field(default_factory=Counters)

    @property
    def index(self) -> NodeIndex:
        """This validator's index; one beyond all validators' for an observer.

        Raises:
            InvariantError: the key is not in the validator set.
        """
        if self.observes:
            return OBSERVER
        index = self.domain.validators.index_of(self.signer.public_key)
        if index is None:
            msg = "the voting key is not in the epoch's validator set"
            raise InvariantError(msg)
        return index
