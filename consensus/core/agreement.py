"""Agreement: proposals, votes, timeouts and certificates, in the order of the protocol text.

This is the control flow of Jolteon (docs/consensus.md, "Rules"); what may be signed is decided in
``safety``, when to wait in ``pacemaker``. Every handler runs to completion and only adds effects.
Messages were decoded, and their sender authenticated, before they come here; everything else
about them is checked here before it has any effect.
"""

from collections import deque

from consensus.core.blocktree import TreeBlock
from consensus.core.effects import Broadcast, Penalize, SetTimer
from consensus.core.evidence import EvidenceKeeper
from consensus.core.messages import (
    ProposalMessage,
    SyncInfo,
    TimeoutCertificateMessage,
    TimeoutMessage,
    VoteMessage,
)
from consensus.core.pacemaker import ROUND_TIMER
from consensus.core.parts import Parts
from consensus.core.proposing import Judge, Proposer
from consensus.core.votes import TimeoutCollector, VoteCollector
from ledger.core.block import Proposal
from ledger.core.certificate import Commit, QuorumCertificate, Timeout, TimeoutCertificate, Vote
from ledger.core.codec import encode
from ledger.core.errors import Offence, PeerFault
from ledger.core.ids import BatchId, NodeIndex, Round

__all__ = ["Agreement"]


class Agreement:
    """The consensus protocol of one validator."""

    def __init__(self, parts: Parts, opening_qc: QuorumCertificate) -> None:
        self._domain = parts.context.domain
        self._outbox = parts.context.outbox
        self._counters = parts.context.counters
        self._rules = parts.rules
        self._pacemaker = parts.pacemaker
        self._tree = parts.tree
        self._schedule = parts.schedule
        self._dissemination = parts.dissemination
        self._queue = parts.queue
        self._catch_up = parts.catch_up
        self._opening_qc = opening_qc
        self._stragglers = parts.stragglers
        self._me = parts.rules.index
        self._votes = VoteCollector(self._domain)
        self._timeouts = TimeoutCollector(self._domain)
        self._timeouts.enter(parts.pacemaker.round)
        self._proposer = Proposer(parts)
        self._judge = Judge(parts)
        self._evidence = EvidenceKeeper(parts.context)
        self.own_votes: deque[Vote] = deque()
        self._candidate: TreeBlock | None = None  # the current round's proposal
        self._idle_armed = False  # the round timer includes the idle interval
        self._awaits_leader = False  # it is not the short one of a leader that is gone
        self.connected: set[NodeIndex] = set()
        self.now_ms = 0
        self.unsaved: list[Proposal] = []
        self.must_save = False
        self.last_proposed: tuple[BatchId, ...] = ()
        self.obstacle = ""

    # --- certificates -----------------------------------------------------------------------

    def verify_qc(self, qc: QuorumCertificate) -> None:
        """Verify a certificate, or recognise the opening one. Raises PeerFault."""
        if qc.round == 0:
            if qc != self._opening_qc:
                raise PeerFault(Offence.BAD_CERTIFICATE, "not the opening one of this epoch")
        else:
            qc.verify(self._domain)

    def _take(self, qc: QuorumCertificate, tc: TimeoutCertificate | None) -> None:
        """Verify a peer's certificates and act on them. Raises PeerFault."""
        self.verify_qc(qc)
        if tc is not None:
            self._domain.require_timeout_certificate(tc, self.verify_qc)
        self.on_certificates(qc, tc)

    def on_certificates(self, qc: QuorumCertificate, tc: TimeoutCertificate | None = None) -> None:
        """Act on verified certificates, on both at once: no round in between is entered."""
        self._learn(qc)
        if tc is not None:
            self._learn(tc.high_qc)
            self._rules.note_timeout_certificate(tc)
        self._enter(Round(max(qc.round, 0 if tc is None else tc.round) + 1))

    def _learn(self, qc: QuorumCertificate) -> None:
        self._rules.note_certificate(qc)
        if qc.commit is not None:
            self._commit(qc.commit, qc)

    def _commit(self, commit: Commit, qc: QuorumCertificate) -> None:
        """Make what the verified ``qc`` commits final, oldest first, each block once."""
        finals = self._tree.commit(commit, qc)
        if not finals:
            if finals is None:
                self._catch_up.on_unreachable_commit(qc)
            return
        for final in finals:
            self._schedule.on_committed(final.block)
            self._counters.blocks_committed += 1
        if self._tree.head.block.next_set_hash is not None:
            self._dissemination.handover.is_closed = True  # what is not ordered now never will be
        self._catch_up.on_missing_block(None)  # what is still missing is asked for anew
        self._queue.push(finals)
        self._catch_up.fetch_batches()

    @property
    def is_over(self) -> bool:
        """True once the end of the epoch is proven: nothing is signed any more."""
        return self._rules.epoch_end is not None

    # --- rounds -----------------------------------------------------------------------------

    def _enter(self, round_: Round) -> None:
        if not self._pacemaker.enter(round_):
            return
        self._counters.rounds += 1
        self._votes.enter(round_)
        self._timeouts.enter(round_)
        self._candidate = None
        self._proposer.enter()
        self.arm_round_timer()
        self.maybe_propose()

    def arm_round_timer(self) -> None:
        """Start the current round's timer."""
        if self.is_over:
            return
        leader = self._schedule.leader(self._pacemaker.round)
        self._idle_armed = self._is_idle()
        is_mine = leader == self._me and not self._rules.is_lost(self._pacemaker.round)
        self._awaits_leader = is_mine or leader in self.connected
        delay = self._pacemaker.timer_ms(
            self._tree.head.block.round,
            leader_connected=self._awaits_leader,
            idle=self._idle_armed,
        )
        self._outbox.add(SetTimer(self._pacemaker.timer(ROUND_TIMER), delay))

    def _is_idle(self) -> bool:
        path = self._tree.walk(self._rules.record.high_qc.block_id).path
        if self._tree.needs_flush(path):
            return False
        return not self._dissemination.book.has_proposable(self._tree.batches_in(path))

    def on_new_payload(self) -> None:
        """Something can be proposed (now), or everything is: an idle round ends or begins."""
        if not self.is_over and not self._timed_out and self._is_idle() != self._idle_armed:
            self.arm_round_timer()
        self.maybe_propose()

    @property
    def _timed_out(self) -> bool:
        return self._rules.record.timed_round >= self._pacemaker.round

    def on_idle_timer(self) -> None:
        """The leader has waited long enough: propose even an empty block."""
        self._proposer.idle_over = True
        self.maybe_propose()

    def on_round_timer(self) -> None:
        """The round takes too long: give it up, and say so again until it ends."""
        timer = self._pacemaker.timer(ROUND_TIMER)
        self._local_timeout()
        if timer.round == self._pacemaker.round and not self.is_over:
            self._outbox.add(SetTimer(timer, self._pacemaker.resend_ms))

    def on_peer_up(self, peer: NodeIndex) -> None:
        """Prove the round to ``peer``, and repeat what was signed in it, as stored."""
        self.connected.add(peer)
        self._catch_up.on_peer_up(peer)
        self._stragglers.greet(peer, self._pacemaker.round)

    def on_peer_down(self, peer: NodeIndex) -> None:
        """Do not wait long for a leader that is known to be gone."""
        self.connected.discard(peer)
        self._catch_up.on_peer_down(peer)
        leads = self._schedule.leader(self._pacemaker.round) == peer
        if leads and self._awaits_leader and not self._timed_out:
            self.arm_round_timer()  # once: a leader that comes and goes gains no time

    # --- proposing --------------------------------------------------------------------------

    def maybe_propose(self) -> None:
        """Propose, if it is this validator's turn and there is a reason to."""
        round_ = self._pacemaker.round
        if self._schedule.leader(round_) != self._me or not self._rules.may_propose(round_):
            return
        if (draft := self._proposer.draft(round_, self._rules.record, self.now_ms)) is None:
            return
        is_reserved = self._rules.is_reserved(round_, is_kept=not self.must_save)
        proposal = self._rules.propose(draft)
        self._domain.remember(proposal.check(self._domain))
        self._counters.proposals_sent += 1
        self.last_proposed = proposal.block.payload
        self._save(proposal)
        self._outbox.add(Broadcast(ProposalMessage(proposal)), ahead=is_reserved)
        self._candidate = self._tree.add(proposal.block, proposal)
        self.maybe_vote()

    def _save(self, proposal: Proposal | None) -> None:
        self.must_save = True
        if proposal is not None and proposal not in self.unsaved:
            self.unsaved.append(proposal)

    def resume(self) -> None:
        """Go on after a restart, in the record's round and with what was signed in it."""
        vote = self._rules.record.last_vote
        if vote is not None:
            self.own_votes.append(vote)
        self.arm_round_timer()
        self.retry()

    # --- voting -----------------------------------------------------------------------------

    def on_proposal(self, peer: NodeIndex, proposal: Proposal) -> None:
        """Take in a leader's block.

        Raises:
            PeerFault: it can not come from an honest leader.
        """
        if proposal.block.author != peer:
            raise PeerFault(Offence.BAD_BLOCK, "a proposal comes from its author only")
        if proposal.block.height <= self._tree.head.block.height:
            return  # late
        self._domain.require(proposal.check(self._domain))
        self._accept(proposal)
        if self.is_over:
            self._stragglers.prove_round_to(peer, self.now_ms)
            return
        round_ = self._pacemaker.round
        if not self._votes.is_open(proposal.block.round, round_):
            return  # fetched by its id if it is certified; uncertified ones have no end
        if not self._evidence.is_first(proposal):
            raise PeerFault(Offence.EQUIVOCATION, "two blocks in one round")
        self._dissemination.admit_payload(proposal)
        added = self._tree.add(proposal.block, proposal)
        # Nobody else's block takes the place of the leader's, which may be waiting.
        may_replace = self._candidate is None or peer == self._schedule.leader(round_)
        if added is not None and added.block.round == round_ and may_replace:
            self._candidate = added
        self.retry()

    def on_requested_proposal(self, proposal: Proposal) -> None:
        """Take in a certified block that was asked for by its id, whoever sends it.

        Raises:
            PeerFault: its certificates or batches are not valid.
        """
        if self._catch_up.is_wanted(proposal):
            self._accept(proposal)
            self._dissemination.admit_payload(proposal)
            self._tree.add(proposal.block, proposal)
            self._catch_up.on_missing_block(None)
            self.retry()

    def _accept(self, proposal: Proposal) -> None:
        self._judge.require_possible(proposal.block)
        self._take(proposal.block.qc, proposal.block.tc)

    def retry(self) -> None:
        """Something that was waited for has come: commit, vote or propose if that is possible."""
        for qc in (self._rules.epoch_end, self._rules.record.high_qc):
            if qc is not None and qc.commit is not None:
                self._commit(qc.commit, qc)
        self.maybe_vote()
        self.maybe_propose()

    def maybe_vote(self) -> None:
        """Vote for the current round's block once all that a voter must know is known."""
        candidate = self._candidate
        if candidate is None or not self._rules.may_vote(candidate.block):
            return
        parent = self._tree.get(candidate.block.parent_id)
        walk = self._tree.walk(candidate.id)
        if parent is None or not walk.is_whole:
            self._catch_up.on_missing_block(walk.missing)
            return
        obstacle = self._judge.obstacle(candidate.block, parent.block, self.now_ms)
        self.obstacle = obstacle
        if obstacle:
            return
        closing = self._tree.closing(parent)
        vote = self._rules.vote(candidate.block, candidate.id, parent.block, closing)
        self._domain.remember(vote.check(self._domain))
        self._counters.votes_sent += 1
        self._save(candidate.proposal)
        self._outbox.add(Broadcast(VoteMessage(vote)))
        self.own_votes.append(vote)

    def on_vote(self, peer: NodeIndex, vote: Vote) -> None:
        """Count a vote.

        Raises:
            PeerFault: it is not the peer's own, or of another epoch.
        """
        if vote.signer != peer:
            raise PeerFault(Offence.BAD_SIGNATURE, "a vote comes from its signer only")
        self._domain.require_epoch(vote.epoch)
        if self._votes.is_open(vote.round, self._pacemaker.round):
            self._count(vote)
        elif vote.round < self._pacemaker.round:
            self._stragglers.prove_round_to(peer, self.now_ms)

    def count_own_votes(self) -> None:
        """Count the votes that this step signed; a certificate may follow from them."""
        while self.own_votes:
            self._count(self.own_votes.popleft())

    def _count(self, vote: Vote) -> None:
        collected = self._votes.add(vote)
        for forger in collected.forgers:
            self._outbox.add(Penalize(forger, Offence.BAD_SIGNATURE, "forged vote"))
        if (first := collected.contradicted) is not None:
            self._domain.require(first.check(self._domain))
            self._domain.require(vote.check(self._domain))
            self._evidence.double_vote(first, vote)
            raise PeerFault(Offence.EQUIVOCATION, "two votes in one round")
        if (voted := self._judge.contradicted_by(vote)) is not None:
            self._domain.require(vote.check(self._domain))
            self._evidence.wrong_commit(vote, encode(voted))
            raise PeerFault(Offence.EQUIVOCATION, "the vote commits the wrong block")
        if collected.certificate is not None:
            self.on_certificates(collected.certificate)

    # --- timeouts ---------------------------------------------------------------------------

    def _local_timeout(self) -> None:
        round_ = self._pacemaker.round
        known, timeout = self._rules.record.last_timeout, self._rules.timeout(round_)
        if timeout is None:
            return
        if timeout is not known:
            self._counters.give_up(self._judge.leader_name(round_))
            self._domain.remember(timeout.check(self._domain))
            self._save(None)
        self._outbox.add(Broadcast(TimeoutMessage(timeout)))
        vote = self._rules.record.last_vote
        if vote is not None and vote.round == round_:
            self._outbox.add(Broadcast(VoteMessage(vote)))
        self._add_timeout(timeout)

    def on_timeout(self, peer: NodeIndex, timeout: Timeout) -> None:
        """Count a timeout, after acting on the certificates that it carries.

        Raises:
            PeerFault: it is not the peer's own, or does not prove how it entered its round.
        """
        if timeout.signer != peer:
            raise PeerFault(Offence.BAD_SIGNATURE, "a timeout comes from its signer only")
        self._domain.require(timeout.check(self._domain))
        entered_by = timeout.high_qc if timeout.last_tc is None else timeout.last_tc
        if entered_by.round + 1 != timeout.round or timeout.high_qc.round >= timeout.round:
            raise PeerFault(Offence.BAD_CERTIFICATE, "the timeout does not prove its round")
        self._take(timeout.high_qc, timeout.last_tc)
        if timeout.round < self._pacemaker.round or self.is_over:
            self._stragglers.prove_round_to(peer, self.now_ms)
            return
        self._add_timeout(timeout)
        may_join = timeout.round == self._pacemaker.round and not self._timed_out
        if may_join and self._timeouts.count > self._domain.validators.faulty_max:
            self._local_timeout()  # Bracha: one honest validator has given up

    def _add_timeout(self, timeout: Timeout) -> None:
        tc = self._timeouts.add(timeout)
        if tc is not None:
            self._counters.timeout_certificates += 1
            self._outbox.add(Broadcast(TimeoutCertificateMessage(tc)))
            self.on_certificates(tc.high_qc, tc)

    def on_timeout_certificate(self, tc: TimeoutCertificate) -> None:
        """Act on a certificate from a peer. Raises PeerFault when it is not valid."""
        self._take(tc.high_qc, tc)

    # --- stragglers -------------------------------------------------------------------------

    def on_sync_info(self, info: SyncInfo) -> Round:
        """Act on a peer's proof of its round and give that round. Raises PeerFault."""
        self._take(info.high_qc, info.high_tc)
        self.retry()
        tc_round = 0 if info.high_tc is None else info.high_tc.round
        return Round(max(info.high_qc.round, tc_round) + 1)

    def on_epoch_end(self, certificate: QuorumCertificate) -> None:
        """Act on the proof that this epoch is over.

        Raises:
            PeerFault: it proves nothing of that kind.
        """
        if certificate.commit is None or certificate.commit.next_set_hash is None:
            raise PeerFault(Offence.BAD_CERTIFICATE, "it ends no epoch")
        self._take(certificate, None)
        self.retry()
