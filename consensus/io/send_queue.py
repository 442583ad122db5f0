"""What waits to be sent to one peer on one lane, in the pieces in which it is written."""

from consensus.core.lane_queue import LaneQueue
from consensus.core.messages import Lane
from ledger.core.limits import SEND_BYTES_MAX

__all__ = ["SendQueue"]


class SendQueue(LaneQueue):
    """Frames of one lane to one peer, as pieces of at most ``SEND_BYTES_MAX`` bytes."""

    __slots__ = ("_rest",)

    def __init__(self, lane: Lane) -> None:
        super().__init__(lane)
        self._rest = memoryview(b"")  # of a frame that is larger than a piece

    @property
    def is_empty(self) -> bool:
        """True when nothing waits, no part of a frame either."""
        return not len(self) and not self._rest

    def take(self) -> bytes | memoryview:
        """Give the next piece: frames joined, or a part of a large one; empty when none waits."""
        if self._rest:
            return self._split(self._rest)
        if not len(self):
            return b""
        first = self.pop()
        if len(first) > SEND_BYTES_MAX:
            return self._split(memoryview(first))
        parts = [first]
        size = len(first)
        while len(self) and size + self.next_bytes <= SEND_BYTES_MAX:
            parts.append(self.pop())
            size += len(parts[-1])
        return first if len(parts) == 1 else b"".join(parts)

    def set_open(self, *, is_open: bool) -> None:
        """Say whether the lane is connected: of a frame that was cut off nothing more is sent."""
        super().set_open(is_open=is_open)
        self._rest = memoryview(b"")

    def _split(self, frame: memoryview) -> memoryview:
        self._rest = frame[SEND_BYTES_MAX:]
        return frame[:SEND_BYTES_MAX]
