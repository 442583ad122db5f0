"""Serves what is final to peers that lack it, from the chain store, in a thread.

One request of a kind waits for each peer: whoever asks faster than he is answered gets fewer
answers and costs nothing more. It is the newest; of batches, so many of those asked for last.
"""

from collections.abc import Callable

import trio

from consensus.core.effects import ServeBatches, ServeBlocks, ServeEpochEnd
from consensus.core.messages import BatchMessage, Lane, Message, lane_of, message_frame
from consensus.core.serving import blocks_from, end_of_epoch
from ledger.core.ids import NodeIndex
from ledger.core.limits import SYNC_BATCH_REQUESTS_MAX
from ledger.io.chain_store import ChainStore

__all__ = ["StoreServer"]

_Request = ServeBlocks | ServeBatches | ServeEpochEnd


class StoreServer:
    """Answers ServeBlocks, ServeBatches and ServeEpochEnd."""

    def __init__(self, store: ChainStore, send: Callable[[NodeIndex, Lane, bytes], None]) -> None:
        """Give each answer to ``send(peer, lane, frame)``."""
        self._store = store
        self._send = send
        self._waiting: dict[tuple[NodeIndex, type[_Request]], _Request] = {}
        self._limiter = trio.CapacityLimiter(1)
        self._asked = trio.Event()

    def serve(self, request: _Request) -> None:
        """Answer soon; never waits."""
        key = request.peer, type(request)
        waiting = self._waiting.get(key)
        if isinstance(request, ServeBatches) and isinstance(waiting, ServeBatches):
            # A peer that lost its batches asks for each as it hears of it, and only once.
            ids = dict.fromkeys([*request.batch_ids, *waiting.batch_ids])
            request = ServeBatches(request.peer, tuple(ids)[:SYNC_BATCH_REQUESTS_MAX])
        self._waiting[key] = request
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
            for lane, frame in frames:
                self._send(request.peer, lane, frame)

    def forget(self) -> None:
        """Answer nothing of what waits: at the end of an epoch peers get other indexes."""
        self._waiting.clear()

    def _read(self, request: _Request) -> list[tuple[Lane, bytes]]:
        answers: list[Message | None]
        with self._store.read() as reader:
            if isinstance(request, ServeBlocks):
                answers = [blocks_from(reader, request.from_height)]
            elif isinstance(request, ServeEpochEnd):
                answers = [end_of_epoch(reader, request.epoch)]
            else:
                batches = [reader.batch(batch_id) for batch_id in request.batch_ids]
                answers = [None if batch is None else BatchMessage(batch) for batch in batches]
        found = [answer for answer in answers if answer is not None]
        return [(lane_of(answer), message_frame(answer)) for answer in found]
