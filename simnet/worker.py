"""A simulated machine's one writer of the chain store, and what answers from it.

Jobs that wait together become one transaction. Roots are reported as they are computed, durability
after the commit. Blocks without a payload wait a moment for company, as in the shell, and so do all
blocks at every other machine: nobody waits there for what they decide.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

from consensus.core.effects import (
    Execute,
    RecordEvidence,
    ServeBatches,
    ServeBlocks,
    ServeEpochEnd,
    StoreBatch,
)
from consensus.core.inputs import BatchStored, ChainDurable
from consensus.core.messages import BatchMessage
from ledger.core.ids import NodeIndex
from ledger.core.limits import COMMIT_DELAY_MS

if TYPE_CHECKING:
    from simnet.machine import Machine

__all__ = ["ChainWorker", "StoreServer"]

_SERVE_US = 100
_Request = ServeBlocks | ServeBatches | ServeEpochEnd
_Job = StoreBatch | Execute | RecordEvidence


class ChainWorker:
    """Stores batches, applies blocks and keeps evidence, in the order in which they are put."""

    def __init__(self, machine: "Machine") -> None:
        self._machine = machine
        self._world = machine.world
        self._jobs: list[_Job] = []
        self._stored: list[StoreBatch] = []
        self._is_idle = True
        self._waiting_until_us = self._wait_end_us = 0
        self._is_awaited = machine.index % 2 == 1

    def forget(self) -> None:
        """The machine stopped: nothing waits any more."""
        self._jobs = []
        self._stored = []
        self._is_idle = True
        self._waiting_until_us = 0

    def put(self, job: _Job) -> None:
        """Hand over a job."""
        self._jobs.append(job)
        if self._is_idle or self._waiting_until_us:
            if self._is_idle:
                self._stored = []
                self._wait_end_us = self._world.now_us + COMMIT_DELAY_MS * 1_000
            self._is_idle = False
            self._waiting_until_us = 0
            self._soon(0, self._work)

    def _soon(self, delay_us: int, action: Callable[[], None]) -> None:
        self._machine.in_this_life(delay_us, action)

    def _work(self) -> None:
        """Do all that waits in the open transaction."""
        machine, jobs = self._machine, self._jobs
        self._jobs = []
        spent_us = 0
        for job in jobs:
            if isinstance(job, StoreBatch):
                machine.storage.store_batch(job.batch_id, job.batch)
                self._stored.append(job)
            elif isinstance(job, Execute):
                spent_us += self._world.faults.execution_us(machine, job.block.height)
                self._execute(job, spent_us)
            else:
                machine.storage.put_evidence(job)
        may_wait = all(isinstance(job, Execute) and not self._is_awaited_for(job) for job in jobs)
        self._soon(spent_us, self._wait if may_wait else self._commit)

    def _is_awaited_for(self, job: Execute) -> bool:
        return self._is_awaited and bool(job.block.payload)

    def _execute(self, job: Execute, spent_us: int) -> None:
        machine, world = self._machine, self._world
        done = machine.storage.execute(job)
        world.applied += 1
        for observer in world.observers:
            observer.on_applied(machine, job.block, done.root)
        machine.later(spent_us, lambda: done)

    def _wait(self) -> None:
        """Wait for company, unless it is there already."""
        if self._jobs:
            self._work()
            return
        until_us = self._waiting_until_us = max(self._world.now_us, self._wait_end_us)

        def give_up() -> None:
            if self._waiting_until_us == until_us:
                self._waiting_until_us = 0
                self._commit()

        self._soon(until_us - self._world.now_us, give_up)

    def _commit(self) -> None:
        delay_us = self._world.faults.disk.commit_us(self._machine)
        if delay_us is not None:
            self._soon(delay_us, self._end)

    def _end(self) -> None:
        machine = self._machine
        height = machine.storage.commit()
        for observer in self._world.observers:
            observer.on_durable(machine)
        stored, self._stored = self._stored, []
        self._is_idle = not self._jobs
        if self._jobs:
            self._soon(0, self._work)
        for job in stored:
            machine.step(BatchStored(job.batch_id))
        machine.step(ChainDurable(height))
        machine.on_durable(height)


class StoreServer:
    """Serves what is durable; of each kind the newest request of a peer waits."""

    def __init__(self, machine: "Machine") -> None:
        self._machine = machine
        self._waiting: dict[tuple[NodeIndex, type[_Request]], _Request] = {}

    def forget(self) -> None:
        """The machine stopped: nothing waits any more."""
        self._waiting.clear()

    def serve(self, request: _Request) -> None:
        """Answer soon."""
        if not self._waiting:
            self._machine.in_this_life(_SERVE_US, self._answer)
        self._waiting[request.peer, type(request)] = request

    def _answer(self) -> None:
        machine = self._machine
        if not self._waiting:
            return  # forgotten at the end of an epoch
        request = self._waiting.pop(next(iter(self._waiting)))
        if isinstance(request, ServeBlocks):
            answer = machine.storage.blocks_from(request.from_height)
            if answer is not None:
                machine.world.network.send(machine, request.peer, answer)
        elif isinstance(request, ServeEpochEnd):
            end = machine.storage.end_of_epoch(request.epoch)
            if end is not None:
                machine.world.network.send(machine, request.peer, end)
        else:
            for batch_id in request.batch_ids:
                batch = machine.storage.batch(batch_id)
                if batch is not None:
                    machine.world.network.send(machine, request.peer, BatchMessage(batch))
        if self._waiting:
            machine.in_this_life(_SERVE_US, self._answer)
