"""The core tier's storage: a ledger that only remembers what was ordered.

No admission, no Merkle tree and no indexes: consensus cannot tell, and a run costs a tenth. Entries
that begin with ``BAD_ENTRY`` are invalid in this small world; those that begin with ``SET_ENTRY``
name the validators of the next epoch, unless some wait already.
"""

from collections.abc import Sequence

import msgspec
from blake3 import blake3

from consensus.core.effects import Execute, Persist, RecordEvidence
from consensus.core.inputs import Executed
from consensus.core.messages import BlocksResponse, EpochEnd
from consensus.core.ports import Restored
from consensus.core.restoring import restored_from
from consensus.core.safety_record import SafetyRecord
from consensus.core.serving import blocks_from, end_of_epoch
from ledger.core.admission import ExaminedEntry, Verdict
from ledger.core.block import Block, LedgerRoot, decode_batch
from ledger.core.certificate import QuorumCertificate
from ledger.core.codec import Codec
from ledger.core.epoch import EpochStart
from ledger.core.ids import BatchId, Epoch, EventId, Height
from ledger.core.validators import Validator, set_hash
from simnet.safety_disk import SafetyDisk

__all__ = ["BAD_ENTRY", "SET_ENTRY", "StandInStorage", "set_entry"]

BAD_ENTRY = b"bad"
SET_ENTRY = b"set|"

_members: Codec[tuple[Validator, ...]] = Codec(tuple[Validator, ...])


def set_entry(members: tuple[Validator, ...]) -> bytes:
    """Make the entry that names the validators of the next epoch."""
    return SET_ENTRY + _members.encode(members)


class StandInStorage:
    """Satisfies ``Storage``. The open transaction is undone from a journal of what it added."""

    def __init__(self, start: EpochStart, safety: SafetyDisk) -> None:
        self.safety = safety
        self.blocks: list[Block] = []
        self.log: list[bytes] = []
        first = LedgerRoot(
            Height(0), 0, bytes(32), bytes(32), set_hash(_members.encode(start.members))
        )
        self.roots = [first]
        self.evidence: list[RecordEvidence] = []
        self._batches: dict[BatchId, bytes] = {}
        self._ordered: set[BatchId] = set()
        self._logged: set[bytes] = set()
        self._certificates: dict[Height, QuorumCertificate] = {}
        self._durable = Height(0)
        self._new_batches: dict[BatchId, None] = {}
        self._new_ordered: dict[BatchId, None] = {}
        self.epochs = [start]
        self._pending: list[bytes] = [b""]  # for each height, the members that wait
        self._stored_in: dict[BatchId, Epoch] = {}

    # --- what the core asks -----------------------------------------------------------------

    def has_batch(self, batch_id: BatchId) -> bool:
        """Say whether the batch is durable."""
        return batch_id in self._batches and batch_id not in self._new_batches

    def is_ordered(self, batch_id: BatchId) -> bool:
        """Say whether a durable block names the batch."""
        return batch_id in self._ordered and batch_id not in self._new_ordered

    def restored(self) -> Restored:
        """Give what a node starts from."""
        proposals = sorted(self.safety.proposals.values(), key=lambda p: p.block.height)
        return restored_from(self.safety.record(), proposals, self)

    def begin_epoch(self, record: SafetyRecord) -> None:
        """Replace the safety record."""
        self.safety.begin_epoch(record)

    def epoch_start(self, number: Epoch | None = None) -> EpochStart:
        """Give how a durable epoch began."""
        durable = [start for start in self.epochs if start.height <= self._durable]
        return durable[-1 if number is None else number]

    def end_of_epoch(self, epoch: Epoch) -> EpochEnd | None:
        """Give the durable proof that an epoch is over."""
        return end_of_epoch(self, epoch)

    def pending_set_hash(self, height: Height) -> bytes | None:
        """Give the digest of the set that waits after a durable block."""
        encoded = self._pending[height]
        return set_hash(encoded) if encoded else None

    def head_height(self) -> Height:
        """Give the durable height."""
        return self._durable

    def first_height(self) -> Height:
        """Give the first height: machines begin with genesis."""
        return Height(0)

    def block(self, height: Height) -> Block | None:
        """Give a durable block."""
        return self.blocks[height - 1] if 0 < height <= self._durable else None

    def root(self, height: Height) -> LedgerRoot | None:
        """Give a durable root."""
        return self.roots[height] if height <= self._durable else None

    def certificate(self, height: Height) -> QuorumCertificate | None:
        """Give a durable certificate."""
        return self._certificates.get(height) if height <= self._durable else None

    def open_batches(self, epoch: Epoch) -> list[tuple[BatchId, bytes]]:
        """Give the durable batches of an epoch that no durable block names."""
        return sorted(
            (id_, batch)
            for id_, batch in self._batches.items()
            if self._stored_in[id_] == epoch
            and id_ not in self._new_batches
            and not self.is_ordered(id_)
        )

    # --- safety store -----------------------------------------------------------------------

    def persist(self, effect: Persist) -> None:
        """Write the safety record durably."""
        self.safety.persist(effect)

    # --- chain store ------------------------------------------------------------------------

    def store_batch(self, batch_id: BatchId, batch: bytes) -> None:
        """Put a batch into the open transaction."""
        if batch_id not in self._batches:
            self._batches[batch_id] = batch
            self._stored_in[batch_id] = self.epochs[-1].number
            self._new_batches[batch_id] = None

    def execute(self, effect: Execute) -> Executed:
        """Order the entries of a block's batches that are not in the log yet."""
        block = effect.block
        assert block.height == len(self.blocks) + 1, "blocks are executed in order, once"
        for id_, batch in effect.batches:
            self.store_batch(id_, batch)
        for id_ in block.payload:
            if id_ not in self._ordered:
                self._ordered.add(id_)
                self._new_ordered[id_] = None
                self._take(decode_batch(self._batches[id_]).entries)
        last = self.roots[-1]
        root = last.after_nothing()
        self._pending.append(self._pending_after(self.log[last.log_size :]))
        if block.next_set_hash is not None:
            root = msgspec.structs.replace(root, set_hash=block.next_set_hash)
            self._begin_epoch(effect)
        if block.payload:
            log_root = blake3(last.log_root + effect.block_id).digest()
            root = msgspec.structs.replace(root, log_size=len(self.log), log_root=log_root)
        self.blocks.append(block)
        self.roots.append(root)
        if effect.certificate is not None:
            self._certificates[block.height] = effect.certificate
        return Executed(block.height, effect.block_id, root, self.pending_set_hash(block.height))

    def _pending_after(self, entries: Sequence[bytes]) -> bytes:
        """Give the members that wait after a block of these new entries."""
        waits = self._pending[-1]
        for entry in entries:
            if not waits and entry.startswith(SET_ENTRY):
                waits = entry.removeprefix(SET_ENTRY)
        return waits

    def _begin_epoch(self, effect: Execute) -> None:
        block, waits = effect.block, self._pending[-1]
        assert waits, "nobody asked for a next epoch"
        assert block.next_set_hash == set_hash(waits), "the next epoch has another set"
        assert block.epoch == self.epochs[-1].number, "the block ends another epoch"
        self._pending[-1] = b""
        self.epochs.append(
            EpochStart(
                self.epochs[0].genesis_hash,
                Epoch(block.epoch + 1),
                block.height,
                effect.block_id,
                block.time_ms,
                _members.decode(waits),
            )
        )

    def _take(self, entries: Sequence[bytes]) -> None:
        for entry in entries:
            if entry not in self._logged:
                self._logged.add(entry)
                self.log.append(entry)

    def mark_checked(self, batch_id: BatchId) -> None:
        """Nothing is checked again here."""

    def mark_encoded_checked(self, encoded: bytes) -> None:
        """Nothing is checked again here."""

    def has_entry(self, entry: bytes) -> bool:
        """Say whether the log holds an entry."""
        return entry in self._logged

    def put_evidence(self, effect: RecordEvidence) -> None:
        """Keep evidence."""
        self.evidence.append(effect)

    def commit(self) -> Height:
        """Make the open transaction durable."""
        self._durable = Height(len(self.blocks))
        self._new_batches.clear()
        self._new_ordered.clear()
        return self._durable

    def lose_uncommitted(self) -> None:
        """Forget the open transaction."""
        for block in self.blocks[self._durable :]:
            self._certificates.pop(block.height, None)
        del self.blocks[self._durable :]
        del self.roots[self._durable + 1 :]
        del self._pending[self._durable + 1 :]
        self.epochs = [start for start in self.epochs if start.height <= self._durable]
        self._logged.difference_update(self.log[self.roots[-1].log_size :])
        del self.log[self.roots[-1].log_size :]
        self._ordered.difference_update(self._new_ordered)
        for id_ in self._new_batches:
            del self._batches[id_], self._stored_in[id_]
        self._new_batches.clear()
        self._new_ordered.clear()

    def damage(self, where: int) -> None:
        """This ledger has no hashes that could tell: its damage is always found."""

    def fault(self) -> str:
        """Say that the chain was damaged; nobody asks unless it was."""
        return "damaged"

    # --- examining and serving --------------------------------------------------------------

    def examine_entries(self, entries: Sequence[bytes], now_ms: int) -> tuple[Verdict, ...]:
        """Admit everything."""
        del now_ms
        return tuple(ExaminedEntry(entry, EventId(blake3(entry).digest())) for entry in entries)

    def examine_batch(self, entries: Sequence[bytes]) -> bool:
        """Refuse a batch with an entry marked as bad."""
        return not [entry for entry in entries if entry.startswith(BAD_ENTRY)]

    def blocks_from(self, start: Height) -> BlocksResponse | None:
        """Give durable blocks that end with a certified one."""
        return blocks_from(self, start)

    def batch(self, batch_id: BatchId) -> bytes | None:
        """Give a durable batch."""
        return self._batches[batch_id] if self.has_batch(batch_id) else None

    @property
    def safety_record(self) -> bytes:
        """The durable safety record, encoded."""
        return self.safety.encoded
