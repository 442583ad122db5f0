"""Getting what others already have: committed blocks, certified blocks, batches.

Peers are not trusted: a target exists only when a verified certificate proves it, answers are
bound to the question by hashes, and an answer that is late, empty or wrong only moves the
question on to the next peer. Nothing here ever blocks consensus.
"""

from typing import Final

from consensus.core.blocktree import BlockTree
from consensus.core.context import CoreContext
from consensus.core.dissemination import Dissemination
from consensus.core.effects import Send, SetTimer
from consensus.core.execution import ExecutionQueue
from consensus.core.inputs import Timer
from consensus.core.messages import (
    BatchRequest,
    BlocksRequest,
    BlocksResponse,
    Message,
    ProposalRequest,
)
from ledger.core.block import Proposal, block_id
from ledger.core.certificate import QuorumCertificate
from ledger.core.errors import InvariantError, Offence, PeerFault
from ledger.core.ids import BatchId, BlockId, Height, NodeIndex
from ledger.core.limits import FETCH_DELAY_MS, FETCH_RETRY_MS

__all__ = ["CATCH_UP_TIMER", "CatchUp"]

CATCH_UP_TIMER: Final = Timer("catch-up")
_BATCH_MS: Final = 100  # that a batch of the largest size may take on its way


class CatchUp:
    """What is missing here, whom it was asked for, and when to ask the next one."""

    def __init__(
        self,
        context: CoreContext,
        tree: BlockTree,
        dissemination: Dissemination,
        queue: ExecutionQueue,
    ) -> None:
        self._domain = context.domain
        self._tree = tree
        self._dissemination = dissemination
        self._queue = queue
        self._outbox = context.outbox
        self._counters = context.counters
        self._peers: list[NodeIndex] = []
        self._turn = 0
        self._target: QuorumCertificate | None = None
        self._block: BlockId | None = None
        self._asked: set[BatchId] = set()
        self._timer_set = False
        self._observes = context.observes

    def start(self) -> None:
        """Begin to ask for blocks, as an observer: nobody tells it of any."""
        if self._observes:
            self._set_timer(FETCH_DELAY_MS)

    # --- peers ------------------------------------------------------------------------------

    def on_peer_up(self, peer: NodeIndex) -> None:
        """Ask ``peer`` too from now on."""
        if peer not in self._peers:
            self._peers.append(peer)

    def on_peer_down(self, peer: NodeIndex) -> None:
        """Do not ask ``peer`` any more."""
        if peer in self._peers:
            self._peers.remove(peer)

    def _ask(self, message: Message, answer_ms: int = FETCH_RETRY_MS) -> None:
        if self._peers:
            self._outbox.add(Send(self._peers[self._turn % len(self._peers)], message))
        self._set_timer(answer_ms)

    def _set_timer(self, delay_ms: int) -> None:
        self._timer_set = True
        self._outbox.add(SetTimer(CATCH_UP_TIMER, delay_ms))

    def on_timer(self) -> None:
        """An answer did not come (in time): ask the next peer for all that is still missing."""
        self._timer_set = False
        self._turn += 1
        self._asked.clear()
        if self._tree.head.block.height >= (self.target_height or 0):
            self._target = None
        if self._target is not None or self._observes:
            self._ask_for_blocks()
        self._block = self._missing_block()
        if self._block is not None:
            self._ask(ProposalRequest(self._block))
        self.fetch_batches()

    def _missing_block(self) -> BlockId | None:
        """Give the block to ask for by its id: the one noted, or one on the way to the target.

        What a target needs may be durable nowhere: after a power failure everybody may hold
        only those blocks above the last durable one that it voted for, each a different part.
        """
        if self._block is not None and self._tree.get(self._block) is None:
            return self._block
        commit = None if self._target is None else self._target.commit
        return None if commit is None else self._tree.walk(commit.block_id).missing

    # --- committed blocks -------------------------------------------------------------------

    @property
    def target_height(self) -> Height | None:
        """The proven height that this node is syncing to, or None."""
        return self._target.commit.height if self._target and self._target.commit else None

    def on_unreachable_commit(self, qc: QuorumCertificate) -> None:
        """Begin to sync to the block that the verified ``qc`` commits."""
        assert qc.commit is not None
        begin = self._target is None
        if self._target is None or qc.commit.height > (self.target_height or 0):
            self._target = qc
        if begin:
            self._ask_for_blocks()

    @property
    def _is_at_the_end(self) -> bool:
        """True once the last block of the epoch is final: what follows is not this core's."""
        return self._tree.head.block.next_set_hash is not None

    def _ask_for_blocks(self) -> None:
        if self._is_at_the_end:
            return
        if self._queue.is_full:
            self._set_timer(FETCH_RETRY_MS)
        else:
            self._ask(BlocksRequest(Height(self._tree.head.block.height + 1)))

    def on_blocks(self, answer: BlocksResponse) -> QuorumCertificate | None:
        """Check consecutive committed blocks and hold them.

        Gives the verified certificate that commits the last one; the caller acts on it, then
        calls :meth:`on_progress`. None when the answer is of no use (any more). Blocks above a
        gap answer for one that was asked for by its id: only their certificate is of use.

        Raises:
            PeerFault: the blocks are not a certified chain.
            InvariantError: they are, but on another block than the head, which is final too.
        """
        blocks, qc = answer.blocks, answer.certificate
        head = self._tree.head
        is_wanted = self._target is not None or self._block is not None or self._observes
        if not is_wanted or not blocks or blocks[0].height <= head.block.height:
            return None
        if self._is_at_the_end or blocks[0].epoch != self._domain.epoch:
            return None
        parent_id, height = blocks[0].parent_id, blocks[0].height - 1
        for block in blocks:
            is_next = block.parent_id == parent_id and block.height == height + 1
            if not is_next or block.epoch != self._domain.epoch:
                raise PeerFault(Offence.BAD_SYNC, "the blocks are not a chain")
            parent_id, height = block_id(block), block.height
        if qc is None or qc.commit is None or qc.commit.block_id != parent_id:
            raise PeerFault(Offence.BAD_SYNC, "no certificate commits the last block")
        qc.verify(self._domain)
        if blocks[0].height != head.block.height + 1:
            return qc
        if blocks[0].parent_id != head.id:
            msg = f"SAFETY VIOLATED: another block than the head is final at {head.block.height}"
            raise InvariantError(msg)
        for block in blocks:
            self._tree.add(block, None)
        self._counters.blocks_synced += len(blocks)
        return qc

    def on_progress(self) -> None:
        """The head has moved: go on, or end when the target is reached."""
        if self._tree.head.block.height >= (self.target_height or 0):
            self._target = None
        if self._target is not None or self._observes:
            self._ask_for_blocks()

    # --- certified blocks -------------------------------------------------------------------

    def on_missing_block(self, id_: BlockId | None) -> None:
        """Ask for a certified, uncommitted block unless it comes by itself in a moment."""
        self._block = id_
        if id_ is not None and not self._timer_set:
            self._set_timer(FETCH_DELAY_MS)

    def is_wanted(self, proposal: Proposal) -> bool:
        """Say whether ``proposal`` is the block that was asked for."""
        return self._block is not None and block_id(proposal.block) == self._block

    # --- batches ----------------------------------------------------------------------------

    def fetch_batches(self) -> None:
        """Ask for the batches that the next final blocks need."""
        missing = self._queue.missing_batches()
        self._asked.intersection_update(missing)
        if not missing or self._asked:
            return
        self._asked.update(missing)
        if absent := tuple([id_ for id_ in missing if id_ not in self._dissemination.book.held]):
            self._dissemination.want(absent)
            self._ask(BatchRequest(absent), FETCH_RETRY_MS + _BATCH_MS * len(absent))
        else:  # all of them are being examined
            self._set_timer(FETCH_RETRY_MS)
