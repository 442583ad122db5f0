"""Pages of the store for streams that are behind: streams at the same place read once.

Owns no page: what is read is given to those who wait for it and forgotten. Streams that fell
behind together stay together for as long as their readers are equally fast.
"""

from collections.abc import Hashable
from typing import NamedTuple

import anyio

from ledger.core.limits import GATEWAY_STREAM_PAGE_EVENTS
from pubsub.core.limits import STREAM_PIECE_BYTES
from pubsub.io.pages import read_page
from pubsub.io.store_access import StoreAccess
from pubsub.io.stream_format import StreamFormat
from pubsub.io.wanted import Wanted

__all__ = ["Piece", "SharedPages"]


class Piece(NamedTuple):
    """A part of a stream.

    Attributes:
        data: what the reader gets, ``b""`` when nothing is wanted.
        last: the last sequence that the reader sees, -1 when there is none.
        cursor: the last sequence that was looked at.
    """

    data: bytes
    last: int
    cursor: int


class _Reading:
    """A page that is being read, and those who wait for it."""

    def __init__(self) -> None:
        self.done = anyio.Event()
        self.piece: Piece | None = None  # still None when done: it failed


class SharedPages:
    """The readings under way."""

    def __init__(self, access: StoreAccess) -> None:
        self._access = access
        self._under_way: dict[tuple[Hashable, int], _Reading] = {}

    async def read(self, who: Hashable, wanted: Wanted, form: StreamFormat, cursor: int) -> Piece:
        """Give the next piece behind ``cursor``; ``who`` says whose pages are the same."""
        while True:
            reading = self._under_way.get((who, cursor))
            if reading is None:
                return await self._read((who, cursor), wanted, form)
            await reading.done.wait()
            if reading.piece is not None:
                return reading.piece

    async def _read(self, key: tuple[Hashable, int], wanted: Wanted, form: StreamFormat) -> Piece:
        reading = self._under_way[key] = _Reading()
        try:
            page = await self._access.in_thread(
                lambda store: read_page(
                    store, wanted, key[1], GATEWAY_STREAM_PAGE_EVENTS, STREAM_PIECE_BYTES
                )
            )
            data = b"".join(form.event(row.sequence, row.json) for row in page.rows)
            last = page.rows[-1].sequence if page.rows else -1
            reading.piece = Piece(data, last, page.cursor)
            return reading.piece
        finally:
            del self._under_way[key]
            reading.done.set()
