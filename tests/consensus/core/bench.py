"""One real core among validators that exist only as keys, for tests of single rules.

The tests say what the others sign; the core under test answers. Execution and storage answer at
once, unless a test holds them back.
"""

from collections.abc import Iterable, Mapping

import msgspec

from consensus.core.effects import (
    Broadcast,
    Effect,
    ExamineBatch,
    ExamineEntries,
    Execute,
    Halt,
    Penalize,
    Persist,
    Send,
    SetTimer,
    StoreBatch,
)
from consensus.core.inputs import (
    BatchExamined,
    BatchStored,
    EntriesExamined,
    Executed,
    Input,
    PeerMessage,
    PeerUp,
    Started,
    Submitted,
    Timer,
    TimerFired,
)
from consensus.core.messages import Message, ProposalMessage, TimeoutMessage, VoteMessage
from consensus.core.node import NodeCore
from consensus.core.pacemaker import IDLE_TIMER, ROUND_TIMER, Tuning
from consensus.core.ports import Restored
from consensus.core.safety_record import SafetyRecord, decode_record
from ledger.core.admission import ExaminedEntry
from ledger.core.block import Batch, Block, Proposal, block_id, block_message, decode_batch
from ledger.core.certificate import (
    Commit,
    Domain,
    QuorumCertificate,
    Timeout,
    TimeoutCertificate,
    TimeoutEntry,
    Vote,
    genesis_certificate,
)
from ledger.core.codec import encode
from ledger.core.errors import Offence
from ledger.core.ids import BlockId, Epoch, EventId, Height, NodeIndex, Round
from tests.support.federation import BAD_ENTRY, START_MS, Disk, make_genesis

Messages = tuple[Message, ...]


class Bench:
    """The validator ``me`` and what its peers could send it.

    Attributes:
        effects: all effects so far, in order.
        auto: answer storage, examination and execution at once.
        pending: digest of the validator set that the state holds from the next execution on.
    """

    def __init__(self, me: int = 0, count: int = 4, disk: Disk | None = None) -> None:
        self.genesis, self.signers = make_genesis(count)
        self.domain = Domain(self.genesis.hash, Epoch(0), self.genesis.validator_set())
        self.me = NodeIndex(me)
        others = [index for index in range(count) if index != me]
        self.others = tuple(others[: self.domain.validators.quorum])
        self.genesis_qc = genesis_certificate(BlockId(self.genesis.block_id))
        self.disk = disk or Disk(self.genesis, self.signers[me])
        self.effects: list[Effect] = []
        self.auto = True
        self.pending: bytes | None = None
        self.held: list[Input] = []
        self.timers: dict[str, Timer] = {}
        self.now_ms = START_MS
        self.core = self._make_core(self.disk.restored())
        self.give(Started())
        for peer in range(count):
            if peer != me:
                self.give(PeerUp(NodeIndex(peer)))
        self.effects.clear()

    def _make_core(self, restored: Restored) -> NodeCore:
        return NodeCore(self.signers[self.me], restored, self.disk, Tuning())

    def restart(self) -> "Bench":
        """Give a new core on what is on disk; this one must not be used any more."""
        return Bench(self.me, len(self.signers), self.disk)

    # --- giving inputs ----------------------------------------------------------------------

    def give(self, input_: Input) -> list[Effect]:
        """Give one input, and the answers of the shell; give all effects of it."""
        effects = self.core.step(input_, self.now_ms)
        self.effects += effects
        every = list(effects)
        for effect in effects:
            if (answer := self._answer(effect)) is None:
                continue
            if self.auto:
                every += self.give(answer)
            else:
                self.held.append(answer)
        return every

    def release(self) -> list[Effect]:
        """Give the answers that were held back."""
        held, self.held = self.held, []
        return [effect for answer in held for effect in self.give(answer)]

    def _answer(self, effect: Effect) -> Input | None:
        match effect:
            case Persist():
                self.disk.persist(effect)
            case SetTimer(timer):
                self.timers[timer.name] = timer
            case Execute():
                root = self.disk.execute(effect)
                self.disk.sync(effect.block.height)
                return Executed(effect.block.height, effect.block_id, root, self.pending)
            case StoreBatch(id_, encoded):
                self.disk.store(id_, encoded)
                self.disk.sync_batch(id_)
                return BatchStored(id_)
            case ExamineBatch(id_, batch):
                entries = decode_batch(batch).entries
                return BatchExamined(id_, not any(e.startswith(BAD_ENTRY) for e in entries))
            case ExamineEntries(ticket, entries):
                examined = (ExaminedEntry(e, EventId((e * 32)[:32])) for e in entries)
                return EntriesExamined(ticket, tuple(examined))
            case _:
                pass
        return None

    def say(self, peer: int, *messages: Message) -> list[Effect]:
        """Have ``peer`` send messages; give the effects of all of them."""
        return [
            effect
            for message in messages
            for effect in self.give(PeerMessage(NodeIndex(peer), message))
        ]

    def submit(self, *entries: bytes, ticket: int = 1) -> list[Effect]:
        """Have a client submit entries."""
        return self.give(Submitted(ticket, entries))

    def time_out(self) -> list[Effect]:
        """Let the round timer run out."""
        return self.fire(ROUND_TIMER)

    def fire(self, name: str) -> list[Effect]:
        """Let the timer of that name, as it was set last, run out."""
        return self.give(TimerFired(self.timers[name]))

    # --- what others sign -------------------------------------------------------------------

    def vote(self, signer: int, block: Block) -> Vote:
        """Have a validator vote for a block as the rules say."""
        key = self.signers[signer]
        return Vote.make(self.domain, block.round, block_id(block), honest_commit(block), key)

    def vote_message(self, signer: int, block: Block) -> VoteMessage:
        """As :meth:`vote`, ready to be sent."""
        return VoteMessage(self.vote(signer, block))

    def qc(self, block: Block, voters: Iterable[int] = ()) -> QuorumCertificate:
        """Have validators (a quorum of the others) certify ``block`` as the rules say."""
        votes = [self.vote(signer, block) for signer in voters or self.others]
        rows = tuple((v.signer, v.signature) for v in votes)
        commit = honest_commit(block)
        return QuorumCertificate(Epoch(0), block.round, block_id(block), commit, rows)

    def timeout(
        self,
        signer: int,
        round_: int,
        high_qc: QuorumCertificate | None = None,
        last_tc: TimeoutCertificate | None = None,
    ) -> Timeout:
        """Have a validator give up a round."""
        qc = high_qc or self.genesis_qc
        return Timeout.make(self.domain, Round(round_), qc, last_tc, self.signers[signer])

    def tc(
        self,
        round_: int,
        high_qc: QuorumCertificate | None = None,
        reports: Mapping[int, QuorumCertificate] | None = None,
    ) -> TimeoutCertificate:
        """Have validators (a quorum of the others) give up a round."""
        qc = high_qc or self.genesis_qc
        rows = reports or dict.fromkeys(self.others, qc)
        timeouts = [self.timeout(signer, round_, row) for signer, row in rows.items()]
        entries = tuple(TimeoutEntry(t.signer, t.high_qc.round, t.signature) for t in timeouts)
        highest = max((t.high_qc for t in timeouts), key=lambda c: c.round)
        return TimeoutCertificate(Epoch(0), Round(round_), entries, highest)

    def block(self, round_: int, parent: Block | None, **fields: object) -> Block:
        """Make a valid block on ``parent`` (None: genesis); ``fields`` replace parts of it."""
        qc = fields.pop("qc", self.genesis_qc if parent is None else self.qc(parent))
        assert isinstance(qc, QuorumCertificate)
        if qc.commit is not None:
            executed = qc.commit.height
        else:
            executed = Height(0) if parent is None else parent.executed_height
        root = self.disk.roots[min(executed, len(self.disk.roots) - 1)]
        block = Block(
            epoch=Epoch(0),
            round=Round(round_),
            height=Height(1 if parent is None else parent.height + 1),
            parent_id=qc.block_id,
            executed_height=executed,
            ledger_root=root.digest,
            next_set_hash=None,
            qc=qc,
            tc=None if qc.round + 1 == round_ else self.tc(round_ - 1, qc),
            payload=(),
            time_ms=START_MS + round_,
            author=NodeIndex(round_ % len(self.signers)),
        )
        return msgspec.structs.replace(block, **fields)

    def grow(self, count: int, parent: Block | None = None) -> list[Block]:
        """Have everybody agree on ``count`` blocks, one a round, from the core's round on."""
        grown: list[Block] = []
        for _ in range(count):
            round_ = self.round
            if self.core._parts.schedule.leader(Round(round_)) == self.me:
                self.fire(IDLE_TIMER)
            mine = [p.block for p in proposals_in(self.effects) if p.block.round == round_]
            parent = mine[0] if mine else self.block(round_, parent)
            if not mine:
                self.say(parent.author, self.propose(parent))
            for signer in range(len(self.signers)):
                if signer != self.me:
                    self.say(signer, self.vote_message(signer, parent))
            assert self.round == round_ + 1, self.effects[-5:]
            grown.append(parent)
        return grown

    @property
    def blocks(self) -> dict[BlockId, Block]:
        """The blocks that the core holds, the head among them."""
        tree = self.core._parts.tree
        return {id_: item.block for id_, item in tree._blocks.items()}

    def propose(
        self, block: Block, inline: tuple[bytes, ...] = (), **fields: object
    ) -> ProposalMessage:
        """Have the block's author propose it."""
        signature = self.signers[block.author].sign(block_message(block_id(block)))
        proposal = Proposal(block, signature, (), inline)
        return ProposalMessage(msgspec.structs.replace(proposal, **fields))

    def batch(self, origin: int, *entries: bytes, sequence: int = 1) -> bytes:
        """Have a validator make a batch."""
        return encode(Batch(NodeIndex(origin), sequence, entries))

    # --- what the core did ------------------------------------------------------------------

    @property
    def record(self) -> SafetyRecord:
        """The safety record on disk."""
        return decode_record(self.disk.record)

    @property
    def last_voted(self) -> BlockId:
        """The block that the core voted for last."""
        assert self.record.last_vote is not None
        return self.record.last_vote.block_id

    @property
    def round(self) -> int:
        """The core's round."""
        return self.core._parts.pacemaker.round

    @property
    def height(self) -> int:
        """The height of the last committed block."""
        return self.core._parts.tree.head.block.height


def honest_commit(block: Block) -> Commit | None:
    """Give what an honest vote for ``block`` commits."""
    if block.qc.round + 1 != block.round:
        return None
    return Commit(block.parent_id, Height(block.height - 1), None)


def votes_in(effects: Iterable[Effect]) -> list[Vote]:
    """Give the votes that were broadcast."""
    messages = [e.message for e in effects if isinstance(e, Broadcast)]
    return [m.vote for m in messages if isinstance(m, VoteMessage)]


def timeouts_in(effects: Iterable[Effect]) -> list[Timeout]:
    """Give the timeouts that were broadcast."""
    messages = [e.message for e in effects if isinstance(e, Broadcast)]
    return [m.timeout for m in messages if isinstance(m, TimeoutMessage)]


def proposals_in(effects: Iterable[Effect]) -> list[Proposal]:
    """Give the proposals that were broadcast."""
    messages = [e.message for e in effects if isinstance(e, Broadcast)]
    return [m.proposal for m in messages if isinstance(m, ProposalMessage)]


def sent_to(effects: Iterable[Effect], peer: int) -> list[Message]:
    """Give the messages sent to one peer alone."""
    return [e.message for e in effects if isinstance(e, Send) and e.peer == peer]


def faults_in(effects: Iterable[Effect]) -> list[tuple[NodeIndex, Offence]]:
    """Give who was penalised for what."""
    return [(e.peer, e.offence) for e in effects if isinstance(e, Penalize)]


def halts_in(effects: Iterable[Effect]) -> list[str]:
    """Give the reasons of halts."""
    return [e.reason for e in effects if isinstance(e, Halt)]


def executed_in(effects: Iterable[Effect]) -> list[BlockId]:
    """Give the ids of the blocks given to the executor, in order."""
    return [e.block_id for e in effects if isinstance(e, Execute)]
