"""Examines entries: the checks that cost a signature verification each.

Two threads do it, because the kernel that verifies gives up the interpreter; submissions that wait
together are verified in one call. A very small one, when nothing else is to do, is examined at
once: changing threads would cost more. Admission looks at the last durable ledger.
"""

from collections import deque
from collections.abc import Callable

import trio

from consensus.core.effects import ExamineBatch, ExamineEntries
from consensus.core.inputs import BatchExamined, EntriesExamined, Input
from consensus.io.driver import wall_clock_ms
from ledger.core.admission import Verdict, examine_batch, examine_entries
from ledger.core.ids import BatchId
from ledger.core.limits import (
    EXAMINE_ENTRIES_MAX,
    EXAMINE_INLINE_ENTRIES_MAX,
    EXAMINE_INLINE_INTERVAL_MS,
    EXAMINE_THREADS,
)
from ledger.io.chain_store import ChainStore

__all__ = ["Examiner"]

_Work = ExamineBatch | list[ExamineEntries]


class Examiner:
    """Answers ExamineEntries and ExamineBatch."""

    def __init__(
        self,
        store: ChainStore,
        report: Callable[[Input], None],
        on_valid_batch: Callable[[BatchId], None],
    ) -> None:
        """Answer with ``report``; name each valid batch to ``on_valid_batch`` before."""
        self._store = store
        self._report = report
        self._on_valid_batch = on_valid_batch
        self._waiting: deque[ExamineBatch | ExamineEntries] = deque()
        self._limiter = trio.CapacityLimiter(EXAMINE_THREADS)
        self._work_there = trio.Semaphore(0)
        self._last_inline = 0.0

    def __len__(self) -> int:
        return len(self._waiting)

    def examine(self, effect: ExamineBatch | ExamineEntries) -> None:
        """Examine now, if it is little, or soon."""
        if self._may_inline(effect):
            self._last_inline = trio.current_time()
            if isinstance(effect, ExamineBatch):
                self._examine_batch(effect)
            else:
                self._examine_entries([effect])
        else:
            self._waiting.append(effect)
            self._work_there.release()

    def _may_inline(self, effect: ExamineBatch | ExamineEntries) -> bool:
        # Many small ones in a row would keep votes waiting: they go to the threads together.
        return (
            len(effect.entries) <= EXAMINE_INLINE_ENTRIES_MAX
            and not self._waiting
            and trio.current_time() - self._last_inline >= EXAMINE_INLINE_INTERVAL_MS / 1_000
        )

    async def run(self) -> None:
        """Examine what waits until cancelled."""
        async with trio.open_nursery() as nursery:
            for _ in range(EXAMINE_THREADS):
                nursery.start_soon(self._serve)

    async def _serve(self) -> None:
        while True:
            await self._work_there.acquire()
            if not self._waiting:
                continue  # it was taken together with another
            work = self._take()
            if isinstance(work, ExamineBatch):
                valid = await trio.to_thread.run_sync(
                    self._judge_batch, work, limiter=self._limiter
                )
                self._answer_batch(work, valid=valid)
            else:
                verdicts = await trio.to_thread.run_sync(
                    self._judge_entries, work, limiter=self._limiter
                )
                self._answer_entries(work, verdicts)

    def _take(self) -> _Work:
        first = self._waiting.popleft()
        if isinstance(first, ExamineBatch):
            return first
        together = [first]
        count = len(first.entries)
        while self._waiting and isinstance(following := self._waiting[0], ExamineEntries):
            count += len(following.entries)
            if count > EXAMINE_ENTRIES_MAX:
                break
            together.append(following)
            self._waiting.popleft()
        return together

    def _examine_batch(self, effect: ExamineBatch) -> None:
        self._answer_batch(effect, valid=self._judge_batch(effect))

    def _examine_entries(self, effects: list[ExamineEntries]) -> None:
        self._answer_entries(effects, self._judge_entries(effects))

    def _judge_batch(self, effect: ExamineBatch) -> bool:
        return examine_batch(effect.entries, self._store.chain_id)

    def _judge_entries(self, effects: list[ExamineEntries]) -> tuple[Verdict, ...]:
        with self._store.read() as reader:
            root = reader.stored_head(reader.head_height()).root
            return examine_entries(
                [entry for effect in effects for entry in effect.entries],
                chain_id=self._store.chain_id,
                state=reader.state(root),
                now_ms=wall_clock_ms(),
                is_known=reader.has_event,
            )

    def _answer_batch(self, effect: ExamineBatch, *, valid: bool) -> None:
        if valid:
            self._on_valid_batch(effect.batch_id)
        self._report(BatchExamined(effect.batch_id, valid))

    def _answer_entries(self, effects: list[ExamineEntries], verdicts: tuple[Verdict, ...]) -> None:
        start = 0
        for effect in effects:
            end = start + len(effect.entries)
            self._report(EntriesExamined(effect.ticket, verdicts[start:end]))
            start = end
