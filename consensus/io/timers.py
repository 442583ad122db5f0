"""The core's timers, on trio's clock, which no change of the wall clock disturbs."""

from collections.abc import Callable
from math import inf

import trio

from consensus.core.effects import CancelTimer, SetTimer
from consensus.core.inputs import Timer, TimerFired

__all__ = ["Timers"]


class Timers:
    """Deadlines by name; a name has at most one."""

    def __init__(self, fire: Callable[[TimerFired], None]) -> None:
        """Call ``fire`` for each timer that ran out."""
        self._fire = fire
        self._deadlines: dict[str, tuple[float, Timer]] = {}
        self._sleep = trio.CancelScope()

    def set(self, effect: SetTimer) -> None:
        """Start a timer, or start it anew."""
        deadline = trio.current_time() + effect.delay_ms / 1_000
        self._deadlines[effect.timer.name] = (deadline, effect.timer)
        # A later deadline than that of the sleep is found when the sleep ends.
        self._sleep.deadline = min(self._sleep.deadline, deadline)

    def cancel(self, effect: CancelTimer) -> None:
        """Forget a timer."""
        self._deadlines.pop(effect.timer.name, None)

    async def run(self) -> None:
        """Fire timers, earliest first, until cancelled."""
        while True:
            deadline = min((at for at, _ in self._deadlines.values()), default=inf)
            with trio.CancelScope(deadline=deadline) as self._sleep:
                await trio.sleep_forever()
            now = trio.current_time()
            due = [(at, timer) for at, timer in self._deadlines.values() if at <= now]
            for _, timer in sorted(due, key=lambda row: row[0]):
                del self._deadlines[timer.name]
                self._fire(TimerFired(timer))
