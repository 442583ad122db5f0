"""Batches and blocks.

A batch is what one validator disseminates: its index, its own counter, and entries. A block names
batches by digest and carries no bytes of them; a *proposal* is a block on its way, with its
author's signature, the certificates of the batches that have one, and the bytes of the small
ones that have none. So a block is small, its id covers everything that it decides (its
certificates too), and the batch store is the one place where bytes are held.
"""

from typing import Annotated

import msgspec
from msgspec import Meta

from ledger.core.certificate import (
    BatchCertificate,
    BatchIdField,
    BlockIdField,
    Domain,
    EpochField,
    HeightField,
    IndexField,
    QuorumCertificate,
    RoundField,
    TimeoutCertificate,
)
from ledger.core.codec import Codec, Hash32, Record, Signature64, UInt, encode
from ledger.core.errors import DecodeError, Offence, PeerFault
from ledger.core.hashing import derived_digest
from ledger.core.ids import BatchId, BlockId, Height
from ledger.core.limits import (
    BATCH_BYTES_MAX,
    BATCH_ENTRIES_MAX,
    BLOCK_BATCHES_MAX,
    ENTRY_BYTES_MAX,
)
from ledger.core.signing import SignatureCheck, signable

__all__ = [
    "Batch",
    "Block",
    "LedgerRoot",
    "Proposal",
    "batch_id",
    "block_id",
    "block_message",
    "decode_batch",
]

_batch_digest = derived_digest("batch")
_block_digest = derived_digest("block")
_root_digest = derived_digest("ledger root")

_EntryBytes = Annotated[bytes, Meta(min_length=1, max_length=ENTRY_BYTES_MAX)]


class Batch(Record, frozen=True):
    """Entries that one validator brings in together.

    Attributes:
        origin: index of that validator.
        sequence: its own counter, so that two batches with the same entries differ.
        entries: encoded signed events, 1 to BATCH_ENTRIES_MAX of at most BATCH_BYTES_MAX
            together.
    """

    origin: IndexField
    sequence: UInt
    entries: Annotated[tuple[_EntryBytes, ...], Meta(min_length=1, max_length=BATCH_ENTRIES_MAX)]


class Block(Record, frozen=True):
    """One step of the chain.

    Attributes:
        executed_height: height of the last ancestor that the block's own certificate (or that
            of an ancestor) commits.
        ledger_root: digest of the ledger after that ancestor was applied.
        next_set_hash: digest of the next epoch's validator set when this block ends the epoch.
        qc: certificate of the parent.
        tc: why the round before has no certificate; exactly when ``qc`` is older than that.
        payload: the batches, in the order in which they are applied.
        time_ms: the author's clock, never less than the parent's.
    """

    epoch: EpochField
    round: RoundField
    height: HeightField
    parent_id: BlockIdField
    executed_height: HeightField
    ledger_root: Hash32
    next_set_hash: Hash32 | None
    qc: QuorumCertificate
    tc: TimeoutCertificate | None
    payload: Annotated[tuple[BatchIdField, ...], Meta(max_length=BLOCK_BATCHES_MAX)]
    time_ms: UInt
    author: IndexField


class Proposal(Record, frozen=True):
    """A block on its way, with what a voter needs to judge it."""

    block: Block
    signature: Signature64
    certificates: Annotated[tuple[BatchCertificate, ...], Meta(max_length=BLOCK_BATCHES_MAX)]
    inline: Annotated[tuple[bytes, ...], Meta(max_length=BLOCK_BATCHES_MAX)]

    def check(self, domain: Domain) -> SignatureCheck:
        """Give the check of the author's signature. Raises PeerFault for a foreign author."""
        domain.require_epoch(self.block.epoch)
        key = domain.validators.key(self.block.author)
        if key is None:
            raise PeerFault(Offence.BAD_BLOCK, f"no validator has index {self.block.author}")
        return key, block_message(block_id(self.block)), self.signature


class LedgerRoot(Record, frozen=True):
    """What a block header's ``ledger_root`` is the digest of.

    Attributes:
        height: the block after which this holds.
        log_size: number of accepted events; log_root: their RFC 6962 tree head.
        state_root: root of the authenticated state map.
        set_hash: digest of the validator set in force.
    """

    height: HeightField
    log_size: UInt
    log_root: Hash32
    state_root: Hash32
    set_hash: Hash32

    @property
    def digest(self) -> bytes:
        """The 32 bytes that a header carries."""
        return _root_digest(encode(self))

    def after_nothing(self) -> "LedgerRoot":
        """Give the root after one more block that brings nothing: only the height moves."""
        return msgspec.structs.replace(self, height=Height(self.height + 1))


_batch_codec = Codec(Batch)


def batch_id(encoded: bytes) -> BatchId:
    """Give the identity of an encoded batch."""
    return BatchId(_batch_digest(encoded))


def decode_batch(encoded: bytes) -> Batch:
    """Decode a batch and check its size limits.

    Raises:
        DecodeError: not the canonical encoding of a batch within the limits.
    """
    batch = _batch_codec.decode(encoded)
    if sum(map(len, batch.entries)) > BATCH_BYTES_MAX:
        msg = f"a batch may hold {BATCH_BYTES_MAX} bytes of entries"
        raise DecodeError(msg)
    return batch


def block_id(block: Block) -> BlockId:
    """Give the identity of a block: the digest of all of it, certificates included."""
    return BlockId(_block_digest(encode(block)))


def block_message(id_: BlockId) -> bytes:
    """Give the message that a block's author signs.

    The id covers the certificates inside the block and so the network and the epoch: the first
    certificate names the genesis block of this network only.
    """
    return signable("block", id_)
