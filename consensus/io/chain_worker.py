"""The one writer of the chain store.

Jobs that are begun together become one synced transaction, whose uncommitted state the later blocks
of the group are executed on. A root is reported as soon as it is computed (execution is
deterministic, so it would be the same again after a crash), durability only after the commit.
Blocks without a payload, which leaders make to finish the one before, wait a moment for company, as
do checkpoints: their roots are known without them, only a proof waits for their durability, and a
commit each would double a quiet network's work. A small block with a payload is executed at once,
since votes need its root; but where nobody waits at this member for what blocks decide, its commit
waits for company, too: a quorum's safety stores hold the block, and a commit is half the work.

A thread does all this, because a commit takes a while, unless it is little, nothing is under way,
and the last commits were quick: then to change threads and back would cost more than the work. Any
error ends the process.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Final

import structlog
import trio

from consensus.core.effects import Execute, RecordEvidence, StoreBatch
from consensus.core.inputs import BatchStored, ChainDurable, Executed, Input
from consensus.io.chain_transaction import ChainTransaction
from consensus.io.checked_batches import CheckedBatches
from consensus.io.timings import Timings
from consensus.io.worker_thread import WorkerThread
from ledger.core.errors import RejectCode
from ledger.core.execute import execute_block
from ledger.core.ids import BatchId, Height
from ledger.core.limits import (
    COMMIT_AT_ONCE_BYTES_MAX,
    COMMIT_AT_ONCE_MS_MAX,
    COMMIT_BYTES_MAX,
    COMMIT_DELAY_MS,
)
from ledger.core.scanning import Scan
from ledger.core.tlog.checkpoint import StoredCheckpoint
from ledger.io.chain_store import ChainStore, ChainWriter, Evidence

__all__ = ["ChainCounters", "ChainJob", "ChainWorker"]

_log = structlog.get_logger()
_USUAL_OF_LAST: Final = 8  # about so many commits tell how long one takes: one says little
_JOB_BYTES: Final = 512  # what a job without bytes counts for, compared with others

ChainJob = StoreBatch | Execute | RecordEvidence | StoredCheckpoint
_Tell = Callable[[Callable[[], object]], None]  # has something called in trio's thread


@dataclass
class ChainCounters:
    """Totals since the start. Written by the worker's thread, read by any."""

    timings: Timings = field(default_factory=Timings)  # of commits, without waits for company
    blocks: int = 0
    events_accepted: int = 0
    events_refused: Counter[RejectCode] = field(default_factory=Counter)
    batches_stored: int = 0

    @property
    def commits(self) -> int:
        """Number of commits."""
        return self.timings.count


class ChainWorker:
    """Stores batches, applies blocks, keeps evidence and checkpoints, in the order of ``put``.

    Attributes:
        thread: part of ``run``; its length is the number of jobs that wait for it.
        counters: totals since the start.
    """

    def __init__(
        self,
        store: ChainStore,
        report: Callable[[Input], None],
        on_durable: Callable[[Height, int], None],
        is_awaited: Callable[[], bool],
    ) -> None:
        """Answer with ``report`` and ``on_durable(height, log size)``, both in trio's thread.

        ``is_awaited`` says whether somebody waits here for what the next blocks decide.
        """
        self._store = store
        self._report = report
        self._on_durable = on_durable
        self._is_awaited = is_awaited
        self._checked = CheckedBatches()
        self._put: list[ChainJob] = []
        self._held: ChainTransaction | None = None  # of trio's thread, only while no other one is
        self._wait_end = 0.0  # of what was put or is held, when all of it may wait
        self._has_waiting = trio.Event()
        # Numbers of jobs since the start. The second is written by whoever commits.
        self._begun = self._committed = self._announced = 0
        self._usual_s = 0.0  # of a commit, a moving mean
        self.thread: WorkerThread[ChainJob] = WorkerThread("chain", self._do)
        self.counters = ChainCounters()

    def put(self, job: ChainJob) -> None:
        """Take a job; it is begun with :meth:`flush`, or when it has waited for company."""
        if not self._put and self._held is None:
            self._wait_end = trio.current_time() + COMMIT_DELAY_MS / 1_000
        self._put.append(job)
        if _may_wait(job):
            self._has_waiting.set()

    def flush(self) -> None:
        """Begin what was put, unless it may wait. Little is done within the call.

        Raises:
            InvariantError: it failed; nothing of it is kept.
        """
        jobs = self._put
        if jobs and not (all(map(_may_wait, jobs)) and _is_little(jobs)):
            self._begin()

    def mark_checked(self, batch_id: BatchId, scan: Scan | None = None) -> None:
        """Remember that all signatures of a batch are valid, so that applying skips them.

        Args:
            scan: what was read of it, so that applying need not read it again; it is not changed.
        """
        self._checked.add(batch_id, scan)

    async def run(self) -> None:
        """Do what is put until cancelled; what waits for company then is done last.

        Raises:
            InvariantError: a job failed, alone or in a group. Nothing was done after it.
        """
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self.thread.run)
                nursery.start_soon(self._end_waits)
        finally:
            if (self._put or self._held) and self._committed + self._held_count == self._begun:
                self._hold(self._put)
                self._commit_held()

    async def _end_waits(self) -> None:
        """Begin and commit what has waited for company long enough."""
        while True:
            await self._has_waiting.wait()
            while self._put or self._held:
                await trio.sleep_until(self._wait_end)
                if trio.current_time() >= self._wait_end:
                    self._begin()
                    self._commit_held()
            self._has_waiting = trio.Event()

    def _begin(self) -> None:
        jobs, self._put = self._put, []
        is_idle = self._announced + self._held_count == self._begun
        self._begun += len(jobs)
        is_quick = self._usual_s <= COMMIT_AT_ONCE_MS_MAX / 1_000
        if is_idle and is_quick and _is_little(jobs):
            self._hold(jobs)
            if self._may_hold():
                self._has_waiting.set()
            else:
                self._commit_held()
        else:
            self._commit_held()
            for job in jobs:
                self.thread.put(job)

    # --- transactions -----------------------------------------------------------------------

    @property
    def _held_count(self) -> int:
        return self._held.jobs_count if self._held else 0

    def _hold(self, jobs: list[ChainJob]) -> None:
        """Do little, to be committed together with what is held already."""
        held, self._held = self._held or ChainTransaction(self._store), None
        self._fill(held, jobs, _call)
        self._held = held

    def _may_hold(self) -> bool:
        """Say whether the commit of what is held may wait."""
        assert self._held is not None
        is_little = self._held.bytes_count <= COMMIT_AT_ONCE_BYTES_MAX
        return is_little and not self._is_awaited()

    def _commit_held(self) -> None:
        held, self._held = self._held, None
        if held:
            self._commit(held, _call)

    def _do(self, jobs: list[ChainJob]) -> None:
        for group in _groups(jobs):
            transaction = ChainTransaction(self._store)
            self._fill(transaction, group, self.thread.post)
            self._commit(transaction, self.thread.post)

    def _fill(self, transaction: ChainTransaction, jobs: list[ChainJob], tell: _Tell) -> None:
        with transaction.filling():
            for job in jobs:
                self._do_one(transaction, job, tell)
        transaction.jobs_count += len(jobs)
        transaction.bytes_count += _size_of(jobs)

    def _do_one(self, transaction: ChainTransaction, job: ChainJob, tell: _Tell) -> None:
        writer = transaction.writer
        if isinstance(job, StoreBatch):
            writer.store_batch(job.batch_id, job.batch)
            transaction.stored.append(job.batch_id)
        elif isinstance(job, Execute):
            transaction.durable = self._execute(writer, job, tell)
            transaction.executed += job.block.payload
        elif isinstance(job, StoredCheckpoint):
            writer.put_checkpoint(job)
        else:
            writer.put_evidence(Evidence(job.offender, job.kind, job.first, job.second, job.epoch))
            _log.warning("evidence", offender=job.offender, kind=job.kind, epoch=job.epoch)

    def _commit(self, transaction: ChainTransaction, tell: _Tell) -> None:
        transaction.commit()
        self._usual_s += (transaction.last_s - self._usual_s) / _USUAL_OF_LAST
        self.counters.timings.observe(transaction.took_s)
        self.counters.batches_stored += len(transaction.stored)
        self._committed += transaction.jobs_count
        tell(partial(self._announce, transaction))

    def _execute(self, writer: ChainWriter, job: Execute, tell: _Tell) -> tuple[Height, int]:
        for batch_id, batch in job.batches:
            writer.store_batch(batch_id, batch)
        checked = self._checked
        result = execute_block(writer, job.block_id, job.block, checked.__contains__, checked.scans)
        answer = Executed(result.height, result.block_id, result.root, result.pending)
        tell(partial(self._report, answer))
        writer.apply(result, job.certificate)
        self.counters.blocks += 1
        self.counters.events_accepted += len(result.accepted)
        self.counters.events_refused.update(refused.code for refused in result.refused)
        return result.height, result.root.log_size

    def _announce(self, transaction: ChainTransaction) -> None:
        self._announced += transaction.jobs_count
        for batch_id in transaction.executed:
            self._checked.forget_scan(batch_id)
        for batch_id in transaction.stored:
            self._report(BatchStored(batch_id))
        if transaction.durable is not None:
            height, log_size = transaction.durable
            self._report(ChainDurable(height))
            self._on_durable(height, log_size)


def _call(call: Callable[[], object]) -> None:
    call()


def _may_wait(job: ChainJob) -> bool:
    """Say whether nobody waits for a job: of a block that ends the epoch the root is not known."""
    if isinstance(job, Execute):
        return not job.block.payload and job.block.next_set_hash is None
    return isinstance(job, StoredCheckpoint)


def _is_little(jobs: list[ChainJob]) -> bool:
    """Say whether jobs take about as long as the disk does; stored batches are not seen here."""
    for job in jobs:
        if isinstance(job, Execute):
            if len(job.batches) < len(job.block.payload):
                return False
        elif not isinstance(job, StoredCheckpoint):
            return False
    return _size_of(jobs) <= COMMIT_AT_ONCE_BYTES_MAX


def _size_of(jobs: list[ChainJob]) -> int:
    return sum(max(_bytes_of(job), _JOB_BYTES) for job in jobs)


def _groups(jobs: list[ChainJob]) -> Iterator[list[ChainJob]]:
    """Cut jobs into groups of a bounded size, in order."""
    group: list[ChainJob] = []
    size = 0
    for job in jobs:
        group.append(job)
        size += _bytes_of(job)
        if size >= COMMIT_BYTES_MAX:
            yield group
            group, size = [], 0
    if group:
        yield group


def _bytes_of(job: ChainJob) -> int:
    if isinstance(job, StoreBatch):
        return len(job.batch)
    if isinstance(job, Execute):
        return sum(len(batch) for _, batch in job.batches)
    if isinstance(job, StoredCheckpoint):
        return len(job.note)
    return len(job.first) + len(job.second)
