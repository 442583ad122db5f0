"""What a simulated machine keeps: the promise of the two stores, without their files.

A transaction is all or nothing, and durable once ``commit`` returned. What was applied since is
lost in a crash. ``persist`` is synchronous, as the safety store is.
"""

from collections.abc import Sequence
from typing import Protocol

from consensus.core.effects import Execute, Persist, RecordEvidence
from consensus.core.inputs import Executed
from consensus.core.messages import BlocksResponse, EpochEnd
from consensus.core.ports import BatchIndex, Restored
from consensus.core.safety_record import SafetyRecord
from ledger.core.admission import Verdict
from ledger.core.block import Block, LedgerRoot
from ledger.core.epoch import EpochStart
from ledger.core.ids import BatchId, Epoch, Height
from simnet.safety_disk import SafetyDisk

__all__ = ["Storage"]


class Storage(BatchIndex, Protocol):
    """Safety store and chain store of one machine."""

    safety: SafetyDisk

    @property
    def safety_record(self) -> bytes:
        """The durable safety record, encoded."""
        ...

    def restored(self) -> Restored:
        """Give what a node starts from: durable things only."""
        ...

    def persist(self, effect: Persist) -> None:
        """Write the safety record and its proposals durably."""
        ...

    def mark_checked(self, batch_id: BatchId) -> None:
        """Remember until the next crash that all signatures of a batch are valid."""
        ...

    def mark_encoded_checked(self, encoded: bytes) -> None:
        """As :meth:`mark_checked`, of an encoded batch."""
        ...

    def store_batch(self, batch_id: BatchId, batch: bytes) -> None:
        """Put a batch into the open transaction."""
        ...

    def execute(self, effect: Execute) -> Executed:
        """Apply a final block in the open transaction."""
        ...

    def begin_epoch(self, record: SafetyRecord) -> None:
        """Replace the safety record by that of a new epoch, durably."""
        ...

    def block(self, height: Height, /) -> Block | None:
        """Give a durable block."""
        ...

    def end_of_epoch(self, epoch: Epoch) -> EpochEnd | None:
        """Give the durable proof that an epoch is over, or None."""
        ...

    @property
    def epochs(self) -> Sequence[EpochStart]:
        """How each epoch began, uncommitted ones too."""
        ...

    def put_evidence(self, effect: RecordEvidence) -> None:
        """Put evidence into the open transaction."""
        ...

    def commit(self) -> Height:
        """Make the open transaction durable; give the durable height."""
        ...

    def lose_uncommitted(self) -> None:
        """Crash: forget the open transaction."""
        ...

    def damage(self, where: int) -> None:
        """Damage a page at the end of the chain, while the machine is down."""
        ...

    def fault(self) -> str:
        """Give what the check at opening finds wrong with a chain that may be damaged."""
        ...

    def examine_entries(self, entries: Sequence[bytes], now_ms: int) -> tuple[Verdict, ...]:
        """Judge submitted entries."""
        ...

    def examine_batch(self, entries: Sequence[bytes]) -> bool:
        """Judge a peer's batch."""
        ...

    def blocks_from(self, start: Height) -> BlocksResponse | None:
        """Give durable blocks that end with a certified one, or None."""
        ...

    def batch(self, batch_id: BatchId) -> bytes | None:
        """Give a durable batch, or None."""
        ...

    @property
    def blocks(self) -> Sequence[Block]:
        """Every applied block, uncommitted ones too, oldest first."""
        ...

    @property
    def log(self) -> Sequence[bytes]:
        """Every entry of the log, in order, uncommitted ones too."""
        ...

    @property
    def roots(self) -> Sequence[LedgerRoot]:
        """The root after each block, genesis first."""
        ...
