"""The loop around the core: one task that owns it, feeds it and carries out what it wants.

Effects are carried out strictly in order. ``Persist`` returns when its fsync did, so nothing after
it can leave before; a failed write ends the process with all that came after it unsent.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import structlog

from consensus.core.effects import Effect, EndEpoch, Halt
from consensus.core.inputs import Input, Started, Submitted
from consensus.io.inbox import Inbox
from ledger.core.errors import InvariantError

__all__ = ["Core", "Driver", "Handlers", "wall_clock_ms"]

_log = structlog.get_logger()

Handlers = Mapping[type[Any], Callable[[Any], None]]
"""What carries out each type of effect but Halt and EndEpoch. What it raises ends the process."""


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
        self, core: Core, inbox: Inbox, handlers: Handlers, flush: Callable[[], None]
    ) -> None:
        """Call ``flush`` when all effects of a step are carried out: what it said leaves then."""
        self._flush = flush
        self._core = core
        self._inbox = inbox
        self._handlers = handlers
        self.steps = 0
        self.busy_s = 0.0
        self._waiting: list[Input] = []
        self._end: EndEpoch | None = None
        self._failure: BaseException | None = None

    async def run(self) -> EndEpoch:
        """Drive the core until its epoch ends.

        Raises:
            InvariantError: the core halted, or a write failed.
        """
        self._do([Started(), *self._waiting])
        with self._inbox.consumed_by(self._work):
            while self._end is None:
                await self._inbox.wait()
                self._work()
        return self._end

    def _work(self) -> None:
        """Do what waits, unless the epoch has just ended.

        After a step that failed, fail as it did: another task of the loop may come here before it
        is cancelled. What that step signed may not be on the disk, and the core does not know it.
        """
        if self._failure is not None:
            raise self._failure
        if self._end is None:
            began = time.perf_counter()
            self._do(self._inbox.take())
            self.busy_s += time.perf_counter() - began
        if self._end is not None:
            self._inbox.wake()  # ``run`` waits there

    def go_on_with(self, core: Core) -> None:
        """Drive another core next. Of what waits it gets what clients handed in, and no more.

        Whatever else waits is of connections, timers and batches of the epoch that is over.
        """
        assert self._end is not None, "the epoch goes on"
        while items := self._inbox.take():
            self._waiting += items
        handed_in = [item for item in self._waiting if isinstance(item, Submitted)]
        self._core = core
        self._waiting = [*self._end.submitted, *handed_in]
        self._end = None

    def _do(self, items: Sequence[Input]) -> None:
        for number, item in enumerate(items, start=1):
            try:
                self._step(item)
            except BaseException as failure:
                self._failure = failure
                raise
            if self._end is not None:
                self._waiting = list(items[number:])
                return
        self._waiting = []

    def _step(self, item: Input) -> None:
        self.steps += 1
        effects = self._core.step(item, wall_clock_ms())
        if not effects:
            return
        for effect in effects:
            if isinstance(effect, Halt):
                _log.critical("halt", reason=effect.reason)
                raise InvariantError(effect.reason)
            if isinstance(effect, EndEpoch):
                self._end = effect
                break
            self._handlers[type(effect)](effect)
        self._flush()
