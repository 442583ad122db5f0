"""Examines entries: the checks that cost a signature verification each.

Two threads do it, because the kernel that verifies gives up the interpreter; they live as long as
the node, because starting one costs as much as verifying two signatures. Submissions that wait
together are verified in one call. A very small one, when nothing else is to do, is examined at
once: changing threads would cost more. Admission looks at the last durable ledger.
"""

from collections import deque
from collections.abc import Callable
from functools import partial

import trio

from consensus.core.effects import ExamineBatch, ExamineEntries
from consensus.core.inputs import BatchExamined, EntriesExamined, Input
from consensus.io.driver import wall_clock_ms
from consensus.io.worker_thread import WorkerThread
from ledger.core.admission import Verdict, examine_entries, scan_valid_batch
from ledger.core.ids import BatchId
from ledger.core.limits import (
    EXAMINE_ENTRIES_MAX,
    EXAMINE_INLINE_ENTRIES_MAX,
    EXAMINE_INLINE_INTERVAL_MS,
    EXAMINE_THREADS,
)
from ledger.core.scanning import Scan
from ledger.io.chain_store import ChainStore

__all__ = ["Examiner"]

_Work = tuple["WorkerThread[_Work]", ExamineBatch | list[ExamineEntries]]


class Examiner:
    """Answers ExamineEntries and ExamineBatch."""

    def __init__(
        self,
        store: ChainStore,
        report: Callable[[Input], None],
        on_valid_batch: Callable[[BatchId, Scan], None],
    ) -> None:
        """Answer with ``report``; give each valid batch to ``on_valid_batch`` before."""
        self._store = store
        self._report = report
        self._on_valid_batch = on_valid_batch
        self._waiting: deque[ExamineBatch | ExamineEntries] = deque()
        self._idle: list[WorkerThread[_Work]] = []
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
            self._hand_out()

    def _may_inline(self, effect: ExamineBatch | ExamineEntries) -> bool:
        # Many small ones in a row would keep votes waiting: they go to the threads together.
        return (
            _entries_count(effect) <= EXAMINE_INLINE_ENTRIES_MAX
            and not self._waiting
            and trio.current_time() - self._last_inline >= EXAMINE_INLINE_INTERVAL_MS / 1_000
        )

    async def run(self) -> None:
        """Examine what waits until cancelled."""
        async with trio.open_nursery() as nursery:
            for number in range(EXAMINE_THREADS):
                thread: WorkerThread[_Work] = WorkerThread(f"examine-{number}", self._judge)
                nursery.start_soon(thread.run)
                self._idle.append(thread)
            self._hand_out()

    def _hand_out(self) -> None:
        while self._waiting and self._idle:
            thread = self._idle.pop()
            thread.put((thread, self._take()))

    def _judge(self, works: list[_Work]) -> None:
        """In a thread: judge, and answer in trio's."""
        for thread, effects in works:
            answer: Callable[[], None]
            if isinstance(effects, ExamineBatch):
                answer = partial(self._answer_batch, effects, self._judge_batch(effects))
            else:
                answer = partial(self._answer_entries, effects, self._judge_entries(effects))
            thread.post(partial(self._finish, thread, answer))

    def _finish(self, thread: "WorkerThread[_Work]", answer: Callable[[], None]) -> None:
        self._idle.append(thread)
        self._hand_out()  # before answering, which may take the node's own thread a while
        answer()

    def _take(self) -> ExamineBatch | list[ExamineEntries]:
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
        self._answer_batch(effect, self._judge_batch(effect))

    def _examine_entries(self, effects: list[ExamineEntries]) -> None:
        self._answer_entries(effects, self._judge_entries(effects))

    def _judge_batch(self, effect: ExamineBatch) -> Scan | None:
        return scan_valid_batch(effect.encoded, self._store.chain_id)

    def _judge_entries(self, effects: list[ExamineEntries]) -> tuple[Verdict, ...]:
        with self._store.read() as reader:
            root = reader.stored_head(reader.head_height()).root
            return examine_entries(
                [entry for effect in effects for entry in effect.entries],
                chain_id=self._store.chain_id,
                state=reader.state(root),
                now_ms=wall_clock_ms(),
                known_events=reader.known_events,
            )

    def _answer_batch(self, effect: ExamineBatch, scan: Scan | None) -> None:
        if scan is not None:
            self._on_valid_batch(effect.batch_id, scan)
        self._report(BatchExamined(effect.batch_id, scan is not None))

    def _answer_entries(self, effects: list[ExamineEntries], verdicts: tuple[Verdict, ...]) -> None:
        start = 0
        for effect in effects:
            end = start + len(effect.entries)
            self._report(EntriesExamined(effect.ticket, verdicts[start:end]))
            start = end


def _entries_count(effect: ExamineBatch | ExamineEntries) -> int:
    return effect.entries_count if isinstance(effect, ExamineBatch) else len(effect.entries)
