"""The core's timers, on trio's clock, which no change of the wall clock disturbs."""

from collections.abc import Callable
from math import inf
from operator import itemgetter

import trio

from consensus.core.effects import CancelTimer, SetTimer
from consensus.core.inputs import Timer, TimerFired

__all__ = ["Timers"]


class Timers:
    """Deadlines by name; a name has at most one."""

    def __init__(self, fire: Callable[[TimerFired], None]) -> None:
        """Call ``fire`` for each timer that ran out."""
        self._fire = fire
        self._set: dict[str, tuple[float, Timer]] = {}
        self._sleep = trio.CancelScope()

    def set(self, effect: SetTimer) -> None:
        """Start a timer; one of the same name is replaced, whatever its round."""
        deadline = trio.current_time() + effect.delay_ms / 1_000
        self._set.pop(effect.timer.name, None)
        self._set[effect.timer.name] = deadline, effect.timer
        # A later deadline than that of the sleep is found when the sleep ends.
        self._sleep.deadline = min(self._sleep.deadline, deadline)

    def cancel(self, effect: CancelTimer) -> None:
        """Forget the timer of this name."""
        self._set.pop(effect.timer.name, None)

    def clear(self) -> None:
        """Forget all timers."""
        self._set.clear()

    async def run(self) -> None:
        """Fire timers, earliest first, until cancelled."""
        while True:
            next_deadline = min((deadline for deadline, _ in self._set.values()), default=inf)
            with trio.CancelScope(deadline=next_deadline) as self._sleep:
                await trio.sleep_forever()
            now = trio.current_time()
            due = [(deadline, timer) for deadline, timer in self._set.values() if deadline <= now]
            for _, timer in sorted(due, key=itemgetter(0)):
                del self._set[timer.name]
                self._fire(TimerFired(timer))
