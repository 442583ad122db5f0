"""What a starting node takes over from its chain: how far back, and which proposals still count."""

from collections.abc import Iterable
from typing import Protocol, TypeVar

from consensus.core.leader import schedule_blocks
from consensus.core.ports import Restored
from consensus.core.safety_record import SafetyRecord
from ledger.core.block import Block, LedgerRoot, Proposal
from ledger.core.errors import InvariantError
from ledger.core.ids import BatchId, Height
from ledger.core.limits import ROOTS_KEPT_MAX

__all__ = ["ChainSource", "restored_from"]

T = TypeVar("T")


class ChainSource(Protocol):
    """One snapshot of a chain."""

    def head_height(self) -> Height:
        """Give the height of the last applied block."""
        ...

    def first_height(self) -> Height:
        """Give the height from which on every ledger is here: 0, or that of a snapshot."""
        ...

    def block(self, height: Height, /) -> Block | None:
        """Give the block at ``height``; there is none at 0 and above the head."""
        ...

    def root(self, height: Height, /) -> LedgerRoot | None:
        """Give the ledger after the block at ``height``, or None above the head."""
        ...

    def open_batches(self) -> Iterable[tuple[BatchId, bytes]]:
        """Give the stored batches that no applied block names."""
        ...


def restored_from(
    record: SafetyRecord, proposals: Iterable[Proposal], chain: ChainSource, validators_count: int
) -> Restored:
    """Assemble what the core starts from.

    Raises:
        InvariantError: the chain has a gap.
    """
    head = chain.head_height()
    recent = range(max(1, head - schedule_blocks(validators_count) + 1), head + 1)
    roots = range(max(chain.first_height(), head - ROOTS_KEPT_MAX + 1), head + 1)
    return Restored(
        record=record,
        proposals=tuple(p for p in proposals if p.block.height > head),
        recent=tuple(_present(chain.block(Height(height)), height) for height in recent),
        roots=tuple(_present(chain.root(Height(height)), height) for height in roots),
        open_batches=tuple(chain.open_batches()),
    )


def _present(item: T | None, height: int) -> T:
    if item is None:
        raise InvariantError(f"the chain store lacks block {height} below its head")
    return item
