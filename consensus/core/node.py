"""The whole of a validator as one pure state machine: ``NodeCore.step(input, now_ms)``.

``step`` runs to completion and gives the effects in the order in which they must be carried out.
It reads nothing but its arguments, its state and the batch index; the same inputs give the same
effects, byte for byte. ``now_ms`` is the wall clock in milliseconds, an input that may lie or
jump: it only fills block times and spaces answers.
"""

from consensus.core.agreement import Agreement
from consensus.core.allowance import Allowance
from consensus.core.blocktree import BlockTree
from consensus.core.catchup import CATCH_UP_TIMER, CatchUp
from consensus.core.context import CoreContext
from consensus.core.counters import Counters
from consensus.core.dissemination import BATCH_TIMER, REBROADCAST_TIMER, Dissemination
from consensus.core.effects import Effect, Halt, Penalize, Persist, Send, ServeBatches, ServeBlocks
from consensus.core.execution import ExecutionQueue
from consensus.core.inputs import (
    BatchExamined,
    BatchStored,
    ChainDurable,
    EntriesExamined,
    Executed,
    Input,
    PeerDown,
    PeerMessage,
    PeerMisbehaved,
    PeerUp,
    Started,
    Submitted,
    TimerFired,
)
from consensus.core.leader import LeaderSchedule
from consensus.core.messages import (
    REQUESTS,
    AckMessage,
    BatchMessage,
    BatchRequest,
    BlocksRequest,
    BlocksResponse,
    CertificateMessage,
    EpochEnd,
    ProposalMessage,
    ProposalRequest,
    ProposalResponse,
    SyncInfo,
    TimeoutCertificateMessage,
    TimeoutMessage,
    VoteMessage,
)
from consensus.core.pacemaker import IDLE_TIMER, ROUND_TIMER, Pacemaker, Tuning
from consensus.core.parts import Parts
from consensus.core.ports import BatchIndex, Restored
from consensus.core.recovery import Recovery
from consensus.core.restoring import head_of
from consensus.core.safety import SafetyRules
from consensus.core.status import describe
from consensus.core.stragglers import Stragglers
from consensus.core.verification import RememberingDomain
from ledger.core.errors import InvariantError, Offence, PeerFault
from ledger.core.ids import Height, NodeIndex, Round
from ledger.core.signing import Signer

__all__ = ["NodeCore", "Tuning"]


class NodeCore:
    """One validator: agreement, dissemination, execution order, catch-up and evidence."""

    def __init__(
        self,
        signer: Signer,
        restored: Restored,
        batches: BatchIndex,
        tuning: Tuning,
        counters: Counters | None = None,
    ) -> None:
        """Take over what the stores hold; count on in ``counters`` of the epoch before.

        Raises:
            InvariantError: the stores contradict each other or the key.
        """
        start = restored.start
        domain = RememberingDomain(start.genesis_hash, start.number, start.validator_set())
        context = CoreContext(domain, signer, restored.observes, counters=counters or Counters())
        tree = BlockTree(head_of(restored), restored.roots, restored.pending)
        dissemination = Dissemination(context, batches)
        queue = ExecutionQueue(tree, dissemination.book, context.outbox)
        record = restored.record
        tc_round = 0 if record.high_tc is None else record.high_tc.round
        round_ = Round(max(record.high_qc.round, tc_round) + 1)
        rules = SafetyRules(record, domain, signer, observes=restored.observes)
        parts = Parts(
            context=context,
            rules=rules,
            pacemaker=Pacemaker(tuning, round_),
            tree=tree,
            schedule=LeaderSchedule(domain.validators, start.height),
            dissemination=dissemination,
            queue=queue,
            catch_up=CatchUp(context, tree, dissemination, queue),
            stragglers=Stragglers(rules, context.outbox),
        )
        self._parts = parts
        self._outbox = context.outbox
        self._epoch = start.number
        self._validators_count = len(domain.validators)
        self._restored: Restored | None = restored
        self._agreement = Agreement(parts, start.certificate)
        self._recovery = Recovery(domain.validators)
        self._allowance = Allowance()
        self._durable = tree.head.block.height
        self._progress_ms = 0
        self._is_done = False

    @property
    def index(self) -> NodeIndex:
        """Its index in the epoch's validator set, or one beyond all of them."""
        return self._parts.context.index

    @property
    def awaited(self) -> NodeIndex:
        """The leader whom all wait for: of this round, or of the next when this node has voted."""
        parts = self._parts
        round_ = parts.pacemaker.round
        has_voted = parts.rules.record.acted_round >= round_
        return parts.schedule.leader(Round(round_ + has_voted))

    @property
    def counters(self) -> Counters:
        """What was counted since the start."""
        return self._parts.context.counters

    def status(self, now_ms: int) -> dict[str, object]:
        """Give a JSON-able description for operators; changes nothing."""
        since = max(0, now_ms - self._progress_ms)
        return describe(self._parts, self._agreement, self._durable, since)

    def step(self, input_: Input, now_ms: int) -> list[Effect]:
        """Take one input and give its effects, in order."""
        if self._is_done:
            return []
        parts, agreement = self._parts, self._agreement
        head = parts.tree.head
        agreement.now_ms = now_ms
        agreement.last_proposed = ()
        try:
            self._handle(input_, now_ms)
            if agreement.own_votes:
                agreement.count_own_votes()
            if parts.dissemination.unsent:
                parts.dissemination.send_new(agreement.last_proposed, now_ms)
            if parts.rules.epoch_end is not None:
                self._end_epoch_if_possible()
        except InvariantError as error:
            # Nothing that this step signed may leave: the barrier of its record is dropped too.
            self._outbox.take(None)
            self._is_done = True
            return [Halt(str(error))]
        if parts.tree.head is not head:
            self._progress_ms = now_ms
        return self._outbox.take(self._barrier() if agreement.must_save else None)

    def _end_epoch_if_possible(self) -> None:
        """End what is over, once the last block is durable and no client waits for a verdict."""
        head = self._parts.tree.head.block
        if head.next_set_hash is not None and self._durable >= head.height:
            leftovers = self._parts.dissemination.handover.leftovers()
            if leftovers is not None:
                self._is_done = True
                self._outbox.add(leftovers)

    def _barrier(self) -> Persist | None:
        """Give what must be kept of this step before any of it leaves."""
        agreement = self._agreement
        persist = Persist(self._parts.rules.record, tuple(agreement.unsaved), self._durable)
        agreement.must_save = False
        agreement.unsaved = []
        return persist

    # --- dispatch ---------------------------------------------------------------------------

    def _handle(self, input_: Input, now_ms: int) -> None:
        match input_:
            case PeerMessage():
                try:
                    if self._is_of_this_epoch(input_, now_ms):
                        self._on_message(input_, now_ms)
                except PeerFault as fault:
                    self._penalize(input_.peer, fault.offence, fault.detail)
            case TimerFired():
                self._on_timer(input_, now_ms)
            case Submitted(ticket, entries):
                self._parts.dissemination.submit(ticket, entries)
            case Started():
                self._on_started(now_ms)
            case PeerUp(peer) | PeerDown(peer):
                if not self._is_guest(peer):
                    self._on_connection(peer, is_up=isinstance(input_, PeerUp))
            case PeerMisbehaved(peer, offence):
                self._count_fault(offence)
            case _:
                self._on_work_done(input_)

    def _on_connection(self, peer: NodeIndex, *, is_up: bool) -> None:
        if is_up:
            self._agreement.on_peer_up(peer)
            self._parts.dissemination.on_peer_up(peer)
        else:
            self._agreement.on_peer_down(peer)

    def _is_guest(self, peer: NodeIndex) -> bool:
        """Say whether a peer is none of the epoch's validators: it is served, and no more."""
        return peer >= self._validators_count

    def _is_of_this_epoch(self, input_: PeerMessage, now_ms: int) -> bool:
        """Say whether to look at a message. Of another epoch it is answered, not looked at."""
        spoken = input_.message.epoch
        if spoken is not None and spoken != self._epoch:
            self._parts.stragglers.answer_epoch(input_.peer, spoken, now_ms)
            return False
        return not self._is_guest(input_.peer) or isinstance(input_.message, REQUESTS)

    def _on_message(self, input_: PeerMessage, now_ms: int) -> None:
        agreement, peer, message = self._agreement, input_.peer, input_.message
        match message:  # what comes most often is asked first
            case VoteMessage():
                agreement.on_vote(peer, message.vote)
            case ProposalMessage():
                agreement.on_proposal(peer, message.proposal)
            case TimeoutMessage():
                agreement.on_timeout(peer, message.timeout)
            case TimeoutCertificateMessage():
                agreement.on_timeout_certificate(message.certificate)
            case SyncInfo():
                self._on_proven_round(peer, agreement.on_sync_info(message))
            case EpochEnd():
                agreement.on_epoch_end(message.certificate)
            case ProposalResponse():
                agreement.on_requested_proposal(message.proposal)
            case BlocksResponse():
                self._on_blocks(message)
            case BatchMessage() | AckMessage() | CertificateMessage():
                self._on_dissemination(input_)
            case _:
                self._on_request(input_, now_ms)

    def _on_dissemination(self, input_: PeerMessage) -> None:
        dissemination = self._parts.dissemination
        match input_.message:
            case BatchMessage(encoded):
                dissemination.on_batch(input_.peer, encoded)
            case AckMessage(ack):
                if ack.signer != input_.peer:
                    raise PeerFault(Offence.BAD_SIGNATURE, "an ack comes from its signer only")
                for forger in dissemination.on_ack(ack):
                    self._penalize(forger, Offence.BAD_SIGNATURE, "forged acknowledgement")
                self._agreement.on_new_payload()
            case CertificateMessage(certificate):
                dissemination.on_certificate(certificate)
                self._agreement.on_new_payload()
                self._agreement.maybe_vote()

    def _on_request(self, input_: PeerMessage, now_ms: int) -> None:
        outbox, peer = self._outbox, input_.peer
        if not self._allowance.take(peer, now_ms):
            return
        match input_.message:
            case BlocksRequest(from_height):
                outbox.add(ServeBlocks(peer, from_height))
            case BatchRequest(batch_ids):
                book = self._parts.dissemination.book
                for id_ in batch_ids:
                    if (encoded := book.in_memory(id_)) is not None:
                        outbox.add(Send(peer, BatchMessage(encoded)))
                stored = tuple(id_ for id_ in batch_ids if book.in_memory(id_) is None)
                if stored:
                    outbox.add(ServeBatches(peer, stored))
            case ProposalRequest(id_):
                held = self._parts.tree.get(id_)
                if held is not None and held.proposal is not None:
                    outbox.add(Send(peer, ProposalResponse(held.proposal)))
                elif held is not None and held.block.height:
                    # It is final here, which the peer does not know: perhaps nobody's highest
                    # certificate says so, and nobody else can tell it.
                    outbox.add(ServeBlocks(peer, held.block.height))
                else:
                    self._parts.stragglers.prove_round_to(peer, now_ms)

    def _on_timer(self, input_: TimerFired, now_ms: int) -> None:
        timer = input_.timer
        if timer.round not in {0, self._parts.pacemaker.round}:
            return  # it ran out while the end of its round was on the way
        if timer.name == ROUND_TIMER:
            self._agreement.on_round_timer()
        elif timer.name == IDLE_TIMER:
            self._agreement.on_idle_timer()
        elif timer == BATCH_TIMER:
            self._parts.dissemination.on_batch_timer()
            self._agreement.on_new_payload()
        elif timer == REBROADCAST_TIMER:
            self._parts.dissemination.on_rebroadcast_timer(now_ms)
        elif timer == CATCH_UP_TIMER:
            self._parts.catch_up.on_timer()
        else:
            msg = f"a timer that nobody set: {timer.name}"
            raise InvariantError(msg)

    def _on_work_done(self, input_: Input) -> None:
        parts, agreement = self._parts, self._agreement
        match input_:
            case EntriesExamined(ticket, verdicts):
                parts.dissemination.on_examined(ticket, verdicts)
                agreement.on_new_payload()
            case BatchExamined(id_, valid):
                sender = parts.dissemination.on_batch_examined(id_, valid=valid)
                if sender is not None:
                    self._penalize(sender, Offence.BAD_BATCH, "an entry is not valid")
                parts.queue.pump()
                parts.catch_up.fetch_batches()
                agreement.maybe_vote()
                agreement.on_new_payload()
            case BatchStored(id_):
                parts.dissemination.on_stored(id_)
                agreement.on_new_payload()
            case Executed():
                self._on_executed(input_)
            case ChainDurable(height):
                self._durable = max(self._durable, height)
            case _:
                msg = f"unknown input {type(input_).__name__}"
                raise InvariantError(msg)

    # --- start, sync, execution -------------------------------------------------------------

    def _on_started(self, now_ms: int) -> None:
        assert self._restored is not None, "a node starts once"
        restored, self._restored = self._restored, None
        parts, agreement = self._parts, self._agreement
        self._progress_ms = now_ms
        parts.dissemination.start(now_ms, restored.open_batches, restored.carried)
        parts.catch_up.start()
        parts.schedule.restore(restored.recent)
        for proposal in sorted(restored.proposals, key=lambda p: p.block.height):
            added = parts.tree.add(proposal.block, proposal)
            if added is not None:
                parts.dissemination.restore_inline(proposal)
                agreement.on_certificates(proposal.block.qc)  # the highest may commit nothing
        agreement.resume()

    def _on_proven_round(self, peer: NodeIndex, round_: Round) -> None:
        if self._parts.rules.record.sit_out and not self._parts.context.observes:
            safe = self._recovery.on_proven_round(peer, round_)
            if safe is not None:
                self._parts.rules.end_sitting_out(safe)
                self._agreement.must_save = True

    def _on_blocks(self, answer: BlocksResponse) -> None:
        certificate = self._parts.catch_up.on_blocks(answer)
        if certificate is not None:
            self._agreement.on_certificates(certificate)
            self._parts.catch_up.on_progress()
            self._agreement.retry()

    def _on_executed(self, input_: Executed) -> None:
        parts = self._parts
        before = parts.tree.root(Height(input_.height - 1))
        self.counters.events_executed += input_.root.log_size - (before.log_size if before else 0)
        final = parts.queue.on_executed(input_.block_id, input_.root, input_.pending)
        parts.dissemination.on_ordered(final.block.payload)
        parts.catch_up.fetch_batches()
        self._agreement.retry()
        self._agreement.on_new_payload()

    # --- faults -----------------------------------------------------------------------------

    def _penalize(self, peer: NodeIndex, offence: Offence, detail: str) -> None:
        self._count_fault(offence)
        self._outbox.add(Penalize(peer, offence, detail))

    def _count_fault(self, offence: Offence) -> None:
        faults = self.counters.peer_faults
        faults[offence] = faults.get(offence, 0) + 1
