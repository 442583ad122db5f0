"""What waits for a core that is busy or stands still, taken in the order of the shell's inbox."""

from collections import deque
from itertools import islice

from consensus.core.inputs import Input, PeerMessage, Submitted, TimerFired
from consensus.core.messages import Lane
from ledger.core.limits import BULK_INPUTS_MAX

__all__ = ["Inbox"]


class Inbox:
    """Four queues: answers of the node itself, the consensus lane, timers, bulk.

    Attributes:
        count: number of inputs that wait.
    """

    __slots__ = ("_bulk", "_own", "_taken", "_timers", "_urgent", "count")

    def __init__(self) -> None:
        self.count = 0
        self._taken: list[Input] = []
        self._own: deque[Input] = deque()
        self._urgent: deque[Input] = deque()
        self._timers: deque[Input] = deque()
        self._bulk: deque[Input] = deque()

    def put(self, item: Input) -> None:
        """Let an input wait."""
        self._queue(item).append(item)
        self.count += 1

    def _queue(self, item: Input) -> "deque[Input]":
        match item:
            case PeerMessage(_, message):
                return self._urgent if message.lane is Lane.CONSENSUS else self._bulk
            case TimerFired():
                return self._timers
            case Submitted():
                return self._bulk
            case _:
                return self._own

    def take(self) -> list[Input]:
        """Give what to do next: everything urgent, timers after it, then some bulk."""
        if self._taken:
            items, self._taken = self._taken, []
            self.count -= len(items)
            return items
        items = [*self._own, *self._urgent, *self._timers]
        for queue in (self._own, self._urgent, self._timers):
            queue.clear()
        items += islice(self._bulk, BULK_INPUTS_MAX)
        for _ in range(min(BULK_INPUTS_MAX, len(self._bulk))):
            self._bulk.popleft()
        self.count -= len(items)
        return items

    def forget_peers(self) -> None:
        """Drop what peers said and what timers did: connections and timers begin anew."""
        self._urgent.clear()
        self._timers.clear()
        kept = [item for item in self._bulk if not isinstance(item, PeerMessage)]
        self._bulk = deque(kept)
        self._taken = [i for i in self._taken if not isinstance(i, PeerMessage | TimerFired)]
        self.count = len(self._taken) + len(self._own) + len(self._bulk)

    def put_back(self, items: list[Input]) -> None:
        """Return what was taken and not done: it is next."""
        self._taken = items
        self.count += len(items)
