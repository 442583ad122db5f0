"""The processes of one peer: started in a directory of their own, measured, and ended by number.

Owns that none outlives the run: each dies with this process (``setpriv --pdeathsig``), and
``close`` ends what is left with all its children. Nothing of the system's own services is touched:
every cluster has its own data, ports and names.
"""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Protocol, TypeVar

from bench.peers.pipeline import Link

__all__ = [
    "MEMBERS",
    "Cluster",
    "Daemons",
    "Unavailable",
    "find_program",
    "read_version",
    "wait_for",
]

T = TypeVar("T")

MEMBERS = 3
_START_S = 60.0
_POLL_S = 0.1
_LOG_LINES = 12


class Unavailable(Exception):  # noqa: N818 - it is no error: the peer is reported as skipped
    """A peer cannot run here; the text says why."""


class Cluster(Protocol):
    """A peer that is ready to take messages.

    Attributes:
        daemons: its processes.
    """

    daemons: "Daemons"

    def links(self, count: int, puts: int = 1) -> list[Link]:
        """Open ``count`` connections, all to the member that orders the messages."""

    def stored(self) -> int:
        """Give how many messages it holds."""


class Daemons:
    """Processes with logs, by name."""

    def __init__(self, directory: Path) -> None:
        """Keep logs and data in ``directory``."""
        self.directory = directory
        directory.mkdir(parents=True)
        self._processes: dict[str, subprocess.Popen[bytes]] = {}

    def start(
        self, name: str, command: Sequence[str], environment: Mapping[str, str] | None = None
    ) -> None:
        """Start a process of the name; its output goes to a log."""
        with (self.directory / f"{name}.log").open("ab") as log:
            self._processes[name] = subprocess.Popen(
                [find_program("setpriv"), "--pdeathsig", "KILL", *command],
                env={**os.environ, **(environment or {})},
                cwd=self.directory,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def pids(self) -> dict[str, int]:
        """Give the process ids of all processes and their descendants, by unique names."""
        children = _children()
        found: dict[str, int] = {}
        for name, process in self._processes.items():
            pids = [process.pid]
            for pid in pids:
                pids += children.get(pid, [])
            found |= {f"{name}.{place}" if place else name: pid for place, pid in enumerate(pids)}
        return found

    def check(self) -> None:
        """Say that all run.

        Raises:
            Unavailable: one has ended, with the end of its log.
        """
        for name, process in self._processes.items():
            if process.poll() is not None:
                log = (self.directory / f"{name}.log").read_text(errors="replace")
                tail = " | ".join(log.splitlines()[-_LOG_LINES:])
                raise Unavailable(f"{name} ended with {process.returncode}: {tail}")

    def close(self) -> None:
        """End all processes at once."""
        for pid in self.pids().values():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        for process in self._processes.values():
            process.wait()
        self._processes.clear()


def find_program(*names: str) -> str:
    """Give the first program that there is.

    Raises:
        Unavailable: there is none.
    """
    for name in names:
        if found := shutil.which(name):
            return found
    raise Unavailable(f"no {Path(names[-1]).name} on this machine")


def read_version(command: Sequence[str], mark: str) -> str:
    """Run a command and give the word behind ``mark`` in what it prints."""
    printed = subprocess.run(command, capture_output=True, check=False, text=True).stdout
    return (printed.partition(mark)[2].split() or ["unknown"])[0]


def wait_for(daemons: Daemons, look: Callable[[], T | None], what: str) -> T:
    """Wait until ``look`` gives something; what it raises as OSError counts as not yet."""
    deadline = time.monotonic() + _START_S
    while time.monotonic() < deadline:
        daemons.check()
        with suppress(OSError):
            if (found := look()) is not None:
                return found
        time.sleep(_POLL_S)
    raise Unavailable(f"{what} took longer than {_START_S:.0f} s")


def _children() -> dict[int, list[int]]:
    found: dict[int, list[int]] = {}
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            parent = (process / "stat").read_text().rpartition(")")[2].split()[1]
            found.setdefault(int(parent), []).append(int(process.name))
    return found
