"""Writing the chain store: one transaction of one thread.

Owns all code that changes ``chain/`` but ``chain_pruning``, which forgets contents. A block's
data, ledger root, log, indexes, tiles and state go into one transaction, so that a store never
holds a part of a block. Until the commit the writer is itself a ``LedgerView`` of the uncommitted
ledger: block after block can be executed on it and made durable together.

Invariants, asserted at each write: blocks are applied without gaps on their own parent, the log
grows by what the block accepted, and nothing stored is ever changed.
"""

from collections import Counter, abc

import lmdb

from ledger.core.block import Block, LedgerRoot
from ledger.core.certificate import QuorumCertificate
from ledger.core.codec import encode
from ledger.core.epoch import EpochStart, epochs_codec
from ledger.core.errors import InvariantError, RejectCode
from ledger.core.event import id_of_key
from ledger.core.execute import AcceptedEvents, BlockResult
from ledger.core.hashing import derived_digest
from ledger.core.ids import BatchId, Epoch, EventKey, Height, Sequence
from ledger.core.limits import EVIDENCE_COUNT_MAX, INDEX_KEY_BYTES_MAX
from ledger.core.scanning import Scan
from ledger.core.state import StateView
from ledger.core.tlog.checkpoint import StoredCheckpoint, checkpoints_codec
from ledger.core.validators import Validator
from ledger.io.batch_appender import FILED_BYTES_MIN, BatchAppender
from ledger.io.chain_reader import ChainReader
from ledger.io.chain_schema import (
    BATCH_END_KEY,
    CHECKPOINT_KEY,
    EVENT_ROW_EVENTS_MAX,
    LOG_ROW_PLACES_MAX,
    POSTING_NUMBERS_MAX,
    Evidence,
    StoredHead,
    StoredRefusal,
    Tables,
    evidence_codec,
    index_key,
    number_key,
    posting_count,
    read_number,
    tile_key,
)
from ledger.io.environment import Table
from ledger.io.hash_index import HashWriter
from ledger.native.event_rows import EventRows
from ledger.native.scan_rows import log_rows, posting_rows

__all__ = ["ChainWriter", "put_epoch", "put_ledger", "put_log"]

_evidence_digest = derived_digest("evidence")


class ChainWriter:
    """The write transaction under way. Get one from ``ChainStore.write``.

    Attributes:
        chain_id: the network that events must name.
        ordered: the batches that blocks named which were applied here.
        reader: reads the uncommitted state.
        root: the ledger after the last block, applied here or before.
        state: the state under it.
    """

    __slots__ = (
        "_appender",
        "_epoch",
        "_has_appended",
        "_head_id",
        "_tables",
        "_transaction",
        "chain_id",
        "ordered",
        "reader",
        "root",
        "state",
    )

    def __init__(
        self,
        chain_id: str,
        tables: Tables,
        transaction: "lmdb.Transaction[memoryview]",
        reader: ChainReader,
        appender: BatchAppender,
    ) -> None:
        self._tables = tables
        self._transaction = transaction
        self.chain_id = chain_id
        self.reader = reader
        self._appender = appender
        self._has_appended = False
        self.ordered: list[BatchId] = []
        head = reader.stored_head(reader.head_height())
        self._head_id = head.block_id
        self._epoch = reader.epoch_start().number
        self.root: LedgerRoot = head.root
        self.state: StateView = reader.state(head.root)

    # --- the uncommitted ledger (LedgerView) ----------------------------------------------

    def read_tile(self, level: int, index: int) -> bytes:
        """Give the hashes that a tile of the log holds, ``b""`` when there is none."""
        return self.reader.read_tile(level, index)

    def read_node(self, node_hash: bytes) -> bytes:
        """Give one node of the state map, ``b""`` when there is none."""
        return self.reader.read_node(node_hash)

    def known_events(self, keys: abc.Sequence[EventKey]) -> set[EventKey]:
        """Give those of the events that the log holds."""
        return self.reader.known_events(keys)

    def read_batch(self, batch_id: BatchId) -> bytes | None:
        """Give an encoded batch, or None."""
        return self.reader.batch(batch_id)

    # --- changes --------------------------------------------------------------------------

    def store_batch(self, batch_id: BatchId, batch: bytes) -> None:
        """Keep a batch; ``batch_id`` must be its digest. Keeping it again changes nothing."""
        value = batch
        if len(batch) >= FILED_BYTES_MIN:
            if self.reader.has_batch(batch_id):
                return
            value = self._append(batch_id, batch)
        is_new = self._transaction.put(batch_id, value, db=self._tables.batches, overwrite=False)
        if is_new:
            self._transaction.put(batch_id, number_key(self._epoch), db=self._tables.unordered)

    def sync_files(self) -> None:
        """Make durable what rows of this transaction refer to; the last call before its commit."""
        if self._has_appended:
            end = self._appender.sync()
            self._transaction.put(BATCH_END_KEY, end.pack(), db=self._tables.meta)

    def apply(self, result: BlockResult, certificate: QuorumCertificate | None = None) -> None:
        """Write what the next block did.

        Args:
            result: of ``execute_block`` on this writer, after the block's batches were stored.
            certificate: commits exactly this block, or None.

        Raises:
            InvariantError: the block does not follow the last one, or the parts disagree.
        """
        block = self._check(result, certificate)
        self._put_block(result, block, certificate)
        self._put_log(result)
        self._put_refusals(result)
        for (level, index), tile in result.tiles.items():
            self._transaction.put(tile_key(level, index), tile, db=self._tables.tiles)
        if result.validators is not None:
            self._begin_epoch(result, block, result.validators)
        self._head_id = result.block_id
        self.root = result.root
        self.state = self.reader.state(result.root, self.state.memory.after(result.changes))

    def put_evidence(self, evidence: Evidence) -> None:
        """Keep evidence once; beyond the limit no more is taken: some is enough to judge."""
        if self._transaction.stat(self._tables.evidence)["entries"] >= EVIDENCE_COUNT_MAX:
            return
        encoded = evidence_codec.encode(evidence)
        self._transaction.put(_evidence_digest(encoded), encoded, db=self._tables.evidence)

    def put_checkpoint(self, checkpoint: StoredCheckpoint) -> None:
        """Keep the newest checkpoint in place of an older one.

        Raises:
            InvariantError: it is of a longer log than this one.
        """
        if checkpoint.log_size > self.root.log_size:
            raise InvariantError(f"a checkpoint of {checkpoint.log_size} entries is ahead")
        encoded = checkpoints_codec.encode(checkpoint)
        self._transaction.put(CHECKPOINT_KEY, encoded, db=self._tables.meta)

    def regroup_index(self) -> None:
        """Bring the hash index into the levels of this release; it costs no more than its state."""
        HashWriter(self._tables.hashes, self._tables.meta, self._transaction).regroup()

    # --- helpers --------------------------------------------------------------------------

    def _append(self, batch_id: BatchId, batch: bytes) -> bytes:
        """Append a large batch to the files; give the value of its row."""
        if not self._has_appended:
            self._appender.begin(self.reader.batch_end())
            self._has_appended = True
        place = self._appender.append(batch)
        self._tables.batch_files.remember(batch_id, batch)
        return place.pack()

    def _begin_epoch(
        self, result: BlockResult, block: Block, members: tuple[Validator, ...]
    ) -> None:
        """Write how the next epoch begins, and forget open batches of those before this one."""
        start = self.reader.epoch_start()
        if start.number != block.epoch:
            raise InvariantError(f"block {result.height} ends another epoch than {start.number}")
        self._epoch = Epoch(block.epoch + 1)
        height, id_ = Height(result.height), result.block_id
        new = EpochStart(start.genesis_hash, self._epoch, height, id_, block.time_ms, members)
        put_epoch(self._tables, self._transaction, new)
        for batch_id, epoch in self.reader.unordered():
            if epoch < block.epoch:
                self._transaction.delete(batch_id, db=self._tables.unordered)
                self._transaction.delete(batch_id, db=self._tables.batches)

    def _check(self, result: BlockResult, certificate: QuorumCertificate | None) -> Block:
        """Compare a result with the ledger that it shall follow and its parts with each other."""
        block, root = result.block, result.root
        if block is None or block.parent_id != self._head_id:
            raise InvariantError(f"block {result.height} is not a child of the last block")
        heights = {self.root.height + 1, result.height, block.height, root.height}
        if len(heights) != 1:
            raise InvariantError(f"block {result.height} does not follow {self.root.height}")
        if root.log_size != self.root.log_size + len(result.accepted):
            raise InvariantError(f"block {result.height} miscounts its events")
        commit = None if certificate is None else certificate.commit
        if certificate is not None and (
            commit is None or commit.block_id != result.block_id or commit.height != result.height
        ):
            raise InvariantError(f"the certificate does not commit block {result.height}")
        return block

    def _put_block(
        self, result: BlockResult, block: Block, certificate: QuorumCertificate | None
    ) -> None:
        put, tables, height = self._transaction.put, self._tables, number_key(result.height)
        put_ledger(tables, self._transaction, result)
        put(height, encode(block), db=tables.blocks, append=True)
        if certificate is not None:
            put(height, encode(certificate), db=tables.certificates, append=True)
        for batch_id in block.payload:
            if not self.reader.has_batch(batch_id):
                raise InvariantError(f"batch {batch_id.hex()} of a final block is not stored")
            put(batch_id, height, db=tables.ordered, overwrite=False)
            self._transaction.delete(batch_id, db=tables.unordered)
        self.ordered += block.payload

    def _put_log(self, result: BlockResult) -> None:
        """Write the log, the event ids and the indexes of the accepted events."""
        if result.accepted:
            put_log(self._tables, self._transaction, result.accepted, result.height)
            self._read_back(result.accepted)

    def _put_refusals(self, result: BlockResult) -> None:
        """Write a receipt for each event that was refused and is not in the log.

        Of one that stands in the block several times it says why it was refused, not that it
        stands there again: who published it takes a duplicate for an accepted one.
        """
        told = {key for key, code in result.refused if code is not RejectCode.DUPLICATE}
        keys = [key for key, _ in result.refused if key is not None]
        accepted = self.reader.known_events(keys)
        for key, code in result.refused:
            if key is None or key in accepted or (code is RejectCode.DUPLICATE and key in told):
                continue
            refusal = StoredRefusal(code, Height(result.height))
            self._transaction.put(id_of_key(key), encode(refusal), db=self._tables.refused)

    def _read_back(self, accepted: AcceptedEvents) -> None:
        """Check that the last stored place leads to its entry: offsets are computed, not parsed."""
        sequence = Sequence(accepted.first + len(accepted) - 1)
        if self.reader.entry(sequence) != accepted.scan.last_entry():
            raise InvariantError(f"entry {sequence} is not where the log says")


def put_log(
    tables: Tables,
    transaction: "lmdb.Transaction[memoryview]",
    accepted: AcceptedEvents,
    height: Height,
) -> None:
    """Write the log, the event ids and the indexes of events, table by table.

    Raises:
        InvariantError: one of them was stored before.
    """
    scan, first = accepted.scan, accepted.first
    places = log_rows(scan, first, accepted.batch_ids, number_key(height), LOG_ROW_PLACES_MAX)
    _put_all(transaction, tables.log, places, append=True)
    _put_events(transaction, tables.events, scan, first)
    indexes = (
        ("topic", tables.topics),
        ("publisher", tables.publishers),
        ("type", tables.types),
    )
    for field, table in indexes:
        rows = posting_rows(
            scan, field, first, POSTING_NUMBERS_MAX, INDEX_KEY_BYTES_MAX, _index_key
        )
        _put_all(transaction, table, rows, append=True)
        if table is tables.topics:
            _count_topics(tables, transaction, rows)
    hashes = HashWriter(tables.hashes, tables.meta, transaction)
    hashes.add(scan, first, first + len(accepted) - 1)


def _count_topics(
    tables: Tables,
    transaction: "lmdb.Transaction[memoryview]",
    rows: list[tuple[bytes, bytes]],
) -> None:
    """Add the events of new rows of the index to the counts of their topics."""
    added: Counter[bytes] = Counter()
    for key, row in rows:
        added[key] += posting_count(row)
    for key, count in added.items():
        stored = transaction.get(key, db=tables.topic_counts)
        before = 0 if stored is None else read_number(stored)
        transaction.put(key, number_key(before + count), db=tables.topic_counts)


def _put_events(
    transaction: "lmdb.Transaction[memoryview]", table: Table, scan: Scan, first: Sequence
) -> None:
    """Put the open entries of a scan into the rows where they belong, or behind the last one."""
    count_max = EVENT_ROW_EVENTS_MAX
    try:
        events = EventRows(scan, first)
        with transaction.cursor(table) as cursor:
            while (key := events.key) is not None:
                if cursor.set_range(key):
                    rows = events.join(cursor.key(), cursor.value(), count_max)
                elif cursor.last():
                    rows = events.append(cursor.key(), cursor.value(), count_max)
                    cursor.delete()
                else:
                    rows = events.append(b"", b"", count_max)
                cursor.putmulti(rows)
    except KeyError as error:
        raise InvariantError("an event was stored before") from error
    except ValueError as error:
        raise lmdb.CorruptedError(f"the table of events is damaged: {error}") from error


def _put_all(
    transaction: "lmdb.Transaction[memoryview]",
    table: Table,
    rows: list[tuple[bytes, bytes]],
    *,
    append: bool = False,
) -> None:
    """Put rows, which come in the order of their keys."""
    with transaction.cursor(table) as cursor:
        _, added = cursor.putmulti(rows, append=append)
    if added != len(rows):
        raise InvariantError("a row was stored before")


def put_epoch(
    tables: Tables, transaction: "lmdb.Transaction[memoryview]", start: EpochStart
) -> None:
    """Write how an epoch begins."""
    key = number_key(start.number)
    transaction.put(key, epochs_codec.encode(start), db=tables.epochs, append=True)


def put_ledger(
    tables: Tables, transaction: "lmdb.Transaction[memoryview]", result: BlockResult
) -> None:
    """Write what every height has, genesis too: its identity, its roots and new state."""
    height = number_key(result.height)
    head = StoredHead(result.block_id, result.time_ms, result.root)
    transaction.put(height, encode(head), db=tables.heads, append=True)
    transaction.put(result.block_id, height, db=tables.heights)
    for node_hash, node in result.nodes.items():
        transaction.put(node_hash, node, db=tables.nodes)
    for key, value in result.changes.items():
        transaction.put(key, value, db=tables.flat)


def _index_key(value: bytes) -> bytes:
    return index_key(value.decode())
