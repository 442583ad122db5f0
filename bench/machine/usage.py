"""What processes and files use, read from the kernel: CPU, memory, disk.

Owns the readings of one moment and their differences over a window.
"""

import os
import resource
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import msgspec

__all__ = ["ProcessUse", "Reading", "disk_bytes", "own_cpu_s", "read_processes", "used_between"]

_TICKS = os.sysconf("SC_CLK_TCK")
_BLOCK_BYTES = 512  # st_blocks counts these, whatever the file system's own blocks are
_KIB = 1024


class Reading(NamedTuple):
    """One process at one moment."""

    cpu_s: float
    rss_bytes: int
    anonymous_bytes: int
    written_bytes: int


class ProcessUse(msgspec.Struct, frozen=True):
    """What one process used in a window.

    Attributes:
        cpu_share: CPU seconds per second of the window; 1.0 is one core.
        cpu_us_per_event: CPU microseconds per event that became final in the window.
        rss_bytes: resident memory at its end; pages of the store's map count as resident.
        anonymous_bytes: the part of it that is no file: what the process itself holds.
        written_bytes_per_event: bytes handed to the disk per event.
    """

    name: str
    cpu_share: float
    cpu_us_per_event: float
    rss_bytes: int
    anonymous_bytes: int
    written_bytes_per_event: float


def read_processes(pids: Mapping[str, int]) -> dict[str, Reading]:
    """Read processes by name."""
    return {name: _read(Path("/proc") / str(pid)) for name, pid in pids.items()}


def used_between(
    before: Mapping[str, Reading], after: Mapping[str, Reading], seconds: float, events: int
) -> list[ProcessUse]:
    """Give what each process that was there at both moments used."""
    return [
        ProcessUse(
            name=name,
            cpu_share=round((after[name].cpu_s - old.cpu_s) / seconds, 3),
            cpu_us_per_event=round((after[name].cpu_s - old.cpu_s) * 1e6 / max(events, 1), 1),
            rss_bytes=after[name].rss_bytes,
            anonymous_bytes=after[name].anonymous_bytes,
            written_bytes_per_event=round(
                (after[name].written_bytes - old.written_bytes) / max(events, 1)
            ),
        )
        for name, old in before.items()
        if name in after
    ]


def own_cpu_s() -> float:
    """Give the CPU seconds that this process has used, in all threads."""
    use = resource.getrusage(resource.RUSAGE_SELF)
    return use.ru_utime + use.ru_stime


def disk_bytes(directory: Path) -> int:
    """Give the disk space that the files below ``directory`` take, holes not counted."""
    return sum(path.stat().st_blocks * _BLOCK_BYTES for path in directory.rglob("*"))


def _read(process: Path) -> Reading:
    # The command, in brackets, may hold spaces: count from its end.
    fields = (process / "stat").read_text().rpartition(")")[2].split()
    memory = _pairs(process / "status")
    written = _pairs(process / "io")["write_bytes"]
    return Reading(
        cpu_s=(int(fields[11]) + int(fields[12])) / _TICKS,
        rss_bytes=int(memory["VmRSS"].split()[0]) * _KIB,
        anonymous_bytes=int(memory["RssAnon"].split()[0]) * _KIB,
        written_bytes=int(written),
    )


def _pairs(path: Path) -> dict[str, str]:
    lines = (line.partition(":") for line in path.read_text().splitlines())
    return {name: value.strip() for name, _, value in lines}
