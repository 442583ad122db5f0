"""What the core may read synchronously, and what a node starts from.

A port is answered from memory or from a memory-mapped store; it decides nothing.
"""

from typing import Protocol

import msgspec

from consensus.core.safety_record import SafetyRecord
from ledger.core.block import Block, LedgerRoot, Proposal
from ledger.core.ids import BatchId

__all__ = ["BatchIndex", "Restored"]


class BatchIndex(Protocol):
    """Knows which batches the chain store holds."""

    def has_batch(self, batch_id: BatchId) -> bool:
        """Say whether the bytes of the batch are durably in the chain store."""
        ...

    def is_ordered(self, batch_id: BatchId) -> bool:
        """Say whether an applied block names the batch."""
        ...


class Restored(msgspec.Struct, frozen=True):
    """What the two stores hold when a node starts.

    Attributes:
        record: the safety record.
        proposals: uncommitted proposals that were voted for, any order.
        recent: the last applied blocks, oldest first, at least ``schedule_blocks(n)`` of them
            (consensus/core/leader.py) where there are that many; empty at genesis.
        roots: the ledger roots after the last applied blocks, oldest first, the genesis root
            (height 0) included where it is among them; never empty.
        open_batches: stored batches that no applied block names.
    """

    record: SafetyRecord
    proposals: tuple[Proposal, ...]
    recent: tuple[Block, ...]
    roots: tuple[LedgerRoot, ...]
    open_batches: tuple[tuple[BatchId, bytes], ...]
