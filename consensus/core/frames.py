"""Frames: a 4-byte big-endian length, then that many bytes (at least one).

The splitter takes whatever a socket gives and never holds more than one unfinished frame.
"""

from collections.abc import Callable
from typing import Final

from ledger.core.errors import DecodeError

__all__ = ["Frame", "FrameInPieces", "FrameSplitter", "encode_frame", "make_frame"]

_HEADER_BYTES: Final = 4
_PIECE_BYTES_MIN: Final = 4_096  # smaller ones are gathered: a million of them would take room


def encode_frame(*parts: bytes) -> bytes:
    """Put the length before a payload (1 byte to 2**32 - 1 bytes), which comes in ``parts``."""
    return b"".join((sum(map(len, parts)).to_bytes(_HEADER_BYTES, "big"), *parts))


def make_frame(write: Callable[[bytearray, int], object]) -> bytearray:
    """Have ``write(frame, place)`` put a payload at a place of a frame, and its length before."""
    frame = bytearray(_HEADER_BYTES)
    write(frame, _HEADER_BYTES)
    frame[:_HEADER_BYTES] = (len(frame) - _HEADER_BYTES).to_bytes(_HEADER_BYTES, "big")
    return frame


class FrameInPieces:
    """A frame that is not joined yet: whoever takes something off it copies it once."""

    __slots__ = ("_pieces",)

    def __init__(self, *pieces: bytes | bytearray) -> None:
        """Take the pieces over; none is empty."""
        self._pieces = pieces

    def __len__(self) -> int:
        return sum(map(len, self._pieces))

    def whole(self) -> bytes:
        """Give all of it."""
        return b"".join(self._pieces)

    def after(self, head: bytes) -> bytes | None:
        """Give what stands behind ``head``; None when it begins with anything else."""
        first, *rest = self._pieces
        if len(first) < len(head):
            whole = self.whole()
            return whole[len(head) :] if whole.startswith(head) else None
        return b"".join((first[len(head) :], *rest)) if first.startswith(head) else None


Frame = bytes | FrameInPieces


class FrameSplitter:
    """Cuts a stream of bytes into frames, however it arrives.

    A large frame comes in many pieces. They are kept as they came, and joined once, by ``feed`` or
    by whoever takes them from ``feed_pieces``: at full load such copies are much of what a node
    does.
    """

    __slots__ = ("_bytes_max", "_held", "_is_header", "_needed", "_pieces")

    def __init__(self, bytes_max: int) -> None:
        """Accept frames of up to ``bytes_max`` bytes, the header not counted."""
        self._bytes_max = bytes_max
        self._pieces: list[bytes | bytearray] = []  # of a header or of a payload
        self._held = 0
        self._needed = _HEADER_BYTES
        self._is_header = True

    @property
    def is_empty(self) -> bool:
        """True when no unfinished frame is held."""
        return self._is_header and not self._held

    def feed(self, data: bytes | bytearray) -> list[bytes]:
        """Take the next bytes of the stream and give the frames that are now complete.

        Raises:
            DecodeError: a frame is empty or too large; the splitter is of no more use.
        """
        frames = self.feed_pieces(data)
        return [frame if isinstance(frame, bytes) else frame.whole() for frame in frames]

    def feed_pieces(self, data: bytes | bytearray) -> list[Frame]:
        """As :meth:`feed`, but leave what came in pieces as it is."""
        frames: list[Frame] = []
        start = 0
        while (end := start + self._needed - self._held) <= len(data):
            part = self._completed(data[start:end])
            start = end
            if self._is_header:
                header = part if isinstance(part, bytes) else part.whole()
                self._needed = self._size_in(header)
            else:
                frames.append(part)
                self._needed = _HEADER_BYTES
            self._is_header = not self._is_header
        if start < len(data):
            self._hold(data[start:] if start else data)
        return frames

    def _completed(self, last: bytes | bytearray) -> Frame:
        """Give a header or a payload whose last piece has come."""
        if not self._pieces:
            return bytes(last)
        part = FrameInPieces(*self._pieces, last)
        self._pieces.clear()
        self._held = 0
        return part

    def _hold(self, piece: bytes | bytearray) -> None:
        self._held += len(piece)
        pieces = self._pieces
        if len(piece) >= _PIECE_BYTES_MIN:
            pieces.append(bytes(piece))
        elif pieces and isinstance(pieces[-1], bytearray):
            pieces[-1] += piece
        else:
            pieces.append(bytearray(piece))

    def _size_in(self, header: bytes) -> int:
        size = int.from_bytes(header, "big")
        if not 1 <= size <= self._bytes_max:
            msg = f"a frame of {size} bytes, allowed are 1 to {self._bytes_max}"
            raise DecodeError(msg)
        return size
