"""A copied ledger is the ledger: whatever a copy answers, the original answers too."""

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from ledger.core.errors import InvariantError
from ledger.core.event import open_entry
from ledger.core.ids import Epoch, Height
from ledger.core.ids import Sequence as SequenceNumber
from ledger.core.proof import build_bundle, verify_bundle
from ledger.core.snapshot import read_blocks, read_log
from ledger.core.snapshot_manifest import new_manifest
from ledger.core.trust.lists import entry_key
from ledger.io.chain_store import ChainStore, Selection
from ledger.io.errors import StorageError
from tests.ledger.sample_network import ALICE_DID, GENESIS, network
from tests.ledger.snapshot_world import (
    BLOCK_EVENTS,
    KEPT,
    copy_all,
    copy_blocks,
    copy_log,
    copy_state,
    follow,
    grow,
    make_source,
    manifest_of,
    open_copy,
    sample_rows,
    tiles_of,
)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ChainStore]:
    """A chain of more than two tiles' width of events."""
    with make_source(tmp_path_factory.mktemp("source") / "chain") as store:
        yield store


@pytest.fixture
def _small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make every answer, and every write of entries, a small one."""
    monkeypatch.setattr("ledger.core.snapshot.SNAPSHOT_CHUNK_BYTES", 6_000)
    monkeypatch.setattr("ledger.io.snapshot_store.SNAPSHOT_COMMIT_BYTES", 40_000)


@pytest.mark.usefixtures("_small_parts")
def test_a_copy_holds_the_same_log_state_and_indexes(source: ChainStore, tmp_path: Path) -> None:
    """Entries, tiles, ids, state, flat state and every index are the original's."""
    with copy_all(source, tmp_path / "copy") as copy, copy.read() as new, source.read() as old:
        root = manifest_of(old).root
        size = root.log_size
        assert size > 512
        assert new.root(root.height) == root == old.root(root.height)
        assert new.head()[:2] == (root.height, old.stored_head(root.height).block_id)
        entries = [old.entry(SequenceNumber(n)) for n in range(size)]
        assert [new.entry(SequenceNumber(n)) for n in range(size + 1)] == [*entries, None]
        assert tiles_of(new, size) == tiles_of(old, size)
        ids = [open_entry(data or b"").id for data in entries]
        assert [new.sequence_of(id_) for id_ in ids] == list(range(size))
        assert set(new.topics()) == set(old.topics())
        for selection in (
            Selection(topic="catalog.t1"),
            Selection(subject="urn:s:4" * 60),
            Selection(subject=""),
            Selection(publisher=ALICE_DID, topic="ledger.>"),
            Selection(type="org.example.offering.changed", topic="*.t3"),
        ):
            rows = old.scan(selection, -1, 10_000, size)
            assert rows
            assert new.scan(selection, -1, 10_000) == rows
        then = ((key, old.state(root).get(key)) for key, _ in old.flat_state(b""))
        assert list(new.flat_state(b"")) == [row for row in then if row[1] is not None]
        key = entry_key("schemas", "id-7-1")
        assert new.state(root).get(key) == old.state(root).get(key) is not None


@pytest.mark.usefixtures("_small_parts")
def test_a_copy_goes_on_like_the_original(tmp_path: Path) -> None:
    """The same later blocks give the same ledger; old and new events are proven from genesis."""
    with (
        make_source(tmp_path / "source", 12) as source,
        copy_all(source, tmp_path / "copy") as copy,
    ):
        with source.read() as old, copy.read() as new:
            assert old.head_height() == new.head_height() + 2  # without the header that certifies
        for number in (12, 13):
            grow(source, sample_rows(number), number)
        follow(copy, source)
        with source.read() as old, copy.read() as new:
            assert new.head() == old.head()
            assert new.root(new.head_height()) == old.root(old.head_height())
            for sequence in (0, 100, new.head().log_size - 2 * BLOCK_EVENTS - 1):
                bundle = build_bundle(new, SequenceNumber(sequence))
                assert bundle is not None
                assert verify_bundle(bundle, GENESIS).entry == old.entry(SequenceNumber(sequence))


def test_what_lies_below_a_copy_is_known_as_far_as_it_was_verified(
    source: ChainStore, tmp_path: Path
) -> None:
    """Recent blocks are there, earlier ones and ledgers are not; old events count as its own."""
    with copy_all(source, tmp_path / "copy") as copy, copy.read() as new, source.read() as old:
        height = new.head_height()
        assert new.first_height() == height
        assert old.first_height() == 0
        assert new.block(Height(height - KEPT)) is None
        for kept in range(height - KEPT + 1, height + 1):
            block = old.block(Height(kept))
            assert new.block(Height(kept)) == block is not None
            assert all(new.is_ordered(id_) and not new.has_batch(id_) for id_ in block.payload)
        assert new.root(Height(height - 1)) is None
        assert new.height_of(SequenceNumber(0)) == height
        assert new.first_height_at(0) == height
        assert new.open_batches(Epoch(0)) == []
        assert build_bundle(new, SequenceNumber(0)) is None


def test_a_copy_can_be_copied(source: ChainStore, tmp_path: Path) -> None:
    """A member that joined helps the next one, as soon as a later header is certified."""
    with copy_all(source, tmp_path / "copy") as copy:
        with copy.read() as reader:
            assert new_manifest(reader) is None
        follow(copy, source, 1)  # its header carries a ledger from before the copy
        with copy.read() as reader:
            assert new_manifest(reader) is None
        follow(copy, source)
        with copy_all(copy, tmp_path / "second") as second, second.read() as reader:
            assert new_manifest(reader) is None
            assert copy_size(second) == copy_size(copy) - 2 * BLOCK_EVENTS


@pytest.mark.parametrize("skipped", [1, 2])
def test_blocks_above_the_copy_are_not_taken_for_its_own(
    source: ChainStore, tmp_path: Path, skipped: int
) -> None:
    """What certifies the ledger is fetched with the blocks and left to block sync."""
    with copy_all(source, tmp_path / "copy") as copy, copy.read() as reader:
        above = Height(reader.head_height() + skipped)
        assert reader.block(above) is None
        assert reader.root(above) is None


def copy_size(store: ChainStore) -> int:
    """Give the number of events."""
    with store.read() as reader:
        return reader.head().log_size


@pytest.mark.usefixtures("_small_parts")
def test_an_interrupted_copy_goes_on_where_it_was(source: ChainStore, tmp_path: Path) -> None:
    """Closed and opened at any point, a copy keeps what was verified and wants the rest."""
    path = tmp_path / "copy"
    with source.read() as reader:
        with open_copy(path) as copy:
            assert copy.manifest is None
            copy.begin(manifest_of(reader))
        with open_copy(path) as copy:
            assert copy.manifest == manifest_of(reader)
            copy_blocks(reader, copy)
            copy_state(reader, copy, parts=2)
            node = copy.next_node
        with open_copy(path) as copy:
            assert copy.next_block is None
            assert copy.next_node == node is not None
            copy_state(reader, copy)
            copy_log(reader, copy, until=100)
            log_size = copy.log_size
        with open_copy(path) as copy:
            assert copy.log_size == log_size >= 100
            assert not copy.is_complete
            with pytest.raises(InvariantError):
                copy.finish()
            copy_log(reader, copy)
            copy.finish()
        with ChainStore.open(path, GENESIS) as store:
            assert copy_size(store) == manifest_of(reader).root.log_size


def test_an_unfinished_copy_is_no_chain_store(source: ChainStore, tmp_path: Path) -> None:
    """Nobody starts a node from half a ledger, and nobody continues another network's."""
    with open_copy(tmp_path) as copy, source.read() as reader:
        copy.begin(manifest_of(reader))
    with pytest.raises(StorageError, match="never completed"):
        ChainStore.open(tmp_path, GENESIS)
    with pytest.raises(StorageError, match="another network"):
        type(copy).open(tmp_path, network("other"), lambda _count: KEPT)


def test_a_short_chain_is_copied_whole(tmp_path: Path) -> None:
    """A chain with fewer blocks than are needed is copied down to its first one."""
    with (
        make_source(tmp_path / "source", 3) as source,
        copy_all(source, tmp_path / "copy") as copy,
        copy.read() as new,
        source.read() as old,
    ):
        for height in range(1, new.head_height() + 1):
            assert new.block(Height(height)) == old.block(Height(height)) is not None


def test_parts_keep_their_limits(source: ChainStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """A part ends with the item that reaches the bytes, and at so many items; never empty."""
    with source.read() as reader:
        size = reader.head().log_size
        for count in (1, 2, 3):
            monkeypatch.setattr("ledger.core.snapshot.SNAPSHOT_CHUNK_ITEMS", count)
            part, blocks = read_log(reader, SequenceNumber(5), size), read_blocks(reader, Height(9))
            assert part is not None
            assert blocks is not None
            assert len(part.entries) == len(blocks.blocks) == count
        length = len(reader.entry(SequenceNumber(5)) or b"")
        for limit, count in ((1, 1), (length, 1), (length + 1, 2)):
            monkeypatch.setattr("ledger.core.snapshot.SNAPSHOT_CHUNK_BYTES", limit)
            part = read_log(reader, SequenceNumber(5), size)
            assert part is not None
            assert len(part.entries) == count
        assert read_log(reader, SequenceNumber(size), size) is None
        assert read_blocks(reader, Height(10_000)) is None
        assert msgspec.structs.asdict(manifest_of(reader))["epoch_ends"] == ()
