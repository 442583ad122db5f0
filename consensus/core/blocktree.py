"""The blocks that are not yet final, above the one that is, and the roots of executed ones.

Invariants: every block's id was computed here; ``head`` is final and only moves to a descendant;
the tree is bounded, and drops what is not above the head.
"""

from collections import OrderedDict
from collections.abc import Sequence
from typing import NamedTuple

from consensus.core.ports import PendingSet
from ledger.core.block import Block, LedgerRoot, Proposal, block_id
from ledger.core.certificate import Commit, QuorumCertificate
from ledger.core.errors import InvariantError
from ledger.core.ids import BatchId, BlockId, Height
from ledger.core.limits import PENDING_BLOCKS_MAX, ROOTS_KEPT_MAX

__all__ = ["BlockTree", "Final", "TreeBlock", "Walk"]

_WALKS_MAX = 4


class TreeBlock(NamedTuple):
    """A block with its id and, when it came as a proposal, that proposal."""

    id: BlockId
    block: Block
    proposal: Proposal | None


class Final(NamedTuple):
    """A block that became final, and the certificate that names it, if one does."""

    id: BlockId
    block: Block
    certificate: QuorumCertificate | None


class Walk(NamedTuple):
    """The way from the head up to a block.

    Attributes:
        path: the blocks above the head, oldest first; empty when the way is not whole.
        missing: the first ancestor (or the block itself) that is not held.
        forked: the block does not descend from the head.
    """

    path: tuple[TreeBlock, ...]
    missing: BlockId | None
    forked: bool

    @property
    def is_whole(self) -> bool:
        """True when every block from the head to the end is held."""
        return self.missing is None and not self.forked


class BlockTree:
    """Uncommitted blocks by id, the committed head, and the last executed roots."""

    def __init__(
        self,
        head: TreeBlock,
        roots: tuple[LedgerRoot, ...],
        pending: PendingSet | None = None,
    ) -> None:
        self.head = head
        self._pending = pending
        self._blocks: dict[BlockId, TreeBlock] = {head.id: head}
        self._roots: OrderedDict[Height, LedgerRoot] = OrderedDict((r.height, r) for r in roots)
        # Unknown after a start: assume that the last applied block had a payload.
        self._payload_height = head.block.height
        self._walks: dict[BlockId, Walk] = {}  # the last few, while nothing has changed

    # --- blocks -----------------------------------------------------------------------------

    def get(self, id_: BlockId) -> TreeBlock | None:
        """Give the block of that id if it is the head or above it."""
        return self._blocks.get(id_)

    def add(self, block: Block, proposal: Proposal | None) -> TreeBlock | None:
        """Hold a block. None when it is not above the head or the tree is full.

        A block that is no proposal is final and always held: it empties the tree.
        """
        id_ = block_id(block)
        held = self._blocks.get(id_)
        if held is not None:
            return held
        if not self._is_above(block, self.head.block):
            return None
        if proposal is not None and len(self._blocks) >= PENDING_BLOCKS_MAX:
            return None
        added = TreeBlock(id_, block, proposal)
        self._blocks[id_] = added
        self._walks.clear()
        return added

    def walk(self, id_: BlockId) -> Walk:
        """Follow parent links from ``id_`` down to the head.

        The ways to the highest certified block and to the candidate are asked for all through a
        round.
        """
        walk = self._walks.get(id_)
        if walk is None:
            if len(self._walks) >= _WALKS_MAX:
                self._walks.clear()
            walk = self._walks[id_] = self._walk(id_)
        return walk

    def _walk(self, id_: BlockId) -> Walk:
        path: list[TreeBlock] = []
        current = self._blocks.get(id_)
        while current is not None and current.id != self.head.id:
            path.append(current)
            id_ = current.block.parent_id
            if current.block.height == self.head.block.height + 1 and id_ != self.head.id:
                return Walk((), None, forked=True)
            current = self._blocks.get(id_)
        if current is None:
            return Walk((), id_, forked=False)
        return Walk(tuple(reversed(path)), None, forked=False)

    def closing(self, parent: TreeBlock) -> tuple[BlockId, Block] | None:
        """Give the block that ends the epoch: the first on the way up to ``parent`` that does.

        None when ``parent`` names no next set, or the way to it is not known.
        """
        if parent.block.next_set_hash is None:
            return None
        walk = self.walk(parent.id)
        if not walk.is_whole:
            return None  # beside the head another block may end the epoch
        path = (self.head, *walk.path)
        return next((i[:2] for i in path if i.block.next_set_hash is not None), None)

    # --- commit -----------------------------------------------------------------------------

    def commit(self, commit: Commit, certificate: QuorumCertificate) -> list[Final] | None:
        """Make the block that ``commit`` names, and its ancestors, final; oldest first.

        None when one of them is missing. Each block is given exactly once.

        Raises:
            InvariantError: two conflicting blocks are final: more than f validators are faulty.
        """
        if commit.height < self.head.block.height:
            return []
        if commit.height == self.head.block.height:
            if commit.block_id != self.head.id:
                msg = f"SAFETY VIOLATED: two blocks are final at height {commit.height}"
                raise InvariantError(msg)
            return []
        walk = self.walk(commit.block_id)
        if walk.missing is not None:
            return None
        path = walk.path
        if walk.forked or not path or path[-1].block.height != commit.height:
            msg = f"SAFETY VIOLATED: final block {commit.block_id.hex()} is not above the head"
            raise InvariantError(msg)
        self._advance(path[-1])
        for item in path:
            if item.block.payload:
                self._payload_height = item.block.height
        *ancestors, last = path
        finals = [Final(item.id, item.block, None) for item in ancestors]
        return [*finals, Final(last.id, last.block, certificate)]

    def _advance(self, head: TreeBlock) -> None:
        self.head = head
        self._walks.clear()
        self._blocks = {
            id_: item
            for id_, item in self._blocks.items()
            if self._is_above(item.block, head.block) or id_ == head.id
        }

    @staticmethod
    def _is_above(block: Block, head: Block) -> bool:
        # The height is its author's claim as long as the parent is not held; the round is not.
        return block.height > head.height and block.round > head.round

    # --- what a proposal needs ---------------------------------------------------------------

    def executed_height(self, qc: QuorumCertificate, parent: Block) -> Height:
        """Give the height that a child of ``parent`` with certificate ``qc`` has executed."""
        return qc.commit.height if qc.commit is not None else parent.executed_height

    def root(self, height: Height) -> LedgerRoot | None:
        """Give the ledger root after ``height``, when it is executed and recent."""
        return self._roots.get(height)

    def pending_at(self, height: Height) -> bytes | None:
        """Give the digest of the validator set that waits after an executed ``height``, or None.

        A set that waits does so until the last block of the epoch.
        """
        pending = self._pending
        return pending.set_hash if pending is not None and pending.height <= height else None

    def set_root(self, root: LedgerRoot, pending: bytes | None = None) -> None:
        """Note the outcome of an execution."""
        if pending is not None and self._pending is None:
            self._pending = PendingSet(pending, root.height)
        self._roots[root.height] = root
        if len(self._roots) > ROOTS_KEPT_MAX:
            self._roots.popitem(last=False)

    @property
    def executed(self) -> Height:
        """The highest executed height."""
        return next(reversed(self._roots))

    def batches_in(self, suffix: Sequence[TreeBlock]) -> set[BatchId]:
        """Give the batches that the uncommitted blocks of ``suffix`` already name."""
        return {batch_id for item in suffix for batch_id in item.block.payload}

    def needs_flush(self, suffix: Sequence[TreeBlock]) -> bool:
        """Say whether something is ordered but not yet final with a final root.

        A block is final only after the next round's certificate, and its root only when a header
        that carries it is final. So the leader goes on, even with empty blocks, until the head's
        own header covers the last payload. So it does while the epoch is ending.
        """
        if self._pending is not None:
            return True
        last = self._payload_height
        for item in suffix:
            if item.block.payload:
                last = item.block.height
        return self.head.block.executed_height < last
