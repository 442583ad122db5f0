"""The loop around the core: one task that owns it, feeds it and carries out what it wants.

Effects are carried out strictly in order. ``Persist`` is handed to the safety writer at once; what
comes after it, also from later steps, is held back until it is durable, while the core goes on
stepping. A failed write ends the process with everything that was held back unsent.
"""

import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import structlog

from consensus.core.effects import Effect, Halt, Persist
from consensus.core.inputs import Input, Started
from consensus.io.inbox import Inbox
from ledger.core.errors import InvariantError

__all__ = ["Core", "Driver", "Handlers", "wall_clock_ms"]

_log = structlog.get_logger()

Handlers = Mapping[type[Any], Callable[[Any], None]]
"""For each type of effect but Persist and Halt, what carries it out: never waits, never raises."""


class Core(Protocol):
    """The state machine, or a fake of it."""

    def step(self, item: Input, now_ms: int, /) -> Sequence[Effect]:
        """Take one input; give the effects, in order."""
        ...


def wall_clock_ms() -> int:
    """Give the wall clock in ms since 1970: for block times, never for timers."""
    return time.time_ns() // 1_000_000


class Driver:
    """Feeds a core and carries out its effects.

    Attributes:
        steps: number of inputs given to the core.
        busy_s: time in seconds that they and their effects took.
    """

    def __init__(
        self, core: Core, inbox: Inbox, persist: Callable[[Persist], None], handlers: Handlers
    ) -> None:
        self._core = core
        self._inbox = inbox
        self._persist = persist
        self._handlers = handlers
        self._held: deque[tuple[int, Effect]] = deque()
        self._persists = 0
        self._durable = 0
        self.steps = 0
        self.busy_s = 0.0

    @property
    def held_count(self) -> int:
        """Number of effects that wait for a barrier."""
        return len(self._held)

    def on_durable(self, count: int) -> None:
        """Note that ``count`` more Persists are durable."""
        self._durable += count
        self._inbox.wake()

    async def run(self) -> None:
        """Drive the core until cancelled.

        Raises:
            InvariantError: the core halted.
        """
        self._step(Started())
        while True:
            await self._inbox.wait()
            began = time.perf_counter()
            self._release()
            for item in self._inbox.take():
                self._step(item)
            self.busy_s += time.perf_counter() - began

    def _step(self, item: Input) -> None:
        self.steps += 1
        for effect in self._core.step(item, wall_clock_ms()):
            if isinstance(effect, Persist):
                self._persists += 1
                self._persist(effect)
            elif isinstance(effect, Halt):
                _log.critical("halt", reason=effect.reason)
                raise InvariantError(effect.reason)
            elif self._persists == self._durable:
                self._handlers[type(effect)](effect)
            else:
                self._held.append((self._persists, effect))

    def _release(self) -> None:
        while self._held and self._held[0][0] <= self._durable:
            _, effect = self._held.popleft()
            self._handlers[type(effect)](effect)
