"""What a gateway and its node say to each other over the node's Unix socket.

Frames are a 4-byte big-endian length and one message. The node sends ``Head`` when a
gateway connects and when the chain store became durable at a higher block; requests carry an id
that the answer repeats, and may be answered out of order.

To be told wakes a process, at the very moment at which the cores have most to do. So the node says
at once what somebody waits for, and the rest within TOLD_WITHIN_MS: that the chain has grown, to a
gateway where nobody reads as it grows and of which no request waits; and that it has taken over
what is waited for, because the wait goes on.
"""

from functools import partial
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from consensus.core.frames import make_frame
from ledger.core.certificate import HeightField
from ledger.core.codec import Codec, UInt
from ledger.core.limits import SUBMIT_ENTRIES_MAX

__all__ = [
    "AWAITED_MS",
    "TOLD_WITHIN_MS",
    "Attend",
    "ControlQuestion",
    "ControlReply",
    "ControlRequest",
    "EncodedSubmit",
    "Head",
    "MetricsReply",
    "MetricsRequest",
    "StatusReply",
    "StatusRequest",
    "Submit",
    "SubmitReply",
    "control_frame",
    "decode_reply",
    "decode_request",
]


TOLD_WITHIN_MS: Final = 100  # what nobody waits for
AWAITED_MS: Final = 1_000  # so long after such a request every block is told of at once


class _Control(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    pass


class Submit(_Control, frozen=True, tag=1):
    """Hand in encoded entries.

    Attributes:
        is_awaited: whoever does waits for the blocks that decide about them.
    """

    request_id: UInt
    entries: Annotated[tuple[bytes, ...], Meta(min_length=1, max_length=SUBMIT_ENTRIES_MAX)]
    is_awaited: bool = False


class EncodedSubmit(_Control, frozen=True, tag=1):
    """What a :class:`Submit` looks like to who has its entries encoded already.

    Attributes:
        entries: a MessagePack array of 1 to SUBMIT_ENTRIES_MAX byte strings, in any form.
    """

    request_id: UInt
    entries: msgspec.Raw
    is_awaited: bool = False


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
    """The chain store is durable up to ``height`` and holds ``log_size`` events.

    Attributes:
        grown_height: height of the last block that brought events.
        grown_ms: when it became durable, ms since 1970 by the node's clock; 0: before it started.
    """

    height: HeightField
    log_size: UInt
    grown_height: HeightField
    grown_ms: UInt


class Attend(_Control, frozen=True, tag=8):
    """Say whether somebody reads at the gateway as the log grows. It has no answer."""

    is_live: bool


ControlRequest = Submit | StatusRequest | MetricsRequest | Attend
"""What a node reads."""
ControlQuestion = EncodedSubmit | Submit | StatusRequest | MetricsRequest
"""What a gateway asks: ``EncodedSubmit`` reads as a ``Submit``."""
ControlReply = SubmitReply | StatusReply | MetricsReply | Head

_requests: Codec[ControlRequest] = Codec(ControlRequest)  # type: ignore[arg-type] # union
_replies: Codec[ControlReply] = Codec(ControlReply)  # type: ignore[arg-type] # union
_encoder = msgspec.msgpack.Encoder()


def control_frame(message: ControlQuestion | ControlReply | Attend) -> bytearray:
    """Encode a message as a frame; what is encoded already is copied once."""
    return make_frame(partial(_encoder.encode_into, message))


def decode_request(data: bytes) -> ControlRequest:
    """Decode what a gateway sent, in any form: nothing of it is signed or kept.

    Raises DecodeError.
    """
    return _requests.decode_any_form(data)


def decode_reply(data: bytes) -> ControlReply:
    """Decode what the node sent. Raises DecodeError."""
    return _replies.decode(data)
