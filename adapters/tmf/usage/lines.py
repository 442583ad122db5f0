"""Lines of a body that is longer than memory: what arrived becomes whole lines, one by one. Pure.

Owns the bound on a line: of a longer one nothing is kept but that it was there.
"""

from collections.abc import Iterator

__all__ = ["Lines"]


class Lines:
    """Cuts a stream of bytes at its line feeds."""

    def __init__(self, bytes_max: int) -> None:
        """Cut lines of at most ``bytes_max``, without their line feeds."""
        self._bytes_max = bytes_max
        self._open = b""
        self._is_too_long = False

    def feed(self, data: bytes) -> Iterator[bytes | None]:
        """Give the lines that end within ``data``; None for one that is too long."""
        first, *rest = data.split(b"\n")
        self._extend(first)
        for part in rest:
            yield self._take()
            self._extend(part)

    def end(self) -> Iterator[bytes | None]:
        """Give what stands behind the last line feed, if anything."""
        if self._open or self._is_too_long:
            yield self._take()

    def _extend(self, part: bytes) -> None:
        self._is_too_long = self._is_too_long or len(self._open) + len(part) > self._bytes_max
        self._open = b"" if self._is_too_long else self._open + part

    def _take(self) -> bytes | None:
        line = None if self._is_too_long else self._open
        self._open, self._is_too_long = b"", False
        return line
