"""One simulated machine: a real core, its storage, its timers, its clock and its worker.

Carries out effects as the node's shell does: in order, ``Persist`` before whatever follows, blocks
and batches by one worker that makes all that waits durable together. A crash comes between two
effects, counted from the machine's start.
"""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import msgspec

from consensus.core.departure import Departure
from consensus.core.effects import (
    Broadcast,
    CancelTimer,
    Effect,
    EndEpoch,
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
    ServeEpochEnd,
    SetTimer,
    StoreBatch,
)
from consensus.core.inputs import (
    BatchExamined,
    EntriesExamined,
    Input,
    Started,
)
from consensus.core.messages import BatchMessage
from consensus.core.node import NodeCore
from ledger.core.block import decode_batch
from ledger.core.ids import Epoch, Height, NodeIndex
from ledger.core.signing import Signer
from simnet.actor import Actor
from simnet.inbox import Inbox
from simnet.roster import Roster
from simnet.storage import Storage
from simnet.timers import Timers
from simnet.worker import ChainWorker, StoreServer

if TYPE_CHECKING:
    from simnet.world import World

__all__ = ["Machine"]

_EXAMINE_US = 100


class Machine:
    """A member's machine, or a twin of it.

    Attributes:
        index: the number of its member in the run.
        epoch: in which its core lives, or lived last.
        roster: who is who in that epoch.
        name: the index, with a prime for a twin: as keys and traces call it.
        core: None while it is down.
        incarnation: number of starts.
        clock_us: how far its wall clock is ahead of the truth; drift_ppm: how much faster its
            clocks run.
        disk_full_until_us: until then no write succeeds.
        old_safety: a backup of the safety store, made when it started last.
        crash_at: the emit of this incarnation before which it crashes, 0 for none.
        halted: why the core stopped for ever, "" if it did not.
        left: whether it ended because its member is no validator any more and nobody needs it.
        replies: ticket -> verdicts.
    """

    __slots__ = (
        "_departure",
        "_handlers",
        "_inbox",
        "_is_busy",
        "_observes",
        "_rest",
        "_server",
        "_timers",
        "_unwritten",
        "_worker",
        "actor",
        "clock_us",
        "core",
        "crash_at",
        "disk_full_until_us",
        "drift_ppm",
        "emits",
        "epoch",
        "halted",
        "incarnation",
        "index",
        "left",
        "name",
        "old_safety",
        "penalties",
        "replies",
        "roster",
        "signer",
        "storage",
        "world",
    )

    def __init__(
        self, world: "World", index: NodeIndex, name: str, signer: Signer, storage: Storage
    ) -> None:
        self.world = world
        self.index = index
        self.name = name
        self.signer = signer
        self.storage = storage
        self.actor: Actor | None = None
        self.core: NodeCore | None = None
        self.epoch = Epoch(0)
        self.roster = Roster(index, (), ())
        self.incarnation = 0
        self.emits = 0
        self.crash_at = 0
        self.clock_us = 0
        self.drift_ppm = 0
        self.disk_full_until_us = 0
        self.old_safety = storage.safety
        self.halted = ""
        self.left = False
        self._observes = False
        self._departure: Departure | None = None
        self.replies: dict[int, object] = {}
        self.penalties: list[Penalize] = []
        self._timers = Timers(self)
        self._inbox = Inbox()
        self._is_busy = False
        self._unwritten: Persist | None = None
        self._rest: Iterator[Effect] = iter(())
        self._worker = ChainWorker(self)
        self._server = StoreServer(self)
        self._handlers: dict[type[Any], Callable[[Any], None]] = {
            Persist: self._persist,
            Send: lambda e: world.network.send(self, e.peer, e.message),
            Broadcast: self._broadcast,
            SetTimer: self._timers.set,
            CancelTimer: self._timers.cancel,
            ExamineEntries: self._examine_entries,
            ExamineBatch: self._examine_batch,
            StoreBatch: self._store_batch,
            Execute: self._worker.put,
            RecordEvidence: self._worker.put,
            ServeBlocks: self._server.serve,
            ServeBatches: self._server.serve,
            ServeEpochEnd: self._server.serve,
            Reply: self._reply,
            Penalize: self._penalize,
            Halt: self._halt,
            EndEpoch: self._end_epoch,
        }

    @property
    def is_up(self) -> bool:
        """Say whether a core runs."""
        return self.core is not None

    @property
    def is_honest(self) -> bool:
        """Say whether its member follows the protocol."""
        return self.index not in self.world.faulty

    @property
    def now_ms(self) -> int:
        """This machine's wall clock."""
        world = self.world
        now_us = world.now_us
        drifted_us = now_us * self.drift_ppm // 1_000_000
        return (world.epoch_us + now_us + drifted_us + self.clock_us) // 1_000

    # --- life -------------------------------------------------------------------------------

    def start(self) -> None:
        """Start (again) from what is durable."""
        assert self.core is None
        self.world.faults.disk.harm(self)
        self.old_safety = self.storage.safety.copy()
        self.incarnation += 1
        self.emits = 0
        for observer in self.world.observers:
            observer.on_start(self)
        world = self.world
        self._make_core(())
        self.step(Started())
        world.network.on_start(self)

    def _make_core(self, carried: tuple[bytes, ...]) -> None:
        """Make the core of the epoch that the durable chain is in."""
        world, restored = self.world, self.storage.restored()
        restored = msgspec.structs.replace(restored, carried=(*carried, *restored.carried))
        self.epoch, self._observes = restored.start.number, restored.observes
        self.roster = Roster(self.index, world.machines, restored.start.members)
        if not restored.observes and self.storage.safety.record().epoch < self.epoch:
            self.storage.begin_epoch(restored.record)
        self.core = NodeCore(self.signer, restored, self.storage, world.tuning)
        if len(world.machines_of(self.index)) > 1:
            # An honest core stops when it sees what its key signed elsewhere; twins go on.
            vars(self.core._parts.rules)["note_own_statement"] = lambda _round: None

    def _end_epoch(self, effect: EndEpoch) -> None:
        """Make the next core, and all connections anew; the process goes on."""
        self._timers.forget()
        self._server.forget()
        self._inbox.forget_peers()
        network, observed = self.world.network, self._observes
        self.core = None
        network.on_stop(self, is_noticed=True)
        self._make_core(effect.carried)
        if self._observes and not observed and self.world.scenario.tier == "full":
            self._departure = Departure(*self.storage.epochs[self.epoch - 1 : self.epoch + 1])
        self._is_busy = False
        inputs: tuple[Input, ...] = (Started(), *effect.submitted)
        for item in inputs:
            self.step(item)
        network.on_start(self)

    def crash(self, *, is_noticed: bool = True) -> None:
        """Stop, with what is durable; peers notice at once, or when it starts again."""
        self.core = self._departure = None
        self.crash_at = 0
        self._timers.forget()
        self._forget()
        self.storage.lose_uncommitted()
        for observer in self.world.observers:
            observer.on_crash(self)
        self.world.network.on_stop(self, is_noticed=is_noticed)

    def on_durable(self, height: Height) -> None:
        """Look whether its member, if it was removed, may end: as the node's shell does."""
        if self._departure is not None:
            self._departure.follow(self.storage, height)
            if self._departure.is_due:
                self.world.tell_fault(f"left {self.name}", self.epoch)
                self.left = True
                self.crash()

    def _forget(self) -> None:
        """Have nothing in memory."""
        self._inbox = Inbox()
        self._is_busy = False
        self._unwritten = None
        self._worker.forget()
        self._server.forget()

    # --- stepping ---------------------------------------------------------------------------

    def later(self, delay_us: int, make: Callable[[], Input]) -> None:
        """Give this incarnation an input after a while, if it still runs then."""
        incarnation = self.incarnation

        def give() -> None:
            if self.core is not None and self.incarnation == incarnation:
                self.step(make())

        self.world.at(delay_us, give)

    def in_this_life(self, delay_us: int, action: Callable[[], None]) -> None:
        """Do something after a while, if this incarnation still runs then."""
        incarnation = self.incarnation

        def act() -> None:
            if self.core is not None and self.incarnation == incarnation:
                action()

        self.world.at(delay_us, act)

    def step(self, input_: Input) -> None:
        """Give the core one input and carry out what it wants, now or when it is its turn."""
        if self.core is None:
            return
        for item in (input_,) if self.actor is None else self.actor.incoming(input_):
            if self._is_busy:
                self._inbox.put(item)
            else:
                self._step(item)
                if self._inbox.count:
                    self._drain()

    def _drain(self) -> None:
        """Do what came in meanwhile, in the order of the shell's inbox."""
        while not self._is_busy and self._take_turn():
            pass

    def _take_turn(self) -> bool:
        """Do what the inbox gives until the loop stands still; say whether it gave anything."""
        items = self._inbox.take()
        for position, item in enumerate(items, start=1):
            self._step(item)
            if self._is_busy:
                self._inbox.put_back(items[position:])
                break
        return bool(items)

    def _step(self, input_: Input) -> None:
        if self.core is None:
            return
        for look in self.world.on_input[type(input_)]:
            look(self, input_)
        effects = self.core.step(input_, self.now_ms)
        if effects:
            self._carry_out(iter(effects))

    def _carry_out(self, effects: Iterator[Effect]) -> None:
        """Carry out effects until there are none, or it is down, or the loop stands still."""
        world, core, handlers = self.world, self.core, self._handlers
        self._is_busy = True
        for effect in effects:
            self.emits += 1
            if self.emits == self.crash_at and world.faults.crash_now(self):
                return
            for look in world.on_effect[type(effect)]:
                look(self, effect)
            if self.actor is None:
                handlers[type(effect)](effect)
            else:
                for twisted in self.actor.outgoing(effect):
                    handlers[type(twisted)](twisted)
            if self.core is not core:
                return  # it is down, or has begun anew, or the core of the next epoch has begun
            if self._unwritten is not None:
                self._rest = effects
                return
        self._is_busy = False

    # --- effects ----------------------------------------------------------------------------

    # As in the shell: what is stored, sent and proposed has had every signature verified, so
    # applying it need not do it again.

    def _persist(self, effect: Persist) -> None:
        for proposal in effect.proposals:
            for encoded in proposal.inline:
                self.storage.mark_encoded_checked(encoded)
        self._unwritten = effect
        delay_us = self.world.faults.disk.persist_us(self)
        if delay_us is not None and self._unwritten is effect:
            if delay_us:
                self.in_this_life(delay_us, self._go_on)
            else:
                self.write_record()

    def write_record(self) -> None:
        """Write the safety record that is under way; it is durable now."""
        if self._unwritten is not None:
            self.storage.persist(self._unwritten)
            self._unwritten = None

    def _go_on(self) -> None:
        """The disk has done it: carry out what had to wait for that."""
        self.write_record()
        self._carry_out(self._rest)
        self._drain()

    def _store_batch(self, effect: StoreBatch) -> None:
        self.storage.mark_checked(effect.batch_id)
        self._worker.put(effect)

    def _broadcast(self, effect: Broadcast) -> None:
        if isinstance(effect.message, BatchMessage):
            self.storage.mark_encoded_checked(effect.message.batch)
        self.world.network.broadcast(self, effect.message)

    def _examine_entries(self, effect: ExamineEntries) -> None:
        verdicts = self.storage.examine_entries(effect.entries, self.now_ms)
        self.later(_EXAMINE_US, lambda: EntriesExamined(effect.ticket, verdicts))

    def _examine_batch(self, effect: ExamineBatch) -> None:
        valid = self.storage.examine_batch(decode_batch(effect.encoded).entries)
        if valid:
            self.storage.mark_checked(effect.batch_id)
        self.later(_EXAMINE_US, lambda: BatchExamined(effect.batch_id, valid))

    def _reply(self, effect: Reply) -> None:
        self.replies[effect.ticket] = effect.verdicts

    def _penalize(self, effect: Penalize) -> None:
        self.penalties.append(effect)
        self.world.network.silence(self, effect.peer)

    def _halt(self, effect: Halt) -> None:
        self.halted = effect.reason
        self.core = None
