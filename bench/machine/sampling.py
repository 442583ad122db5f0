"""Processes looked at again and again while something goes on, and how their memory moves."""

import statistics
import threading
import time
from collections.abc import Callable, Mapping, Sequence

import msgspec

from bench.machine.usage import read_processes

__all__ = ["MemoryTrend", "Sample", "Sampler", "memory_trends"]

_MIB = 2**20
_GROWTH_MAX = 0.1  # of its level, in the time after the warm-up: what memory may drift by
_GROWTH_MIB_MAX = 8.0  # and at least this: allocators' noise


class Sample(msgspec.Struct, frozen=True):
    """One moment.

    Attributes:
        second: since the sampler began.
        own_mib: memory that is no file, by process.
        resident_mib: all resident memory, pages of the stores' maps included.
        cpu_s: used by each process since it started.
        extra: what else was asked for.
    """

    second: float
    own_mib: dict[str, float]
    resident_mib: dict[str, float]
    cpu_s: dict[str, float]
    extra: dict[str, float]


class MemoryTrend(msgspec.Struct, frozen=True):
    """How the own memory of one process moved after the warm-up.

    Attributes:
        mib_per_minute: slope of the straight line through all samples (least squares).
        is_bounded: the line rises by less than a tenth of the level, or by less than 8 MiB.
    """

    process: str
    median_mib: float
    peak_mib: float
    mib_per_minute: float
    is_bounded: bool


class Sampler(threading.Thread):
    """Takes samples of processes until told to end."""

    def __init__(
        self,
        pids: Mapping[str, int],
        period_s: float,
        extra: Callable[[], dict[str, float]] = dict,
    ) -> None:
        """Sample ``pids``, given by name, and what ``extra`` gives, every ``period_s``."""
        super().__init__(daemon=True)
        self._pids = pids
        self._period_s = period_s
        self._extra = extra
        self._ending = threading.Event()
        self.samples: list[Sample] = []

    def run(self) -> None:
        """Sample; a process that ends ends the sampling."""
        begin_s = time.perf_counter()
        while not self._ending.wait(self._period_s):
            readings = read_processes(self._pids)
            self.samples.append(
                Sample(
                    round(time.perf_counter() - begin_s, 1),
                    {name: round(use.anonymous_bytes / _MIB, 1) for name, use in readings.items()},
                    {name: round(use.rss_bytes / _MIB, 1) for name, use in readings.items()},
                    {name: use.cpu_s for name, use in readings.items()},
                    self._extra(),
                )
            )

    def finish(self) -> list[Sample]:
        """End and give all samples."""
        self._ending.set()
        self.join()
        return self.samples


def memory_trends(samples: Sequence[Sample], warm_up_s: float) -> list[MemoryTrend]:
    """Judge the own memory of each process after the warm-up; needs two samples there."""
    kept = [sample for sample in samples if sample.second >= warm_up_s]
    minutes = [sample.second / 60 for sample in kept]
    trends = []
    for process in kept[0].own_mib:
        values = [sample.own_mib[process] for sample in kept]
        slope = statistics.linear_regression(minutes, values).slope
        level = statistics.median(values)
        rise = slope * (minutes[-1] - minutes[0])
        trends.append(
            MemoryTrend(
                process,
                round(level, 1),
                max(values),
                round(slope, 3),
                is_bounded=rise < max(_GROWTH_MAX * level, _GROWTH_MIB_MAX),
            )
        )
    return trends
