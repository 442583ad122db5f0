"""When requests are meant to leave, fixed before the first one does.

Pure. An open-loop load does not wait for answers: who is slow to answer gets the next request all
the same, and each latency counts from these moments.
"""

import random
from enum import StrEnum

__all__ = ["Arrivals", "schedule"]


class Arrivals(StrEnum):
    """How requests are spread over time."""

    POISSON = "poisson"
    """As many independent clients: gaps are exponential."""
    UNIFORM = "uniform"
    """One request every 1/rate seconds."""


def schedule(arrivals: Arrivals, rate_per_s: float, seconds: float, seed: int = 1) -> list[float]:
    """Give the moments of a window, in seconds from its begin, ascending and all within it."""
    assert rate_per_s > 0
    if arrivals is Arrivals.UNIFORM:
        return [number / rate_per_s for number in range(round(seconds * rate_per_s))]
    dice = random.Random(seed)
    moments: list[float] = []
    moment = dice.expovariate(rate_per_s)
    while moment < seconds:
        moments.append(moment)
        moment += dice.expovariate(rate_per_s)
    return moments
