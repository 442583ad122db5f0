"""What follows from one attempt to fetch a version: done, later, never without an operator.

Owns the decision which failures pass by themselves. An outcome of a version that is no longer the
newest changes nothing: so attempts may end in any order, and a restart may forget them all.
"""

from typing import Final, Literal

import msgspec

from adapters.tmf.replication.core.model import NONE, Status, Tracked
from ledger.core.limits import (
    REPLICATION_FAULTS_MAX,
    REPLICATION_RETRY_MS,
    REPLICATION_RETRY_MS_MAX,
)

__all__ = ["Outcome", "advance", "pause_ms", "replayed"]

_DOUBLINGS_MAX: Final = 32
_PERMILLE: Final = 1_000


class Outcome(msgspec.Struct, frozen=True):
    """What became of one attempt.

    Attributes:
        result: ``stored``; ``withheld``: we may not see it; ``later``: it passes by itself;
            ``faulty``: the origin is at fault, which may pass; ``refused``: it does not pass.
        version: which was asked for.
        code, detail: why, when it is not stored.
    """

    result: Literal["stored", "withheld", "later", "faulty", "refused"]
    version: bytes
    code: str = ""
    detail: str = ""


def advance(tracked: Tracked, outcome: Outcome, now_ms: int, spread: int) -> Tracked:
    """Take the outcome of an attempt.

    Args:
        spread: random, 0 to 1,000: how much of the second half of a pause is waited.
    """
    assert outcome.version != NONE
    if tracked.head.version != outcome.version or tracked.status is not Status.WANTED:
        return tracked
    if outcome.result == "stored":
        return msgspec.structs.replace(
            tracked, status=Status.CURRENT, stored=outcome.version, attempts=0, code="", detail=""
        )
    attempts = tracked.attempts + 1
    status, due_ms = Status.WANTED, now_ms + pause_ms(attempts, spread)
    if outcome.result == "withheld":
        status = Status.WITHHELD
    elif outcome.result == "refused" or (
        outcome.result == "faulty" and attempts >= REPLICATION_FAULTS_MAX
    ):
        status = Status.QUARANTINED
    return msgspec.structs.replace(
        tracked,
        status=status,
        attempts=attempts,
        due_ms=due_ms,
        code=outcome.code,
        detail=outcome.detail,
    )


def replayed(tracked: Tracked) -> Tracked:
    """Try again what an operator, or the wish for repair, says should be."""
    if tracked.head.is_end or tracked.status in (Status.OWN, Status.UNWANTED):
        return tracked
    return msgspec.structs.replace(
        tracked, status=Status.WANTED, attempts=0, due_ms=0, code="", detail=""
    )


def pause_ms(attempts: int, spread: int) -> int:
    """Give how long to wait after so many failures in a row: it doubles, up to a cap."""
    assert attempts >= 1
    assert 0 <= spread <= _PERMILLE
    doublings = min(attempts - 1, _DOUBLINGS_MAX)
    whole = min(REPLICATION_RETRY_MS << doublings, REPLICATION_RETRY_MS_MAX)
    return whole // 2 + whole * spread // (2 * _PERMILLE)
