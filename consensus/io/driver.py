"""The loop around the core: one task that owns it, feeds it and carries out what it wants.

Effects are carried out strictly in order. ``Persist`` returns when its fsync did, so nothing after
it can leave before; a failed write ends the process with all that came after it unsent.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import structlog

from consensus.core.effects import Effect, Halt
from consensus.core.inputs import Input, Started
from consensus.io.inbox import Inbox
from ledger.core.errors import InvariantError

__all__ = ["Core", "Driver", "Handlers", "wall_clock_ms"]

_log = structlog.get_logger()

Handlers = Mapping[type[Any], Callable[[Any], None]]
"""For each type of effect but Halt, what carries it out. What it raises ends the process."""


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

    def __init__(self, core: Core, inbox: Inbox, handlers: Handlers) -> None:
        self._core = core
        self._inbox = inbox
        self._handlers = handlers
        self.steps = 0
        self.busy_s = 0.0

    async def run(self) -> None:
        """Drive the core until cancelled.

        Raises:
            InvariantError: the core halted, or a write failed.
        """
        self._step(Started())
        while True:
            await self._inbox.wait()
            began = time.perf_counter()
            for item in self._inbox.take():
                self._step(item)
            self.busy_s += time.perf_counter() - began

    def _step(self, item: Input) -> None:
        self.steps += 1
        for effect in self._core.step(item, wall_clock_ms()):
            if isinstance(effect, Halt):
                _log.critical("halt", reason=effect.reason)
                raise InvariantError(effect.reason)
            self._handlers[type(effect)](effect)
