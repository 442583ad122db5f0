"""What a starting node reads from its two stores, and whether they are its own."""

from consensus.core.ports import Restored
from consensus.core.restoring import restored_from
from consensus.core.safety_record import SafetyRecord, decode_record, encode_record
from ledger.core.block import Proposal
from ledger.core.codec import Codec
from ledger.core.errors import DecodeError
from ledger.core.genesis import Genesis
from ledger.core.ids import Height, PublicKey
from ledger.core.limits import INT_MAX
from ledger.io.chain_store import ChainStore
from ledger.io.errors import StorageError
from ledger.io.safety_store import SafetyStore, damaged_record

__all__ = ["restore"]

_proposals = Codec(Proposal)


def restore(genesis: Genesis, key: PublicKey, chain: ChainStore, safety: SafetyStore) -> Restored:
    """Read what the core starts from, and begin the record of a new epoch before it signs in it.

    Raises:
        StorageError: a store is damaged, or the safety store is of another validator or network.
    """
    encoded, rows = safety.read()
    try:
        record = decode_record(encoded)
        proposals = tuple(_proposals.decode(row) for row in rows)
    except DecodeError as error:
        raise damaged_record(safety.path, str(error)) from error
    _require_own(safety, record, genesis, key)
    with chain.read() as reader:
        restored = restored_from(record, proposals, reader)
    if not restored.observes and record.epoch < restored.record.epoch:
        safety.write(encode_record(restored.record), (), Height(INT_MAX - 1))
    return restored


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
