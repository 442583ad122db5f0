"""What validators say to each other. Every message is canonical MessagePack, tagged by a number.

Lanes: consensus messages (proposals, votes, timeouts, certificates of timeouts, sync info) never
queue behind bulk ones (batches, acknowledgements, fetches and their answers).
"""

from enum import IntEnum
from typing import Annotated, ClassVar, Final

import msgspec
from msgspec import Meta

from consensus.core.frames import FrameInPieces, encode_frame
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
from ledger.core.codec import Codec, encode
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
    "lane_of",
    "large_batch",
    "message_frame",
]


class Lane(IntEnum):
    """Which of a peer's two connections carries a message."""

    CONSENSUS = 0
    BULK = 1


class _Message(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """Base: bulk, and the same in all epochs."""

    lane: ClassVar[Lane] = Lane.BULK

    @property
    def epoch(self) -> Epoch | None:
        """The epoch that the message speaks in, or None when it means the same in all."""
        return None


class ProposalMessage(_Message, frozen=True, tag=1):
    """The leader's block of a round."""

    lane: ClassVar[Lane] = Lane.CONSENSUS
    proposal: Proposal

    @property
    def epoch(self) -> Epoch:
        """That of the block."""
        return self.proposal.block.epoch


class VoteMessage(_Message, frozen=True, tag=2):
    """A vote, sent to everybody."""

    lane: ClassVar[Lane] = Lane.CONSENSUS
    vote: Vote

    @property
    def epoch(self) -> Epoch:
        """That of the vote."""
        return self.vote.epoch


class TimeoutMessage(_Message, frozen=True, tag=3):
    """A timeout, sent to everybody and again until the round ends."""

    lane: ClassVar[Lane] = Lane.CONSENSUS
    timeout: Timeout

    @property
    def epoch(self) -> Epoch:
        """That of the timeout."""
        return self.timeout.epoch


class TimeoutCertificateMessage(_Message, frozen=True, tag=4):
    """A timeout certificate, sent once by each validator that formed it."""

    lane: ClassVar[Lane] = Lane.CONSENSUS
    certificate: TimeoutCertificate

    @property
    def epoch(self) -> Epoch:
        """That of the certificate."""
        return self.certificate.epoch


class SyncInfo(_Message, frozen=True, tag=5):
    """The proof of the sender's round, for one who is behind."""

    lane: ClassVar[Lane] = Lane.CONSENSUS
    high_qc: QuorumCertificate
    high_tc: TimeoutCertificate | None

    @property
    def epoch(self) -> Epoch:
        """That of the certificates."""
        return self.high_qc.epoch


class BatchMessage(_Message, frozen=True, tag=6):
    """An encoded batch: from its origin unasked, or from anyone who was asked for it."""

    batch: bytes


class AckMessage(_Message, frozen=True, tag=7):
    """An acknowledgement, sent to the batch's origin."""

    ack: Ack

    @property
    def epoch(self) -> Epoch:
        """That of the acknowledgement."""
        return self.ack.epoch


class CertificateMessage(_Message, frozen=True, tag=8):
    """A batch certificate, sent to everybody: any leader may now propose the batch."""

    certificate: BatchCertificate

    @property
    def epoch(self) -> Epoch:
        """That of the certificate."""
        return self.certificate.epoch


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

    lane: ClassVar[Lane] = Lane.CONSENSUS
    block_id: BlockIdField


class ProposalResponse(_Message, frozen=True, tag=13):
    """A block that was asked for; bound to the question by its id, not by who sends it."""

    lane: ClassVar[Lane] = Lane.CONSENSUS
    proposal: Proposal

    @property
    def epoch(self) -> Epoch:
        """That of the block."""
        return self.proposal.block.epoch


class EpochEnd(_Message, frozen=True, tag=14):
    """The certificate that ended an epoch, for one who still speaks in it."""

    lane: ClassVar[Lane] = Lane.CONSENSUS
    certificate: QuorumCertificate

    @property
    def epoch(self) -> Epoch:
        """The one that ended."""
        return self.certificate.epoch


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

_MEDIUM_BYTES_MAX: Final = 2**16 - 1  # up to here bytes have a shorter length
# An array of 2, the tag, bytes with 4 bytes of length.
_LARGE_BATCH: Final = encode(BatchMessage(bytes(_MEDIUM_BYTES_MAX + 1)))[:3]
_LENGTH_BYTES: Final = 4

REQUESTS = (BatchRequest, BlocksRequest, ProposalRequest)
"""What anybody may ask for who may connect at all."""


def encode_message(message: Message) -> bytes:
    """Encode a message canonically."""
    return encode(message)


def message_frame(message: Message) -> bytes:
    """Encode a message as a frame; a large batch is copied once."""
    if isinstance(message, BatchMessage) and len(message.batch) > _MEDIUM_BYTES_MAX:
        return encode_frame(_large_head(len(message.batch)), message.batch)
    return encode_frame(encode_message(message))


def decode_message(data: bytes) -> Message:
    """Decode a message.

    Raises:
        DecodeError: ``data`` is not the canonical encoding of a message.
    """
    return _codec.decode(data)


def large_batch(frame: FrameInPieces) -> BatchMessage | None:
    """Decode a message that is a batch of more than 64 KiB; None when it is anything else.

    Most of what peers send is such batches. The codec copies them three times, to see that they
    are canonical; here that is seen from their first bytes, and the batch is joined without them.
    """
    size = len(frame) - len(_LARGE_BATCH) - _LENGTH_BYTES
    if size <= _MEDIUM_BYTES_MAX:
        return None
    batch = frame.after(_large_head(size))
    return None if batch is None else BatchMessage(batch)


def _large_head(size: int) -> bytes:
    """Give what the codec writes before the bytes of a large batch."""
    return _LARGE_BATCH + size.to_bytes(_LENGTH_BYTES, "big")


def lane_of(message: Message) -> Lane:
    """Give the lane that carries ``message``."""
    return message.lane
