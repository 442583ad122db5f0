"""Fetches that wait for events: woken by notices, and by one alarm for all of them.

Owns no rule: who is woken looks whether there is something for it, and waits again otherwise. A
notice wakes one fetch; one that took something wakes the next, so that a single event wakes one of
a thousand pullers and many events wake as many as there is work for.
"""

import time
from collections import deque
from collections.abc import Callable
from heapq import heappop, heappush

import anyio

__all__ = ["Alarm", "Queue", "now_ms"]


def now_ms() -> int:
    """Give the time in milliseconds since 1970, UTC: what is durable must outlive a restart."""
    return time.time_ns() // 1_000_000


class _Waiter:
    __slots__ = ("deadline_ms", "event")

    def __init__(self, deadline_ms: int) -> None:
        self.deadline_ms = deadline_ms
        self.event = anyio.Event()


class Queue:
    """The fetches that wait at one consumer.

    Attributes:
        notices_count: grows with each notice, so that one that came before a fetch waits is seen.
    """

    __slots__ = ("_waiters", "notices_count")

    def __init__(self) -> None:
        self._waiters: deque[_Waiter] = deque()
        self.notices_count = 0

    def __len__(self) -> int:
        return len(self._waiters)

    def notify(self) -> None:
        """Wake one fetch, because there may be something."""
        self.notices_count += 1
        if self._waiters:
            self._waiters.popleft().event.set()

    def notify_all(self) -> None:
        """Wake every fetch, because the consumer or the gateway ends."""
        self.notices_count += 1
        while self._waiters:
            self._waiters.popleft().event.set()

    def first_deadline_ms(self) -> int | None:
        """Give when the first fetch has waited long enough."""
        return min((waiter.deadline_ms for waiter in self._waiters), default=None)

    def wake_late(self, at_ms: int) -> None:
        """Wake the fetches whose deadline is over."""
        for waiter in [each for each in self._waiters if each.deadline_ms <= at_ms]:
            self._waiters.remove(waiter)
            waiter.event.set()

    async def wait(self, seen_count: int, deadline_ms: int, on_wait: Callable[[], None]) -> None:
        """Return at the next notice after the ``seen_count``th, or at the deadline.

        Args:
            on_wait: called when the fetch stands in the queue, to set the alarm.
        """
        if self.notices_count != seen_count:
            return
        waiter = _Waiter(deadline_ms)
        self._waiters.append(waiter)
        on_wait()
        try:
            await waiter.event.wait()
        except BaseException:
            if waiter.event.is_set():
                self.notify()  # it was woken for something that it will not take now
            else:
                self._waiters.remove(waiter)
            raise


class Alarm:
    """Calls back at times; one task for all."""

    def __init__(self) -> None:
        self._heap: list[tuple[int, int, Callable[[], None]]] = []
        self._count = 0
        self._notice = anyio.Event()

    def at(self, time_ms: int, call: Callable[[], None]) -> None:
        """Call ``call`` once at ``time_ms``."""
        self._count += 1
        heappush(self._heap, (time_ms, self._count, call))
        if self._heap[0][1] == self._count:
            self._notice.set()

    async def run(self) -> None:
        """Call until cancelled."""
        while True:
            self._notice = anyio.Event()
            delay_s = (self._heap[0][0] - now_ms()) / 1000 if self._heap else None
            if delay_s is None or delay_s > 0:
                with anyio.move_on_after(delay_s):
                    await self._notice.wait()
            else:
                await anyio.lowlevel.checkpoint()
            due_ms = now_ms()
            while self._heap and self._heap[0][0] <= due_ms:
                heappop(self._heap)[2]()
