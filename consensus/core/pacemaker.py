"""The liveness rules: which round this validator is in, and how long it waits there.

A round is entered only by a certificate of the round before (quorum or timeout), so rounds need
no clock and no common start. The timer of a round is

    base * 1.2 ** max(0, rounds since the last commit - grace), at most the cap,

short when the leader's connection is known to be down, and longer by the idle interval while
there is nothing to agree on. Once it ran out the timeout is sent again at every further
``base``, because a lost timeout must not stop the network.
"""

from functools import cache
from typing import Final

import msgspec

from consensus.core.inputs import Timer
from ledger.core.ids import Round
from ledger.core.limits import (
    IDLE_INTERVAL_MS,
    ROOT_FLUSH_MS,
    ROUND_TIMEOUT_ABSENT_MS,
    ROUND_TIMEOUT_GRACE_ROUNDS,
    ROUND_TIMEOUT_MS,
    ROUND_TIMEOUT_MS_MAX,
)

__all__ = ["IDLE_TIMER", "ROUND_TIMER", "Pacemaker", "Tuning"]

ROUND_TIMER: Final = "round"
IDLE_TIMER: Final = "idle"
_EXPONENT_MAX: Final = 32


class Tuning(msgspec.Struct, frozen=True):
    """What an operator may tune; members may differ. Milliseconds.

    Attributes:
        round_timeout_ms: base timer; at least 4 round trips and a disk write.
        round_timeout_absent_ms: timer while the leader is not connected.
        idle_interval_ms: how long an idle leader waits before an empty block.
        root_flush_ms: how long it waits when everything is final but the newest root.
    """

    round_timeout_ms: int = ROUND_TIMEOUT_MS
    round_timeout_absent_ms: int = ROUND_TIMEOUT_ABSENT_MS
    idle_interval_ms: int = IDLE_INTERVAL_MS
    root_flush_ms: int = ROOT_FLUSH_MS


@cache
def _timers_ms(base_ms: int) -> tuple[int, ...]:
    """Give the timer for each exponent; in integers, so that every platform agrees."""
    timers = [base_ms]
    for _ in range(_EXPONENT_MAX):
        timers.append(min(timers[-1] * 6 // 5, ROUND_TIMEOUT_MS_MAX))
    return tuple(timers)


class Pacemaker:
    """The current round and its timer."""

    def __init__(self, tuning: Tuning, round_: Round) -> None:
        self._tuning = tuning
        self._timers_ms = _timers_ms(tuning.round_timeout_ms)
        self.round = round_

    def enter(self, round_: Round) -> bool:
        """Go to ``round_`` if that is forward; say whether it was."""
        if round_ <= self.round:
            return False
        self.round = round_
        return True

    def timer_ms(self, committed_round: Round, *, leader_connected: bool, idle: bool) -> int:
        """Give the length of the current round's timer."""
        tuning = self._tuning
        exponent = max(0, self.round - committed_round - ROUND_TIMEOUT_GRACE_ROUNDS)
        timer = self._timers_ms[min(exponent, _EXPONENT_MAX)]
        if not leader_connected:
            return min(timer, tuning.round_timeout_absent_ms)
        return timer + tuning.idle_interval_ms if idle else timer

    def timer(self, name: str) -> Timer:
        """Give the timer of that name for the current round."""
        return Timer(name, self.round)

    @property
    def resend_ms(self) -> int:
        """How long after a timeout it is sent again."""
        return self._tuning.round_timeout_ms

    @property
    def idle_ms(self) -> int:
        """How long an idle leader waits."""
        return self._tuning.idle_interval_ms

    @property
    def root_flush_ms(self) -> int:
        """How long a leader waits when everything is final but the newest root."""
        return self._tuning.root_flush_ms
