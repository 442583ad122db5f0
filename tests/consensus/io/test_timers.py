"""Timers fire once, in order, and a name has one deadline."""

import trio
from trio.testing import MockClock

from consensus.core.effects import CancelTimer, SetTimer
from consensus.core.inputs import Timer, TimerFired
from consensus.io.timers import Timers
from ledger.core.ids import Round

A, B = Timer("a"), Timer("b")


class Log:
    """Notes when timers fire, in ms."""

    def __init__(self, clock: MockClock) -> None:
        self.timers = Timers(self._note)
        self.fired: list[tuple[int, Timer]] = []
        self._clock = clock
        self._start = clock.current_time()

    def _note(self, fired: TimerFired) -> None:
        self.fired.append((round((self._clock.current_time() - self._start) * 1_000), fired.timer))


async def test_timers_fire_at_their_time(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    """Each fires after its delay, the earlier first, also when it was set later."""
    log = Log(autojump_clock)
    nursery.start_soon(log.timers.run)
    await trio.sleep(0.01)
    log.timers.set(SetTimer(A, 100))
    log.timers.set(SetTimer(B, 40))
    await trio.sleep(1)
    assert log.fired == [(50, B), (110, A)]


async def test_setting_again_replaces(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    """A name fires at its newest time only, earlier or later, and for its newest round."""
    log = Log(autojump_clock)
    nursery.start_soon(log.timers.run)
    log.timers.set(SetTimer(A, 100))
    log.timers.set(SetTimer(B, 500))
    await trio.sleep(0.05)
    log.timers.set(SetTimer(later := Timer("a", Round(7)), 100))
    log.timers.set(SetTimer(B, 20))
    await trio.sleep(1)
    assert log.fired == [(70, B), (150, later)]


async def test_cancelled_timer_is_silent(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    """A cancelled timer never fires; cancelling what is not set does nothing."""
    log = Log(autojump_clock)
    nursery.start_soon(log.timers.run)
    log.timers.set(SetTimer(A, 10))
    log.timers.cancel(CancelTimer(A))
    log.timers.cancel(CancelTimer(B))
    await trio.sleep(1)
    assert log.fired == []


async def test_delay_of_nothing_fires_at_once(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    """Two timers without delay fire in the order in which they were set."""
    log = Log(autojump_clock)
    nursery.start_soon(log.timers.run)
    log.timers.set(SetTimer(B, 0))
    log.timers.set(SetTimer(A, 0))
    await trio.sleep(0.001)
    assert [timer for _, timer in log.fired] == [B, A]
