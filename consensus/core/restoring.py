"""What a starting node takes over from its chain: how far back, and which proposals still count."""

from bisect import bisect_left
from collections.abc import Iterable
from typing import Protocol, TypeVar

from consensus.core.blocktree import TreeBlock
from consensus.core.leader import schedule_blocks
from consensus.core.ports import PendingSet, Restored
from consensus.core.safety_record import SafetyRecord, first_record, record_of_epoch
from ledger.core.block import Block, LedgerRoot, Proposal, block_id, decode_batch
from ledger.core.epoch import EpochStart
from ledger.core.errors import InvariantError
from ledger.core.ids import BatchId, Epoch, Height, NodeIndex, PublicKey, Round
from ledger.core.limits import ROOTS_KEPT_MAX

__all__ = ["ChainSource", "head_of", "restored_from"]

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

    def epoch_start(self, number: Epoch | None = None, /) -> EpochStart:
        """Give how an epoch began: that of ``number``, or the last one."""
        ...

    def pending_set_hash(self, height: Height, /) -> bytes | None:
        """Give the digest of the validator set that waits after the block at ``height``."""
        ...

    def open_batches(self, epoch: Epoch, /) -> Iterable[tuple[BatchId, bytes]]:
        """Give the batches that were stored in an epoch and that no applied block names."""
        ...


def restored_from(
    stored: SafetyRecord, proposals: Iterable[Proposal], chain: ChainSource
) -> Restored:
    """Assemble what the core starts from; its record may be of a later epoch than ``stored``.

    Raises:
        InvariantError: the chain has a gap.
    """
    start, head, key = chain.epoch_start(), chain.head_height(), PublicKey(stored.key)
    is_member = any(member.key == key for member in start.members)
    observes = not is_member or stored.epoch > start.number
    first = max(start.height + 1, head - schedule_blocks(len(start.members)) + 1)
    roots = range(max(chain.first_height(), head - ROOTS_KEPT_MAX + 1), head + 1)
    return Restored(
        start=start,
        record=(
            first_record(start, key, sit_out=True)
            if observes
            else record_of_epoch(stored, start, head, _end_round(chain, stored.epoch, start))
        ),
        proposals=tuple(
            p for p in proposals if p.block.height > head and p.block.epoch == start.number
        ),
        recent=tuple(
            _present(chain.block(Height(height)), height) for height in range(first, head + 1)
        ),
        roots=tuple(_present(chain.root(Height(height)), height) for height in roots),
        open_batches=tuple(chain.open_batches(start.number)),
        pending=_pending(chain, range(max(start.height, roots[0]), head + 1)),
        carried=() if observes else tuple(_own_entries_before(chain, start, key)),
        observes=observes,
    )


def head_of(restored: Restored) -> TreeBlock:
    """Give the committed head at the start: the last applied block, or what opened the epoch.

    That belongs to the epoch before. Here it stands for round 0 and has executed itself.

    Raises:
        InvariantError: the chain store gives no ledger root.
    """
    if not restored.roots:
        msg = "the chain store gives no ledger root"
        raise InvariantError(msg)
    if restored.recent:
        head = restored.recent[-1]
        return TreeBlock(block_id(head), head, None)
    start = restored.start
    opening = Block(
        epoch=start.number,
        round=Round(0),
        height=start.height,
        parent_id=start.block_id,
        executed_height=start.height,
        ledger_root=restored.roots[-1].digest,
        next_set_hash=None,
        qc=start.certificate,
        tc=None,
        payload=(),
        time_ms=start.time_ms,
        author=NodeIndex(0),
    )
    return TreeBlock(start.block_id, opening, None)


def _end_round(chain: ChainSource, epoch: Epoch, start: EpochStart) -> Round:
    """Give the round of the last block of an epoch that is over, 0 when it is not known."""
    if epoch == start.number:
        return Round(0)
    last = chain.block(chain.epoch_start(Epoch(epoch + 1)).height)
    return Round(0) if last is None else last.round


def _pending(chain: ChainSource, heights: range) -> PendingSet | None:
    """Find the set that waits; it waits from some height of its epoch on until the end of it."""
    set_hash = chain.pending_set_hash(Height(heights[-1]))
    if set_hash is None:
        return None
    first = bisect_left(heights, 1, key=lambda h: chain.pending_set_hash(Height(h)) == set_hash)
    return PendingSet(set_hash, Height(heights[first]))


def _own_entries_before(chain: ChainSource, start: EpochStart, key: PublicKey) -> Iterable[bytes]:
    """Give the entries of this member's open batches of the epoch before.

    A member is known by its name, because its key may be new.
    """
    if start.number == 0:
        return
    before = chain.epoch_start(Epoch(start.number - 1))
    names = {member.name for member in start.members if member.key == key}
    own = {index for index, member in enumerate(before.members) if member.name in names}
    for _, encoded in chain.open_batches(before.number):
        batch = decode_batch(encoded)
        if batch.origin in own:
            yield from batch.entries


def _present(item: T | None, height: int) -> T:
    if item is None:
        raise InvariantError(f"the chain store lacks block {height} below its head")
    return item
