"""What waits to be given to the core, in two classes so that bulk never delays votes.

Urgent: messages of the consensus lane, timers, answers of the node's own threads. Bulk: the
rest. Every source (one lane of one peer, one gateway) has a share; a source whose share is used
up waits, and so does not read its socket, which makes the other end wait too. A share may be
exceeded by what its source puts at once.
"""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import trio

from consensus.core.inputs import Input, TimerFired
from ledger.core.limits import BULK_INPUTS_MAX

__all__ = ["Inbox", "Share"]


class Share:
    """How much of the inbox one source may use. Something larger than all of it fits alone."""

    __slots__ = (
        "_bytes",
        "_bytes_max",
        "_count",
        "_count_max",
        "_room",
        "_when_room",
        "is_urgent",
    )

    def __init__(self, *, count_max: int, bytes_max: int, is_urgent: bool) -> None:
        self.is_urgent = is_urgent
        self._count_max = count_max
        self._bytes_max = bytes_max
        self._count = 0
        self._bytes = 0
        self._room: trio.Event | None = None
        self._when_room: dict[Callable[[], None], None] = {}

    @property
    def has_room(self) -> bool:
        """True while it is not used up."""
        return self._count < self._count_max and self._bytes < self._bytes_max

    def when_room(self, call: Callable[[], None]) -> None:
        """Have ``call`` called, once, when something was taken and there is room again.

        Several may wait: a share outlives the connections of its source. ``call`` may put nothing.
        """
        self._when_room[call] = None

    def forget(self, call: Callable[[], None]) -> None:
        """Call ``call``, and only this one, no more; as often as one likes."""
        self._when_room.pop(call, None)

    async def wait_room(self) -> None:
        """Wait until the share is not used up."""
        while not self.has_room:
            self._room = trio.Event()
            await self._room.wait()

    def use(self, count: int, size: int) -> None:
        """Count inputs that were put."""
        self._count += count
        self._bytes += size

    def release(self, count: int, size: int) -> None:
        """Count inputs that were taken, and let the source go on when there is room."""
        self._count -= count
        self._bytes -= size
        if not self.has_room:
            return
        if self._room is not None:
            self._room.set()
            self._room = None
        calls, self._when_room = self._when_room, {}
        for call in calls:
            call()


_Bunch = tuple[Share | None, Sequence[Input], int]


class Inbox:
    """The queue in front of the core; one consumer takes from it.

    Its task waits for what is put. Whoever puts much and often has it consumed in a ``turn``
    instead, within the call: to wake a task costs the event loop a round of its own.
    """

    __slots__ = ("_bulk", "_consume", "_filled", "_is_in_turn", "_own", "_timers", "_urgent")

    def __init__(self) -> None:
        self._consume: Callable[[], None] | None = None
        self._is_in_turn = False
        self._own: deque[Input] = deque()
        self._timers: deque[Input] = deque()
        self._urgent: deque[_Bunch] = deque()
        self._bulk: deque[_Bunch] = deque()
        self._filled = trio.Event()

    def put(self, share: Share, inputs: Sequence[Input], size: int) -> None:
        """Put inputs of ``size`` bytes of an outside source whose share has room.

        They may use up more than is left; the source must look for room before it reads on.
        """
        share.use(len(inputs), size)
        (self._urgent if share.is_urgent else self._bulk).append((share, inputs, size))
        self._wake()

    def __len__(self) -> int:
        """Give what waits; what a source put at once counts as one."""
        return len(self._own) + len(self._timers) + len(self._urgent) + len(self._bulk)

    def put_own(self, item: Input) -> None:
        """Put an input that the node itself made; the effects that ask for them bound these."""
        (self._timers if isinstance(item, TimerFired) else self._own).append(item)
        self._wake()

    def put_bulk(self, item: Input) -> None:
        """Put a bulk input of a source that bounds itself."""
        self._bulk.append((None, (item,), 0))
        self._wake()

    def wake(self) -> None:
        """End a wait of the consumer's task, which looks after what there is."""
        self._filled.set()

    def _wake(self) -> None:
        if not self._is_in_turn:
            self._filled.set()

    @contextmanager
    def consumed_by(self, consume: Callable[[], None]) -> Iterator[None]:
        """Have ``consume`` called at the end of each turn, meanwhile."""
        self._consume = consume
        try:
            yield
        finally:
            self._consume = None

    def turn(self, feed: Callable[[], None]) -> None:
        """Call ``feed``, and have what it puts consumed at once if somebody does that.

        Raises:
            InvariantError: as the consumer does.
        """
        if self._consume is None:
            feed()
            return
        self._is_in_turn = True
        try:
            feed()
            if len(self):
                self._consume()
            if self._own or self._urgent:  # what is examined or committed at once has answered
                self._consume()
        finally:
            self._is_in_turn = False
        if len(self):
            self.wake()

    async def wait(self) -> None:
        """Wait until something was put; always a checkpoint."""
        if self._filled.is_set():
            await trio.lowlevel.checkpoint()
        else:
            await self._filled.wait()

    def take(self) -> list[Input]:
        """Give what to do next: everything urgent, then at most BULK_INPUTS_MAX of bulk.

        Timers come after the votes that arrived before them were looked at, so that a node
        that was held up does not give up a round that has succeeded.
        """
        inputs: list[Input] = list(self._own)
        self._own.clear()
        while self._urgent:
            inputs += _release(self._urgent.popleft())
        inputs += self._timers
        self._timers.clear()
        bulk_count = BULK_INPUTS_MAX
        while self._bulk and bulk_count > 0:
            share, waiting, size = self._bulk.popleft()
            if len(waiting) > bulk_count:  # its bytes are held until the last of it is taken
                self._bulk.appendleft((share, waiting[bulk_count:], size))
                waiting, size = waiting[:bulk_count], 0
            bulk_count -= len(waiting)
            inputs += _release((share, waiting, size))
        if self._bulk:
            self._filled.set()
        elif self._filled.is_set():
            self._filled = trio.Event()
        return inputs


def _release(bunch: _Bunch) -> Sequence[Input]:
    share, inputs, size = bunch
    if share is not None:
        share.release(len(inputs), size)
    return inputs
