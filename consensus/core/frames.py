"""Frames: a 4-byte big-endian length, then that many bytes (at least one).

The splitter takes whatever a socket gives and never holds more than one unfinished frame.
"""

from typing import Final

from ledger.core.errors import DecodeError

__all__ = ["FrameSplitter", "encode_frame"]

_HEADER_BYTES: Final = 4


def encode_frame(payload: bytes) -> bytes:
    """Put the length before ``payload`` (1 byte to 2**32 - 1 bytes)."""
    return len(payload).to_bytes(_HEADER_BYTES, "big") + payload


class FrameSplitter:
    """Cuts a stream of bytes into frames, however it arrives."""

    __slots__ = ("_buffer", "_bytes_max")

    def __init__(self, bytes_max: int) -> None:
        """Accept frames of up to ``bytes_max`` bytes, the header not counted."""
        self._buffer = bytearray()
        self._bytes_max = bytes_max

    @property
    def is_empty(self) -> bool:
        """True when no unfinished frame is held."""
        return not self._buffer

    def feed(self, data: bytes | bytearray) -> list[bytes]:
        """Take the next bytes of the stream and give the frames that are now complete.

        Raises:
            DecodeError: a frame is empty or too large; the splitter is of no more use.
        """
        buffer = self._buffer
        rest = len(data) - _HEADER_BYTES
        is_usual = not buffer and 1 <= rest <= self._bytes_max
        if is_usual and int.from_bytes(data[:_HEADER_BYTES], "big") == rest:
            return [bytes(data[_HEADER_BYTES:])]  # one frame, whole: most come like that
        buffer += data
        frames = []
        start = 0
        with memoryview(buffer) as view:
            while len(buffer) - start >= _HEADER_BYTES:
                body = start + _HEADER_BYTES
                size = int.from_bytes(view[start:body], "big")
                if not 1 <= size <= self._bytes_max:
                    msg = f"a frame of {size} bytes, allowed are 1 to {self._bytes_max}"
                    raise DecodeError(msg)
                if len(buffer) - body < size:
                    break
                start = body + size
                frames.append(bytes(view[body:start]))
        del buffer[:start]
        return frames
