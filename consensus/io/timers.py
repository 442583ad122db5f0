"""The core's timers, on trio's clock, which no change of the wall clock disturbs."""

from collections.abc import Callable
from math import inf

import trio

from consensus.core.effects import CancelTimer, SetTimer
from consensus.core.inputs import Timer, TimerFired

__all__ = ["Timers"]


class Timers:
    """Named deadlines; a name has at most one."""

    def __init__(self, fire: Callable[[TimerFired], None]) -> None:
        """Call ``fire`` for each timer that ran out."""
        self._fire = fire
        self._deadlines: dict[Timer, float] = {}
        self._sleep = trio.CancelScope()

    def set(self, effect: SetTimer) -> None:
        """Start a timer, or start it anew."""
        deadline = trio.current_time() + effect.delay_ms / 1_000
        self._deadlines[effect.timer] = deadline
        # A later deadline than that of the sleep is found when the sleep ends.
        self._sleep.deadline = min(self._sleep.deadline, deadline)

    def cancel(self, effect: CancelTimer) -> None:
        """Forget a timer."""
        self._deadlines.pop(effect.timer, None)

    async def run(self) -> None:
        """Fire timers, earliest first, until cancelled."""
        while True:
            deadline = min(self._deadlines.values(), default=inf)
            with trio.CancelScope(deadline=deadline) as self._sleep:
                await trio.sleep_forever()
            now = trio.current_time()
            due = sorted((at, i) for i, at in enumerate(self._deadlines.values()) if at <= now)
            names = list(self._deadlines)
            for _, i in due:
                del self._deadlines[names[i]]
                self._fire(TimerFired(names[i]))
