"""Marks: interesting states that runs should reach; a long hunt that never reaches one has a hole.

Found by watching inputs, effects and states of honest machines, never by asking the code that is
tested whether it did something interesting. What each means stands in ``simnet.mark_names``.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

import msgspec

from consensus.core.effects import (
    Broadcast,
    Effect,
    ExamineBatch,
    Execute,
    Penalize,
    Persist,
    RecordEvidence,
    Reply,
    Send,
)
from consensus.core.inputs import Input, PeerMessage, PeerUp, Started, Submitted, TimerFired
from consensus.core.messages import (
    BatchMessage,
    BatchRequest,
    BlocksResponse,
    CertificateMessage,
    Message,
    ProposalMessage,
    ProposalRequest,
    ProposalResponse,
    SyncInfo,
    TimeoutCertificateMessage,
    TimeoutMessage,
    VoteMessage,
)
from consensus.core.safety_record import SafetyRecord
from ledger.core.block import Block, LedgerRoot, Proposal
from ledger.core.errors import RejectCode
from simnet.checkers.table import batch_id, block_id
from simnet.choices import Value
from simnet.observer import Observer

if TYPE_CHECKING:
    from simnet.machine import Machine
    from simnet.world import World

__all__ = ["Marks"]

_FLIGHT_MAX: Final = 16
_PAST_ROUNDS: Final = 3
_SIT_OUT: Final = 12  # position in a stored record
_DISK_MARKS: Final = {
    1: ("record lost", "chain lost"),
    2: ("record lost",),
    3: ("chain lost",),
    4: ("old record put back",),
}
_SENT_AGAIN: Final = {
    VoteMessage: "vote sent again",
    ProposalMessage: "proposal sent again",
    TimeoutMessage: "timeout sent again",
}


class _Seen:
    """What is remembered of one machine."""

    def __init__(self) -> None:
        self.record: SafetyRecord | None = None
        self.input: Input | None = None
        self.last: Effect | None = None  # of the present step
        self.sits_out = False  # its record was lost and it is not safe yet
        self.asked: set[bytes] = set()
        self.sent: set[bytes] = set()  # own batches
        self.timeout = 0  # round of the last one that it sent
        self.given_up: set[int] = set()  # rounds, by itself or by a quorum
        self.blocks: dict[int, bytes] = {}  # round -> signature of a proposal
        self.votes: dict[tuple[int, int], bytes] = {}  # (signer, round) -> block


class Marks(Observer):
    """Counts in how many places of a run each mark was hit.

    Attributes:
        hit: mark -> times; marks that were not hit are left out.
    """

    def __init__(self) -> None:
        self.hit: dict[str, int] = {}
        self._seen: dict[str, _Seen] = {}
        self._holding: list[tuple[int, int, int, int]] = []
        self._effects: dict[type[Any], Callable[[Machine, _Seen, Any], None]] = {
            Persist: self._on_persist,
            Broadcast: self._on_leaving,
            Send: self._on_leaving,
            ExamineBatch: self._on_examine,
            Execute: self._on_execute,
            Reply: self._on_reply,
            RecordEvidence: lambda _machine, _seen, _effect: self._mark("evidence"),
            Penalize: lambda _machine, _seen, _effect: self._mark("penalty"),
        }
        self._arriving: dict[type[Any], Callable[[Machine, _Seen, Any], None]] = {
            ProposalMessage: self._proposal_arrives,
            VoteMessage: self._vote_arrives,
            ProposalResponse: self._answer_arrives,
        }
        self._leaving: dict[type[Any], Callable[[Machine, _Seen, Any], None]] = {
            TimeoutMessage: self._timeout_leaves,
            TimeoutCertificateMessage: lambda *_: self._mark("timeout certificate"),
            ProposalMessage: self._proposal_leaves,
            BatchMessage: self._batch_leaves,
            CertificateMessage: lambda *_: self._mark("batch certified"),
            BatchRequest: lambda _machine, seen, message: seen.asked.update(message.batch_ids),
            ProposalRequest: lambda _machine, seen, message: seen.asked.add(message.block_id),
            SyncInfo: self._sync_info_leaves,
        }

    def _mark(self, name: str) -> None:
        self.hit[name] = self.hit.get(name, 0) + 1

    # --- the run ----------------------------------------------------------------------------

    def on_begin(self, world: "World") -> None:
        """Know every machine."""
        self._world = world
        self._seen = {machine.name: _Seen() for machine in world.machines}

    def on_crash(self, machine: "Machine") -> None:
        """Look what was cut off."""
        seen = self._seen[machine.name]
        if isinstance(seen.last, Persist):
            is_written = machine.storage.safety_record == _encode(seen.last.record)
            self._mark("crash before sending" if is_written else "write failed")
        seen.last = None
        if not any(other.is_up for other in self._world.machines):
            self._mark("all down")

    def on_disk_changed(self, machine: "Machine") -> None:
        """Look whether it must sit out."""
        seen, stored = self._seen[machine.name], machine.storage.safety_record
        seen.sits_out = msgspec.msgpack.decode(stored)[_SIT_OUT]
        seen.record = None

    def on_input(self, machine: "Machine", input_: Input) -> None:
        """Look at what comes."""
        seen = self._seen[machine.name]
        seen.input, seen.last = input_, None
        if isinstance(input_, PeerMessage) and machine.is_honest:
            look = self._arriving.get(type(input_.message))
            if look is not None:
                look(machine, seen, input_.message)
        elif isinstance(input_, Submitted) and machine.core is not None:
            flight = machine.core._parts.dissemination.in_flight
            if flight >= _FLIGHT_MAX:
                self._mark("full flight")

    def on_effect(self, machine: "Machine", effect: Effect) -> None:
        """Look at what is done."""
        seen = self._seen[machine.name]
        seen.last = effect
        look = self._effects.get(type(effect))
        if look is not None and machine.is_honest:
            look(machine, seen, effect)

    def on_sent(self, machine: "Machine", receiver: int, message: Message) -> None:
        """Look which votes a partition holds."""
        if self._holding and isinstance(message, VoteMessage):
            now_us = self._world.now_us
            self._holding = [cut for cut in self._holding if cut[0] > now_us]
            for _, senders, receivers, both in self._holding:
                there = senders >> machine.index & 1 and receivers >> receiver & 1
                back = both and receivers >> machine.index & 1 and senders >> receiver & 1
                if there or back:
                    self._mark("partition held votes")

    def on_applied(self, machine: "Machine", block: Block, root: LedgerRoot) -> None:
        """Look for blocks that brought nothing new."""
        if block.payload and machine.is_honest:
            before = machine.storage.roots[block.height - 1].log_size
            if before == root.log_size:
                self._mark("duplicate ordered")
        if block.next_set_hash is not None and machine.world.scenario.tier == "full":
            self._mark("members changed")

    def on_fault(self, key: str, value: Value) -> None:
        """Look at what befalls machines and links."""
        kind, _, rest = key.partition(" ")
        if kind == "partition" and not isinstance(value, int) and value[5]:
            start_us, duration_us, senders, receivers, both, _ = value
            self._holding.append((start_us + duration_us, senders, receivers, both))
        elif kind == "disk" and isinstance(value, int):
            for name in _DISK_MARKS[value]:
                self._mark(name)
        elif kind == "subscriber":
            self._mark("subscriber resumed")
            self._mark("subscriber moved")
        elif kind == "left":
            self._mark("member left")
        elif kind == "clock":
            self._on_clock(rest.partition(" ")[0])

    def _on_clock(self, name: str) -> None:
        core = next(machine.core for machine in self._world.machines if machine.name == name)
        if core is not None:
            parts = core._parts
            proposed = parts.rules.record.last_proposal
            if proposed is not None and proposed.block.round == parts.pacemaker.round:
                self._mark("clock jump of the leader")

    # --- what is kept -----------------------------------------------------------------------

    def _on_persist(self, machine: "Machine", seen: _Seen, effect: Persist) -> None:
        del machine
        old, new = seen.record, effect.record
        seen.record = new
        if seen.sits_out and not new.sit_out:
            seen.sits_out = False
            self._mark("sat out")
        if old is None:
            return
        if new.high_tc is not None and new.high_tc is not old.high_tc:
            seen.given_up.add(new.high_tc.round)
            self._mark("view change")
        if old.high_qc.round < new.high_qc.round and new.high_qc.round in seen.given_up:
            self._mark("late certificate")
        if new.timed_round:
            seen.given_up.add(new.timed_round)
        if new.last_vote is not None and new.last_vote is not old.last_vote:
            self._on_vote(effect.proposals, new.last_vote.round, old.lock_round)

    def _on_vote(self, proposals: tuple[Proposal, ...], round_: int, lock_round: int) -> None:
        for proposal in proposals:
            block = proposal.block
            if block.round == round_ and block.tc is not None and lock_round:
                if block.qc.round == lock_round:
                    self._mark("lock kept")
                elif block.qc.round > lock_round:
                    self._mark("lock raised")

    # --- what leaves ------------------------------------------------------------------------

    def _on_leaving(self, machine: "Machine", seen: _Seen, effect: Broadcast | Send) -> None:
        message = effect.message
        kind = type(message)
        if isinstance(seen.input, PeerUp | Started):
            if machine.incarnation > 1 and kind in _SENT_AGAIN:
                self._mark(_SENT_AGAIN[kind])
            return
        look = self._leaving.get(kind)
        if look is not None:
            look(machine, seen, message)

    def _timeout_leaves(self, machine: "Machine", seen: _Seen, message: TimeoutMessage) -> None:
        del machine
        round_ = message.timeout.round
        if round_ == seen.timeout:
            self._mark("timeout repeated")
        elif isinstance(seen.input, PeerMessage):
            self._mark("joined")
        seen.timeout = round_

    def _proposal_leaves(self, machine: "Machine", seen: _Seen, message: ProposalMessage) -> None:
        proposal = message.proposal
        block = proposal.block
        if block.tc is not None:
            self._mark("proposal after view change")
        if proposal.inline:
            self._mark("inline batch")
        if proposal.certificates:
            self._mark("certified batch")
        if not block.payload:
            is_idle = isinstance(seen.input, TimerFired) and seen.input.timer.name == "idle"
            self._mark("idle heartbeat" if is_idle else "empty flush")
        # With nobody left out the turn goes by the round alone.
        if block.round % machine.world.scenario.validators != machine.index:
            self._mark("leader passed over")

    def _batch_leaves(self, machine: "Machine", seen: _Seen, message: BatchMessage) -> None:
        if isinstance(seen.last, Broadcast):
            id_ = batch_id(message.batch)
            if id_ in seen.sent and machine.core is not None:
                self._mark("batch sent again")
            seen.sent.add(id_)

    def _sync_info_leaves(self, machine: "Machine", seen: _Seen, message: SyncInfo) -> None:
        del machine, message
        if isinstance(seen.input, PeerMessage):
            self._mark("straggler helped")

    # --- what arrives -----------------------------------------------------------------------

    def _proposal_arrives(self, machine: "Machine", seen: _Seen, message: ProposalMessage) -> None:
        del machine
        proposal = message.proposal
        first = seen.blocks.setdefault(proposal.block.round, proposal.signature)
        if first != proposal.signature:
            self._mark("fork")

    def _vote_arrives(self, machine: "Machine", seen: _Seen, message: VoteMessage) -> None:
        vote = message.vote
        first = seen.votes.setdefault((vote.signer, vote.round), vote.block_id)
        if first != vote.block_id:
            self._mark("two votes")
        core = machine.core
        if core is not None and core._parts.pacemaker.round - vote.round >= _PAST_ROUNDS:
            self._mark("vote of the past")

    def _answer_arrives(self, machine: "Machine", seen: _Seen, message: ProposalResponse) -> None:
        del machine
        id_ = block_id(message.proposal.block)
        if id_ in seen.asked:
            seen.asked.discard(id_)
            self._mark("proposal fetched")

    # --- what is worked on ------------------------------------------------------------------

    def _on_examine(self, machine: "Machine", seen: _Seen, effect: ExamineBatch) -> None:
        if effect.batch_id in seen.asked:
            seen.asked.discard(effect.batch_id)
            self._mark("batch fetched")
            given = seen.input.message if isinstance(seen.input, PeerMessage) else None
            if isinstance(given, BatchMessage):
                origin = msgspec.msgpack.decode(given.batch)[0]
                if origin == machine.index:
                    self._mark("own batch recovered")

    def _on_execute(self, machine: "Machine", seen: _Seen, effect: Execute) -> None:
        del machine
        if effect.certificate is None:
            self._mark("several final at once")
        given = seen.input.message if isinstance(seen.input, PeerMessage) else None
        if isinstance(given, BlocksResponse):
            self._mark("synced by blocks")

    def _on_reply(self, machine: "Machine", seen: _Seen, effect: Reply) -> None:
        del machine, seen
        verdicts = effect.verdicts
        for verdict in verdicts if isinstance(verdicts, tuple) else (verdicts,):
            if isinstance(verdict, RejectCode):
                is_double = verdict is RejectCode.DUPLICATE
                self._mark("duplicate refused" if is_double else "entry refused")


def _encode(record: SafetyRecord) -> bytes:
    return msgspec.msgpack.encode(record)
