"""What waits to be sent to one peer on one lane: bounded in frames and in bytes.

A full consensus lane forgets its oldest frame, because a newer vote is worth more; a full bulk
lane refuses the newest, because batches are asked for again. While a lane is not connected it
keeps what was said last, and less of it, so that a peer that (re)starts need not wait until the
protocol repeats itself.
"""

from collections import deque

import trio

from consensus.core.messages import Lane
from ledger.core.limits import LANE_BYTES_MAX, LANE_FRAMES_MAX, SEND_BYTES_MAX

__all__ = ["SendQueue"]


class SendQueue:
    """Frames of one lane to one peer; one task sends them.

    Attributes:
        dropped: number of frames that never left.
    """

    __slots__ = (
        "_bytes",
        "_bytes_max",
        "_filled",
        "_frames",
        "_frames_max",
        "_is_open",
        "_lane",
        "dropped",
    )

    def __init__(self, lane: Lane) -> None:
        self._lane = lane
        self._frames_max = LANE_FRAMES_MAX[lane]
        self._bytes_max = LANE_BYTES_MAX[Lane.CONSENSUS]  # not connected yet
        self._frames: deque[bytes] = deque()
        self._bytes = 0
        self._filled = trio.Event()
        self._is_open = False
        self.dropped = 0

    def __len__(self) -> int:
        return len(self._frames)

    @property
    def bytes_count(self) -> int:
        """Bytes that wait."""
        return self._bytes

    def put(self, frame: bytes) -> None:
        """Add a frame, or drop one where the queue is full. A lone frame always fits."""
        if self._is_open and self._lane is Lane.BULK and self._is_full(len(frame)):
            self.dropped += 1
            return
        self._forget_oldest(len(frame))
        self._frames.append(frame)
        self._bytes += len(frame)
        self._filled.set()

    async def take(self) -> bytes:
        """Wait for frames; give the next ones, joined: few enough for about one write."""
        while not self._frames:
            self._filled = trio.Event()
            await self._filled.wait()
        parts = [self._frames.popleft()]
        size = len(parts[0])
        while self._frames and size + len(self._frames[0]) <= SEND_BYTES_MAX:
            parts.append(self._frames.popleft())
            size += len(parts[-1])
        self._bytes -= size
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def set_open(self, *, is_open: bool) -> None:
        """Say whether the lane is connected: when not, less is kept."""
        self._is_open = is_open
        self._bytes_max = LANE_BYTES_MAX[self._lane if is_open else Lane.CONSENSUS]
        self._forget_oldest(0)

    def _forget_oldest(self, size: int) -> None:
        while self._is_full(size):
            self._bytes -= len(self._frames.popleft())
            self.dropped += 1

    def _is_full(self, size: int) -> bool:
        if not self._frames:
            return False
        return len(self._frames) >= self._frames_max or self._bytes + size > self._bytes_max
