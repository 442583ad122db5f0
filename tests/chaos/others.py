"""How much of the machine others take: a promise in seconds means nothing on a busy one."""

import os
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from bench.machine.usage import own_cpu_s, read_processes

__all__ = ["Others"]

_TICKS: Final = os.sysconf("SC_CLK_TCK")
_IDLE: Final = slice(3, 5)  # idle and waiting for disks, in the first line of /proc/stat
_KINDS: Final = slice(1, 9)  # the columns after these count guests a second time


class Others:
    """A window in which others may use the processor too. It begins with this object."""

    def __init__(self) -> None:
        self._begun = time.monotonic()
        self._busy_s = _busy_s()
        self._own_s = own_cpu_s()

    def cores(self, pids: Iterable[int]) -> float:
        """Say how many cores others used until now.

        Args:
            pids: processes that were started in the window, and are not others.
        """
        started = read_processes({str(pid): pid for pid in pids})
        ours_s = own_cpu_s() - self._own_s + sum(row.cpu_s for row in started.values())
        seconds = time.monotonic() - self._begun
        return max(0.0, _busy_s() - self._busy_s - ours_s) / seconds


def _busy_s() -> float:
    """Give the processor time of all cores since the machine's start, stolen time too."""
    with Path("/proc/stat").open() as file:
        columns = list(map(int, file.readline().split()[_KINDS]))
    return (sum(columns) - sum(columns[_IDLE])) / _TICKS
