"""Large batches are read without the codec, and mean what it would say."""

from collections.abc import Callable

import pytest

from consensus.core.cosigning_messages import decode_peer_message
from consensus.core.frames import encode_frame
from consensus.core.messages import (
    BatchMessage,
    decode_message,
    encode_message,
    large_batch,
    message_frame,
)
from ledger.core.errors import DecodeError

LARGE = b"x" * 70_000
DECODERS = pytest.mark.parametrize("decode", [decode_message, decode_peer_message])


@DECODERS
@pytest.mark.parametrize("size", [0, 255, 256, 65_534, 65_535, 65_536, 65_537, 524_288])
def test_batches_of_any_size_are_read(decode: Callable[[bytes], object], size: int) -> None:
    """The size at which the shortcut begins is the one at which the form of the length changes."""
    message = BatchMessage(bytes(size))
    data = encode_message(message)
    assert decode(data) == message
    assert message_frame(message) == encode_frame(data)
    assert (large_batch(data) == message) is (size > 65_535)


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


@DECODERS
@pytest.mark.parametrize("kind", list(other_forms()))
def test_what_is_not_canonical_is_refused(decode: Callable[[bytes], object], kind: str) -> None:
    """Nothing is a large batch that the codec would not take for one."""
    data = other_forms()[kind]
    with pytest.raises(DecodeError):
        decode(data)
    assert large_batch(data) is None
