"""What the core may read synchronously, and what a node starts from.

A port is answered from memory or from a memory-mapped store; it decides nothing.
"""

from typing import NamedTuple, Protocol

import msgspec

from consensus.core.safety_record import SafetyRecord
from ledger.core.block import Block, LedgerRoot, Proposal
from ledger.core.epoch import EpochStart
from ledger.core.ids import BatchId, Height

__all__ = ["BatchIndex", "PendingSet", "Restored"]


class BatchIndex(Protocol):
    """Knows which batches the chain store holds."""

    def has_batch(self, batch_id: BatchId) -> bool:
        """Say whether the bytes of the batch are durably in the chain store."""
        ...

    def is_ordered(self, batch_id: BatchId) -> bool:
        """Say whether an applied block names the batch."""
        ...


class PendingSet(NamedTuple):
    """A validator set that waits for its epoch.

    Attributes:
        set_hash: its digest.
        height: the first block after which the state holds it, as far as that is known.
    """

    set_hash: bytes
    height: Height


class Restored(msgspec.Struct, frozen=True):
    """What the two stores hold when a node starts.

    Attributes:
        start: how the chain's epoch began.
        record: the safety record of that epoch.
        proposals: uncommitted proposals of it that were voted for, any order.
        recent: the last applied blocks of it, oldest first, at least ``schedule_blocks(n)`` of
            them (consensus/core/leader.py) where there are that many; empty when it has none.
        roots: the ledger roots after the last applied blocks, oldest first, the genesis root
            (height 0) included where it is among them; never empty.
        open_batches: batches stored in this epoch that no applied block names.
        pending: the validator set that waits for its epoch, if one does.
        carried: entries of own open batches of the epoch before.
        observes: it takes verified blocks and signs nothing: it is no validator of this epoch, or
            its record says that it has signed in a later one.
    """

    start: EpochStart
    record: SafetyRecord
    proposals: tuple[Proposal, ...]
    recent: tuple[Block, ...]
    roots: tuple[LedgerRoot, ...]
    open_batches: tuple[tuple[BatchId, bytes], ...]
    pending: PendingSet | None = None
    carried: tuple[bytes, ...] = ()
    observes: bool = False
