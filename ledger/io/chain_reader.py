"""Reading the chain store: one consistent snapshot of everything that it holds.

Owns every question that can be asked of the store. It never changes anything and returns copies,
so that what it gave outlives it. The snapshot itself should be short: while it is open, LMDB
cannot reuse the pages that it may still look at.

Whatever is stored was checked when it was written. Bytes that are not what was written are
damage of the disk: ``StorageError``.
"""

import struct
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

import lmdb

from ledger.core.block import Block, LedgerRoot
from ledger.core.certificate import QuorumCertificate
from ledger.core.codec import Codec
from ledger.core.epoch import EpochStart, epochs_codec
from ledger.core.errors import DecodeError, Forgotten
from ledger.core.event import open_entry
from ledger.core.ids import BatchId, BlockId, Epoch, EventId, Height, Sequence
from ledger.core.limits import EVENT_AGE_MS_MAX, STATES_REMEMBERED_MAX
from ledger.core.state import StateMemory, StateView
from ledger.core.tlog.checkpoint import StoredCheckpoint, checkpoints_codec
from ledger.core.trust.membership import pending_set_hash
from ledger.io.batch_files import End, Place
from ledger.io.chain_scan import LogIndex, Selection, scan
from ledger.io.chain_schema import (
    BATCH_END_KEY,
    CHECKPOINT_KEY,
    ChainHead,
    Evidence,
    Receipt,
    StoredHead,
    Tables,
    blocks_codec,
    certificates_codec,
    evidence_codec,
    heads_codec,
    number_key,
    refusals_codec,
    tile_key,
)
from ledger.io.errors import damaged
from ledger.io.log_reader import LogReader

__all__ = ["ChainReader"]

T = TypeVar("T")


class ChainReader(LogReader):
    """A snapshot of the chain store. Get one from ``ChainStore.read``.

    Args:
        remembered: what was decoded of the state under each root, shared between readers.
    """

    __slots__ = ("_remembered",)

    def __init__(
        self,
        path: Path,
        tables: Tables,
        transaction: "lmdb.Transaction[memoryview]",
        remembered: dict[bytes, StateMemory],
    ) -> None:
        super().__init__(path, tables, transaction)
        self._remembered = remembered

    # --- blocks ---------------------------------------------------------------------------

    def head(self) -> ChainHead:
        """Give the last applied block (genesis at first)."""
        stored = self.stored_head(self.head_height())
        return ChainHead(stored.root.height, stored.block_id, stored.time_ms, stored.root.log_size)

    def head_height(self) -> Height:
        """Give the height of the last applied block."""
        with self._transaction.cursor(self._tables.heads) as cursor:
            if not cursor.last():
                raise damaged(self._path, "it holds no block, not even genesis")
            return Height(self._number(cursor.key()))

    def first_height(self) -> Height:
        """Give the height from which on every block and ledger is here: 0, or a snapshot's.

        Below a snapshot's there are some blocks, without their ledgers; its own ledger holds all
        earlier events, whose heights are not known any more: they count as its.
        """
        with self._transaction.cursor(self._tables.heads) as cursor:
            found = cursor.set_range(number_key(1))
            height = self._number(cursor.key()) if found else 0
        return Height(0 if height == 1 else height)

    def stored_head(self, height: Height) -> StoredHead:
        """Give identity, time and ledger of the block at ``height``, which must be there."""
        stored = self._decode(heads_codec, self._get(self._tables.heads, number_key(height)))
        if stored is None:
            raise damaged(self._path, f"block {height} is missing")
        return stored

    def root(self, height: Height) -> LedgerRoot | None:
        """Give the ledger after the block at ``height``, or None above the head."""
        stored = self._decode(heads_codec, self._get(self._tables.heads, number_key(height)))
        return None if stored is None else stored.root

    def block(self, height: Height) -> Block | None:
        """Give the block at ``height``; there is none at 0 and above the head."""
        return self._decode(blocks_codec, self._get(self._tables.blocks, number_key(height)))

    def height_of_block(self, block_id: BlockId) -> Height | None:
        """Give the height of an applied block, or None for any other."""
        value = self._transaction.get(block_id, db=self._tables.heights)
        return None if value is None else Height(self._number(value))

    def certificate(self, height: Height) -> QuorumCertificate | None:
        """Give the certificate that commits exactly the block at ``height``, when it has one."""
        value = self._get(self._tables.certificates, number_key(height))
        return self._decode(certificates_codec, value)

    def first_certified(self, at_least: Height) -> Height | None:
        """Give the lowest height from ``at_least`` on whose block has its own certificate."""
        with self._transaction.cursor(self._tables.certificates) as cursor:
            found = cursor.set_range(number_key(at_least))
            return Height(self._number(cursor.key())) if found else None

    def last_certified(self) -> Height | None:
        """Give the highest height whose block has its own certificate."""
        with self._transaction.cursor(self._tables.certificates) as cursor:
            return Height(self._number(cursor.key())) if cursor.last() else None

    def first_height_at(self, time_ms: int) -> Height | None:
        """Give the first block whose time is ``time_ms`` or later, or None: times never fall.

        Blocks below ``first_height`` are not looked at.
        """
        low, high = int(self.first_height()), self.head_height() + 1
        end = high
        while low < high:
            middle = (low + high) // 2
            if self.stored_head(Height(middle)).time_ms < time_ms:
                low = middle + 1
            else:
                high = middle
        return Height(low) if low < end else None

    # --- epochs ---------------------------------------------------------------------------

    def epoch_start(self, number: Epoch | None = None) -> EpochStart:
        """Give how an epoch began: that of ``number``, or the last one.

        Raises:
            LookupError: it has not begun.
        """
        with self._transaction.cursor(self._tables.epochs) as cursor:
            if not (cursor.last() if number is None else cursor.set_key(number_key(number))):
                raise LookupError(f"epoch {number} has not begun")
            start = self._decode(epochs_codec, bytes(cursor.value()))
        assert start is not None
        return start

    def pending_set_hash(self, height: Height) -> bytes | None:
        """Give the digest of the validator set that waits after the block at ``height``."""
        return pending_set_hash(self.state(self.stored_head(height).root))

    # --- events ---------------------------------------------------------------------------

    def height_of(self, sequence: Sequence) -> Height:
        """Give the height of the block that took the entry at ``sequence``, also a forgotten one.

        Raises:
            LookupError: the log is shorter.
        """
        try:
            return super().height_of(sequence)
        except Forgotten:
            return self.first_height_beyond(sequence)

    def first_height_beyond(self, log_size: int) -> Height:
        """Give the first height, of those with a ledger, whose log is longer than ``log_size``."""
        low, high = int(self.first_height()), int(self.head_height())
        while low < high:
            middle = (low + high) // 2
            if self.stored_head(Height(middle)).root.log_size > log_size:
                high = middle
            else:
                low = middle + 1
        return Height(low)

    def index_fault(self) -> str:
        """Say whether the indexes of ids end elsewhere than the log, at the cost of one look."""
        size = self.head().log_size
        if self._hash_index().size != size:
            return f"the hash index does not end with the log of {size} entries"
        entry = self.entry(Sequence(size - 1))
        if entry is not None:
            last = open_entry(entry)
            if self.sequence_of(last.id, last.event.time_ms) != size - 1:
                return f"the event of entry {size - 1} is indexed elsewhere"
        return ""

    def receipt(self, event_id: EventId, time_ms: int | None = None) -> Receipt | None:
        """Give what became of an event, or None when no block has decided about it.

        Args:
            time_ms: see ``sequence_of``.
        """
        sequence = self.sequence_of(event_id, time_ms)
        if sequence is None and time_ms is not None and self._may_lack_key(time_ms):
            sequence = self.sequence_of(event_id)
        if sequence is not None:
            return Receipt(self.height_of(sequence), sequence, None)
        value = self._get(self._tables.refused, event_id)
        refusal = self._decode(refusals_codec, value)
        return None if refusal is None else Receipt(refusal.height, None, refusal.code)

    def scan(
        self, selection: Selection, after: int, limit: int, until: int | None = None
    ) -> list[tuple[Sequence, bytes]]:
        """Give up to ``limit`` entries that fulfil all conditions, in order of the log.

        Args:
            after: only sequences above this one; -1 begins with the first of all.
            until: only sequences below this one. It also bounds the work, which without it may
                be the whole log when the conditions name much but nothing in common.

        Returns:
            (sequence, entry) rows. Fewer than ``limit``: there are no more below ``until``.

        Raises:
            Forgotten: events above ``after`` are.
        """
        if after + 1 < (first_held := self.first_held()):
            raise Forgotten(Sequence(after + 1), first_held)
        source = LogIndex(self._tables, self._transaction, self._hash_index, self.entry)
        return scan(source, selection, range(after + 1, self._log_size(until)), limit)

    # --- tree, state, batches -------------------------------------------------------------

    def read_tile(self, level: int, index: int) -> bytes:
        """Give the hashes that a tile of the log holds, ``b""`` when there is none."""
        return self._get(self._tables.tiles, tile_key(level, index)) or b""

    def read_node(self, node_hash: bytes) -> bytes:
        """Give one node of the state map, ``b""`` when there is none."""
        return self._get(self._tables.nodes, node_hash) or b""

    def checkpoint(self) -> StoredCheckpoint | None:
        """Give the newest checkpoint that a quorum has cosigned, once there is one."""
        value = self._get(self._tables.meta, CHECKPOINT_KEY)
        return self._decode(checkpoints_codec, value)

    def state(self, root: LedgerRoot, memory: StateMemory | None = None) -> StateView:
        """Give the state of the ledger ``root``; ask it only while this reader lives.

        Args:
            memory: what is known of this state already.
        """
        remembered = self._remembered.get(root.state_root)
        if remembered is None:
            # Only the newest states are asked; the views of older ones keep what they have.
            if len(self._remembered) >= STATES_REMEMBERED_MAX:
                self._remembered.clear()
            new = StateMemory() if memory is None else memory
            remembered = self._remembered.setdefault(root.state_root, new)
        return StateView(self.read_node, root.state_root, remembered)

    def flat_state(self, prefix: bytes, after: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        """Give the newest (key, value) rows of the state whose keys have a prefix, in order.

        Args:
            after: only keys above this one; ``b""`` begins with the first.
        """
        with self._transaction.cursor(self._tables.flat) as cursor:
            found = cursor.set_range(max(prefix, after + b"\0" if after else b""))
            while found and bytes(cursor.key()).startswith(prefix):
                yield bytes(cursor.key()), bytes(cursor.value())
                found = cursor.next()

    def batch(self, batch_id: BatchId) -> bytes | None:
        """Give an encoded batch, or None."""
        whole = self._batch_part(batch_id, 0, sys.maxsize)
        return None if whole is None else bytes(whole)

    def batch_end(self) -> End:
        """Give where the next large batch goes."""
        try:
            return End.read(self._transaction.get(BATCH_END_KEY, db=self._tables.meta))
        except struct.error as error:
            raise damaged(self._path, str(error)) from error

    def places(self) -> dict[BatchId, Place]:
        """Give where each large batch is."""
        try:
            with self._transaction.cursor(self._tables.batches) as cursor:
                read = ((bytes(key), Place.read(value)) for key, value in cursor)
                return {BatchId(key): place for key, place in read if place is not None}
        except struct.error as error:
            raise damaged(self._path, str(error)) from error

    def has_batch(self, batch_id: BatchId) -> bool:
        """Say whether the bytes of the batch are here."""
        return self._transaction.get(batch_id, db=self._tables.batches) is not None

    def is_ordered(self, batch_id: BatchId) -> bool:
        """Say whether an applied block names the batch."""
        return self._transaction.get(batch_id, db=self._tables.ordered) is not None

    def unordered(self) -> list[tuple[BatchId, Epoch]]:
        """Give the stored batches that no applied block names, and when each was stored."""
        with self._transaction.cursor(self._tables.unordered) as cursor:
            rows = [(bytes(key), value) for key, value in cursor.iternext(keys=True, values=True)]
            return [(BatchId(key), Epoch(self._number(value))) for key, value in rows]

    def open_batches(self, epoch: Epoch) -> list[tuple[BatchId, bytes]]:
        """Give the batches that were stored in an epoch and that no applied block names."""
        batches = [(id_, self.batch(id_)) for id_, stored in self.unordered() if stored == epoch]
        if missing := [id_.hex() for id_, batch in batches if batch is None]:
            raise damaged(self._path, f"batches are missing: {missing}")
        return [(id_, batch) for id_, batch in batches if batch is not None]

    def evidence(self) -> list[Evidence]:
        """Give the evidence against validators, in no meaningful order."""
        with self._transaction.cursor(self._tables.evidence) as cursor:
            values = [bytes(value) for value in cursor.iternext(keys=False, values=True)]
        decoded = (self._decode(evidence_codec, value) for value in values)
        return [item for item in decoded if item is not None]

    # --- helpers --------------------------------------------------------------------------

    def _may_lack_key(self, time_ms: int) -> bool:
        """Say whether an event of that time may be in the log and not among the keys."""
        return self.first_held() > 0 and time_ms < self.head().time_ms - EVENT_AGE_MS_MAX

    def _log_size(self, until: int | None) -> int:
        size = self.head().log_size
        return size if until is None else min(size, until)

    def _decode(self, codec: Codec[T], value: bytes | None) -> T | None:
        if value is None:
            return None
        try:
            return codec.decode(value)
        except DecodeError as error:
            raise damaged(self._path, str(error)) from error
