"""What a validator must never forget: the durable safety record."""

from ledger.core.block import Proposal
from ledger.core.certificate import (
    EpochField,
    QuorumCertificate,
    RoundField,
    Timeout,
    TimeoutCertificate,
    Vote,
    genesis_certificate,
)
from ledger.core.codec import Codec, Hash32, Record, UInt
from ledger.core.genesis import Genesis
from ledger.core.ids import BlockId, Epoch, PublicKey, Round

__all__ = ["SafetyRecord", "decode_record", "encode_record", "first_record"]


class SafetyRecord(Record, frozen=True):
    """The state that decides what may still be signed. Written before anything leaves.

    Attributes:
        genesis_hash, key: the network and the voting key that this record belongs to.
        counter: number of times that the record was written.
        acted_round: highest round in which this validator voted or timed out.
        timed_round: highest round that it timed out.
        lock_round: highest certificate round of a block that it voted for.
        high_qc, high_tc: the proofs of its round.
        last_vote, last_timeout, last_proposal: what it signed last, to be sent again as is.
        sit_out: True after the record was lost: no signature until a safe round is known.
    """

    genesis_hash: Hash32
    key: Hash32
    counter: UInt
    epoch: EpochField
    acted_round: RoundField
    timed_round: RoundField
    lock_round: RoundField
    high_qc: QuorumCertificate
    high_tc: TimeoutCertificate | None
    last_vote: Vote | None
    last_timeout: Timeout | None
    last_proposal: Proposal | None
    sit_out: bool


_codec = Codec(SafetyRecord)


def first_record(genesis: Genesis, key: PublicKey, *, sit_out: bool = False) -> SafetyRecord:
    """Give the record of a validator that has signed nothing (or has lost its record)."""
    return SafetyRecord(
        genesis_hash=genesis.hash,
        key=key,
        counter=0,
        epoch=Epoch(0),
        acted_round=Round(0),
        timed_round=Round(0),
        lock_round=Round(0),
        high_qc=genesis_certificate(BlockId(genesis.block_id)),
        high_tc=None,
        last_vote=None,
        last_timeout=None,
        last_proposal=None,
        sit_out=sit_out,
    )


def encode_record(record: SafetyRecord) -> bytes:
    """Encode a record canonically."""
    return _codec.encode(record)


def decode_record(data: bytes) -> SafetyRecord:
    """Decode a stored record.

    Raises:
        DecodeError: ``data`` is not the canonical encoding of a record.
    """
    return _codec.decode(data)
