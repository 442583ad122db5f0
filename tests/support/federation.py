"""A few real cores in virtual time that talk and execute: for tests that direct what happens.

Small on purpose, and nothing in it goes wrong by itself: federations under every kind of fault are
simnet's business.
"""

import heapq
import itertools
from collections.abc import Callable, Iterable

import msgspec
from blake3 import blake3

from consensus.core.effects import (
    Broadcast,
    CancelTimer,
    Effect,
    ExamineBatch,
    ExamineEntries,
    Execute,
    Halt,
    Penalize,
    Persist,
    RecordEvidence,
    Reply,
    Send,
    ServeBatches,
    ServeBlocks,
    SetTimer,
    StoreBatch,
)
from consensus.core.inputs import (
    BatchExamined,
    BatchStored,
    ChainDurable,
    EntriesExamined,
    Executed,
    Input,
    PeerDown,
    PeerMessage,
    PeerUp,
    Started,
    Submitted,
    Timer,
    TimerFired,
)
from consensus.core.leader import schedule_blocks
from consensus.core.messages import (
    BatchMessage,
    BlocksResponse,
    Message,
    decode_message,
    encode_message,
)
from consensus.core.node import NodeCore
from consensus.core.pacemaker import Tuning
from consensus.core.ports import Restored
from consensus.core.safety_record import SafetyRecord, decode_record, encode_record, first_record
from ledger.core.admission import ExaminedEntry
from ledger.core.block import Block, LedgerRoot, Proposal, block_id, decode_batch
from ledger.core.certificate import QuorumCertificate
from ledger.core.epoch import EpochStart
from ledger.core.genesis import Genesis, Governors
from ledger.core.ids import BatchId, BlockId, EventId, Height, NodeIndex
from ledger.core.limits import SYNC_BLOCKS_MAX
from ledger.core.signing import SeedSigner
from ledger.core.validators import Validator

START_MS = 1_760_000_000_000
BAD_ENTRY = b"bad"  # an entry that starts so is invalid in this small world


def make_genesis(count: int) -> tuple[Genesis, list[SeedSigner]]:
    """Make a genesis of ``count`` validators and their signers."""
    signers = [SeedSigner(bytes([7, i]) * 16) for i in range(count)]
    peers = [SeedSigner(bytes([9, i]) * 16) for i in range(count)]
    members = tuple(
        Validator(f"val-{i}", f"did:elsi:V{i}", signers[i].public_key, peers[i].public_key, "h:1")
        for i in range(count)
    )
    governors = Governors(1, ("did:elsi:V0",))
    return Genesis("test", START_MS, members, (), governors), signers


def genesis_root(genesis: Genesis) -> LedgerRoot:
    """Give the root that the stand-in ledger begins with."""
    return LedgerRoot(Height(0), 0, bytes(32), bytes(32), genesis.validator_set().hash)


class Disk:
    """What survives a crash of one node."""

    def __init__(self, genesis: Genesis, signer: SeedSigner) -> None:
        self.record = encode_record(first_record(EpochStart.of_genesis(genesis), signer.public_key))
        self.proposals: dict[BlockId, Proposal] = {}
        self.blocks: list[Block] = []
        self.certificates: dict[Height, QuorumCertificate] = {}
        self.roots = [genesis_root(genesis)]
        self.batches: dict[BatchId, bytes] = {}
        self.ordered: dict[BatchId, None] = {}
        self.log: list[bytes] = []
        self.durable = 0  # blocks above this height are lost in a crash
        self._unsynced: set[BatchId] = set()
        self._firsts: list[list[BatchId]] = []  # for each block, the batches it orders first
        self._recent = schedule_blocks(len(genesis.validators))
        self._start = EpochStart.of_genesis(genesis)

    def has_batch(self, id_: BatchId) -> bool:
        return id_ in self.batches and id_ not in self._unsynced

    def is_ordered(self, id_: BatchId) -> bool:
        return id_ in self.ordered

    def restored(self) -> Restored:
        open_batches = tuple((i, b) for i, b in self.batches.items() if i not in self.ordered)
        return Restored(
            start=self._start,
            record=decode_record(self.record),
            proposals=tuple(self.proposals.values()),
            recent=tuple(self.blocks[-self._recent :]),
            roots=tuple(self.roots[-self._recent :]),
            open_batches=open_batches,
        )

    def persist(self, effect: Persist) -> None:
        self.record = encode_record(effect.record)
        for proposal in effect.proposals:
            self.proposals[block_id(proposal.block)] = proposal
        for id_ in [i for i, p in self.proposals.items() if p.block.height <= effect.prune_height]:
            del self.proposals[id_]

    def store(self, id_: BatchId, encoded: bytes) -> None:
        if id_ not in self.batches:
            self.batches[id_] = encoded
            self._unsynced.add(id_)

    def sync_batch(self, id_: BatchId) -> None:
        self._unsynced.discard(id_)

    def sync(self, height: int) -> None:
        for block in self.blocks[self.durable : height]:
            self._unsynced.difference_update(block.payload)
        self.durable = max(self.durable, height)

    def lose_unsynced(self) -> None:
        """Forget what no sync has made durable, as a power cut does."""
        while len(self.blocks) > self.durable:
            self.certificates.pop(self.blocks.pop().height, None)
            self.roots.pop()
            for id_ in self._firsts.pop():
                del self.ordered[id_]
        del self.log[self.roots[-1].log_size :]
        for id_ in self._unsynced:
            del self.batches[id_]
        self._unsynced.clear()

    def execute(self, effect: Execute) -> LedgerRoot:
        block = effect.block
        assert block.height == len(self.blocks) + 1, "blocks are executed in order, once"
        for id_, encoded in effect.batches:
            self.store(id_, encoded)
        self._firsts.append([])
        for id_ in block.payload:
            if id_ not in self.ordered:
                self.ordered[id_] = None
                self._firsts[-1].append(id_)
                for entry in decode_batch(self.batches[id_]).entries:
                    if entry not in self.log:
                        self.log.append(entry)
        last = self.roots[-1]
        root = last.after_nothing()
        if block.payload:
            log_root = blake3(last.log_root + effect.block_id).digest()
            root = msgspec.structs.replace(root, log_size=len(self.log), log_root=log_root)
        self.blocks.append(block)
        if effect.certificate is not None:
            self.certificates[block.height] = effect.certificate
        self.roots.append(root)
        return root


class Node:
    """One core with its disk and timers."""

    def __init__(self, world: "Federation", index: NodeIndex) -> None:
        self.index = index
        self.disk = Disk(world.genesis, world.signers[index])
        self.core: NodeCore | None = None
        self.timers: dict[str, int] = {}
        self.incarnation = 0
        self.replies: dict[int, object] = {}
        self.penalties: list[Penalize] = []
        self.evidence: list[RecordEvidence] = []
        self.halted = ""
        self.busy_until = 0  # when the executor will have done all that it was given
        self.tamper: Tamper = lambda effect: (effect,)


Tamper = Callable[[Effect], Iterable[Effect]]
Filter = Callable[[NodeIndex, NodeIndex, Message], bool]


class Federation:
    """n nodes, a heap of events, and a network whose delays are drawn by key."""

    def __init__(self, count: int = 4, seed: int = 0, tuning: Tuning | None = None) -> None:
        self.genesis, self.signers = make_genesis(count)
        self.seed = seed
        self.execute_us = 200
        self.now = 0
        self._heap: list[tuple[int, int, Callable[[], None]]] = []
        self._order = itertools.count()
        self.delivers: Filter = lambda _sender, _receiver, _message: True
        self.wire: list[tuple[NodeIndex, Message]] = []
        self.nodes = [Node(self, NodeIndex(i)) for i in range(count)]
        self.tuning = tuning or Tuning()
        for node in self.nodes:
            self.start(node.index)

    # --- nodes ------------------------------------------------------------------------------

    def start(self, index: int) -> None:
        """Start (again) from what is on disk."""
        self._boot(self.nodes[index])

    def _boot(self, node: Node) -> None:
        index = node.index
        node.core = NodeCore(self.signers[index], node.disk.restored(), node.disk, self.tuning)
        node.incarnation += 1
        self.step(node, Started())
        for other in self.nodes:
            if other.index != index and other.core is not None and node.core is not None:
                self.step(node, PeerUp(other.index))
                self.step(other, PeerUp(node.index))

    def crash(self, index: int) -> None:
        """Stop a node; only what its disk has synced survives."""
        node = self.nodes[index]
        node.core = None
        node.busy_until = 0
        node.timers.clear()
        node.disk.lose_unsynced()
        for other in self.nodes:
            if other.core is not None:
                self.step(other, PeerDown(node.index))

    def submit(self, index: int, entries: Iterable[bytes], ticket: int = 0) -> None:
        """Hand entries to a node."""
        self.step(self.nodes[index], Submitted(ticket, tuple(entries)))

    # --- time -------------------------------------------------------------------------------

    def at(self, delay_us: int, action: Callable[[], None]) -> None:
        """Do something ``delay_us`` microseconds from now."""
        heapq.heappush(self._heap, (self.now + delay_us, next(self._order), action))

    def run(self, milliseconds: int, until: Callable[[], bool] = lambda: False) -> bool:
        """Let virtual time pass; stop early, with True, when ``until`` holds."""
        end = self.now + milliseconds * 1_000
        while self._heap and self._heap[0][0] <= end:
            if until():
                return True
            self.now, _, action = heapq.heappop(self._heap)
            action()
        self.now = end
        return until()

    @property
    def now_ms(self) -> int:
        return START_MS + self.now // 1_000

    # --- effects ----------------------------------------------------------------------------

    def step(self, node: Node, input_: Input) -> None:
        """Give one input to a node and carry out its effects."""
        if node.core is None:
            return
        for effect in node.core.step(input_, self.now_ms):
            for tampered in node.tamper(effect):
                self._carry_out(node, tampered)

    def _later(self, node: Node, delay_us: int, make: Callable[[], Input]) -> None:
        incarnation = node.incarnation

        def deliver() -> None:
            if node.core is not None and node.incarnation == incarnation:
                self.step(node, make())

        self.at(delay_us, deliver)

    def _carry_out(self, node: Node, effect: Effect) -> None:  # noqa: C901, PLR0912 - a table
        match effect:
            case Persist():
                node.disk.persist(effect)
            case Send(peer, message):
                self._send(node, peer, message)
            case Broadcast(message):
                for other in self.nodes:
                    if other.index != node.index:
                        self._send(node, other.index, message)
            case SetTimer(timer, delay_ms):
                self._set_timer(node, timer, delay_ms)
            case CancelTimer(timer):
                node.timers.pop(timer.name, None)
            case ExamineEntries(ticket, entries):
                verdicts = tuple(ExaminedEntry(e, EventId(blake3(e).digest())) for e in entries)
                self._later(node, 100, lambda: EntriesExamined(ticket, verdicts))
            case ExamineBatch(id_, encoded):
                entries = decode_batch(encoded).entries
                valid = not any(entry.startswith(BAD_ENTRY) for entry in entries)
                self._later(node, 100, lambda: BatchExamined(id_, valid))
            case StoreBatch(id_, encoded):
                node.disk.store(id_, encoded)
                self._later(node, 500, lambda: self._sync_batch(node, id_))
            case Execute():
                root = node.disk.execute(effect)
                done = Executed(effect.block.height, effect.block_id, root)
                node.busy_until = max(node.busy_until, self.now) + self.execute_us
                delay_us = node.busy_until - self.now
                self._later(node, delay_us, lambda: done)
                self._later(node, delay_us + 700, lambda: self._sync(node, done.height))
            case ServeBlocks(peer, from_height):
                self._send(node, peer, self._blocks(node, from_height))
            case ServeBatches(peer, ids):
                for id_ in ids:
                    if id_ in node.disk.batches:
                        self._send(node, peer, BatchMessage(node.disk.batches[id_]))
            case Reply(ticket, verdicts):
                node.replies[ticket] = verdicts
            case Penalize():
                node.penalties.append(effect)
            case RecordEvidence():
                node.evidence.append(effect)
            case Halt(reason):
                node.halted = reason
                node.core = None

    @staticmethod
    def _sync_batch(node: Node, id_: BatchId) -> Input:
        node.disk.sync_batch(id_)
        return BatchStored(id_)

    @staticmethod
    def _sync(node: Node, height: Height) -> Input:
        node.disk.sync(height)
        return ChainDurable(height)

    @staticmethod
    def _blocks(node: Node, from_height: Height) -> BlocksResponse:
        top = min(node.disk.durable, from_height + SYNC_BLOCKS_MAX - 1)
        while top >= from_height and Height(top) not in node.disk.certificates:
            top -= 1
        blocks = tuple(node.disk.blocks[from_height - 1 : top])
        return BlocksResponse(blocks, node.disk.certificates[Height(top)] if blocks else None)

    def _set_timer(self, node: Node, timer: Timer, delay_ms: int) -> None:
        number = next(self._order)
        node.timers[timer.name] = number
        incarnation = node.incarnation

        def fire() -> None:
            if node.incarnation == incarnation and node.timers.get(timer.name) == number:
                del node.timers[timer.name]
                self.step(node, TimerFired(timer))

        self.at(delay_ms * 1_000, fire)

    def _send(self, node: Node, receiver: NodeIndex, message: Message) -> None:
        data = encode_message(message)
        self.wire.append((node.index, message))
        occurrence = next(self._order)
        key = f"{self.seed}|{node.index}|{receiver}|{occurrence}".encode()
        draw = int.from_bytes(blake3(key).digest()[:8])
        if not self.delivers(node.index, receiver, message):
            return
        delay_us = 200 + draw // 100 % 1_800
        target = self.nodes[receiver]
        self._later(target, delay_us, lambda: PeerMessage(node.index, decode_message(data)))

    # --- what tests ask ---------------------------------------------------------------------

    def heights(self) -> list[int]:
        """The executed height of every node's disk."""
        return [len(node.disk.blocks) for node in self.nodes]

    def logs(self) -> list[list[bytes]]:
        """The ordered entries on every node's disk."""
        return [node.disk.log for node in self.nodes]

    def record(self, index: int) -> SafetyRecord:
        """A node's durable safety record."""
        return decode_record(self.nodes[index].disk.record)

    def agree(self) -> bool:
        """Say whether all chains are prefixes of the longest."""
        longest = max((node.disk.blocks for node in self.nodes), key=len)
        return all(node.disk.blocks == longest[: len(node.disk.blocks)] for node in self.nodes)
