"""What a starting node reads from its two stores, and whether they are its own."""

from consensus.core.leader import schedule_blocks
from consensus.core.ports import Restored
from consensus.core.safety_record import SafetyRecord, decode_record
from ledger.core.block import Block, Proposal
from ledger.core.codec import Codec
from ledger.core.errors import DecodeError
from ledger.core.genesis import Genesis
from ledger.core.ids import Height, PublicKey
from ledger.core.limits import ROOTS_KEPT_MAX
from ledger.io.chain_store import ChainReader, ChainStore
from ledger.io.errors import StorageError, damaged
from ledger.io.safety_store import SafetyStore

__all__ = ["restore"]

_proposals = Codec(Proposal)


def restore(genesis: Genesis, key: PublicKey, chain: ChainStore, safety: SafetyStore) -> Restored:
    """Read what the core starts from.

    Raises:
        StorageError: a store is damaged, or the safety store is of another validator or network.
    """
    encoded, rows = safety.read()
    try:
        record = decode_record(encoded)
        proposals = tuple(_proposals.decode(row) for row in rows)
    except DecodeError as error:
        raise damaged(safety.path, str(error)) from error
    _require_own(safety, record, genesis, key)
    with chain.read() as reader:
        head = reader.head_height()
        return Restored(
            record=record,
            proposals=tuple(p for p in proposals if p.block.height > head),
            recent=_recent_blocks(reader, head, schedule_blocks(len(genesis.validators))),
            roots=tuple(
                reader.stored_head(Height(height)).root
                for height in range(max(0, head - ROOTS_KEPT_MAX + 1), head + 1)
            ),
            open_batches=tuple(reader.open_batches()),
        )


def _require_own(
    safety: SafetyStore, record: SafetyRecord, genesis: Genesis, key: PublicKey
) -> None:
    if record.genesis_hash != genesis.hash or record.key != key:
        what = "network" if record.genesis_hash != genesis.hash else "voting key"
        raise StorageError(
            safety.path,
            f"the safety record belongs to another {what}",
            "Use this validator's own directory. If its record is lost, create a new one that "
            "sits out until it is safe to sign again; never copy another validator's",
        )


def _recent_blocks(reader: ChainReader, head: Height, count: int) -> tuple[Block, ...]:
    blocks = []
    for height in range(max(1, head - count + 1), head + 1):
        block = reader.block(Height(height))
        assert block is not None, "the store holds every block up to its head"
        blocks.append(block)
    return tuple(blocks)
