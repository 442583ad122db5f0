"""What waits to be sent to one peer on one lane: bounded in frames and in bytes.

A full consensus lane forgets its oldest frame, because a newer vote is worth more; a full bulk
lane refuses the newest, because batches are asked for again. While a lane is not connected it
keeps what was said last, and less of it, so that a peer that (re)starts need not wait until the
protocol repeats itself.
"""

from collections import deque

from consensus.core.messages import Lane
from ledger.core.limits import LANE_BYTES_MAX, LANE_FRAMES_MAX

__all__ = ["LaneQueue"]


class LaneQueue:
    """Frames of one lane to one peer, not connected at first.

    Attributes:
        dropped: number of frames that never left.
    """

    __slots__ = ("_bytes", "_bytes_max", "_frames", "_frames_max", "_is_open", "_lane", "dropped")

    def __init__(self, lane: Lane) -> None:
        self._lane = lane
        self._frames_max = LANE_FRAMES_MAX[lane]
        self._bytes_max = LANE_BYTES_MAX[Lane.CONSENSUS]
        self._frames: deque[bytes] = deque()
        self._bytes = 0
        self._is_open = False
        self.dropped = 0

    def __len__(self) -> int:
        return len(self._frames)

    @property
    def bytes_count(self) -> int:
        """Bytes that wait."""
        return self._bytes

    @property
    def next_bytes(self) -> int:
        """Size of the frame that leaves next; there must be one."""
        return len(self._frames[0])

    def put(self, frame: bytes) -> None:
        """Add a frame, or drop one where the queue is full. A lone frame always fits."""
        if self._is_open and self._lane is Lane.BULK and self._is_full(len(frame)):
            self.dropped += 1
            return
        self._forget_oldest(len(frame))
        self._frames.append(frame)
        self._bytes += len(frame)

    def pop(self) -> bytes:
        """Give the frame that leaves next; there must be one."""
        frame = self._frames.popleft()
        self._bytes -= len(frame)
        return frame

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
