"""Large batches are read without the codec, and mean what it would say."""

import pytest

from consensus.core.cosigning_messages import decode_peer_message
from consensus.core.frames import FrameInPieces, encode_frame
from consensus.core.messages import (
    BatchMessage,
    decode_message,
    encode_message,
    large_batch,
    message_frame,
)
from ledger.core.errors import DecodeError

LARGE = b"x" * 70_000


def in_pieces(data: bytes, size: int) -> FrameInPieces:
    """Cut a message as a connection may."""
    return FrameInPieces(*(data[i : i + size] for i in range(0, len(data), size)))


@pytest.mark.parametrize("size", [0, 255, 256, 65_534, 65_535, 65_536, 65_537, 524_288])
@pytest.mark.parametrize("piece", [1, 6, 7, 8, 16_384, 600_000])
def test_batches_of_any_size_are_read(size: int, piece: int) -> None:
    """The size at which the shortcut begins is the one at which the form of the length changes."""
    message = BatchMessage(bytes(size))
    data = encode_message(message)
    assert decode_message(data) == decode_peer_message(data) == message
    assert decode_peer_message(in_pieces(data, piece)) == message
    assert message_frame(message) == encode_frame(data)
    assert (large_batch(in_pieces(data, piece)) == message) is (size > 65_535)


def other_forms() -> dict[str, bytes]:
    """Give bytes that are almost a large batch."""
    good, head = encode_message(BatchMessage(LARGE)), b"\x92\x06\xc6"
    return {
        "cut short": good[:-1],
        "longer": good + b"x",
        "a length that is too small": head + (69_999).to_bytes(4, "big") + LARGE,
        "a length that is too large": head + (70_001).to_bytes(4, "big") + LARGE,
        "a longer length than is needed": head + (100).to_bytes(4, "big") + LARGE[:100],
        "at the edge": head + (65_535).to_bytes(4, "big") + LARGE[:65_535],
        "a longer tag": b"\x92\xcc\x06\xc6" + good[3:],
        "another tag": b"\x92\x07\xc6" + good[3:],
        "text": b"\x92\x06\xdb" + good[3:],
        "an array of three": b"\x93" + good[1:] + b"\x00",
    }


@pytest.mark.parametrize("kind", list(other_forms()))
@pytest.mark.parametrize("piece", [5, 16_384])
def test_what_is_not_canonical_is_refused(kind: str, piece: int) -> None:
    """Nothing is a large batch that the codec would not take for one."""
    data = other_forms()[kind]
    for form in (data, in_pieces(data, piece)):
        with pytest.raises(DecodeError):
            decode_peer_message(form)
    assert large_batch(in_pieces(data, piece)) is None
