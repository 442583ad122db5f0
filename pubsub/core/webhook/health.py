"""How an endpoint does: well, failing since, and how much of it may be tried at one time.

Owns the state machine of one endpoint's health, and its circuit. A failure that the next event
would share opens the circuit: nothing is sent for a pause that doubles up to minutes, then a
single attempt decides. So a dead endpoint costs one attempt in minutes, however many events wait
for it. An endpoint that refuses single events is not paused until it refused many in a row.

Every value is replaced, never changed; clock and draws are handed in.
"""

from msgspec import Struct
from msgspec.structs import replace

from pubsub.core.limits import (
    WEBHOOK_CIRCUIT_MS,
    WEBHOOK_CIRCUIT_MS_MAX,
    WEBHOOK_FAILING_MS_MAX,
)
from pubsub.core.webhook.attempt import ATTEMPTS_MAX, Outcome, Verdict

__all__ = ["Health", "after_attempt", "is_given_up", "pause_left_ms", "slots"]

_REFUSALS_MAX = 5  # in a row: then it is the endpoint, not the event
_DOUBLINGS_MAX = 32  # no pause needs more


class Health(Struct, frozen=True):
    """An endpoint's health.

    Attributes:
        failing_since_ms: when the first of the failures in a row was; None while it is well.
        failures: attempts in a row that failed.
        trips: pauses in a row; 0 while the circuit is closed.
        open_until_ms: nothing is sent before.
        success_ms: when it last took something; None for never.
    """

    failing_since_ms: int | None = None
    failures: int = 0
    trips: int = 0
    open_until_ms: int = 0
    success_ms: int | None = None


def after_attempt(health: Health, verdict: Verdict, now_ms: int, spread_ms: int) -> Health:
    """Give the health after an attempt that counts.

    Args:
        spread_ms: drawn from 0 to WEBHOOK_CIRCUIT_MS, added to a pause.
    """
    if verdict.outcome is Outcome.DELIVERED:
        return Health(success_ms=now_ms)
    failures = health.failures + 1
    since_ms = now_ms if health.failing_since_ms is None else health.failing_since_ms
    health = replace(health, failures=failures, failing_since_ms=since_ms)
    if not verdict.blames_endpoint and failures < _REFUSALS_MAX:
        return health
    asked_ms = now_ms + verdict.pause_ms
    if now_ms < health.open_until_ms:  # sent before the circuit opened: no new reason to pause
        return replace(health, open_until_ms=max(health.open_until_ms, asked_ms))
    doubled = WEBHOOK_CIRCUIT_MS << min(health.trips, _DOUBLINGS_MAX)
    pause_ms = min(doubled, WEBHOOK_CIRCUIT_MS_MAX) + spread_ms
    return replace(health, trips=health.trips + 1, open_until_ms=max(now_ms + pause_ms, asked_ms))


def slots(health: Health, in_flight_max: int, now_ms: int) -> int:
    """Say how many attempts may be on their way at one time: none, one to find out, or all."""
    if now_ms < health.open_until_ms:
        return 0
    return 1 if health.trips else in_flight_max


def pause_left_ms(health: Health, now_ms: int) -> int:
    """Say how long nothing is sent; 0 when something may be."""
    return max(0, health.open_until_ms - now_ms)


def is_given_up(health: Health, now_ms: int) -> bool:
    """Say whether it failed for so long that nothing more is tried until its owner says so."""
    return (
        health.failing_since_ms is not None
        and health.failures >= ATTEMPTS_MAX
        and now_ms - health.failing_since_ms >= WEBHOOK_FAILING_MS_MAX
    )
