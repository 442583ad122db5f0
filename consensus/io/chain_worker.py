"""The one writer of the chain store.

Jobs that wait together become one synced transaction, whose uncommitted state the later blocks of
the group are executed on. A root is reported as soon as it is computed (execution is
deterministic, so it would be the same again after a crash), durability only after the commit.
Blocks without a payload, which leaders make to finish the one before, wait a moment for company, as
do checkpoints: only a proof waits for their durability, and a commit each would double a quiet
network's work.
Any error ends the process.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import structlog

from consensus.core.effects import Execute, RecordEvidence, StoreBatch
from consensus.core.inputs import BatchStored, ChainDurable, Executed, Input
from consensus.io.timings import Timings
from consensus.io.worker_thread import WorkerThread
from ledger.core.errors import RejectCode
from ledger.core.execute import execute_block
from ledger.core.ids import BatchId, Height
from ledger.core.limits import (
    CHECKED_BATCHES_REMEMBERED,
    COMMIT_BYTES_MAX,
    EMPTY_COMMIT_DELAY_MS,
)
from ledger.core.tlog.checkpoint import StoredCheckpoint
from ledger.io.chain_store import ChainStore, ChainWriter, Evidence

__all__ = ["ChainCounters", "ChainJob", "ChainWorker"]

_log = structlog.get_logger()

ChainJob = StoreBatch | Execute | RecordEvidence | StoredCheckpoint


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
        thread: run it in a nursery.
        counters: totals since the start.
    """

    def __init__(
        self,
        store: ChainStore,
        report: Callable[[Input], None],
        on_durable: Callable[[Height, int], None],
    ) -> None:
        """Answer with ``report`` and ``on_durable(height, log size)``, both in trio's thread."""
        self._store = store
        self._report = report
        self._on_durable = on_durable
        self._checked: dict[BatchId, None] = {}
        self.thread: WorkerThread[ChainJob] = WorkerThread("chain", self._do)
        self.counters = ChainCounters()

    def put(self, job: ChainJob) -> None:
        """Hand over a job; never waits."""
        self.thread.put(job)

    def mark_checked(self, batch_id: BatchId) -> None:
        """Remember that all signatures of a batch are valid, so that applying skips them."""
        self._checked[batch_id] = None
        if len(self._checked) > CHECKED_BATCHES_REMEMBERED:
            del self._checked[next(iter(self._checked))]

    def _do(self, jobs: list[ChainJob]) -> None:
        for group in _groups(jobs):
            self._commit(group)

    def _commit(self, jobs: list[ChainJob]) -> None:
        began, waited_s = time.perf_counter(), 0.0
        stored: list[BatchId] = []
        durable: tuple[Height, int] | None = None
        with self._store.write() as writer:
            while jobs:
                for job in jobs:
                    if isinstance(job, StoreBatch):
                        writer.store_batch(job.batch_id, job.batch)
                        stored.append(job.batch_id)
                    elif isinstance(job, Execute):
                        durable = self._execute(writer, job)
                    elif isinstance(job, StoredCheckpoint):
                        writer.put_checkpoint(job)
                    else:
                        evidence = Evidence(
                            job.offender, job.kind, job.first, job.second, job.epoch
                        )
                        writer.put_evidence(evidence)
                        _log.warning(
                            "evidence", offender=job.offender, kind=job.kind, epoch=job.epoch
                        )
                now = time.perf_counter()
                left_s = began + EMPTY_COMMIT_DELAY_MS / 1_000 - now
                may_wait = left_s > 0 and all(map(_may_wait, jobs))
                jobs = self.thread.take_more(left_s) if may_wait else []
                waited_s += time.perf_counter() - now
        self.counters.timings.observe(time.perf_counter() - began - waited_s)
        self.counters.batches_stored += len(stored)
        self.thread.post(lambda: self._announce(stored, durable))

    def _execute(self, writer: ChainWriter, job: Execute) -> tuple[Height, int]:
        for batch_id, batch in job.batches:
            writer.store_batch(batch_id, batch)
        result = execute_block(writer, job.block_id, job.block, self._checked.__contains__)
        answer = Executed(result.height, result.block_id, result.root, result.pending)
        self.thread.post(lambda: self._report(answer))
        writer.apply(result, job.certificate)
        self.counters.blocks += 1
        self.counters.events_accepted += len(result.accepted)
        self.counters.events_refused.update(refused.code for refused in result.refused)
        return result.height, result.root.log_size

    def _announce(self, stored: list[BatchId], durable: tuple[Height, int] | None) -> None:
        for batch_id in stored:
            self._report(BatchStored(batch_id))
        if durable is not None:
            self._report(ChainDurable(durable[0]))
            self._on_durable(*durable)


def _may_wait(job: ChainJob) -> bool:
    return isinstance(job, StoredCheckpoint) or (isinstance(job, Execute) and not job.block.payload)


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
