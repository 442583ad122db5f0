"""The chain worker groups its jobs, tells a root early and durability late."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace

import msgspec
import pytest
import trio
import trio.testing

from consensus.core import serving as serving_module
from consensus.core.effects import Execute, RecordEvidence, ServeBatches, ServeBlocks, StoreBatch
from consensus.core.inputs import BatchStored, ChainDurable, Executed, Input
from consensus.core.messages import (
    BatchMessage,
    BlocksResponse,
    Lane,
    decode_message,
    encode_message,
)
from consensus.core.serving import blocks_from
from consensus.io import chain_transaction
from consensus.io import chain_worker as chain_worker_module
from consensus.io.chain_worker import ChainJob, ChainWorker
from consensus.io.store_server import StoreServer
from ledger.core import execute
from ledger.core.block import block_id
from ledger.core.errors import InvariantError, RejectCode
from ledger.core.genesis import Genesis
from ledger.core.ids import BatchId, Epoch, Height, NodeIndex, Sequence
from ledger.core.limits import SYNC_BATCH_REQUESTS_MAX
from ledger.core.scanning import scan_batches
from ledger.io.chain_store import ChainStore
from tests.consensus.io.chain import make_batch, make_chain
from tests.consensus.io.members import make_genesis

GENESIS: Genesis = make_genesis([1])


@pytest.fixture(name="store")
def _store(tmp_path: Path) -> Iterator[ChainStore]:
    with ChainStore.create(tmp_path / "chain", GENESIS) as store:
        yield store


@pytest.fixture(autouse=True)
def _quick_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a busy machine's disk takes decides nothing here."""
    monkeypatch.setattr(chain_worker_module, "COMMIT_AT_ONCE_MS_MAX", 60_000)


class Work:
    """A worker over a real store, with what it reported."""

    def __init__(self, store: ChainStore) -> None:
        self.reports: list[Input | tuple[int, int]] = []
        self.is_awaited = True
        self.worker = ChainWorker(
            store,
            self.reports.append,
            lambda *head: self.reports.append(head),
            lambda: self.is_awaited,
        )

    async def do(self, *jobs: ChainJob, reports_count: int) -> None:
        """Put jobs, begin them together and wait for so many reports."""
        self.begin(*jobs)
        with trio.fail_after(50):
            while len(self.reports) < reports_count:  # noqa: ASYNC110 - reports come from a thread
                await trio.sleep(0.001)

    def begin(self, *jobs: ChainJob) -> list[type]:
        """Put jobs and begin them together; give the kinds of what is reported at once."""
        before = len(self.reports)
        for job in jobs:
            self.worker.put(job)
        self.worker.flush()
        return [type(report) for report in self.reports[before:]]


@asynccontextmanager
async def working(store: ChainStore, *first: ChainJob) -> AsyncIterator[Work]:
    """Run a worker that finds the ``first`` jobs waiting together."""
    work = Work(store)
    work.begin(*first)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(work.worker.run)
        yield work
        nursery.cancel_scope.cancel()


async def test_roots_come_first_then_one_durability_for_all(store: ChainStore) -> None:
    """Jobs that waited share one commit; each block's root is told before it."""
    id_, batch = make_batch(GENESIS, [77])
    blocks = make_chain(GENESIS, 3, certified=[3])
    evidence = RecordEvidence(NodeIndex(0), "double vote", b"a", b"b", Epoch(0))
    async with working(store, *blocks, StoreBatch(id_, batch), evidence) as work:
        await work.do(reports_count=6)
    kinds = [type(report) for report in work.reports]
    assert kinds == [Executed, Executed, Executed, BatchStored, ChainDurable, tuple]
    assert work.reports[-3:] == [BatchStored(id_), ChainDurable(Height(3)), (3, 3)]
    assert work.worker.counters.commits == 1
    assert work.worker.counters.events_accepted == 3
    with store.read() as reader:
        assert reader.head().log_size == 3
        assert reader.has_batch(id_)
        assert [item.kind for item in reader.evidence()] == ["double vote"]
        assert isinstance(work.reports[2], Executed)
        assert reader.root(Height(3)) == work.reports[2].root


async def test_refused_events_are_counted_by_reason(store: ChainStore) -> None:
    """An event that is ordered again is refused, and counts under its reason."""
    first, second = make_chain(GENESIS, 2, certified=[])
    batch = make_batch(GENESIS, [1, 2])
    block = msgspec.structs.replace(second.block, payload=(batch[0],))
    again = Execute(block_id(block), block, None, (batch,))
    async with working(store, first, again) as work:
        await work.do(reports_count=4)
    assert work.worker.counters.events_refused == {RejectCode.DUPLICATE: 1}
    assert work.worker.counters.events_accepted == 2


async def test_empty_blocks_wait_for_company(
    store: ChainStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Blocks without a payload are executed with the next one that has one, in one commit."""
    monkeypatch.setattr(chain_worker_module, "COMMIT_DELAY_MS", 5_000)
    first, second, third = make_chain(GENESIS, 3, certified=[], empty=[1, 2])
    async with working(store, first) as work:
        assert work.begin(second) == []
        await work.do(third, reports_count=5)
    assert [type(report) for report in work.reports[:3]] == [Executed] * 3
    assert work.reports[-2:] == [ChainDurable(Height(3)), (3, 1)]
    assert work.worker.counters.commits == 1


async def test_empty_blocks_do_not_wait_for_ever(
    store: ChainStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without company an empty block is committed after the delay, and when the worker ends."""
    monkeypatch.setattr(chain_worker_module, "COMMIT_DELAY_MS", 20)
    first, second = make_chain(GENESIS, 2, certified=[], empty=[1, 2])
    async with working(store, first) as work:
        assert work.reports == []
        await work.do(reports_count=3)
        monkeypatch.setattr(chain_worker_module, "COMMIT_DELAY_MS", 60_000)
        assert work.begin(second) == []
    assert work.reports[-2:] == [ChainDurable(Height(2)), (2, 0)]
    with store.read() as reader:
        assert reader.head_height() == 2


async def test_empty_blocks_wait_until_they_are_many(
    store: ChainStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A member that catches up on empty blocks is not held up by each few of them."""
    monkeypatch.setattr(chain_worker_module, "COMMIT_DELAY_MS", 60_000)
    monkeypatch.setattr(chain_worker_module, "COMMIT_AT_ONCE_BYTES_MAX", 2 * 512)
    work = Work(store)
    assert work.begin(*make_chain(GENESIS, 2, certified=[], empty=[1, 2])) == []
    (*_, third) = make_chain(GENESIS, 3, certified=[], empty=[1, 2, 3])
    assert work.begin(third) == []
    async with trio.open_nursery() as nursery:
        nursery.start_soon(work.worker.run)
        await work.do(reports_count=5)
        nursery.cancel_scope.cancel()
    assert work.worker.counters.commits == 1


async def test_the_last_block_of_an_epoch_does_not_wait(
    store: ChainStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has no payload, but what comes out of it is not known without it."""
    monkeypatch.setattr(chain_worker_module, "COMMIT_DELAY_MS", 60_000)
    [job] = make_chain(GENESIS, 1, certified=[], empty=[1])
    last = msgspec.structs.replace(job.block, next_set_hash=bytes(32))
    work = Work(store)
    with pytest.raises(InvariantError, match="nobody approved"):
        work.begin(Execute(block_id(last), last, None, ()))


async def test_little_is_committed_at_once(store: ChainStore) -> None:
    """A small block is durable when it has been begun: no thread runs, and none is needed."""
    work = Work(store)
    (first,) = make_chain(GENESIS, 1, certified=[1])
    assert work.begin(first) == [Executed, ChainDurable, tuple]
    with store.read() as reader:
        assert reader.head_height() == 1


async def test_a_commit_that_nobody_waits_for_waits_for_company(
    store: ChainStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such blocks are executed at once; the first one that somebody waits for commits them all."""
    monkeypatch.setattr(chain_worker_module, "COMMIT_DELAY_MS", 60_000)
    first, second, empty, fourth = make_chain(GENESIS, 4, certified=[], empty=[3])
    async with working(store) as work:
        work.is_awaited = False
        assert work.begin(first) == [Executed]
        assert work.begin(second) == [Executed]
        assert work.begin(empty) == []
        with store.read() as reader:
            assert reader.head_height() == 0
        work.is_awaited = True
        assert work.begin(fourth) == [Executed, Executed, ChainDurable, tuple]
    assert work.reports[-2:] == [ChainDurable(Height(4)), (4, 3)]
    assert work.worker.counters.commits == 1
    with store.read() as reader:
        assert reader.head_height() == 4


async def test_a_commit_does_not_wait_for_ever(
    store: ChainStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It comes after the delay from the first block that it is for, and when the worker ends."""
    monkeypatch.setattr(chain_worker_module, "COMMIT_DELAY_MS", 20)
    first, second, third = make_chain(GENESIS, 3, certified=[], empty=[3])
    async with working(store) as work:
        work.is_awaited = False
        assert work.begin(first) == [Executed]
        await work.do(reports_count=3)
        assert work.reports[-2:] == [ChainDurable(Height(1)), (1, 1)]
        monkeypatch.setattr(chain_worker_module, "COMMIT_DELAY_MS", 60_000)
        assert work.begin(second, third) == [Executed, Executed]
    assert work.reports[-2:] == [ChainDurable(Height(3)), (3, 2)]


async def test_what_is_held_is_committed_before_the_thread_goes_on(
    store: ChainStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Much work, and a batch whose acknowledgement waits for it, do not wait for what waits."""
    monkeypatch.setattr(chain_worker_module, "COMMIT_DELAY_MS", 60_000)
    id_, batch = make_batch(GENESIS, [77])
    first, second = make_chain(GENESIS, 2, certified=[])
    async with working(store) as work:
        work.is_awaited = False
        assert work.begin(first) == [Executed]
        assert work.begin(StoreBatch(id_, batch)) == [ChainDurable, tuple]
        await work.do(reports_count=4)
        assert work.reports[3] == BatchStored(id_)
        assert work.begin(second) == [Executed]
    assert work.reports[-2:] == [ChainDurable(Height(2)), (2, 2)]


async def test_what_is_held_is_bounded(store: ChainStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """So much that would be left to the thread at once is committed, whoever waits."""
    monkeypatch.setattr(chain_worker_module, "COMMIT_DELAY_MS", 60_000)
    monkeypatch.setattr(chain_worker_module, "COMMIT_AT_ONCE_BYTES_MAX", 2 * 600)
    async with working(store) as work:
        work.is_awaited = False
        kinds = [work.begin(job) for job in make_chain(GENESIS, 3, certified=[])]
    assert kinds == [[Executed], [Executed], [Executed, ChainDurable, tuple]]


async def test_nothing_is_kept_of_what_is_held_when_a_block_cannot_be_executed(
    store: ChainStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process ends, as for an error in a commit, and finds the store as it was."""
    monkeypatch.setattr(chain_worker_module, "COMMIT_DELAY_MS", 60_000)
    first, second = make_chain(GENESIS, 2, certified=[])
    other = make_batch(GENESIS, [5])
    async with working(store) as work:
        work.is_awaited = False
        assert work.begin(first) == [Executed]
        with pytest.raises(InvariantError, match="not in the store"):
            work.begin(msgspec.structs.replace(second, batches=(other,)))
    assert not any(isinstance(report, ChainDurable) for report in work.reports)
    with store.read() as reader:
        assert reader.head_height() == 0


async def test_much_is_left_to_the_thread(
    store: ChainStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Many bytes do not hold up the votes."""
    monkeypatch.setattr(chain_worker_module, "COMMIT_AT_ONCE_BYTES_MAX", 600)
    async with working(store) as work:
        assert work.begin(*make_chain(GENESIS, 2, certified=[])) == []
        await work.do(reports_count=4)


async def test_a_block_whose_batches_are_stored_is_left_to_the_thread(store: ChainStore) -> None:
    """Such a block brings no bytes along, and yet may be the largest of all."""
    (first,) = make_chain(GENESIS, 1, certified=[])
    async with working(store) as work:
        await work.do(StoreBatch(*first.batches[0]), reports_count=1)
        assert work.begin(msgspec.structs.replace(first, batches=())) == []
        await work.do(reports_count=4)


async def test_little_follows_what_is_under_way(store: ChainStore) -> None:
    """While the thread has work, later jobs go there too: their order is kept."""
    id_, batch = make_batch(GENESIS, [77])
    first, second = make_chain(GENESIS, 2, certified=[])
    async with working(store) as work:
        assert work.begin(StoreBatch(id_, batch)) == []
        assert work.begin(first) == []
        await work.do(reports_count=4)
        assert work.begin(second) == [Executed, ChainDurable, tuple]


async def test_a_slow_disk_is_left_to_the_thread(
    store: ChainStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Commits that take long are the thread's, until several there were quick again."""
    disk_s, now_s = 0.032, 0.0

    def clock() -> float:
        nonlocal now_s
        now_s += disk_s  # twice while it is filled, twice while it is committed
        return now_s

    monkeypatch.setattr(chain_worker_module, "COMMIT_AT_ONCE_MS_MAX", 4)
    monkeypatch.setattr(chain_transaction, "time", SimpleNamespace(perf_counter=clock))
    jobs = make_chain(GENESIS, 8, certified=[])
    async with working(store) as work:
        assert work.begin(jobs[0]) == [Executed, ChainDurable, tuple]
        disk_s = 0.0
        for done, job in enumerate(jobs[1:7], start=1):
            assert work.begin(job) == []
            await work.do(reports_count=3 * (done + 1))
        assert work.begin(jobs[7]) == [Executed, ChainDurable, tuple]


async def test_large_groups_are_cut(store: ChainStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """A transaction takes a bounded number of bytes; the rest follows in the next."""
    monkeypatch.setattr(chain_worker_module, "COMMIT_BYTES_MAX", 1)
    monkeypatch.setattr(chain_worker_module, "COMMIT_AT_ONCE_BYTES_MAX", 1)
    async with working(store, *make_chain(GENESIS, 3, certified=[])) as work:
        await work.do(reports_count=9)
    assert work.worker.counters.commits == 3


async def test_checked_batches_change_nothing(store: ChainStore) -> None:
    """Skipping signatures that were verified gives the same root as verifying them."""
    [first] = make_chain(GENESIS, 1, certified=[])
    async with working(store) as work:
        work.worker.mark_checked(first.batches[0][0])
        await work.do(first, reports_count=3)
    assert work.worker.counters.events_accepted == 1


async def test_what_was_read_of_a_batch_is_not_read_again(
    store: ChainStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A block takes the events of the scan that came with the mark, and then forgets the scan."""
    [first] = make_chain(GENESIS, 1, certified=[])
    batch_id, encoded = first.batches[0]
    scan = scan_batches((encoded,))
    async with working(store) as work:
        work.worker.mark_checked(batch_id, scan)
        work.worker.mark_checked(batch_id)
        assert work.worker._checked.scans == {batch_id: scan}
        monkeypatch.delattr(execute, "scan_batches")
        await work.do(first, reports_count=3)
        assert work.worker._checked.scans == {}
        assert batch_id in work.worker._checked
    assert work.worker.counters.events_accepted == 1
    with store.read() as reader:
        assert reader.entry(Sequence(0)) == scan.last_entry()


async def test_missing_bytes_end_the_process(store: ChainStore) -> None:
    """A final block without its batch is a broken promise: nothing of the group is kept."""
    first, second = make_chain(GENESIS, 2, certified=[])
    work = Work(store)
    assert work.begin(first, msgspec.structs.replace(second, batches=())) == []
    with pytest.raises(InvariantError, match="not in the store"), trio.fail_after(50):
        await work.worker.thread.run()
    assert not any(isinstance(report, ChainDurable) for report in work.reports)
    with store.read() as reader:
        assert reader.head_height() == 0


# --- serving what is stored ---------------------------------------------------------------


async def _filled(store: ChainStore, count: int, certified: list[int]) -> None:
    async with working(store, *make_chain(GENESIS, count, certified=certified)) as work:
        await work.do(reports_count=count + 2)


def _heights(answer: BlocksResponse | None) -> list[int]:
    return [] if answer is None else [block.height for block in answer.blocks]


async def test_blocks_end_with_a_certified_one(
    store: ChainStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An answer holds consecutive blocks up to the last one that a certificate commits."""
    await _filled(store, 6, [2, 4])
    with store.read() as reader:
        answer = blocks_from(reader, Height(1))
        assert _heights(answer) == [1, 2, 3, 4]
        assert answer is not None
        assert answer.certificate is not None
        assert answer.certificate.commit is not None
        assert answer.certificate.commit.height == 4
        assert _heights(blocks_from(reader, Height(0))) == [1, 2, 3, 4]
        assert _heights(blocks_from(reader, Height(5))) == []
        assert _heights(blocks_from(reader, Height(99))) == []
        monkeypatch.setattr(serving_module, "SYNC_BYTES_MAX", 1)
        assert _heights(blocks_from(reader, Height(1))) == [1, 2]
        monkeypatch.setattr(serving_module, "SYNC_BLOCKS_MAX", 1)
        assert _heights(blocks_from(reader, Height(1))) == []


async def test_batches_that_a_peer_asks_for_one_by_one_are_all_answered(
    store: ChainStore, nursery: trio.Nursery
) -> None:
    """It has lost them, and asks for each once; beyond a limit the newest are answered."""
    made = [make_batch(GENESIS, [n]) for n in range(SYNC_BATCH_REQUESTS_MAX + 2)]
    with store.write() as writer:
        for id_, batch in made:
            writer.store_batch(id_, batch)
    sent: list[bytes] = []
    server = StoreServer(store, lambda _peer, _lane, frame: sent.append(frame))
    for id_, _ in [*made, made[-1]]:
        server.serve(ServeBatches(NodeIndex(1), (id_,)))
    nursery.start_soon(server.run)
    with trio.fail_after(50):
        while len(sent) < SYNC_BATCH_REQUESTS_MAX:  # noqa: ASYNC110 - nothing announces it
            await trio.sleep(0.001)
    await trio.testing.wait_all_tasks_blocked(0.01)
    newest = [BatchMessage(batch) for _, batch in made[: -SYNC_BATCH_REQUESTS_MAX - 1 : -1]]
    assert [decode_message(frame[4:]) for frame in sent] == newest


async def test_requests_are_answered_once_each(store: ChainStore, nursery: trio.Nursery) -> None:
    """Of a peer's requests of one kind that wait only the newest is answered, in bulk."""
    await _filled(store, 3, [1, 2, 3])
    id_, batch = make_batch(GENESIS, [88])
    with store.write() as writer:
        writer.store_batch(id_, batch)
    sent: list[tuple[NodeIndex, Lane, bytes]] = []
    server = StoreServer(store, lambda *frame: sent.append(frame))
    server.serve(ServeBlocks(NodeIndex(1), Height(1)))
    server.serve(ServeBlocks(NodeIndex(1), Height(2)))
    server.serve(ServeBatches(NodeIndex(1), (BatchId(bytes(32)), id_)))
    server.serve(ServeBlocks(NodeIndex(2), Height(3)))
    nursery.start_soon(server.run)
    with trio.fail_after(50):
        while len(sent) < 3:  # noqa: ASYNC110 - nothing announces it
            await trio.sleep(0.001)
    messages = [(peer, lane, decode_message(frame[4:])) for peer, lane, frame in sent]
    assert messages[1] == (1, Lane.BULK, BatchMessage(batch))
    for (peer, lane, message), heights in zip(
        (messages[0], messages[2]), ([2, 3], [3]), strict=True
    ):
        assert isinstance(message, BlocksResponse)
        assert _heights(message) == heights
        assert lane is Lane.BULK
        assert peer == (1 if heights == [2, 3] else 2)
        assert len(encode_message(message)) < 2_000
