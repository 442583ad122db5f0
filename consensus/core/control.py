"""What a gateway and its node say to each other over the node's Unix socket.

Frames are a 4-byte big-endian length and one canonical message. The node sends ``Head`` when a
gateway connects and whenever the chain store became durable at a higher block; requests carry
an id that the answer repeats, and may be answered out of order.
"""

from typing import Annotated

import msgspec
from msgspec import Meta

from ledger.core.certificate import HeightField
from ledger.core.codec import Codec, UInt
from ledger.core.limits import SUBMIT_ENTRIES_MAX

__all__ = [
    "ControlReply",
    "ControlRequest",
    "Head",
    "MetricsReply",
    "MetricsRequest",
    "StatusReply",
    "StatusRequest",
    "Submit",
    "SubmitReply",
    "decode_reply",
    "decode_request",
    "encode_control",
]


class _Control(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    pass


class Submit(_Control, frozen=True, tag=1):
    """Hand in encoded entries."""

    request_id: UInt
    entries: Annotated[tuple[bytes, ...], Meta(min_length=1, max_length=SUBMIT_ENTRIES_MAX)]


class StatusRequest(_Control, frozen=True, tag=2):
    """Ask for the node's view of itself."""

    request_id: UInt


class MetricsRequest(_Control, frozen=True, tag=3):
    """Ask for the node's metrics in the Prometheus text format."""

    request_id: UInt


class SubmitReply(_Control, frozen=True, tag=4):
    """One code for each entry, in order: empty when taken over, else a ``RejectCode``.

    No code at all: all were taken over.
    """

    request_id: UInt
    codes: tuple[str, ...]


class StatusReply(_Control, frozen=True, tag=5):
    """The status as a JSON document."""

    request_id: UInt
    document: bytes


class MetricsReply(_Control, frozen=True, tag=6):
    """Metrics in the Prometheus text format."""

    request_id: UInt
    text: bytes


class Head(_Control, frozen=True, tag=7):
    """The chain store is durable up to ``height`` and holds ``log_size`` events."""

    height: HeightField
    log_size: UInt


ControlRequest = Submit | StatusRequest | MetricsRequest
ControlReply = SubmitReply | StatusReply | MetricsReply | Head

_requests: Codec[ControlRequest] = Codec(ControlRequest)  # type: ignore[arg-type] # union
_replies: Codec[ControlReply] = Codec(ControlReply)  # type: ignore[arg-type] # union

encode_control = msgspec.msgpack.Encoder().encode
"""Encode any control message."""


def decode_request(data: bytes) -> ControlRequest:
    """Decode what a gateway sent. Raises DecodeError."""
    return _requests.decode(data)


def decode_reply(data: bytes) -> ControlReply:
    """Decode what the node sent. Raises DecodeError."""
    return _replies.decode(data)
