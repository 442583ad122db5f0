"""What a validator must never forget: the durable safety record."""

from ledger.core.block import Proposal
from ledger.core.certificate import (
    EpochField,
    QuorumCertificate,
    RoundField,
    Timeout,
    TimeoutCertificate,
    Vote,
)
from ledger.core.codec import Codec, Hash32, Record, UInt
from ledger.core.epoch import EpochStart
from ledger.core.ids import Height, PublicKey, Round

__all__ = ["SafetyRecord", "decode_record", "encode_record", "first_record", "record_of_epoch"]


class SafetyRecord(Record, frozen=True):
    """The state that decides what may still be signed. Written before anything leaves.

    Attributes:
        genesis_hash, key, epoch: the network, the voting key and the epoch that this record
            belongs to. What was signed in another epoch counts for nothing in this one.
        counter: number of times that the record was written.
        acted_round: highest round in which this validator voted or timed out.
        timed_round: highest round that it timed out.
        lock_round: highest certificate round of a block that it voted for.
        high_qc, high_tc: the proofs of its round.
        last_vote, last_timeout, last_proposal: what it signed last, to be sent again as is.
        sit_out: True after the record was lost: no signature until a safe round is known.
        recovered_round: the highest round of this epoch that peers had proven when sitting out
            ended, 0 for a record that was never lost. What was lost was signed up to that round,
            or in a later epoch.
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
    recovered_round: RoundField


_codec = Codec(SafetyRecord)


def first_record(start: EpochStart, key: PublicKey, *, sit_out: bool = False) -> SafetyRecord:
    """Give the record of one that has signed nothing in an epoch (or has lost its record)."""
    return SafetyRecord(
        genesis_hash=start.genesis_hash,
        key=key,
        counter=0,
        epoch=start.number,
        acted_round=Round(0),
        timed_round=Round(0),
        lock_round=Round(0),
        high_qc=start.certificate,
        high_tc=None,
        last_vote=None,
        last_timeout=None,
        last_proposal=None,
        sit_out=sit_out,
        recovered_round=Round(0),
    )


def record_of_epoch(
    stored: SafetyRecord, start: EpochStart, head: Height, end_round: Round
) -> SafetyRecord:
    """Give the record that counts in the epoch of a chain that ends at ``head``.

    One of an earlier epoch has done its service. It is replaced before anything of the new epoch
    is applied; so if something was, the record of that epoch is lost, and this one old.

    One that was made anew after a loss may also stand for a later one. Whoever signed in the next
    epoch had seen a certificate of a round above ``end_round``, and an honest signer of it is among
    the peers that proved ``recovered_round``. So if that is not above, nothing was signed there.

    Args:
        end_round: of the last block of the epoch of ``stored``; 0 when it is not known.
    """
    if stored.epoch == start.number:
        return stored
    is_lost = stored.sit_out or stored.recovered_round > end_round or head > start.height
    return first_record(start, PublicKey(stored.key), sit_out=is_lost)


def encode_record(record: SafetyRecord) -> bytes:
    """Encode a record canonically."""
    return _codec.encode(record)


def decode_record(data: bytes) -> SafetyRecord:
    """Decode a stored record.

    Raises:
        DecodeError: ``data`` is not the canonical encoding of a record.
    """
    return _codec.decode(data)
