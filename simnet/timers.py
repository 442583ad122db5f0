"""The timers of one machine's core: of each name one runs, and a start makes all of them void."""

from functools import partial
from typing import TYPE_CHECKING

from consensus.core.effects import CancelTimer, SetTimer
from consensus.core.inputs import Timer, TimerFired

if TYPE_CHECKING:
    from simnet.machine import Machine

__all__ = ["Timers"]


class Timers:
    """Lets timers run out by the machine's own clock."""

    __slots__ = ("_machine", "_number", "_running")

    def __init__(self, machine: "Machine") -> None:
        self._machine = machine
        self._number = 0
        self._running: dict[str, int] = {}

    def forget(self) -> None:
        """Let none of those that run do anything."""
        self._running.clear()

    def set(self, effect: SetTimer) -> None:
        """Start a timer in place of the one of its name."""
        machine, timer = self._machine, effect.timer
        self._number += 1
        self._running[timer.name] = self._number
        # A clock that runs fast lets timers run out early.
        delay_us = effect.delay_ms * (1_000_000 - machine.drift_ppm) // 1_000
        machine.world.at(delay_us, partial(self._run_out, timer, self._number))

    def _run_out(self, timer: Timer, number: int) -> None:
        if self._running.get(timer.name) == number:
            del self._running[timer.name]
            self._machine.step(TimerFired(timer))

    def cancel(self, effect: CancelTimer) -> None:
        """Forget a timer."""
        self._running.pop(effect.timer.name, None)
