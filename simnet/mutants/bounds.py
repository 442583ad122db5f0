"""Mutants of bounds, evidence and the treatment of peers."""

from typing import Final

from consensus.core.agreement import Agreement
from consensus.core.evidence import EvidenceKeeper
from ledger.core.block import Proposal
from ledger.core.codec import encode
from ledger.core.errors import Offence, PeerFault
from ledger.core.ids import NodeIndex
from simnet.mutants.mutant import Patch, Registry

__all__ = ["registry"]

registry: Final = Registry()

_BOUNDS = "bounds, evidence, quotas"


@registry.breaks(_BOUNDS)
def repetition_is_evidence(patch: Patch) -> None:
    """Hold a second copy of a proposal against its author."""
    original = EvidenceKeeper.is_first

    def is_first(self: EvidenceKeeper, proposal: Proposal) -> bool:
        key = (proposal.block.author, proposal.block.round)
        if key in self._proposals:
            self._record("double_proposal", *key, encode(proposal), encode(proposal))
            return False
        return original(self, proposal)

    patch.set(EvidenceKeeper, "is_first", is_first)


@registry.breaks(_BOUNDS)
def latecomers_are_punished(patch: Patch) -> None:
    """Penalize whoever sends a block of a height that is final."""
    original = Agreement.on_proposal

    def on_proposal(self: Agreement, peer: NodeIndex, proposal: Proposal) -> None:
        if proposal.block.height <= self._tree.head.block.height:
            raise PeerFault(Offence.BAD_BLOCK, "late")
        original(self, peer, proposal)

    patch.set(Agreement, "on_proposal", on_proposal)
