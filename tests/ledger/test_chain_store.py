"""The chain store: what is written together is found together, by every way of asking."""

from collections.abc import Callable, Iterator
from pathlib import Path

import lmdb
import msgspec
import pytest

from ledger.core.block import LedgerRoot
from ledger.core.errors import InvariantError, RejectCode
from ledger.core.event import open_entry
from ledger.core.execute import AcceptedEvents, BlockResult, execute_block, genesis_result
from ledger.core.ids import BatchId, BlockId, Epoch, EventId, Height, NodeIndex, Sequence
from ledger.core.limits import EVIDENCE_COUNT_MAX
from ledger.core.merkle import inclusion_proof, leaf_hash
from ledger.core.merkle_proof import verify_inclusion
from ledger.core.proof import build_bundle, verify_bundle
from ledger.core.scanning import scan_batches
from ledger.io.chain_store import ChainHead, ChainStore, ChainWriter, Evidence, Receipt
from ledger.io.errors import StorageError
from ledger.io.hash_index import HashWriter
from tests.ledger.memory_ledger import MemoryLedger
from tests.ledger.sample_network import (
    ALICE_DID,
    GENESIS,
    START_MS,
    batch,
    block_after,
    certificate_of,
    entry,
    forged,
)

Row = tuple[BatchId, bytes]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[ChainStore]:
    """Give a new store."""
    with ChainStore.create(tmp_path / "chain", GENESIS) as opened:
        yield opened


def next_result(writer: ChainWriter, *rows: Row) -> BlockResult:
    """Store batches and execute the next block, which names them."""
    for row in rows:
        writer.store_batch(*row)
    parent = writer.reader.head().block_id
    id_, block = block_after(writer.root, parent, [row[0] for row in rows])
    return execute_block(writer, id_, block, lambda _: False)


def extend(store: ChainStore, *rows: Row, certified: bool = False) -> BlockResult:
    """Apply the next block in a transaction of its own."""
    with store.write() as writer:
        result = next_result(writer, *rows)
        certificate = certificate_of(result.block_id, result.height) if certified else None
        writer.apply(result, certificate)
    return result


def apply_twice(writer: ChainWriter, result: BlockResult) -> None:
    """Apply one block two times, which cannot end well."""
    writer.apply(result)
    writer.apply(result)


def id_of(data: bytes) -> EventId:
    """Give the id of an entry's event."""
    return open_entry(data).id


def test_new_store_holds_genesis(store: ChainStore) -> None:
    """A new store has genesis at height 0, its state, and nothing else."""
    genesis = genesis_result(GENESIS)
    with store.read() as reader:
        assert reader.head() == ChainHead(Height(0), GENESIS.block_id, START_MS, 0)
        assert reader.root(Height(0)) == genesis.root
        assert reader.height_of_block(GENESIS.block_id) == 0
        assert reader.block(Height(0)) is None
        assert reader.first_certified(Height(0)) is None
        assert reader.topics() == []
        assert reader.open_batches(Epoch(0)) == []
        participant = reader.state(genesis.root).participant(ALICE_DID)
        assert participant == GENESIS.participants[0]


def test_applied_block_is_found(store: ChainStore) -> None:
    """Block, id, certificate and ledger of a height are those that were applied."""
    result = extend(store, batch([entry(1)]), certified=True)
    with store.read() as reader:
        assert reader.head() == ChainHead(Height(1), result.block_id, result.time_ms, 1)
        assert reader.head_height() == 1
        assert reader.block(Height(1)) == result.block
        assert reader.root(Height(1)) == result.root
        assert reader.height_of_block(result.block_id) == 1
        assert reader.certificate(Height(1)) == certificate_of(result.block_id, Height(1))


def test_nothing_is_above_the_head(store: ChainStore) -> None:
    """Whatever is asked about heights, sequences and ids that do not exist, is None."""
    extend(store, batch([entry(1)]))
    with store.read() as reader:
        assert reader.block(Height(2)) is None
        assert reader.root(Height(2)) is None
        assert reader.certificate(Height(2)) is None
        assert reader.height_of_block(BlockId(bytes(32))) is None
        assert reader.entry(Sequence(1)) is None
        assert reader.entry(Sequence(-1)) is None
        assert reader.sequence_of(id_of(entry(2))) is None
        assert reader.receipt(id_of(entry(2))) is None
        assert not reader.has_event(id_of(entry(2)))
        assert reader.batch(BatchId(bytes(32))) is None
        assert reader.read_tile(0, 1) == b""
        assert reader.read_node(bytes(32)) == b""
        with pytest.raises(LookupError):
            reader.height_of(Sequence(1))


def test_entries_are_found_by_sequence_and_id(store: ChainStore) -> None:
    """Each accepted event is found under its sequence and its id, with its block."""
    extend(store, batch([entry(0), entry(1)], 1), batch([entry(2)], 2))
    extend(store)
    extend(store, batch([entry(3)], 3))
    with store.read() as reader:
        for number, height in ((0, 1), (1, 1), (2, 1), (3, 3)):
            sequence, data = Sequence(number), entry(number)
            assert reader.entry(sequence) == data
            assert reader.height_of(sequence) == height
            assert reader.sequence_of(id_of(data)) == sequence
            assert reader.has_event(id_of(data))
            assert reader.receipt(id_of(data)) == Receipt(Height(height), sequence, None)


def test_refused_event_has_a_receipt(store: ChainStore) -> None:
    """A refused event has the code and the height of its last refusal."""
    data = entry(1, topic="news")
    extend(store, batch([data, b"junk"]))
    extend(store, batch([data], 1))
    with store.read() as reader:
        receipt = reader.receipt(id_of(data))
        assert receipt == Receipt(Height(2), None, RejectCode.TOPIC_FORBIDDEN)


def test_refusal_never_replaces_acceptance(store: ChainStore) -> None:
    """A forged copy or a repetition, before or after, leaves an accepted event accepted."""
    extend(store, batch([forged(1), entry(1)]))
    extend(store, batch([forged(2)], 2))
    extend(store, batch([entry(2)], 3))
    extend(store, batch([entry(1), forged(1), entry(2), forged(2)], 4))
    with store.read() as reader:
        assert reader.receipt(id_of(entry(1))) == Receipt(Height(1), Sequence(0), None)
        assert reader.receipt(id_of(entry(2))) == Receipt(Height(3), Sequence(1), None)
        refusals = reader._transaction.stat(reader._tables.refused)["entries"]
        assert refusals == 1  # of the event that was refused before it was accepted


def test_several_blocks_of_one_transaction_see_each_other(store: ChainStore) -> None:
    """Blocks that are made durable together have the roots that they have one by one."""
    memory = MemoryLedger()
    rows = [batch([entry(number), entry(number + 1)], number) for number in range(5)]
    with store.write() as writer:
        for number, row in enumerate(rows):
            result = next_result(writer, row)
            writer.apply(result)
            expected = memory.extend(entry(number), entry(number + 1), number=number)
            assert result.root == expected.root
            assert writer.root == expected.root
    with store.read() as reader:
        assert reader.head().log_size == 6


def test_uncommitted_blocks_are_invisible(store: ChainStore) -> None:
    """A reader sees the store as it was when it began, and an abandoned block not at all."""
    with store.read() as before:
        with store.write() as writer:
            writer.apply(next_result(writer, batch([entry(1)])))
            with store.read() as during:
                assert during.head().height == 0
        assert before.head().height == 0
    with store.read() as after:
        assert after.head().height == 1
    with pytest.raises(InvariantError), store.write() as writer:
        apply_twice(writer, next_result(writer, batch([entry(2)], 2)))
    with store.read() as later:
        assert later.head().height == 1
        assert not later.has_event(id_of(entry(2)))


def test_proofs_are_made_from_stored_tiles(store: ChainStore) -> None:
    """Every entry of a log of several tiles is proved against the stored root."""
    entries = [entry(number) for number in range(600)]
    for start in range(0, 600, 150):
        extend(store, batch(entries[start : start + 150], start))
    with store.read() as reader:
        root = reader.root(Height(4))
        assert root is not None
        for index in (0, 255, 256, 511, 512, 599):
            proof = inclusion_proof(reader.read_tile, index, 600)
            verify_inclusion(index, 600, leaf_hash(entries[index]), root.log_root, proof)


def test_bundle_made_from_the_store_is_a_proof(store: ChainStore) -> None:
    """What the store holds is enough to show an event to whoever has the genesis file alone."""
    for number in range(3):
        extend(store, batch([entry(number)], number), certified=True)
    with store.read() as reader:
        bundle = build_bundle(reader, Sequence(1))
    assert bundle is not None
    assert verify_bundle(bundle, GENESIS).event == open_entry(entry(1)).event


def test_everything_is_there_after_reopening(store: ChainStore) -> None:
    """Closing and opening changes nothing, and the chain goes on."""
    result = extend(store, batch([entry(1)]), certified=True)
    waiting = batch([entry(2)], 2)
    with store.write() as writer:
        writer.store_batch(*waiting)
    store.close()
    with ChainStore.open(store.path, GENESIS) as again:
        with again.read() as reader:
            assert reader.head() == ChainHead(Height(1), result.block_id, result.time_ms, 1)
            assert reader.entry(Sequence(0)) == entry(1)
            assert reader.open_batches(Epoch(0)) == [waiting]
        assert extend(again, waiting).root.log_size == 2


def test_store_that_cannot_be_brought_up_to_date_is_let_go(
    store: ChainStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Opening regroups the hash index; if that fails, the next try finds the store unlocked."""

    def fail(_: HashWriter) -> None:
        raise lmdb.CorruptedError("the index")

    store.close()
    with monkeypatch.context() as patch:
        patch.setattr(HashWriter, "regroup", fail)
        with pytest.raises(StorageError, match="the index"):
            ChainStore.open(store.path, GENESIS)
    ChainStore.open(store.path, GENESIS).close()


def test_batches_are_open_until_a_block_names_them(store: ChainStore) -> None:
    """A stored batch is there; it is open first and ordered after its block."""
    first, second = batch([entry(1)], 1), batch([entry(2)], 2)
    with store.write() as writer:
        writer.store_batch(*first)
        writer.store_batch(*second)
        writer.store_batch(*second)
    assert store.has_batch(first[0])
    assert not store.is_ordered(first[0])
    extend(store, first)
    assert store.is_ordered(first[0])
    assert not store.is_ordered(second[0])
    with store.read() as reader:
        assert reader.open_batches(Epoch(0)) == [second]
        assert reader.batch(first[0]) == first[1]
        assert reader.has_batch(first[0])
        assert reader.is_ordered(first[0])
    assert not store.has_batch(BatchId(bytes(32)))


def test_ordered_batch_is_not_opened_again(store: ChainStore) -> None:
    """A batch that comes late, after its block was applied, does not wait for a block again."""
    row = batch([entry(1)])
    extend(store, row)
    with store.write() as writer:
        writer.store_batch(*row)
    with store.read() as reader:
        assert reader.open_batches(Epoch(0)) == []


def test_certificates_are_found_from_a_height_on(store: ChainStore) -> None:
    """The first certified height at or above another is found, over gaps."""
    for certified in (False, True, False, False, True):
        extend(store, certified=certified)
    with store.read() as reader:
        found = [reader.first_certified(Height(height)) for height in range(7)]
        assert found == [2, 2, 2, 5, 5, 5, None]
        assert reader.certificate(Height(1)) is None


def test_heights_are_found_by_time(store: ChainStore) -> None:
    """The first block at or after a time is found, also when blocks share a time."""
    times = [START_MS, START_MS, START_MS + 50, START_MS + 50, START_MS + 90]
    with store.write() as writer:
        for time_ms in times[1:]:
            parent = writer.reader.head().block_id
            id_, block = block_after(writer.root, parent, [], time_ms)
            writer.apply(execute_block(writer, id_, block, lambda _: False))
    with store.read() as reader:
        for time_ms in range(START_MS - 1, START_MS + 93):
            expected = next((h for h, t in enumerate(times) if t >= time_ms), None)
            assert reader.first_height_at(time_ms) == expected


def test_topics_are_listed_once_in_order(store: ChainStore) -> None:
    """Every topic of an accepted event is listed, a refused one is not."""
    topics = ["catalog.b", "catalog.a", "catalog.b", "catalog.A", "news"]
    extend(store, batch([entry(n, topic=topic) for n, topic in enumerate(topics)]))
    with store.read() as reader:
        assert reader.topics() == ["catalog.A", "catalog.a", "catalog.b"]


def test_evidence_is_kept_once(store: ChainStore) -> None:
    """The same evidence again changes nothing; other evidence is kept beside it."""
    one = Evidence(NodeIndex(1), "double vote", b"first", b"second", Epoch(0))
    other = Evidence(NodeIndex(2), "double vote", b"first", b"second", Epoch(0))
    with store.write() as writer:
        for evidence in (one, one, other):
            writer.put_evidence(evidence)
    with store.read() as reader:
        assert sorted(reader.evidence(), key=lambda item: item.offender) == [one, other]


@pytest.mark.parametrize("extra", [-1, 0, 1])
def test_evidence_is_bounded(store: ChainStore, extra: int) -> None:
    """No more evidence is kept than the limit, however much is put."""
    with store.write() as writer:
        for number in range(EVIDENCE_COUNT_MAX + extra):
            writer.put_evidence(Evidence(NodeIndex(1), "x", b"%d" % number, b"", Epoch(0)))
    with store.read() as reader:
        assert len(reader.evidence()) == min(EVIDENCE_COUNT_MAX + extra, EVIDENCE_COUNT_MAX)


def _other_parent(result: BlockResult) -> BlockResult:
    assert result.block is not None
    block = msgspec.structs.replace(result.block, parent_id=BlockId(bytes(32)))
    return msgspec.structs.replace(result, block=block)


def _with_root(result: BlockResult, **changes: int) -> BlockResult:
    root: LedgerRoot = msgspec.structs.replace(result.root, **changes)
    return msgspec.structs.replace(result, root=root)


def _other_entry(result: BlockResult) -> BlockResult:
    # The same entries, found in a batch whose shorter counter moves them by some bytes.
    moved = scan_batches([batch([entry(1), entry(2)])[1]])
    accepted = AcceptedEvents(result.accepted.first, result.accepted.batch_ids, moved)
    return msgspec.structs.replace(result, accepted=accepted)


def _other_batch(result: BlockResult) -> BlockResult:
    assert result.block is not None
    block = msgspec.structs.replace(result.block, payload=(BatchId(bytes(32)),))
    return msgspec.structs.replace(result, block=block)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_other_parent, "not a child"),
        (lambda result: _with_root(result, height=5), "does not follow"),
        (lambda result: msgspec.structs.replace(result, height=Height(5)), "does not follow"),
        (lambda result: _with_root(result, log_size=3), "miscounts"),
        (_other_entry, "not where the log says"),
        (_other_batch, "is not stored"),
        (lambda result: msgspec.structs.replace(result, block=None), "not a child"),
    ],
)
def test_disagreeing_parts_are_not_written(
    store: ChainStore, change: Callable[[BlockResult], BlockResult], message: str
) -> None:
    """A result whose parts contradict each other or the ledger stops the writer, whole."""
    with pytest.raises(InvariantError, match=message), store.write() as writer:
        writer.apply(change(next_result(writer, batch([entry(1), entry(2)], number=70_000))))
    with store.read() as reader:
        assert reader.head().height == 0
        assert reader.entry(Sequence(0)) is None


def test_block_is_applied_once(store: ChainStore) -> None:
    """A second application of one block is refused."""
    with pytest.raises(InvariantError, match="not a child"), store.write() as writer:
        apply_twice(writer, next_result(writer, batch([entry(1)])))


def test_an_event_is_stored_once(store: ChainStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """Should the check for duplicates ever fail, the writer stops before the log has one twice."""
    with store.write() as writer:
        writer.apply(next_result(writer, batch([entry(1)])))
    monkeypatch.setattr(ChainWriter, "known_events", lambda *_: set())
    with (
        pytest.raises(InvariantError, match="an event was stored before"),
        store.write() as writer,
    ):
        writer.apply(next_result(writer, batch([entry(1)], number=2)))
    with store.read() as reader:
        assert reader.head().height == 1


@pytest.mark.parametrize("height", [0, 2])
def test_certificate_must_commit_the_block(store: ChainStore, height: int) -> None:
    """A certificate of another block or height is not stored with this one."""
    with store.write() as writer:
        result = next_result(writer)
        with pytest.raises(InvariantError, match="does not commit"):
            writer.apply(result, certificate_of(result.block_id, Height(height)))
        with pytest.raises(InvariantError, match="does not commit"):
            writer.apply(result, certificate_of(GENESIS.block_id, Height(1)))
