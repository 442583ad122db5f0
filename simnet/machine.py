"""One simulated machine: a real core, its storage, its timers, its clock and its worker.

Carries out effects as the node's shell does: in order, ``Persist`` before whatever follows, blocks
and batches by one worker that makes all that waits durable together. A crash comes between two
effects, counted from the machine's start.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from consensus.core.effects import (
    Broadcast,
    CancelTimer,
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
    Started,
    TimerFired,
)
from consensus.core.messages import BatchMessage
from consensus.core.node import NodeCore
from ledger.core.block import batch_id
from ledger.core.ids import Height, NodeIndex
from ledger.core.signing import Signer
from simnet.actor import Actor
from simnet.storage import Storage

if TYPE_CHECKING:
    from simnet.world import World

__all__ = ["Machine"]

_EXAMINE_US = 100


class Machine:
    """A member's machine, or a twin of it.

    Attributes:
        name: the index, with a prime for a twin: as keys and traces call it.
        core: None while it is down.
        incarnation: number of starts.
        clock_us: how far its wall clock is ahead of the truth.
        crash_at: the emit of this incarnation before which it crashes, 0 for none.
        halted: why the core stopped for ever, "" if it did not.
        replies: ticket -> verdicts.
    """

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
        self.incarnation = 0
        self.emits = 0
        self.crash_at = 0
        self.clock_us = 0
        self.halted = ""
        self.replies: dict[int, object] = {}
        self.penalties: list[Penalize] = []
        self._timers: dict[str, int] = {}
        self._timer_number = 0
        self._jobs: list[StoreBatch | Execute | RecordEvidence] = []
        self._is_working = False
        self._handlers: dict[type[Any], Callable[[Any], None]] = {
            Persist: self._persist,
            Send: lambda e: world.network.send(self, e.peer, e.message),
            Broadcast: self._broadcast,
            SetTimer: self._set_timer,
            CancelTimer: self._cancel_timer,
            ExamineEntries: self._examine_entries,
            ExamineBatch: self._examine_batch,
            StoreBatch: self._store_batch,
            Execute: self._work,
            RecordEvidence: self._work,
            ServeBlocks: self._serve_blocks,
            ServeBatches: self._serve_batches,
            Reply: self._reply,
            Penalize: self._penalize,
            Halt: self._halt,
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
        return (self.world.epoch_us + self.world.now_us + self.clock_us) // 1_000

    # --- life -------------------------------------------------------------------------------

    def start(self) -> None:
        """Start (again) from what is durable."""
        assert self.core is None
        self.incarnation += 1
        self.emits = 0
        for observer in self.world.observers:
            observer.on_start(self)
        world = self.world
        self.core = NodeCore(
            world.genesis, self.signer, self.storage.restored(), self.storage, world.tuning
        )
        if len(world.machines_of(self.index)) > 1:
            # An honest core stops when it sees what its key signed elsewhere; twins go on.
            vars(self.core._parts.rules)["note_own_statement"] = lambda _round: None
        self.step(Started())
        world.network.on_start(self)

    def crash(self, *, is_noticed: bool = True) -> None:
        """Stop, with what is durable; peers notice at once, or when it starts again."""
        self.core = None
        self.crash_at = 0
        self._timers.clear()
        self._jobs.clear()
        self._is_working = False
        self.storage.lose_uncommitted()
        for observer in self.world.observers:
            observer.on_crash(self)
        self.world.network.on_stop(self, is_noticed=is_noticed)

    # --- stepping ---------------------------------------------------------------------------

    def later(self, delay_us: int, make: Callable[[], Input]) -> None:
        """Give this incarnation an input after a while, if it still runs then."""
        incarnation = self.incarnation

        def give() -> None:
            if self.core is not None and self.incarnation == incarnation:
                self.step(make())

        self.world.at(delay_us, give)

    def step(self, input_: Input) -> None:
        """Give the core one input and carry out what it wants."""
        for item in (input_,) if self.actor is None else self.actor.incoming(input_):
            self._step(item)

    def _step(self, input_: Input) -> None:
        if self.core is None:
            return
        world, incarnation = self.world, self.incarnation
        for observer in world.observers:
            observer.on_input(self, input_)
        for effect in self.core.step(input_, self.now_ms):
            self.emits += 1
            if self.emits == self.crash_at:
                world.faults.crash_now(self)
                return
            for observer in world.observers:
                observer.on_effect(self, effect)
            for twisted in (effect,) if self.actor is None else self.actor.outgoing(effect):
                self._handlers[type(twisted)](twisted)
            if self.incarnation != incarnation or not self.is_up:
                return

    # --- effects ----------------------------------------------------------------------------

    # As in the shell: what is stored, sent and proposed has had every signature verified, so
    # applying it need not do it again.

    def _persist(self, effect: Persist) -> None:
        for proposal in effect.proposals:
            for encoded in proposal.inline:
                self.storage.mark_checked(batch_id(encoded))
        self.storage.persist(effect)

    def _store_batch(self, effect: StoreBatch) -> None:
        self.storage.mark_checked(effect.batch_id)
        self._work(effect)

    def _broadcast(self, effect: Broadcast) -> None:
        if isinstance(effect.message, BatchMessage):
            self.storage.mark_checked(batch_id(effect.message.batch))
        self.world.network.broadcast(self, effect.message)

    def _set_timer(self, effect: SetTimer) -> None:
        self._timer_number += 1
        number, timer, incarnation = self._timer_number, effect.timer, self.incarnation
        self._timers[timer.name] = number

        def fire() -> None:
            if self.incarnation == incarnation and self._timers.get(timer.name) == number:
                del self._timers[timer.name]
                self.step(TimerFired(timer))

        self.world.at(effect.delay_ms * 1_000, fire)

    def _cancel_timer(self, effect: CancelTimer) -> None:
        self._timers.pop(effect.timer.name, None)

    def _examine_entries(self, effect: ExamineEntries) -> None:
        verdicts = self.storage.examine_entries(effect.entries, self.now_ms)
        self.later(_EXAMINE_US, lambda: EntriesExamined(effect.ticket, verdicts))

    def _examine_batch(self, effect: ExamineBatch) -> None:
        valid = self.storage.examine_batch(effect.entries)
        if valid:
            self.storage.mark_checked(effect.batch_id)
        self.later(_EXAMINE_US, lambda: BatchExamined(effect.batch_id, valid))

    def _serve_blocks(self, effect: ServeBlocks) -> None:
        answer = self.storage.blocks_from(effect.from_height)
        if answer is not None:
            self.world.network.send(self, effect.peer, answer)

    def _serve_batches(self, effect: ServeBatches) -> None:
        for id_ in effect.batch_ids:
            batch = self.storage.batch(id_)
            if batch is not None:
                self.world.network.send(self, effect.peer, BatchMessage(batch))

    def _reply(self, effect: Reply) -> None:
        self.replies[effect.ticket] = effect.verdicts

    def _penalize(self, effect: Penalize) -> None:
        self.penalties.append(effect)
        self.world.network.silence(self, effect.peer)

    def _halt(self, effect: Halt) -> None:
        self.halted = effect.reason
        self.core = None

    # --- the worker -------------------------------------------------------------------------

    def _work(self, job: StoreBatch | Execute | RecordEvidence) -> None:
        self._jobs.append(job)
        if not self._is_working:
            self._is_working = True
            self._in_this_life(0, self._take_jobs)

    def _in_this_life(self, delay_us: int, action: Callable[[], None]) -> None:
        incarnation = self.incarnation

        def act() -> None:
            if self.core is not None and self.incarnation == incarnation:
                action()

        self.world.at(delay_us, act)

    def _take_jobs(self) -> None:
        """Do all that waits in one transaction; report roots soon and durability at its end."""
        jobs, self._jobs = self._jobs, []
        if not jobs:
            self._is_working = False
            return
        spent_us = 0
        stored: list[StoreBatch] = []
        for job in jobs:
            if isinstance(job, StoreBatch):
                self.storage.store_batch(job.batch_id, job.batch)
                stored.append(job)
            elif isinstance(job, Execute):
                spent_us += self.world.faults.execution_us(self, job.block.height)
                self._execute(job, spent_us)
            else:
                self.storage.put_evidence(job)
        spent_us += self.world.scenario.weather.commit_us
        self._in_this_life(spent_us, lambda: self._commit(stored))

    def _execute(self, job: Execute, spent_us: int) -> None:
        root = self.storage.execute(job)
        self.world.applied += 1
        for observer in self.world.observers:
            observer.on_applied(self, job.block, root)
        done = Executed(job.block.height, job.block_id, root)
        self.later(spent_us, lambda: done)

    def _commit(self, stored: list[StoreBatch]) -> None:
        height: Height = self.storage.commit()
        for observer in self.world.observers:
            observer.on_durable(self)
        self._in_this_life(0, self._take_jobs)
        for job in stored:
            self.step(BatchStored(job.batch_id))
        self.step(ChainDurable(height))
