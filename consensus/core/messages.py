"""What validators say to each other. Every message is canonical MessagePack, tagged by a number.

Lanes: consensus messages (proposals, votes, timeouts, certificates of timeouts, sync info) never
queue behind bulk ones (batches, acknowledgements, fetches and their answers).
"""

from enum import IntEnum
from typing import Annotated

import msgspec
from msgspec import Meta

from ledger.core.block import Block, Proposal
from ledger.core.certificate import (
    Ack,
    BatchCertificate,
    BatchIdField,
    BlockIdField,
    HeightField,
    QuorumCertificate,
    Timeout,
    TimeoutCertificate,
    Vote,
)
from ledger.core.codec import Codec
from ledger.core.ids import Epoch
from ledger.core.limits import SYNC_BATCH_REQUESTS_MAX, SYNC_BLOCKS_MAX

__all__ = [
    "REQUESTS",
    "AckMessage",
    "BatchMessage",
    "BatchRequest",
    "BlocksRequest",
    "BlocksResponse",
    "CertificateMessage",
    "EpochEnd",
    "Lane",
    "Message",
    "ProposalMessage",
    "ProposalRequest",
    "ProposalResponse",
    "SyncInfo",
    "TimeoutCertificateMessage",
    "TimeoutMessage",
    "VoteMessage",
    "decode_message",
    "encode_message",
    "epoch_of",
    "lane_of",
]


class Lane(IntEnum):
    """Which of a peer's two connections carries a message."""

    CONSENSUS = 0
    BULK = 1


class _Message(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    pass


class ProposalMessage(_Message, frozen=True, tag=1):
    """The leader's block of a round."""

    proposal: Proposal


class VoteMessage(_Message, frozen=True, tag=2):
    """A vote, sent to everybody."""

    vote: Vote


class TimeoutMessage(_Message, frozen=True, tag=3):
    """A timeout, sent to everybody and again until the round ends."""

    timeout: Timeout


class TimeoutCertificateMessage(_Message, frozen=True, tag=4):
    """A timeout certificate, sent once by each validator that formed it."""

    certificate: TimeoutCertificate


class SyncInfo(_Message, frozen=True, tag=5):
    """The proof of the sender's round, for one who is behind."""

    high_qc: QuorumCertificate
    high_tc: TimeoutCertificate | None


class BatchMessage(_Message, frozen=True, tag=6):
    """An encoded batch: from its origin unasked, or from anyone who was asked for it."""

    batch: bytes


class AckMessage(_Message, frozen=True, tag=7):
    """An acknowledgement, sent to the batch's origin."""

    ack: Ack


class CertificateMessage(_Message, frozen=True, tag=8):
    """A batch certificate, sent to everybody: any leader may now propose the batch."""

    certificate: BatchCertificate


class BatchRequest(_Message, frozen=True, tag=9):
    """Ask for batches by id. Each that is held comes as a BatchMessage."""

    batch_ids: Annotated[
        tuple[BatchIdField, ...], Meta(min_length=1, max_length=SYNC_BATCH_REQUESTS_MAX)
    ]


class BlocksRequest(_Message, frozen=True, tag=10):
    """Ask for committed blocks from a height on, oldest first."""

    from_height: HeightField


class BlocksResponse(_Message, frozen=True, tag=11):
    """Consecutive committed blocks, and the certificate that commits the last of them."""

    blocks: Annotated[tuple[Block, ...], Meta(max_length=SYNC_BLOCKS_MAX)]
    certificate: QuorumCertificate | None


class ProposalRequest(_Message, frozen=True, tag=12):
    """Ask for a block that is certified but not yet committed."""

    block_id: BlockIdField


class ProposalResponse(_Message, frozen=True, tag=13):
    """A block that was asked for; bound to the question by its id, not by who sends it."""

    proposal: Proposal


class EpochEnd(_Message, frozen=True, tag=14):
    """The certificate that ended an epoch, for one who still speaks in it."""

    certificate: QuorumCertificate


Message = (
    ProposalMessage
    | VoteMessage
    | TimeoutMessage
    | TimeoutCertificateMessage
    | SyncInfo
    | BatchMessage
    | AckMessage
    | CertificateMessage
    | BatchRequest
    | BlocksRequest
    | BlocksResponse
    | ProposalRequest
    | ProposalResponse
    | EpochEnd
)

_codec: Codec[Message] = Codec(Message)  # type: ignore[arg-type] # a union is no type[T] to mypy
_CONSENSUS = (
    ProposalMessage,
    VoteMessage,
    TimeoutMessage,
    TimeoutCertificateMessage,
    SyncInfo,
    ProposalRequest,
    ProposalResponse,
    EpochEnd,
)

REQUESTS = (BatchRequest, BlocksRequest, ProposalRequest)
"""What anybody may ask for who may connect at all."""


def encode_message(message: Message) -> bytes:
    """Encode a message canonically."""
    return _codec.encode(message)


def decode_message(data: bytes) -> Message:
    """Decode a message.

    Raises:
        DecodeError: ``data`` is not the canonical encoding of a message.
    """
    return _codec.decode(data)


def epoch_of(message: Message) -> Epoch | None:
    """Give the epoch that a message speaks in, or None when it means the same in all."""
    match message:
        case ProposalMessage(proposal) | ProposalResponse(proposal):
            return proposal.block.epoch
        case VoteMessage(vote):
            return vote.epoch
        case TimeoutMessage(timeout):
            return timeout.epoch
        case AckMessage(ack):
            return ack.epoch
        case TimeoutCertificateMessage(certificate) | CertificateMessage(certificate):
            return certificate.epoch
        case EpochEnd(certificate) | SyncInfo(certificate):
            return certificate.epoch
        case _:
            return None


def lane_of(message: Message) -> Lane:
    """Give the lane that carries ``message``."""
    return Lane.CONSENSUS if isinstance(message, _CONSENSUS) else Lane.BULK
