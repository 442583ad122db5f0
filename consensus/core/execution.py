"""Final blocks on their way into the ledger: in order, and only once all bytes are here.

A block without payload, unless it ends the epoch, changes nothing but the height, so its root is
known before the executor has answered, and the next leader need not wait for that. The answer must
agree.
"""

from collections import deque
from collections.abc import Iterable

from consensus.core.batchbook import BatchBook
from consensus.core.blocktree import BlockTree, Final
from consensus.core.effects import Execute
from consensus.core.outbox import Outbox
from ledger.core.block import LedgerRoot
from ledger.core.errors import InvariantError
from ledger.core.ids import BatchId, BlockId, Height
from ledger.core.limits import SYNC_BATCH_REQUESTS_MAX, SYNC_BLOCKS_AHEAD_MAX

__all__ = ["ExecutionQueue"]


class ExecutionQueue:
    """Final blocks that are not yet given to the executor."""

    def __init__(self, tree: BlockTree, book: BatchBook, outbox: Outbox) -> None:
        self._tree = tree
        self._book = book
        self._outbox = outbox
        self._waiting: deque[Final] = deque()
        self._executing: deque[Final] = deque()

    def __len__(self) -> int:
        return len(self._waiting) + len(self._executing)

    def on_executed(self, id_: BlockId, root: LedgerRoot, pending: bytes | None = None) -> Final:
        """Note that the oldest block given to the executor is applied, and give it.

        Raises:
            InvariantError: the executor answers for another block, or with another root than
                the one that is known.
        """
        final = self._executing.popleft() if self._executing else None
        if final is None or (final.block.height, final.id) != (root.height, id_):
            msg = f"height {root.height} was executed out of order"
            raise InvariantError(msg)
        if (self._tree.root(root.height) or root) != root:
            msg = f"executing the empty block {root.height} changed the ledger"
            raise InvariantError(msg)
        self._tree.set_root(root, pending)
        self.pump()
        return final

    @property
    def is_full(self) -> bool:
        """True when no further blocks should be fetched for now."""
        return len(self) >= SYNC_BLOCKS_AHEAD_MAX

    def push(self, finals: Iterable[Final]) -> None:
        """Add final blocks, oldest first, and execute what can be."""
        self._waiting.extend(finals)
        self.pump()

    def pump(self) -> None:
        """Give blocks to the executor for as long as their batches are here."""
        while self._waiting and not self._book.missing(self._waiting[0].block.payload):
            final = self._waiting.popleft()
            self._executing.append(final)
            batches = self._book.bytes_not_stored(final.block.payload)
            self._outbox.add(Execute(final.id, final.block, final.certificate, batches))
        self._foresee()

    def _foresee(self) -> None:
        """Note the roots that follow from the last known one without the executor."""
        for final in self._executing:
            if self._tree.root(final.block.height) is None:
                before = self._tree.root(Height(final.block.height - 1))
                changes = final.block.payload or final.block.next_set_hash is not None
                if changes or before is None:
                    break
                self._tree.set_root(before.after_nothing())

    def missing_batches(self) -> tuple[BatchId, ...]:
        """Give the next batches to fetch, in the order in which they are needed."""
        missing: list[BatchId] = []
        for final in self._waiting:
            missing.extend(self._book.missing(final.block.payload))
            if len(missing) >= SYNC_BATCH_REQUESTS_MAX:
                break
        return tuple(missing[:SYNC_BATCH_REQUESTS_MAX])
