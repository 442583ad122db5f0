"""The safety rules, all of them: what this validator may sign, and what counts as final.

Jolteon (arXiv 2106.10362) as docs/consensus.md states it. The argument in short: a validator
votes once a round (R-ONCE), never for a round that it gave up (R-NO-VOTE-AFTER-TIMEOUT), only
for justified blocks (R-JUSTIFY), and reports its highest certificate when it gives up
(R-REPORT). Then two certified blocks of *consecutive* rounds (R-CONSECUTIVE) make the first
final. The record changes before anything is signed, and ``record`` must be on disk before what
was signed leaves the process (R-PERSIST): the caller emits ``Persist`` first. One statement need
not wait, because the record before it covers it: the proposal of the round after the one in which
that record acted. Nothing tells after a restart whether there was one, so none is made (R-RESERVE).

Invariants: ``acted_round`` and ``lock_round`` never decrease; ``high_qc.round >= lock_round``;
bytes once signed are sent again as they are, never made a second time.
"""

import msgspec

from consensus.core.context import OBSERVER
from consensus.core.safety_record import SafetyRecord
from ledger.core.block import Block, Proposal, block_id, block_message
from ledger.core.certificate import (
    Commit,
    Domain,
    QuorumCertificate,
    Timeout,
    TimeoutCertificate,
    Vote,
)
from ledger.core.errors import InvariantError
from ledger.core.ids import BlockId, NodeIndex, Round
from ledger.core.limits import RECOVERY_MARGIN_ROUNDS
from ledger.core.signing import Signer

__all__ = ["SafetyRules", "commit_of", "is_justified"]


def is_justified(block: Block) -> bool:
    """R-JUSTIFY: the block's certificates explain why its round may have this parent.

    Either the parent was certified in the round before, or a quorum gave that round up and the
    parent's certificate is at least as new as the newest that any of them reported.
    """
    if block.parent_id != block.qc.block_id or block.qc.round >= block.round:
        return False
    if block.tc is None:
        return block.qc.round + 1 == block.round
    return (
        block.qc.round + 1 != block.round
        and block.tc.round + 1 == block.round
        and block.qc.round >= block.tc.qc_round_max
    )


def commit_of(
    block: Block, parent: Block, closing: tuple[BlockId, Block] | None = None
) -> Commit | None:
    """R-CONSECUTIVE: a vote for ``block`` commits its parent iff their rounds are consecutive.

    Committing over a gap in the rounds is unsafe (relab/hotstuff issue 249).

    R-EPOCH-END: above the block that ends the epoch nothing but that block is committed.
    ``closing`` is that block: the parent or the one of its ancestors that first names a next set.
    """
    if block.qc.round + 1 != block.round:
        return None
    if closing is None:
        return Commit(block.parent_id, parent.height, None)
    id_, last = closing
    return Commit(id_, last.height, last.next_set_hash)


class SafetyRules:
    """Holds the safety record and the voting key; nothing else may sign for consensus."""

    def __init__(
        self, record: SafetyRecord, domain: Domain, signer: Signer, *, observes: bool = False
    ) -> None:
        """Take over ``record``; an observer never signs.

        Raises:
            InvariantError: the record belongs to another network, key or epoch, or is impossible.
        """
        index = OBSERVER if observes else domain.validators.index_of(signer.public_key)
        if (record.genesis_hash, record.key) != (domain.genesis_hash, signer.public_key):
            msg = "the safety record belongs to another network or validator key"
            raise InvariantError(msg)
        if index is None or record.epoch != domain.epoch:
            msg = "the voting key is not in the validator set of the safety record's epoch"
            raise InvariantError(msg)
        if observes and not record.sit_out:
            msg = "an observer may not sign"
            raise InvariantError(msg)
        if record.high_qc.round < record.lock_round:
            msg = "the safety record's certificate is older than its lock"
            raise InvariantError(msg)
        self.record = record
        self.index: NodeIndex = index
        self.epoch_end: QuorumCertificate | None = None
        self._observes = observes
        self._domain = domain
        self._signer = signer
        self._reserved_before = _reserved(record.acted_round)
        self._note_epoch_end(record.high_qc)

    # --- what was seen ----------------------------------------------------------------------

    def note_certificate(self, qc: QuorumCertificate) -> None:
        """Keep the verified ``qc`` if it is the highest.

        Raises:
            InvariantError: it holds a vote of this key that the record does not know of: an old
                record was put back, and signing on would be signing twice.
        """
        for signer, _ in qc.signatures:
            if signer == self.index:
                self.note_own_statement(qc.round)
        self._note_epoch_end(qc)
        if qc.round > self.record.high_qc.round:
            self._change(high_qc=qc)

    def _note_epoch_end(self, qc: QuorumCertificate) -> None:
        """R-EPOCH-END: once this is seen, nothing is signed in the epoch any more."""
        if self.epoch_end is None and qc.commit is not None and qc.commit.next_set_hash is not None:
            self.epoch_end = qc

    def note_timeout_certificate(self, tc: TimeoutCertificate) -> None:
        """Keep the verified ``tc`` if it is the highest.

        Raises:
            InvariantError: as :meth:`note_certificate`.
        """
        for entry in tc.entries:
            if entry.signer == self.index:
                self.note_own_statement(tc.round)
        if self.record.high_tc is None or tc.round > self.record.high_tc.round:
            self._change(high_tc=tc)

    def note_own_statement(self, round_: Round) -> None:
        """Compare a verified statement of this very key, seen in what a peer sent.

        Raises:
            InvariantError: the record does not know of it, see :meth:`note_certificate`.
        """
        last = self.record.last_proposal
        known = max(self.record.acted_round, last.block.round if last else Round(0))
        if round_ > known and not self.record.sit_out:
            msg = (
                f"this validator's key signed in round {round_}, but its safety record ends at "
                f"round {known}: an old record was put back. Signing stopped; restore the newest "
                "record, or move the safety store away and start once with --recover."
            )
            raise InvariantError(msg)

    # --- what may be signed -----------------------------------------------------------------

    def may_propose(self, round_: Round) -> bool:
        """R-PROPOSE-ONCE: one proposal a round, none after this round was acted in.

        R-RESERVE: none either in the round that an earlier process may have used.
        """
        last = self.record.last_proposal
        return (
            not self.record.sit_out
            and self.epoch_end is None
            and max(self.record.acted_round, self._reserved_before) < round_
            and (last is None or last.block.round < round_)
        )

    def may_vote(self, block: Block) -> bool:
        """R-ONCE, R-NO-VOTE-AFTER-TIMEOUT and R-JUSTIFY, for a block whose parts are verified."""
        return (
            not self.record.sit_out
            and self.epoch_end is None
            and block.epoch == self.record.epoch
            and block.round > self.record.acted_round
            and is_justified(block)
        )

    def is_reserved(self, round_: Round, *, is_kept: bool) -> bool:
        """R-RESERVE: say whether a proposal of this round may leave before it is recorded.

        Args:
            is_kept: what was signed before is on the disk, none of it in the same step.
        """
        return is_kept and round_ == _reserved(self.record.acted_round)

    def is_lost(self, round_: Round) -> bool:
        """R-RESERVE: say whether nothing is proposed in a round because of an earlier process."""
        last = self.record.last_proposal
        return round_ == self._reserved_before and (last is None or last.block.round != round_)

    def propose(self, proposal_without_signature: Proposal) -> Proposal:
        """Sign a proposal and record it.

        Raises:
            InvariantError: R-PROPOSE-ONCE forbids it.
        """
        block = proposal_without_signature.block
        if not self.may_propose(block.round) or not is_justified(block):
            msg = f"asked to propose in round {block.round} against the rules"
            raise InvariantError(msg)
        signature = self._signer.sign(block_message(block_id(block)))
        proposal = msgspec.structs.replace(proposal_without_signature, signature=signature)
        self._change(last_proposal=proposal)
        return proposal

    def vote(
        self,
        block: Block,
        id_: BlockId,
        parent: Block,
        closing: tuple[BlockId, Block] | None = None,
    ) -> Vote:
        """Sign a vote for ``block`` and record it; ``closing`` as for :func:`commit_of`.

        Raises:
            InvariantError: :meth:`may_vote` forbids it, or ``parent`` is not the parent, or
                ``closing`` not the block that ends the epoch below it.
        """
        fits = parent.round == block.qc.round and _closes(closing, parent, block.parent_id)
        if not self.may_vote(block) or not fits:
            msg = f"asked to vote in round {block.round} against the rules"
            raise InvariantError(msg)
        commit = commit_of(block, parent, closing)
        vote = Vote.make(self._domain, block.round, id_, commit, self._signer)
        high_qc = block.qc if block.qc.round > self.record.high_qc.round else self.record.high_qc
        self._change(
            acted_round=block.round,
            lock_round=Round(max(self.record.lock_round, block.qc.round)),
            last_vote=vote,
            high_qc=high_qc,
        )
        return vote

    def timeout(self, round_: Round) -> Timeout | None:
        """R-REPORT: give up ``round_`` with the highest certificate; the same bytes every time.

        Returns None while sitting out, at the end of the epoch, or when the record is already
        beyond ``round_``.
        """
        record = self.record
        if self.epoch_end is not None:
            return None
        if record.last_timeout is not None and record.last_timeout.round == round_:
            return record.last_timeout
        if record.sit_out or round_ < record.acted_round:
            return None
        if record.high_qc.round < record.lock_round:
            msg = "the highest certificate is older than the lock"
            raise InvariantError(msg)
        last_tc = None if record.high_qc.round + 1 == round_ else record.high_tc
        timeout = Timeout.make(self._domain, round_, record.high_qc, last_tc, self._signer)
        self._change(acted_round=round_, timed_round=round_, last_timeout=timeout)
        return timeout

    def end_sitting_out(self, observed_round: Round) -> None:
        """After the record was lost: sign again, but only beyond every round signed before.

        ``observed_round`` is the highest round proven by enough peers; see
        ``consensus/core/recovery.py``.
        """
        if self._observes:
            msg = "an observer may not sign"
            raise InvariantError(msg)
        safe = Round(observed_round + RECOVERY_MARGIN_ROUNDS)
        self._change(
            acted_round=safe, timed_round=safe, sit_out=False, recovered_round=observed_round
        )

    def _change(self, **fields: object) -> None:
        record = msgspec.structs.replace(self.record, **fields, counter=self.record.counter + 1)
        if record.acted_round < self.record.acted_round:
            msg = "the safety record would go back"
            raise InvariantError(msg)
        self.record = record


def _reserved(acted_round: Round) -> Round:
    """Give the round that a record on the disk reserves: none while nothing was signed."""
    return Round(acted_round + 1 if acted_round else 0)


def _closes(closing: tuple[BlockId, Block] | None, parent: Block, parent_id: BlockId) -> bool:
    """Say whether ``closing`` can be the block that ends the epoch for a child of ``parent``."""
    if closing is None:
        return parent.next_set_hash is None
    id_, last = closing
    return (
        last.next_set_hash is not None
        and last.next_set_hash == parent.next_set_hash
        and last.height <= parent.height
        and (last.height < parent.height or id_ == parent_id)
    )
