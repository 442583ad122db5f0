"""A chain store that is being made from a snapshot, in a directory of its own until it is whole.

Owns the order of the pieces (manifest, blocks, state, log), their verification before anything
is kept, and how far it got, so that an interrupted one goes on where it was. It becomes a chain
store by ``finish`` and until then no program takes it for one.

Everything derived is made here from verified bytes: tiles, indexes, the flat state. Entries are
packed into batches of our own, because the log only says where each entry's bytes are.
"""

import struct
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final, Self

import lmdb

from ledger.core.block import Batch, Block, batch_id, block_id
from ledger.core.codec import Codec, Record, encode
from ledger.core.errors import DecodeError, InvariantError, ProofError
from ledger.core.execute import AcceptedEvents, genesis_result
from ledger.core.genesis import Genesis
from ledger.core.ids import Height, NodeIndex
from ledger.core.ids import Sequence as SequenceNumber
from ledger.core.limits import (
    BATCH_BYTES_MAX,
    BATCH_ENTRIES_MAX,
    SNAPSHOT_COMMIT_BYTES,
    STORE_MAP_BYTES,
)
from ledger.core.scanning import scan_batches
from ledger.core.snapshot import (
    BlockLink,
    Blocks,
    LogPart,
    PendingNode,
    StatePart,
    verify_blocks,
    verify_log,
    verify_state_part,
)
from ledger.core.snapshot_manifest import Manifest, epoch_starts, verify_manifest
from ledger.core.statemap_node import Leaf
from ledger.io.chain_schema import (
    GENESIS_KEY,
    StoredHead,
    Tables,
    blocks_codec,
    genesis_codec,
    number_key,
    read_number,
    tile_key,
)
from ledger.io.chain_writer import put_epoch, put_ledger, put_log
from ledger.io.environment import Environment
from ledger.io.errors import StorageError, damaged
from ledger.io.hash_index import HashWriter

__all__ = ["SnapshotStore"]

_KIND: Final = "chain"
_PROGRESS_KEY: Final = b"snapshot"


class _Progress(Record, frozen=True):
    """How far the pieces before the log have come.

    Attributes:
        wanted: the next block, or None when there are enough; nodes: see ``verify_state_part``.
    """

    manifest: Manifest
    wanted: BlockLink | None
    nodes: tuple[PendingNode, ...]


_progress_codec = Codec(_Progress)


class SnapshotStore:
    """The store under construction. One process, one thread.

    Attributes:
        path: its directory; genesis: the network.
        log_size: verified entries so far.
    """

    def __init__(
        self, environment: Environment, genesis: Genesis, blocks_count: Callable[[int], int]
    ) -> None:
        """Hold an open environment. Use ``open``."""
        self.path = environment.path
        self._environment = environment
        self.genesis = genesis
        self._blocks_count = blocks_count
        self._tables = Tables(environment, create=True)
        self._waiting: list[bytes] = []
        self._waiting_bytes = 0
        self._tiles: dict[tuple[int, int], bytes] = {}
        self._progress, self._stored = self._load()
        self.log_size = self._stored

    @classmethod
    def open(
        cls,
        path: Path,
        genesis: Genesis,
        blocks_count: Callable[[int], int],
        *,
        map_bytes: int = STORE_MAP_BYTES,
    ) -> Self:
        """Begin one at ``path``, or go on with what is there.

        Args:
            blocks_count: gives, for a number of validators, how many blocks up to the ledger's
                height are needed, where there are so many.

        Raises:
            StorageError: it is in use, complete, of another network, or cannot be written.
        """
        environment = Environment.create(path, _KIND, map_bytes)
        try:
            return cls(environment, genesis, blocks_count)
        except BaseException:
            environment.close()
            raise

    def close(self) -> None:
        """Keep what was verified and close the store."""
        try:
            self._write_log()
        finally:
            self._environment.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()

    # --- what is wanted -------------------------------------------------------------------

    @property
    def manifest(self) -> Manifest | None:
        """The ledger that is being copied, or None before ``begin``."""
        return None if self._progress is None else self._progress.manifest

    @property
    def next_block(self) -> BlockLink | None:
        """The next block wanted, None when there are enough."""
        return self._begun.wanted

    @property
    def next_node(self) -> PendingNode | None:
        """The next node of the state wanted, None when all are here."""
        nodes = self._begun.nodes
        return nodes[-1] if nodes else None

    @property
    def is_complete(self) -> bool:
        """Whether every piece is here."""
        begun = self._begun
        return not (begun.wanted or begun.nodes) and self.log_size == begun.manifest.root.log_size

    # --- pieces ---------------------------------------------------------------------------

    def begin(self, manifest: Manifest) -> None:
        """Decide which ledger is copied.

        Raises:
            ProofError: the network did not agree on it.
        """
        verify_manifest(manifest, self.genesis)
        header, root = manifest.header, manifest.root
        wanted = BlockLink(Height(header.height - 1), header.parent_id)
        nodes = (PendingNode("", root.state_root),)
        with self._environment.write() as transaction:
            genesis = genesis_codec.encode(self.genesis)
            transaction.put(GENESIS_KEY, genesis, db=self._tables.meta)
            HashWriter.create(self._tables.meta, transaction)
            put_ledger(self._tables, transaction, genesis_result(self.genesis))
            self._put_epochs(transaction, manifest)
            self._put_progress(transaction, _Progress(manifest, wanted, nodes))

    def add_blocks(self, part: Blocks) -> None:
        """Take the next blocks, the highest first; more than are wanted do no harm.

        Raises:
            ProofError: one is not of the certified chain. Nothing of the part is kept.
        """
        begun, height = self._begun, self._begun.manifest.root.height
        if begun.wanted is None:
            raise InvariantError("no more blocks are wanted")
        validators = epoch_starts(begun.manifest, self.genesis)[-1].members
        lowest = max(1, height - self._blocks_count(len(validators)) + 1)
        following = verify_blocks(begun.wanted, part.blocks, self.genesis)
        link = following if following.height >= lowest else None
        tables = self._tables
        with self._environment.write() as transaction:
            for block in part.blocks:
                # Above are the blocks that certify the ledger, which peers have.
                if not lowest <= block.height <= height:
                    continue
                key = self._put_block(transaction, block)
                for batch in block.payload:
                    # The lowest block that names a batch counts, and it comes last.
                    transaction.put(batch, key, db=tables.ordered)
            self._put_progress(transaction, _Progress(begun.manifest, link, begun.nodes))

    def add_state(self, part: StatePart) -> None:
        """Take the next nodes of the state.

        Raises:
            ProofError: one is not of the certified state. Nothing of the part is kept.
        """
        begun, tables = self._begun, self._tables
        found, left = verify_state_part(begun.nodes, part.nodes)
        with self._environment.write() as transaction:
            for item in found:
                transaction.put(item.hash, item.encoded, db=tables.nodes)
                if isinstance(item.node, Leaf):
                    transaction.put(item.node.key, item.node.value, db=tables.flat)
            progress = _Progress(begun.manifest, begun.wanted, tuple(left))
            self._put_progress(transaction, progress)

    def add_log(self, part: LogPart) -> None:
        """Take the next entries; they are written with later ones, when the store is closed.

        Raises:
            ProofError: one is not of the certified log. Nothing of the part is kept.
        """
        self._tiles |= verify_log(self._read_tile, self.log_size, part, self._begun.manifest.root)
        self._waiting += part.entries
        self._waiting_bytes += sum(map(len, part.entries))
        self.log_size += len(part.entries)
        if self._waiting_bytes >= SNAPSHOT_COMMIT_BYTES:
            self._write_log()

    def finish(self) -> None:
        """Make it a chain store. It can be opened as one after ``close``.

        Raises:
            InvariantError: something is missing.
        """
        if not self.is_complete:
            raise InvariantError("the snapshot is not complete")
        self._write_log()
        root, tables = self._begun.manifest.root, self._tables
        key = number_key(root.height)
        with self._environment.write() as transaction:
            stored = transaction.get(key, db=tables.blocks)
            if stored is None:
                raise InvariantError(f"the snapshot has no block {root.height}")
            block = blocks_codec.decode(bytes(stored))
            head = StoredHead(block_id(block), block.time_ms, root)
            transaction.put(key, encode(head), db=tables.heads, append=True)
            transaction.delete(_PROGRESS_KEY, db=tables.meta)
            self._environment.seal(transaction)
        self._environment.sync_directory()

    # --- helpers --------------------------------------------------------------------------

    @property
    def _begun(self) -> _Progress:
        if self._progress is None:
            raise InvariantError("the snapshot was not begun")
        return self._progress

    def _load(self) -> tuple[_Progress | None, int]:
        """Read how far it is: before the log, and in the log."""
        with self._environment.read() as transaction:
            stored = transaction.get(_PROGRESS_KEY, db=self._tables.meta)
            genesis = transaction.get(GENESIS_KEY, db=self._tables.meta)
            if stored is None or genesis is None:
                return None, 0
            if bytes(genesis) != genesis_codec.encode(self.genesis):
                raise StorageError(
                    self.path, "it was begun for another network", "Delete the directory"
                )
            try:
                progress = _progress_codec.decode(bytes(stored))
                with transaction.cursor(self._tables.log) as cursor:
                    return progress, read_number(cursor.key()) + 1 if cursor.last() else 0
            except (DecodeError, struct.error) as error:
                raise damaged(self.path, str(error)) from error

    def _put_epochs(self, transaction: "lmdb.Transaction[memoryview]", manifest: Manifest) -> None:
        """Write how each epoch began and what proves it: this member will be asked for that too."""
        for start in epoch_starts(manifest, self.genesis):
            put_epoch(self._tables, transaction, start)
        for end in manifest.epoch_ends:
            key = self._put_block(transaction, end.last)
            transaction.put(key, encode(end.ending.certificate), db=self._tables.certificates)

    def _put_block(self, transaction: "lmdb.Transaction[memoryview]", block: Block) -> bytes:
        """Write a block; give the key of its height."""
        key = number_key(block.height)
        transaction.put(key, encode(block), db=self._tables.blocks)
        transaction.put(block_id(block), key, db=self._tables.heights)
        return key

    def _put_progress(
        self, transaction: "lmdb.Transaction[memoryview]", progress: _Progress
    ) -> None:
        transaction.put(_PROGRESS_KEY, encode(progress), db=self._tables.meta)
        self._progress = progress

    def _read_tile(self, level: int, index: int) -> bytes:
        tile = self._tiles.get((level, index))
        if tile is None:
            with self._environment.read() as transaction:
                tile = bytes(transaction.get(tile_key(level, index), b"", db=self._tables.tiles))
        return tile

    def _write_log(self) -> None:
        """Write the entries that wait, with their tiles and indexes."""
        if not self._waiting:
            return
        batches = [encode(batch) for batch in _packed(self._waiting, self._stored)]
        ids = [batch_id(batch) for batch in batches]
        accepted = AcceptedEvents(SequenceNumber(self._stored), ids, scan_batches(batches))
        if len(accepted) != len(self._waiting):
            raise ProofError("the certified log holds what this version does not take for events")
        tables, height = self._tables, self._begun.manifest.root.height
        with self._environment.write() as transaction:
            for id_, batch in zip(ids, batches, strict=True):
                transaction.put(id_, batch, db=tables.batches)
            put_log(tables, transaction, accepted, height)
            for (level, index), tile in self._tiles.items():
                transaction.put(tile_key(level, index), tile, db=tables.tiles)
        self._stored = self.log_size
        self._waiting, self._waiting_bytes, self._tiles = [], 0, {}


def _packed(entries: Sequence[bytes], first: int) -> Iterator[Batch]:
    """Pack entries, the first of which has the sequence ``first``, into batches."""
    held: list[bytes] = []
    size = 0
    for entry in entries:
        if held and (size + len(entry) > BATCH_BYTES_MAX or len(held) == BATCH_ENTRIES_MAX):
            yield Batch(NodeIndex(0), first, tuple(held))
            first, held, size = first + len(held), [], 0
        held.append(entry)
        size += len(entry)
    yield Batch(NodeIndex(0), first, tuple(held))
