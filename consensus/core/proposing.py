"""What a leader puts into its block, and what a voter checks beyond the safety rules.

The flush rule: a block is final only after the next round's certificate, so while something is
ordered and not yet final the leader proposes at once, even an empty block. While only its root is
not yet final it waits a moment, because the next event would have to wait behind the empty block.
The gathering rule: small batches wait while another payload is not yet final, since a block of few
events costs as much as one of many and delays what is under way; certified batches never wait.
The idle rule: with nothing to agree on it waits, then proposes an empty heartbeat.
"""

from collections.abc import Sequence

from consensus.core.batchbook import Payload
from consensus.core.blocktree import TreeBlock
from consensus.core.effects import CancelTimer, SetTimer
from consensus.core.pacemaker import IDLE_TIMER
from consensus.core.parts import Parts
from consensus.core.safety import commit_of, is_justified
from consensus.core.safety_record import SafetyRecord
from ledger.core.block import Block, Proposal
from ledger.core.certificate import Vote
from ledger.core.errors import Offence, PeerFault
from ledger.core.ids import Height, Round
from ledger.core.limits import BLOCK_DRIFT_MS_MAX, SIGNATURE_BYTES

__all__ = ["Judge", "Proposer"]


class Proposer:
    """Drafts this validator's proposals."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._waiting = False
        self.idle_over = False

    def enter(self) -> None:
        """A new round begins: nobody has waited in it yet."""
        self.idle_over = False
        if self._waiting:
            self._waiting = False
            self._parts.context.outbox.add(CancelTimer(self._parts.pacemaker.timer(IDLE_TIMER)))

    def draft(self, round_: Round, record: SafetyRecord, now_ms: int) -> Proposal | None:
        """Give an unsigned proposal for ``round_``, or None when it has to wait.

        It waits for its parent, for the parent's execution, or for something to propose; what it
        waits for leads back here.
        """
        parts, tree, high_qc = self._parts, self._parts.tree, record.high_qc
        parent = tree.get(high_qc.block_id)
        walk = tree.walk(high_qc.block_id)
        if parent is None or not walk.is_whole:
            parts.catch_up.on_missing_block(walk.missing)
            return None
        height = tree.executed_height(high_qc, parent.block)
        root = tree.root(height)
        next_set_hash = tree.pending_at(height)
        payload = Payload()
        if next_set_hash is None:
            payload = parts.dissemination.book.choose(tree.batches_in(walk.path))
        # A block after a timeout makes nothing final: what it leaves out would wait for no reason.
        finishes = high_qc.round + 1 == round_ and any(item.block.payload for item in walk.path)
        if finishes and not payload.certificates:
            payload = Payload()  # little: it gathers until what is under way is final
        pause_ms = 0 if payload.batch_ids or self.idle_over else self._pause_ms(walk.path)
        if pause_ms:
            self._wait(pause_ms)
            return None
        if root is None:
            return None
        block = Block(
            epoch=parts.context.domain.epoch,
            round=round_,
            height=Height(parent.block.height + 1),
            parent_id=parent.id,
            executed_height=height,
            ledger_root=root.digest,
            next_set_hash=next_set_hash,
            qc=high_qc,
            tc=None if high_qc.round + 1 == round_ else record.high_tc,
            payload=payload.batch_ids,
            time_ms=max(parent.block.time_ms, now_ms),
            author=parts.rules.index,
        )
        return Proposal(block, bytes(SIGNATURE_BYTES), payload.certificates, payload.inline)

    def _pause_ms(self, path: Sequence[TreeBlock]) -> int:
        """Say how long an empty block on top of the uncommitted ``path`` may wait."""
        if any(item.block.payload for item in path):
            return 0
        pacemaker = self._parts.pacemaker
        needs_root = self._parts.tree.needs_flush(path)
        return pacemaker.root_flush_ms if needs_root else pacemaker.idle_ms

    def _wait(self, pause_ms: int) -> None:
        if not self._waiting:
            self._waiting = True
            timer = self._parts.pacemaker.timer(IDLE_TIMER)
            self._parts.context.outbox.add(SetTimer(timer, pause_ms))


class Judge:
    """Checks a justified block against what this validator knows of the chain."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._right: Vote | None = None  # found to imply its commit; the next mostly say the same

    def leader_name(self, round_: Round) -> str:
        """Give the name of the validator that leads a round."""
        parts = self._parts
        return parts.context.domain.validators.members[parts.schedule.leader(round_)].name

    def require_possible(self, block: Block) -> None:
        """Refuse what no honest leader signs, whatever this validator still lacks.

        Raises:
            PeerFault: the epoch, the certificates' rounds or the height cannot be right.
        """
        self._parts.context.domain.require_epoch(block.epoch)
        if not is_justified(block):
            raise PeerFault(Offence.BAD_BLOCK, "its certificates do not justify the block")
        if block.next_set_hash is not None and block.payload:
            raise PeerFault(Offence.BAD_BLOCK, "a block that ends the epoch has a payload")
        parent = self._parts.tree.get(block.parent_id)
        if parent is not None and block.height != parent.block.height + 1:
            raise PeerFault(Offence.BAD_BLOCK, "its height is not its parent's and one")

    def contradicted_by(self, vote: Vote) -> Block | None:
        """Give the block that ``vote`` is for, if it implies another commit, as far as known."""
        right, tree = self._right, self._parts.tree
        if right is not None and right.block_id == vote.block_id and right.commit == vote.commit:
            return None
        voted = tree.get(vote.block_id)
        if voted is None or vote.round != voted.block.round:
            return None
        parent = tree.get(voted.block.parent_id)
        if parent is None:
            return None
        closing = tree.closing(parent)
        if closing is None and parent.block.next_set_hash is not None:
            return None
        if vote.commit != commit_of(voted.block, parent.block, closing):
            return voted.block
        self._right = vote
        return None

    def obstacle(self, block: Block, parent: Block, now_ms: int) -> str:
        """Say what forbids (or still delays) a vote for ``block``; empty when nothing does."""
        parts, tree = self._parts, self._parts.tree
        if block.author != parts.schedule.leader(block.round):
            return f"validator {block.author} is not the leader of round {block.round}"
        if block.height != parent.height + 1:
            return "the block's height is wrong"
        # Not parent.time_ms + drift: leaders could add one drift to another without an end.
        latest = max(parent.time_ms, now_ms + BLOCK_DRIFT_MS_MAX)
        if not parent.time_ms <= block.time_ms <= latest:
            return f"the block's time {block.time_ms} is outside {parent.time_ms}..{latest}"
        if block.executed_height != tree.executed_height(block.qc, parent):
            return "the block's executed height is wrong"
        root = tree.root(block.executed_height)
        if root is None:
            return f"height {block.executed_height} is not executed yet"
        if root.digest != block.ledger_root:
            parts.context.counters.root_mismatches += 1
            return f"LEDGER ROOT MISMATCH at height {block.executed_height}: state has diverged"
        if block.next_set_hash != tree.pending_at(block.executed_height):
            return "the block's next validator set is not the one that its state holds"
        if not parts.dissemination.book.is_votable(block.payload):
            return "a batch of the block is neither certified nor here"
        return ""
