"""What validators say to each other about checkpoints of the log.

No part of consensus: these messages go to the cosigner, never to ``NodeCore``, and on the bulk
lane. They share one space of tags with the messages of consensus, so that one decoder reads both.
"""

from typing import Annotated, ClassVar, Final

import msgspec
from msgspec import Meta

from consensus.core.frames import Frame
from consensus.core.messages import Lane, Message, large_batch
from ledger.core.certificate import EpochField, IndexField
from ledger.core.codec import Codec, Hash32, Signature64, UInt
from ledger.core.limits import VALIDATORS_COUNT_MAX

__all__ = [
    "COSIGNING",
    "CheckpointMessage",
    "CosignatureMessage",
    "CosigningMessage",
    "decode_peer_message",
    "encode_cosigning",
]

SignedRow = tuple[IndexField, Signature64, Signature64]
"""A validator, its signature as the log, and its cosignature."""


class _Cosigning(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """Base: of which log, as of when.

    Attributes:
        epoch: whose validators sign; time_s: as of when, seconds since 1970.
        log_size, log_root: what they sign.
    """

    lane: ClassVar[Lane] = Lane.BULK
    epoch: EpochField
    time_s: UInt
    log_size: UInt
    log_root: Hash32


class CosignatureMessage(_Cosigning, frozen=True, tag=15):
    """The sender's own signatures of a checkpoint."""

    as_log: Signature64
    as_cosigner: Signature64


class CheckpointMessage(_Cosigning, frozen=True, tag=16):
    """A checkpoint that a quorum has signed, for one who was away."""

    rows: Annotated[tuple[SignedRow, ...], Meta(min_length=1, max_length=VALIDATORS_COUNT_MAX)]


CosigningMessage = CosignatureMessage | CheckpointMessage
COSIGNING: Final = (CosignatureMessage, CheckpointMessage)

_codec: Codec[Message | CosigningMessage] = Codec(
    Message | CosigningMessage  # type: ignore[arg-type] # a union is no type[T] to mypy
)


def encode_cosigning(message: CosigningMessage) -> bytes:
    """Encode a message canonically."""
    return _codec.encode(message)


def decode_peer_message(frame: Frame) -> Message | CosigningMessage:
    """Decode whatever a peer may say.

    Raises:
        DecodeError: ``frame`` is not the canonical encoding of a message.
    """
    if isinstance(frame, bytes):
        return _codec.decode(frame)
    return large_batch(frame) or _codec.decode(frame.whole())
