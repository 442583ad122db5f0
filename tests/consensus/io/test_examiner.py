"""Entries are examined once, together where they waited together, and answered by ticket."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import trio

from consensus.core.effects import ExamineBatch, ExamineEntries
from consensus.core.inputs import BatchExamined, EntriesExamined, Input
from consensus.io import examiner as examiner_module
from consensus.io.examiner import Examiner
from ledger.core.admission import ExaminedEntry
from ledger.core.block import Batch
from ledger.core.codec import encode
from ledger.core.errors import RejectCode
from ledger.core.ids import BatchId, NodeIndex
from ledger.core.scanning import Scan
from ledger.io.chain_store import ChainStore
from tests.consensus.io.chain import make_batch
from tests.consensus.io.members import make_event, make_genesis

GENESIS = make_genesis([1])
GOOD = [make_event(GENESIS, nonce) for nonce in range(8)]
FORGED = GOOD[0].entry[:-1] + bytes([GOOD[0].entry[-1] ^ 1])
BATCH = BatchId(b"b" * 32)


class Work:
    """An examiner over a real store, with what it reported."""

    def __init__(self, store: ChainStore) -> None:
        self.reports: list[Input] = []
        self.valid: list[BatchId] = []
        self.scans: list[Scan] = []
        self.examiner = Examiner(store, self.reports.append, self._note)

    def _note(self, batch_id: BatchId, scan: Scan) -> None:
        self.valid.append(batch_id)
        self.scans.append(scan)

    async def until(self, count: int) -> None:
        """Wait for so many reports."""
        with trio.fail_after(50):
            while len(self.reports) < count:  # noqa: ASYNC110 - reports come after a thread
                await trio.sleep(0.001)


@pytest.fixture(name="work")
def _work(tmp_path: Path) -> Iterator[Work]:
    with ChainStore.create(tmp_path / "chain", GENESIS) as store:
        yield Work(store)


def _entries(*numbers: int) -> tuple[bytes, ...]:
    return tuple(GOOD[number].entry for number in numbers)


def _batch(id_: BatchId, *entries: bytes) -> ExamineBatch:
    return ExamineBatch(id_, encode(Batch(NodeIndex(1), 1, entries)), len(entries))


async def test_little_is_examined_at_once(work: Work) -> None:
    """A small submission or batch is answered before the call returns, good or bad."""
    work.examiner.examine(ExamineEntries(1, (GOOD[0].entry, FORGED)))
    assert work.reports == [
        EntriesExamined(1, (ExaminedEntry(GOOD[0].entry, GOOD[0].id), RejectCode.BAD_SIGNATURE))
    ]


@pytest.mark.parametrize(("entry", "valid"), [(GOOD[0].entry, True), (FORGED, False)])
async def test_small_batches_are_judged_at_once(work: Work, entry: bytes, *, valid: bool) -> None:
    """A valid batch is named as such before it is reported, with what was read of it."""
    work.examiner.examine(_batch(BATCH, entry))
    assert work.reports == [BatchExamined(BATCH, valid)]
    assert work.valid == ([BATCH] if valid else [])
    assert [scan.entries() for scan in work.scans] == ([[entry]] if valid else [])


async def test_many_small_ones_do_not_keep_the_node_busy(
    work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only one is examined at once in a while: the others wait for the threads."""
    monkeypatch.setattr(examiner_module, "EXAMINE_INLINE_INTERVAL_MS", 60_000)
    for ticket in range(3):
        work.examiner.examine(ExamineEntries(ticket, _entries(ticket)))
    assert len(work.reports) == 1
    assert len(work.examiner) == 2


async def test_what_waits_together_is_examined_together(
    work: Work, nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Submissions that wait become one call up to a limit, each answered by its own ticket."""
    calls: list[int] = []
    judge = work.examiner._judge_entries

    def counted(effects: list[ExamineEntries]) -> object:
        calls.append(len(effects))
        return judge(effects)

    monkeypatch.setattr(work.examiner, "_judge_entries", counted)
    monkeypatch.setattr(examiner_module, "EXAMINE_ENTRIES_MAX", 6)
    work.examiner.examine(ExamineEntries(1, _entries(0, 1, 2)))
    work.examiner.examine(ExamineEntries(2, (*_entries(3, 4), FORGED)))
    work.examiner.examine(ExamineEntries(3, _entries(5, 6, 7)))
    nursery.start_soon(work.examiner.run)
    await work.until(3)
    assert sorted(calls) == [1, 2]
    answers = {r.ticket: r.verdicts for r in work.reports if isinstance(r, EntriesExamined)}
    ids = {
        ticket: [v if isinstance(v, RejectCode) else v.id for v in verdicts]
        for ticket, verdicts in answers.items()
    }
    assert ids == {
        1: [GOOD[0].id, GOOD[1].id, GOOD[2].id],
        2: [GOOD[3].id, GOOD[4].id, RejectCode.BAD_SIGNATURE],
        3: [GOOD[5].id, GOOD[6].id, GOOD[7].id],
    }


async def test_batches_are_judged_in_threads(work: Work, nursery: trio.Nursery) -> None:
    """Larger batches are judged apart from the node's own thread, each by itself."""
    id_, _ = make_batch(GENESIS, [1])
    work.examiner.examine(_batch(id_, *_entries(0, 1, 2)))
    work.examiner.examine(_batch(BATCH, *_entries(0, 1), FORGED))
    nursery.start_soon(work.examiner.run)
    await work.until(2)
    assert set(work.reports) == {BatchExamined(id_, True), BatchExamined(BATCH, False)}
    assert work.valid == [id_]
