"""How long something took, counted in fixed steps: what a Prometheus histogram is made of.

Observing costs a fraction of a microsecond and no lock: one thread observes, and whoever reads
meanwhile sees a count that is at most one observation old.
"""

from bisect import bisect_left
from collections.abc import Sequence
from itertools import accumulate
from typing import Final

__all__ = ["DISK_SECONDS", "Timings"]

DISK_SECONDS: Final = (
    0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0,
)  # fmt: skip
"""Steps for what waits for a disk: an NVMe takes 0.1 ms, a cloud disk 2 ms, an ailing one 1 s."""


class Timings:
    """A histogram of seconds.

    Attributes:
        total_s: sum of all that was observed.
    """

    __slots__ = ("_counts", "_steps", "total_s")

    def __init__(self, steps: Sequence[float] = DISK_SECONDS) -> None:
        """Count in ``steps``: upper bounds in seconds, ascending."""
        self._steps = tuple(steps)
        self._counts = [0] * (len(self._steps) + 1)
        self.total_s = 0.0

    def observe(self, seconds: float) -> None:
        """Count one."""
        self._counts[bisect_left(self._steps, seconds)] += 1
        self.total_s += seconds

    @property
    def count(self) -> int:
        """How many were observed."""
        return sum(self._counts)

    def buckets(self) -> list[tuple[str, float]]:
        """Give upper bounds as Prometheus writes them, with how many were at most so long."""
        names = [*map(str, map(float, self._steps)), "+Inf"]
        return list(zip(names, map(float, accumulate(self._counts)), strict=True))
