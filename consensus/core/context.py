"""What all parts of one core share."""

from dataclasses import dataclass, field

from consensus.core.counters import Counters
from consensus.core.outbox import Outbox
from consensus.core.verification import RememberingDomain
from ledger.core.errors import InvariantError
from ledger.core.ids import NodeIndex
from ledger.core.signing import Signer

__all__ = ["CoreContext"]


@dataclass(slots=True, frozen=True)
class CoreContext:
    """The network, this validator's key, the effects of the step and the counters."""

    domain: RememberingDomain
    signer: Signer
    outbox: Outbox = field(default_factory=Outbox)
    counters: Counters = field(default_factory=Counters)

    @property
    def index(self) -> NodeIndex:
        """This validator's index.

        Raises:
            InvariantError: the key is not in the validator set.
        """
        index = self.domain.validators.index_of(self.signer.public_key)
        if index is None:
            msg = "the voting key is not in the genesis file's validator set"
            raise InvariantError(msg)
        return index
