"""Serves what is final to peers that lack it, from the chain store, in a thread.

One request of a kind waits for each peer, the newest: whoever asks faster than he is answered
gets fewer answers and costs nothing more.
"""

from collections.abc import Callable

import trio

from consensus.core.effects import ServeBatches, ServeBlocks
from consensus.core.messages import BatchMessage, Lane, encode_message
from consensus.core.serving import blocks_from
from consensus.io.frames import encode_frame
from ledger.core.ids import NodeIndex
from ledger.io.chain_store import ChainStore

__all__ = ["StoreServer"]

_Request = ServeBlocks | ServeBatches


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
