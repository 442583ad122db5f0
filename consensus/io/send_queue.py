"""What waits to be sent to one peer on one lane, and the wait for it."""

import trio

from consensus.core.lane_queue import LaneQueue
from consensus.core.messages import Lane
from ledger.core.limits import SEND_BYTES_MAX

__all__ = ["SendQueue"]


class SendQueue(LaneQueue):
    """Frames of one lane to one peer; one task sends them."""

    __slots__ = ("_filled",)

    def __init__(self, lane: Lane) -> None:
        super().__init__(lane)
        self._filled = trio.Event()

    def put(self, frame: bytes) -> None:
        """Add a frame, or drop one where the queue is full. A lone frame always fits."""
        super().put(frame)
        self._filled.set()

    async def take(self) -> bytes:
        """Wait for frames; give the next ones, joined: few enough for about one write."""
        while not len(self):
            self._filled = trio.Event()
            await self._filled.wait()
        parts = [self.pop()]
        size = len(parts[0])
        while len(self) and size + self.next_bytes <= SEND_BYTES_MAX:
            parts.append(self.pop())
            size += len(parts[-1])
        return parts[0] if len(parts) == 1 else b"".join(parts)
