"""Reading a ``text/event-stream`` (WHATWG HTML, 9.2.6) from chunks of bytes of any size.

Owns the line and block rules, nothing of what a block means. The stream comes from a stranger:
a line has a limit, and a stream that keeps the rules gives the same blocks however it is cut.
"""

import re
from typing import Final, NamedTuple

from ledger.core.errors import Offence, PeerFault
from ledger.core.limits import CLIENT_STREAM_LINE_BYTES_MAX

__all__ = ["Block", "BlockReader"]

_LINE_END: Final = re.compile(rb"\r\n|\n|\r")
_BOM: Final = b"\xef\xbb\xbf"


class Block(NamedTuple):
    """What stood between two empty lines.

    Attributes:
        id: the last ``id`` field of the block, or None when it has none.
        data: its ``data`` lines joined by line feeds, or None when it has none.
        retry_ms: its ``retry`` field, or None.
    """

    id: bytes | None
    data: bytes | None
    retry_ms: int | None


class BlockReader:
    """Turns one stream into blocks. Comments and other fields are ignored, as the rules say."""

    __slots__ = ("_at_start", "_data", "_data_bytes", "_id", "_rest", "_retry_ms")

    def __init__(self) -> None:
        self._rest = b""
        self._at_start = True
        self._begin_block()

    def _begin_block(self) -> None:
        self._id: bytes | None = None
        self._data: list[bytes] = []
        self._data_bytes = 0
        self._retry_ms: int | None = None

    def feed(self, chunk: bytes) -> list[Block]:
        """Take the next bytes and give the blocks that they complete.

        Raises:
            PeerFault: a line or a block is too long.
        """
        blocks: list[Block] = []
        for line in self._lines(chunk):
            if line:
                self._take_field(line)
                continue
            if self._id is not None or self._data or self._retry_ms is not None:
                data = b"\n".join(self._data) if self._data else None
                blocks.append(Block(self._id, data, self._retry_ms))
            self._begin_block()
        return blocks

    def _lines(self, chunk: bytes) -> list[bytes]:
        text = self._rest + chunk
        if self._at_start:
            if len(text) < len(_BOM) and _BOM.startswith(text):
                self._rest = text
                return []
            text = text.removeprefix(_BOM)
            self._at_start = False
        # A final CR may be the first half of a CRLF: it waits for the next byte.
        end = len(text) - 1 if text.endswith(b"\r") else len(text)
        *lines, rest = _LINE_END.split(text[:end])
        self._rest = rest + text[end:]
        if len(self._rest) > CLIENT_STREAM_LINE_BYTES_MAX:
            raise PeerFault(Offence.FLOOD, "a line of the event stream is too long")
        return lines

    def _take_field(self, line: bytes) -> None:
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if name == b"data":
            self._data.append(value)
            self._data_bytes += len(value)
            if self._data_bytes > CLIENT_STREAM_LINE_BYTES_MAX:
                raise PeerFault(Offence.FLOOD, "a block of the event stream is too long")
        elif name == b"id" and b"\0" not in value:
            self._id = value
        elif name == b"retry" and value.isdigit() and len(value) <= len("86400000"):
            self._retry_ms = int(value)
