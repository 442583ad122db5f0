"""The storage of a simulated whole node: real execution and admission over simulated tables."""

from collections.abc import Mapping, Sequence

import msgspec

from consensus.core.effects import Execute, Persist, RecordEvidence
from consensus.core.inputs import Executed
from consensus.core.messages import BlocksResponse, EpochEnd
from consensus.core.ports import Restored
from consensus.core.restoring import restored_from
from consensus.core.safety_record import SafetyRecord
from consensus.core.serving import blocks_from, end_of_epoch
from ledger.core.admission import Verdict, examine_batch, examine_entries
from ledger.core.block import Block, LedgerRoot, batch_id
from ledger.core.chain_check import chain_fault
from ledger.core.epoch import EpochStart
from ledger.core.errors import InvariantError
from ledger.core.execute import execute_block
from ledger.core.ids import BatchId, Epoch, EventId, Height
from ledger.core.merkle import TILE_WIDTH
from simnet.full.ledger import LedgerStore, Origin, Refusal, Snapshot
from simnet.safety_disk import SafetyDisk

__all__ = ["FullStorage"]


def _flipped(data: bytes) -> bytes:
    return data[:-1] + bytes([data[-1] ^ 1])


class FullStorage:
    """Satisfies ``Storage``.

    Attributes:
        chain: the chain store; snapshot: its durable part.
    """

    def __init__(self, origin: Origin, safety: SafetyDisk) -> None:
        self.safety = safety
        self.chain = LedgerStore(origin)
        self.snapshot = Snapshot(self.chain)
        self._genesis = origin.genesis
        self._checked: set[BatchId] = set()

    # --- what the core asks -----------------------------------------------------------------

    def has_batch(self, batch_id: BatchId) -> bool:
        """Say whether the batch is durable."""
        return batch_id in self.chain.batches.durable

    def is_ordered(self, batch_id: BatchId) -> bool:
        """Say whether a durable block names the batch."""
        return batch_id in self.chain.ordered.durable

    def restored(self) -> Restored:
        """Give what a node starts from."""
        proposals = sorted(self.safety.proposals.values(), key=lambda p: p.block.height)
        return restored_from(self.safety.record(), proposals, self.snapshot)

    def begin_epoch(self, record: SafetyRecord) -> None:
        """Replace the safety record."""
        self.safety.begin_epoch(record)

    def block(self, height: Height) -> Block | None:
        """Give a durable block."""
        return self.snapshot.block(height)

    def end_of_epoch(self, epoch: Epoch) -> EpochEnd | None:
        """Give the durable proof that an epoch is over."""
        return end_of_epoch(self.snapshot, epoch)

    @property
    def epochs(self) -> Sequence[EpochStart]:
        """How each epoch began."""
        return self.chain.epochs

    # --- safety store -----------------------------------------------------------------------

    def persist(self, effect: Persist) -> None:
        """Write the safety record durably."""
        self.safety.persist(effect)

    # --- chain store ------------------------------------------------------------------------

    def mark_checked(self, batch_id: BatchId) -> None:
        """Remember that all signatures of a batch are valid, so that applying skips them."""
        self._checked.add(batch_id)

    def mark_encoded_checked(self, encoded: bytes) -> None:
        """As :meth:`mark_checked`, of an encoded batch."""
        self.mark_checked(batch_id(encoded))

    def store_batch(self, batch_id: BatchId, batch: bytes) -> None:
        """Put a batch into the open transaction."""
        self.chain.store_batch(batch_id, batch)

    def execute(self, effect: Execute) -> Executed:
        """Apply a block to the open transaction."""
        for id_, batch in effect.batches:
            self.chain.store_batch(id_, batch)
        result = execute_block(
            self.chain, effect.block_id, effect.block, self._checked.__contains__
        )
        self.chain.apply(result, effect.certificate)
        return Executed(result.height, result.block_id, result.root, result.pending)

    def put_evidence(self, effect: RecordEvidence) -> None:
        """Keep evidence."""
        self.chain.put_evidence(effect)

    def commit(self) -> Height:
        """Make the open transaction durable."""
        return self.chain.commit()

    def lose_uncommitted(self) -> None:
        """Forget the open transaction, and what was only in memory."""
        self.chain.lose_uncommitted()
        self._checked.clear()

    def damage(self, where: int) -> None:
        """Flip a bit at the end of the chain, before the machine starts again."""
        chain, spot = self.chain, where % 4
        if spot == 0 and chain.log:
            chain.log[-1] = _flipped(chain.log[-1])
        elif spot == 1 and chain.log:
            place = (0, (len(chain.log) - 1) // TILE_WIDTH)
            chain.tiles.durable[place] = _flipped(chain.tiles.durable[place])
        elif spot == 2 and chain.blocks:
            last = chain.blocks[-1]
            chain.blocks[-1] = msgspec.structs.replace(last, parent_id=_flipped(last.parent_id))
        else:
            root = chain.roots[-1]
            chain.roots[-1] = msgspec.structs.replace(root, log_root=_flipped(root.log_root))

    def fault(self) -> str:
        """Say what the check at opening finds wrong, or nothing."""
        try:
            return chain_fault(self.snapshot, self._genesis)
        except InvariantError as error:
            return str(error)

    # --- examining and serving --------------------------------------------------------------

    def examine_entries(self, entries: Sequence[bytes], now_ms: int) -> tuple[Verdict, ...]:
        """Judge submitted entries by the last durable ledger."""
        return examine_entries(
            entries,
            chain_id=self.chain.chain_id,
            state=self.snapshot.state,
            now_ms=now_ms,
            known_events=self.snapshot.known_events,
        )

    def examine_batch(self, entries: Sequence[bytes]) -> bool:
        """Judge a peer's batch."""
        return examine_batch(tuple(entries), self.chain.chain_id)

    def blocks_from(self, start: Height) -> BlocksResponse | None:
        """Give durable blocks that end with a certified one."""
        return blocks_from(self.snapshot, start)

    def batch(self, batch_id: BatchId) -> bytes | None:
        """Give a durable batch."""
        return self.snapshot.batch(batch_id)

    # --- what observers look at -------------------------------------------------------------

    @property
    def safety_record(self) -> bytes:
        """The durable safety record, encoded."""
        return self.safety.encoded

    @property
    def blocks(self) -> Sequence[Block]:
        """Every applied block."""
        return self.chain.blocks

    @property
    def log(self) -> Sequence[bytes]:
        """Every entry of the log."""
        return self.chain.log

    @property
    def roots(self) -> Sequence[LedgerRoot]:
        """The root after each block, genesis first."""
        return self.chain.roots

    @property
    def evidence(self) -> Sequence[RecordEvidence]:
        """The durable evidence."""
        return list(self.chain.evidence.durable.values())

    @property
    def refusals(self) -> Mapping[EventId, Refusal]:
        """The durable receipts of events that were refused."""
        return self.snapshot.receipts
