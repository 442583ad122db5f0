"""The chain store of a simulated whole node: the tables and rules of the real one, in memory.

Everything that a block does goes into one transaction; later blocks are executed on what is not
committed yet. Readers see durable things only.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from consensus.core.effects import RecordEvidence
from ledger.core.block import Block, LedgerRoot
from ledger.core.certificate import QuorumCertificate
from ledger.core.epoch import EpochStart
from ledger.core.errors import InvariantError, RejectCode
from ledger.core.event import id_of_key
from ledger.core.execute import BlockResult, genesis_result
from ledger.core.genesis import Genesis
from ledger.core.ids import BatchId, BlockId, Epoch, EventId, EventKey, Height, Sequence
from ledger.core.limits import EVIDENCE_COUNT_MAX
from ledger.core.state import StateMemory, StateView
from ledger.core.trust.membership import pending_set_hash
from simnet.full.tables import Table

__all__ = ["LedgerStore", "Origin", "Snapshot"]


class Origin(NamedTuple):
    """What every member starts from; made once for a genesis.

    Attributes:
        remembered: what was decoded of the state of genesis, shared as real readers do.
    """

    genesis: Genesis
    result: BlockResult
    chain_id: str
    remembered: StateMemory

    @classmethod
    def of(cls, genesis: Genesis) -> "Origin":
        """Compute the ledger at height 0."""
        return cls(genesis, genesis_result(genesis), genesis.chain_id, StateMemory())


class StoredHead(NamedTuple):
    """The block at one height, and the ledger after it."""

    block_id: BlockId
    time_ms: int
    root: LedgerRoot


class Refusal(NamedTuple):
    """Why and where an event was refused."""

    code: RejectCode
    height: Height


class LedgerStore:
    """One chain store; itself the ``LedgerView`` of the open transaction.

    Attributes:
        blocks: from height 1 on; roots, ids: from genesis on; log: every entry, in order; all
            with what is not durable yet.
        log_heights: the block that took each entry.
    """

    def __init__(self, origin: Origin) -> None:
        self.chain_id = origin.chain_id
        self.genesis_ms = origin.genesis.time_ms
        self._remembered = origin.remembered
        self.blocks: list[Block] = []
        self.ids: list[BlockId] = [origin.result.block_id]
        self.roots: list[LedgerRoot] = [origin.result.root]
        self.log: list[bytes] = []
        self.log_heights: list[Height] = []
        self.epochs: list[EpochStart] = [EpochStart.of_genesis(origin.genesis)]
        self.durable_height = Height(0)
        self.certificates = Table[Height, QuorumCertificate]()
        self.batches = Table[BatchId, bytes]()
        self.ordered = Table[BatchId, Height]()
        self.unordered = Table[BatchId, tuple[Epoch, bytes]]()
        self.events = Table[EventId, int]()
        self.refused = Table[EventId, Refusal]()
        self.tiles = Table[tuple[int, int], bytes]()
        self.nodes = Table[bytes, bytes]()
        self.evidence = Table[bytes, RecordEvidence]()
        for node_hash, node in origin.result.nodes.items():
            self.nodes.put(node_hash, node)
        self.nodes.commit()
        self.state = self.state_at(self.root)

    # --- the uncommitted ledger (LedgerView) ------------------------------------------------

    @property
    def root(self) -> LedgerRoot:
        """The ledger after the last applied block."""
        return self.roots[-1]

    def read_tile(self, level: int, index: int) -> bytes:
        """Give the hashes of one tile of the log."""
        return self.tiles.get((level, index)) or b""

    def read_node(self, node_hash: bytes) -> bytes:
        """Give one node of the state map."""
        return self.nodes.get(node_hash) or b""

    def has_event(self, event_id: EventId) -> bool:
        """Say whether the log holds the event."""
        return self.events.get(event_id) is not None

    def known_events(self, keys: Iterable[EventKey]) -> set[EventKey]:
        """Give those of the events that the log holds."""
        return {key for key in keys if self.has_event(id_of_key(key))}

    def read_batch(self, batch_id: BatchId) -> bytes | None:
        """Give an encoded batch."""
        return self.batches.get(batch_id)

    def state_at(self, root: LedgerRoot) -> StateView:
        """Give the state under a root that was reached."""
        remembered = self._remembered if root.state_root == self.roots[0].state_root else None
        return StateView(self.read_node, root.state_root, remembered)

    # --- changes ----------------------------------------------------------------------------

    def store_batch(self, batch_id: BatchId, batch: bytes) -> None:
        """Keep a batch, once."""
        if self.batches.get(batch_id) is None:
            self.batches.put(batch_id, batch)
            self.unordered.put(batch_id, (self.epochs[-1].number, batch))

    def apply(self, result: BlockResult, certificate: QuorumCertificate | None) -> None:
        """Write what the next block did.

        Raises:
            InvariantError: the block does not follow the last one, or the parts disagree.
        """
        block, height = result.block, result.height
        if block is None or block.parent_id != self.ids[-1] or height != len(self.blocks) + 1:
            raise InvariantError(f"block {height} does not follow the last block")
        if result.root.log_size != len(self.log) + len(result.accepted):
            raise InvariantError(f"block {height} miscounts its events")
        if certificate is not None:
            if certificate.commit is None or certificate.commit.block_id != result.block_id:
                raise InvariantError(f"the certificate does not commit block {height}")
            self.certificates.put(height, certificate)
        self._put_order(block.payload, height)
        self._put_log(result)
        for place, tile in result.tiles.items():
            self.tiles.put(place, tile)
        for node_hash, node in result.nodes.items():
            self.nodes.put(node_hash, node)
        if result.validators is not None:
            start = self.epochs[0].genesis_hash, Epoch(block.epoch + 1), height
            opening = EpochStart(*start, result.block_id, block.time_ms, result.validators)
            self.epochs.append(opening)
            for batch_id, (stored, _) in self.unordered.rows():
                if stored < block.epoch:
                    self.unordered.delete(batch_id)
                    self.batches.delete(batch_id)
        self.blocks.append(block)
        self.ids.append(result.block_id)
        self.roots.append(result.root)
        self.state = self.state_at(result.root)

    def _put_order(self, payload: Iterable[BatchId], height: Height) -> None:
        for batch_id in payload:
            if self.batches.get(batch_id) is None:
                raise InvariantError(f"batch {batch_id.hex()} of a final block is not stored")
            if self.ordered.get(batch_id) is None:
                self.ordered.put(batch_id, height)
            self.unordered.delete(batch_id)

    def _put_log(self, result: BlockResult) -> None:
        """Write the accepted events, and a receipt for each that was refused."""
        for item in result.accepted:
            if self.has_event(item.id) or item.sequence != len(self.log):
                raise InvariantError(f"event {item.id.hex()} has its place already, or another")
            self.events.put(item.id, item.sequence)
            self.log.append(item.entry)
            self.log_heights.append(result.height)
        for refused in result.refused:
            if refused.id is not None and not self.has_event(refused.id):
                self.refused.put(refused.id, Refusal(refused.code, result.height))

    def put_evidence(self, evidence: RecordEvidence) -> None:
        """Keep evidence once, up to the limit."""
        if len(self.evidence) < EVIDENCE_COUNT_MAX:
            self.evidence.put(evidence.first + evidence.second, evidence)

    def commit(self) -> Height:
        """Make the open transaction durable."""
        for table in self._tables():
            table.commit()
        self.durable_height = Height(len(self.blocks))
        return self.durable_height

    def lose_uncommitted(self) -> None:
        """Forget the open transaction."""
        for table in self._tables():
            table.lose()
        height = self.durable_height
        del self.blocks[height:], self.ids[height + 1 :], self.roots[height + 1 :]
        self.epochs = [start for start in self.epochs if start.height <= height]
        size = self.root.log_size
        del self.log[size:], self.log_heights[size:]
        self.state = self.state_at(self.root)

    def _tables(self) -> Iterator[Table[Any, Any]]:
        yield from (self.certificates, self.batches, self.ordered, self.unordered, self.events)
        yield from (self.refused, self.tiles, self.nodes, self.evidence)


class Snapshot:
    """What a reader sees: durable things only."""

    def __init__(self, store: LedgerStore) -> None:
        self._store = store

    def head_height(self) -> Height:
        """Give the height of the last durable block."""
        return self._store.durable_height

    def block(self, height: Height) -> Block | None:
        """Give the block at ``height``."""
        is_there = 0 < height <= self._store.durable_height
        return self._store.blocks[height - 1] if is_there else None

    def root(self, height: Height) -> LedgerRoot | None:
        """Give the ledger after the block at ``height``."""
        return self._store.roots[height] if height <= self._store.durable_height else None

    def certificate(self, height: Height) -> QuorumCertificate | None:
        """Give the certificate that commits exactly the block at ``height``."""
        return self._store.certificates.durable.get(height)

    def batch(self, batch_id: BatchId) -> bytes | None:
        """Give an encoded batch."""
        return self._store.batches.durable.get(batch_id)

    def is_ordered(self, batch_id: BatchId) -> bool:
        """Say whether an applied block names the batch."""
        return batch_id in self._store.ordered.durable

    def epoch_start(self, number: Epoch | None = None) -> EpochStart:
        """Give how an epoch began."""
        durable = [s for s in self._store.epochs if s.height <= self._store.durable_height]
        return durable[-1 if number is None else number]

    def pending_set_hash(self, height: Height) -> bytes | None:
        """Give the digest of the set that waits after the block at ``height``."""
        return pending_set_hash(self._store.state_at(self._store.roots[height]))

    def open_batches(self, epoch: Epoch) -> list[tuple[BatchId, bytes]]:
        """Give the batches that were stored in an epoch and that no applied block names."""
        rows = self._store.unordered.durable.items()
        return sorted((id_, batch) for id_, (stored, batch) in rows if stored == epoch)

    def has_event(self, event_id: EventId) -> bool:
        """Say whether the log holds the event."""
        return event_id in self._store.events.durable

    def known_events(self, keys: Iterable[EventKey]) -> set[EventKey]:
        """Give those of the events that the log holds."""
        return {key for key in keys if self.has_event(id_of_key(key))}

    @property
    def log_size(self) -> int:
        """Number of durable entries."""
        return self._store.roots[self._store.durable_height].log_size

    @property
    def state(self) -> StateView:
        """The state under the last durable root."""
        return self._store.state_at(self._store.roots[self._store.durable_height])

    @property
    def receipts(self) -> Mapping[EventId, Refusal]:
        """Every refusal that is kept."""
        return self._store.refused.durable

    # --- what the check at opening looks at -------------------------------------------------

    def first_height(self) -> Height:
        """Give the first height: machines begin with genesis."""
        return Height(0)

    def stored_head(self, height: Height) -> StoredHead:
        """Give identity, time and ledger of the block at ``height``."""
        block = self.block(height)
        time_ms = self._store.genesis_ms if block is None else block.time_ms
        return StoredHead(self._store.ids[height], time_ms, self._store.roots[height])

    def has_entry(self, sequence: Sequence) -> bool:
        """Say whether the log has an entry at ``sequence``."""
        return sequence < len(self._store.log)

    def entry(self, sequence: Sequence) -> bytes:
        """Give the entry at ``sequence``."""
        return self._store.log[sequence]

    def height_of(self, sequence: Sequence) -> Height:
        """Give the height of the block that took the entry at ``sequence``."""
        return self._store.log_heights[sequence]

    def read_tile(self, level: int, index: int) -> bytes:
        """Give the hashes of one tile of the log."""
        return self._store.tiles.durable.get((level, index), b"")

    def read_node(self, node_hash: bytes) -> bytes:
        """Give one node of the state map."""
        return self._store.nodes.durable.get(node_hash, b"")
