"""Statements: what honest machines sign, keep and send.

Of each member: one vote, one timeout, one proposal a round, in rounds that rise, across all its
lives; no vote and no proposal once the round was acted in; votes only for blocks that are
justified, with the commit that they imply; timeouts that report the lock. The safety record never
goes back, and covers each signed statement at the moment it leaves.
"""

from typing import TYPE_CHECKING

from consensus.core.effects import Broadcast, EndEpoch, Halt, Persist, Send
from consensus.core.messages import (
    AckMessage,
    CertificateMessage,
    ProposalMessage,
    ProposalResponse,
    SyncInfo,
    TimeoutCertificateMessage,
    TimeoutMessage,
    VoteMessage,
)
from consensus.core.safety_record import SafetyRecord
from ledger.core.block import Block, Proposal
from ledger.core.certificate import Timeout, TimeoutCertificate, Vote
from ledger.core.ids import BatchId, NodeIndex
from simnet.checkers.certificates import Certificates
from simnet.checkers.checker import Checker, Handlers, broken, require
from simnet.checkers.table import block_id, block_message, encode
from simnet.observer import PromiseError

if TYPE_CHECKING:
    from simnet.machine import Machine
    from simnet.world import World

__all__ = ["Statements"]


class _Member:
    """What one machine signed in all its lives, and its last record."""

    __slots__ = (
        "acked",
        "blocks",
        "pending",
        "proposed",
        "record",
        "sent_timeout",
        "sent_vote",
        "timed_round",
        "voted",
        "voted_round",
    )

    def __init__(self) -> None:
        self.record: SafetyRecord | None = None
        self.pending: Persist | None = None  # under way to the disk, whose write may fail
        self.voted: dict[int, Vote] = {}  # round -> vote
        self.voted_round = 0  # the highest of these
        self.timed_round = 0
        self.sent_vote = 0  # highest rounds of what has left
        self.sent_timeout = 0
        self.proposed: dict[int, bytes] = {}  # round -> block id
        self.blocks: dict[bytes, Block] = {}  # kept with the record, by id
        self.acked: set[bytes] = set()


class Statements(Checker):
    """Judges records as they are written and messages as they leave."""

    def __init__(self) -> None:
        self._members: dict[tuple[str, int], _Member] = {}
        self._certificates: Certificates
        self._blocks: dict[bytes, Block] = {}  # kept by anybody honest
        self._messages: Handlers = {
            VoteMessage: self._sends_vote,
            TimeoutMessage: self._sends_timeout,
            ProposalMessage: self._sends_proposal,
            ProposalResponse: self._serves_proposal,
            AckMessage: self._sends_ack,
            CertificateMessage: self._sends_certificate,
            TimeoutCertificateMessage: self._sends_tc,
            SyncInfo: self._sends_sync_info,
        }

    def use(self, certificates: Certificates) -> None:
        """Share what is known of a run's certificates."""
        self._certificates = certificates

    def effects(self) -> Handlers:
        """Judge what is kept and what leaves."""
        return {
            Persist: self._on_persist,
            Broadcast: self._on_leaving,
            Send: self._on_leaving,
            Halt: self._on_halt,
            EndEpoch: self._on_end_epoch,
        }

    def on_begin(self, world: "World") -> None:
        """Begin with members that said nothing."""
        del world
        self._members = {}

    def _member(self, machine: "Machine", epoch: int | None = None) -> _Member:
        """Give what a machine said in an epoch: as a rule in the one in which it lives."""
        key = machine.name, machine.epoch if epoch is None else epoch
        member = self._members.get(key)
        if member is None:
            member = self._members[key] = _Member()
        return member

    def _seat(self, machine: "Machine") -> int:
        return self._certificates.seat(machine, machine.epoch)

    def on_disk_changed(self, machine: "Machine") -> None:
        """Forget what it kept, if its record is lost, and nothing of what it said."""
        for (name, _), member in self._members.items():
            if name == machine.name:
                member.acked.clear()
                if not self._is_kept(machine, member):
                    member.record = None

    def on_start(self, machine: "Machine") -> None:
        """Require that the record on the disk is the last one that was kept."""
        epoch = machine.storage.safety.record().epoch
        kept = self._is_kept(machine, self._member(machine, epoch))
        require(kept, "record", f"{machine.name} starts with another record than it kept")

    def _is_kept(self, machine: "Machine", member: _Member) -> bool:
        """Say whether the disk holds the last record, be it that its write was under way."""
        stored = machine.storage.safety_record
        if member.pending is not None and stored == encode(member.pending.record):
            self._settle(machine, member)
        member.pending = None
        return member.record is None or stored == encode(member.record)

    def _on_end_epoch(self, machine: "Machine", _effect: EndEpoch) -> None:
        self._settle(machine, self._member(machine))

    def _on_halt(self, machine: "Machine", effect: Halt) -> None:
        raise PromiseError("halted", f"{machine.name}: {effect.reason}")

    # --- the record -------------------------------------------------------------------------

    def _on_persist(self, machine: "Machine", effect: Persist) -> None:
        """Wait for the next sign of life: it shows that this was written."""
        member = self._member(machine)
        self._settle(machine, member)
        member.pending = effect

    def _settle(self, machine: "Machine", member: _Member) -> None:
        effect, member.pending = member.pending, None
        if effect is None:
            return
        record = effect.record
        before, certificates = member.record, self._certificates
        for proposal in effect.proposals:
            id_ = block_id(proposal.block)
            member.blocks[id_] = self._blocks[id_] = proposal.block
        if before is None or record.high_qc is not before.high_qc:
            certificates.check_qc(record.high_qc, machine)
        if before is None or record.high_tc is not before.high_tc:
            certificates.check_tc(record.high_tc, machine)
        if before is not None:
            self._check_progress(machine.name, before, record)
        voted_round = member.voted_round
        proposed, vote, timeout = record.last_proposal, record.last_vote, record.last_timeout
        if proposed is not None and (before is None or proposed is not before.last_proposal):
            self._on_proposal(machine, member, proposed)
        if vote is not None and (before is None or vote is not before.last_vote):
            self._on_vote(machine, record, vote, kept=True)
        if timeout is not None and (before is None or timeout is not before.last_timeout):
            self._on_timeout(machine, record, timeout, voted_round)
        member.record = record

    def _check_progress(self, name: str, old: SafetyRecord, new: SafetyRecord) -> None:
        rises = (
            old.counter < new.counter
            and old.acted_round <= new.acted_round
            and old.timed_round <= new.timed_round <= new.acted_round
            and old.lock_round <= new.lock_round <= new.high_qc.round
            and old.high_qc.round <= new.high_qc.round
            and _round(old.high_tc) <= _round(new.high_tc)
        )
        require(rises, "record", name, old, new)
        same = old.genesis_hash == new.genesis_hash and old.key == new.key
        require(same and old.epoch == new.epoch, "record", name, "keeps another's record")
        require(not new.sit_out or old.sit_out, "record", name, "sits out without a reason")

    def _on_vote(self, machine: "Machine", record: SafetyRecord, vote: Vote, *, kept: bool) -> None:
        """Judge a vote the first time that it is kept, or that it leaves."""
        name, member = machine.name, self._member(machine)
        known = member.voted.get(vote.round)
        if known is not None:
            require(known == vote, "double vote", name, "in round", vote.round)
            return
        member.voted[vote.round] = vote
        # Of several votes in one step only the last is kept, and that comes before any leaves.
        voted = member.voted_round if kept else member.sent_vote
        timed = member.timed_round if kept else member.sent_timeout
        member.voted_round = max(member.voted_round, vote.round)
        require(vote.round > voted, "double vote", name, "in", vote.round, "after", voted)
        require(vote.round > timed, "vote after timeout", name, "in", vote.round, "after", timed)
        require(vote.signer == self._seat(machine), "vote", name, "votes as", vote.signer)
        require(not record.sit_out, "vote", name, "votes while it sits out")
        self._certificates.say_vote(vote)
        block = member.blocks.get(vote.block_id)
        if block is None:
            broken("unpersisted", f"{name} keeps no block of its vote {vote.round}")
        self._check_justified(machine, block)
        covered = record.acted_round >= vote.round and record.lock_round >= block.qc.round
        require(covered, "lock", name, vote.round, record)
        implied = self._final_by(block) if block.qc.round + 1 == block.round else None
        given = None if vote.commit is None else (vote.commit.block_id, vote.commit.height)
        right = vote.round == block.round and given == implied
        require(right, "commit rule", name, "votes in", vote.round, "for", given)

    def _final_by(self, block: Block) -> tuple[bytes, int]:
        """Give what a certificate of ``block`` makes final: the parent, or the end of the epoch.

        Every certified block was kept by honest members, so the way down is known.
        """
        id_, height = bytes(block.parent_id), block.height - 1
        below = self._blocks.get(id_)
        while below is not None and below.next_set_hash is not None:
            ending, below = (id_, height), self._blocks.get(below.parent_id)
            if below is None or below.next_set_hash is None:
                return ending
            id_, height = block_id(below), below.height
        return id_, height

    def _check_justified(self, machine: "Machine", block: Block) -> None:
        certificates = self._certificates
        certificates.check_qc(block.qc, machine)
        certificates.check_tc(block.tc, machine)
        justified = block.qc.round + 1 == block.round and block.tc is None
        if block.tc is not None:
            reported = max(entry.qc_round for entry in block.tc.entries)
            justified = block.tc.round + 1 == block.round and reported <= block.qc.round
        linked = block.qc.block_id == block.parent_id and block.qc.round < block.round
        if not (justified and linked):
            broken("justification", f"{machine.name} takes an unjustified block {block.round}")

    def _on_timeout(
        self, machine: "Machine", record: SafetyRecord, timeout: Timeout, voted_round: int
    ) -> None:
        """Judge a new timeout; ``voted_round`` is what was voted in before this step."""
        name, member = machine.name, self._member(machine)
        before = member.record
        if before is not None and timeout == before.last_timeout:
            return
        require(timeout.signer == self._seat(machine), "timeout", f"{name} as {timeout.signer}")
        require(not record.sit_out, "timeout", f"{name} gives up while it sits out")
        rises = timeout.round > member.timed_round and timeout.round >= voted_round
        require(rises, "double timeout", f"{name} in {timeout.round}")
        member.timed_round = timeout.round
        self._certificates.say_timeout(timeout)
        kept = record.timed_round == timeout.round <= record.acted_round
        require(kept, "record", name, timeout.round, record)
        reported = timeout.high_qc.round
        require(reported >= record.lock_round, "lock", f"{name} hides it in {timeout.round}")
        entered = reported + 1 == timeout.round or _round(timeout.last_tc) + 1 == timeout.round
        require(entered, "timeout", f"{name} does not prove round {timeout.round}")

    def _on_proposal(self, machine: "Machine", member: _Member, proposal: Proposal) -> None:
        block, before = proposal.block, member.record
        if before is not None and proposal == before.last_proposal:
            return
        name, id_ = machine.name, block_id(block)
        require(id_ in member.blocks, "unpersisted", f"{name} keeps no block {block.round}")
        if member.proposed.get(block.round) != id_:  # or else it has left already
            self._judge_proposal(machine, member, proposal)

    def _judge_proposal(self, machine: "Machine", member: _Member, proposal: Proposal) -> None:
        name, block, id_ = machine.name, proposal.block, block_id(proposal.block)
        require(block.author == self._seat(machine), "proposal", f"{name} as {block.author}")
        acted = max(member.voted_round, member.timed_round)
        require(
            block.round > max(member.proposed, default=0) and block.round > acted,
            "double proposal",
            f"{name} proposes in {block.round} after it acted in {acted}",
        )
        member.proposed[block.round] = id_
        self._certificates.require_signed(
            machine.epoch, self._seat(machine), block_message(id_), proposal.signature
        )
        self._check_justified(machine, block)

    # --- messages ---------------------------------------------------------------------------

    def _on_leaving(self, machine: "Machine", effect: Broadcast | Send) -> None:
        self._settle(machine, self._member(machine))
        judge = self._messages.get(type(effect.message))
        if judge is not None:
            judge(machine, effect.message)

    def _sends_vote(self, machine: "Machine", message: VoteMessage) -> None:
        member, vote = self._member(machine), message.vote
        record = member.record
        if record is None:
            broken("unpersisted", f"{machine.name} votes and keeps nothing")
        if vote is not record.last_vote:
            self._on_vote(machine, record, vote, kept=False)
        member.sent_vote = max(member.sent_vote, vote.round)

    def _sends_timeout(self, machine: "Machine", message: TimeoutMessage) -> None:
        member, timeout = self._member(machine), message.timeout
        record = member.record
        member.sent_timeout = max(member.sent_timeout, timeout.round)
        kept = record is not None and record.last_timeout == timeout
        require(kept, "unpersisted", f"{machine.name} sends a timeout of round {timeout.round}")
        self._certificates.check_qc(timeout.high_qc, machine)
        self._certificates.check_tc(timeout.last_tc, machine)

    def _sends_proposal(self, machine: "Machine", message: ProposalMessage) -> None:
        member, proposal = self._member(machine), message.proposal
        record = member.record
        if record is None or record.last_proposal != proposal:
            # Then the record must forbid any process after this one to make another.
            acted = 0 if record is None else record.acted_round
            reserved = 0 < acted == proposal.block.round - 1
            require(reserved, "unpersisted", f"{machine.name} sends block {proposal.block.round}")
            self._certificates.require_said(proposal.block, machine)
            self._judge_proposal(machine, member, proposal)
        self._certificates.check_batches(proposal.certificates, machine)

    def _serves_proposal(self, machine: "Machine", message: ProposalResponse) -> None:
        block = message.proposal.block
        if block.author == self._seat(machine):
            id_ = self._member(machine).proposed.get(block.round)
            own = id_ == block_id(block)
            require(own, "double proposal", f"{machine.name} serves another {block.round}")
        self._check_justified(machine, block)
        self._certificates.check_batches(message.proposal.certificates, machine)

    def _sends_ack(self, machine: "Machine", message: AckMessage) -> None:
        ack = message.ack
        require(ack.signer == self._seat(machine), "ack", f"{machine.name} as {ack.signer}")
        self._acknowledges(machine, ack.batch_id, ack.signature)

    def _acknowledges(self, machine: "Machine", batch: bytes, signature: bytes) -> None:
        self._certificates.say_ack(machine.epoch, self._seat(machine), batch, signature)
        acked = self._member(machine).acked
        if batch not in acked:
            durable = machine.storage.has_batch(BatchId(batch))
            require(durable, "unpersisted", f"{machine.name} acknowledges what it may lose")
            acked.add(batch)

    def _sends_certificate(self, machine: "Machine", message: CertificateMessage) -> None:
        certificate = message.certificate
        own = dict(certificate.signatures).get(NodeIndex(self._seat(machine)))
        if own is not None:  # a member's acknowledgement of its own batch leaves only here
            self._acknowledges(machine, certificate.batch_id, own)
        self._certificates.check_batches((certificate,), machine)

    def _sends_tc(self, machine: "Machine", message: TimeoutCertificateMessage) -> None:
        self._certificates.check_tc(message.certificate, machine)

    def _sends_sync_info(self, machine: "Machine", message: SyncInfo) -> None:
        self._certificates.check_qc(message.high_qc, machine)
        self._certificates.check_tc(message.high_tc, machine)


def _round(tc: TimeoutCertificate | None) -> int:
    return 0 if tc is None else tc.round
