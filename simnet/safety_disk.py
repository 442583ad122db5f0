"""The safety store of a simulated machine: one record and the proposals that it voted for."""

from consensus.core.effects import Persist
from consensus.core.safety_record import SafetyRecord, decode_record, encode_record, first_record
from ledger.core.block import Proposal, block_id
from ledger.core.epoch import EpochStart
from ledger.core.ids import BlockId, PublicKey

__all__ = ["SafetyDisk"]


class SafetyDisk:
    """What ``Persist`` writes: durable when ``persist`` returned.

    Attributes:
        proposals: those that no durable block of the chain replaced yet.
    """

    def __init__(self, start: EpochStart, key: PublicKey, *, sit_out: bool = False) -> None:
        """Make a store as a new validator does, or, with ``sit_out``, as ``--recover`` does."""
        self._record = first_record(start, key, sit_out=sit_out)
        self.proposals: dict[BlockId, Proposal] = {}

    @property
    def encoded(self) -> bytes:
        """The record's bytes."""
        return encode_record(self._record)

    def record(self) -> SafetyRecord:
        """Read the record back from its bytes."""
        return decode_record(self.encoded)

    def persist(self, effect: Persist) -> None:
        """Replace the record, add proposals and drop old ones, in one transaction."""
        self._record = effect.record
        for proposal in effect.proposals:
            self.proposals[block_id(proposal.block)] = proposal
        old = [i for i, p in self.proposals.items() if p.block.height <= effect.prune_height]
        for id_ in old:
            del self.proposals[id_]

    def begin_epoch(self, record: SafetyRecord) -> None:
        """Replace the record and drop all proposals, in one transaction."""
        self._record = record
        self.proposals.clear()

    def copy(self) -> "SafetyDisk":
        """Make a backup, which must never be put back."""
        backup = SafetyDisk.__new__(SafetyDisk)
        backup._record, backup.proposals = self._record, dict(self.proposals)
        return backup
