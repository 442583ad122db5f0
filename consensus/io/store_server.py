"""Serves what is final to peers that lack it, from the chain store, in a thread.

One request of a kind waits for each peer, the newest: whoever asks faster than he is answered
gets fewer answers and costs nothing more.
"""

from collections.abc import Callable
from typing import Final

import trio

from consensus.core.effects import ServeBatches, ServeBlocks
from consensus.core.messages import BatchMessage, BlocksResponse, Lane, encode_message
from consensus.io.frames import encode_frame
from ledger.core.block import Block
from ledger.core.codec import encode
from ledger.core.ids import Height, NodeIndex
from ledger.core.limits import (
    CONSENSUS_FRAME_BYTES_MAX,
    FRAME_BYTES_MAX,
    SYNC_BLOCKS_MAX,
    SYNC_BYTES_MAX,
)
from ledger.io.chain_store import ChainReader, ChainStore

__all__ = ["StoreServer", "blocks_from"]

_Request = ServeBlocks | ServeBatches
_BYTES_MAX: Final = FRAME_BYTES_MAX - CONSENSUS_FRAME_BYTES_MAX  # room for one more block


class StoreServer:
    """Answers ServeBlocks and ServeBatches."""

    def __init__(self, store: ChainStore, send: Callable[[NodeIndex, Lane, bytes], None]) -> None:
        """Give each answer to ``send(peer, lane, frame)``."""
        self._store = store
        self._send = send
        self._waiting: dict[tuple[NodeIndex, type[_Request]], _Request] = {}
        self._limiter = trio.CapacityLimiter(1)
        self._asked = trio.Event()

    def serve(self, request: _Request) -> None:
        """Answer soon; never waits."""
        self._waiting[request.peer, type(request)] = request
        self._asked.set()

    async def run(self) -> None:
        """Answer what waits, in turn, until cancelled."""
        while True:
            await self._asked.wait()
            if not self._waiting:
                self._asked = trio.Event()
                continue
            request = self._waiting.pop(next(iter(self._waiting)))
            frames = await trio.to_thread.run_sync(self._read, request, limiter=self._limiter)
            for frame in frames:
                self._send(request.peer, Lane.BULK, frame)

    def _read(self, request: _Request) -> list[bytes]:
        with self._store.read() as reader:
            if isinstance(request, ServeBlocks):
                answer = blocks_from(reader, request.from_height)
                return [] if answer is None else [encode_frame(encode_message(answer))]
            batches = [reader.batch(batch_id) for batch_id in request.batch_ids]
        return [encode_frame(encode_message(BatchMessage(b))) for b in batches if b is not None]


def blocks_from(reader: ChainReader, start: Height) -> BlocksResponse | None:
    """Give committed blocks from ``start`` on that end with one that has its own certificate.

    Their number and size are limited, except that the first certified block is reached in any
    case. None when the chain is shorter or that block is too far away for one answer.
    """
    blocks: list[Block] = []
    certified_count = 0
    size = 0
    for height in range(max(start, 1), start + SYNC_BLOCKS_MAX):
        block = reader.block(Height(height))
        if block is None or size >= (SYNC_BYTES_MAX if certified_count else _BYTES_MAX):
            break
        blocks.append(block)
        size += len(encode(block))
        if reader.certificate(Height(height)) is not None:
            certified_count = len(blocks)
    if not certified_count:
        return None
    blocks = blocks[:certified_count]
    return BlocksResponse(tuple(blocks), reader.certificate(blocks[-1].height))
