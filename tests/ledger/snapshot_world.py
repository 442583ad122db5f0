"""A chain worth copying, and a copy of it made piece by piece as a joining member makes it."""

from collections.abc import Sequence
from pathlib import Path

import msgspec

from ledger.core.block import Block, block_id
from ledger.core.execute import execute_block
from ledger.core.ids import Height
from ledger.core.ids import Sequence as SequenceNumber
from ledger.core.snapshot import read_blocks, read_log, read_state
from ledger.core.snapshot_manifest import Manifest, new_manifest
from ledger.core.trust.operations import ChangeList, PutEntry
from ledger.io.chain_reader import ChainReader
from ledger.io.chain_store import ChainStore
from ledger.io.chain_writer import ChainWriter
from ledger.io.snapshot_store import SnapshotStore
from tests.ledger.sample_network import (
    GENESIS,
    batch,
    block_after,
    certificate_of,
    entry,
)
from tests.ledger.trust.test_application import operation_entry

BLOCKS = 40
BLOCK_EVENTS = 16
KEPT = 20


def grow(store: ChainStore, rows: Sequence[bytes], number: int) -> None:
    """Apply the next block, certified, with one batch of these entries."""
    with store.write() as writer:
        payload = []
        if rows:
            id_, encoded = batch(rows, number)
            writer.store_batch(id_, encoded)
            payload.append(id_)
        _, block = block_after(writer.root, writer.reader.head().block_id, payload)
        # As in a network: a header carries the ledger of two blocks before it.
        executed = Height(max(0, block.height - 2))
        root = writer.reader.root(executed)
        assert root is not None
        block = msgspec.structs.replace(block, executed_height=executed, ledger_root=root.digest)
        apply(writer, block)


def apply(writer: ChainWriter, block: Block) -> None:
    """Execute and apply a block, certified."""
    id_ = block_id(block)
    result = execute_block(writer, id_, block, lambda _: True)
    assert not result.refused
    writer.apply(result, certificate_of(id_, block.height))


def follow(store: ChainStore, source: ChainStore, count: int = 1_000) -> None:
    """Apply the next blocks of ``source`` that ``store`` lacks, as block sync does."""
    with source.read() as reader, store.write() as writer:
        missing = range(writer.root.height + 1, reader.head_height() + 1)
        for height in missing[:count]:
            block = reader.block(Height(height))
            assert block is not None
            for id_ in block.payload:
                writer.store_batch(id_, reader.batch(id_) or b"")
            apply(writer, block)


def sample_rows(height: int) -> list[bytes]:
    """Give the entries of a block: events of some topics and subjects, and a change of a list."""
    numbers = range(height * BLOCK_EVENTS, (height + 1) * BLOCK_EVENTS - 1)
    rows = [
        entry(n, topic=f"catalog.t{n % 5}", subject=f"urn:s:{n % 7}" * (n % 3 * 30))
        for n in numbers
    ]
    puts = tuple(PutEntry(f"id-{height % 30}-{k}", "schema", b"{}", 0, 0, None) for k in range(4))
    return [*rows, operation_entry(ChangeList("schemas", puts), height)]


def make_source(path: Path, blocks: int = BLOCKS) -> ChainStore:
    """Make a chain of so many full blocks; every fourth is followed by an empty one."""
    store = ChainStore.create(path, GENESIS)
    for height in range(blocks):
        grow(store, sample_rows(height), height)
        if height % 4 == 0:
            grow(store, [], 0)
    return store


def manifest_of(reader: ChainReader) -> Manifest:
    """Give the manifest of the newest ledger."""
    manifest = new_manifest(reader)
    assert manifest is not None
    return manifest


def open_copy(path: Path) -> SnapshotStore:
    """Open a copy that keeps KEPT blocks."""
    return SnapshotStore.open(path, GENESIS, lambda _count: KEPT)


def copy_blocks(reader: ChainReader, copy: SnapshotStore) -> None:
    """Copy all blocks."""
    while copy.next_block is not None:
        blocks = read_blocks(reader, copy.next_block.height)
        assert blocks is not None
        copy.add_blocks(blocks)


def copy_state(reader: ChainReader, copy: SnapshotStore, parts: int = 1_000) -> None:
    """Copy the state, at most so many parts of it."""
    assert copy.manifest is not None
    while copy.next_node is not None and parts:
        part = read_state(reader.read_node, copy.manifest.root.state_root, copy.next_node.path)
        assert part is not None
        copy.add_state(part)
        parts -= 1


def copy_log(reader: ChainReader, copy: SnapshotStore, until: int | None = None) -> None:
    """Copy the log, or the parts that begin below ``until``."""
    assert copy.manifest is not None
    size = copy.manifest.root.log_size
    while copy.log_size < (size if until is None else until):
        part = read_log(reader, SequenceNumber(copy.log_size), size)
        assert part is not None
        copy.add_log(part)


def copy_all(source: ChainStore, path: Path) -> ChainStore:
    """Copy the newest ledger of ``source`` and open it as a chain store."""
    with open_copy(path) as copy:
        with source.read() as reader:
            copy.begin(manifest_of(reader))
            copy_blocks(reader, copy)
            copy_state(reader, copy)
            copy_log(reader, copy)
        copy.finish()
    return ChainStore.open(path, GENESIS)


def tiles_of(reader: ChainReader, log_size: int) -> dict[tuple[int, int], bytes]:
    """Give every tile of the log, cut to what ``log_size`` entries need."""
    tiles = {}
    level, count = 0, log_size
    while count:
        for index in range(-(-count // 256)):
            width = min(256, count - 256 * index)
            tiles[level, index] = reader.read_tile(level, index)[: 32 * width]
        level, count = level + 1, count >> 8
    return tiles
