"""What this machine lets a test do, and getting namespaces of our own.

Owns the decision which faults are possible here, and says aloud which are not.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.chaos.clocks import Clocks

__all__ = ["Surroundings", "enter_namespaces", "look_around"]

_INSIDE: Final = "CONCORDAT_CHAOS_INSIDE"
_UNSHARE: Final = ("unshare", "--net", "--mount", "--propagation", "private")
_PROGRAMS: Final = ("ip", "mount", "umount", "unshare")


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What can be done here.

    Attributes:
        has_namespaces: networks and mounts of our own can be made.
        has_clocks: the wall clock of one process can be moved.
    """

    has_namespaces: bool
    has_clocks: bool

    def lines(self) -> list[str]:
        """Say what there is and what is missing, for the head of the output."""
        here = ["kill, stop, pause, garbled stores, old and lost safety records"]
        missing: list[str] = []
        for is_here, what in (
            (self.has_namespaces, "a network namespace for each member (delay, loss and cuts)"),
            (self.has_namespaces, "a disk for each member (full, read-only)"),
            (self.has_clocks, "a clock for each member"),
        ):
            (here if is_here else missing).append(what)
        lines = [f"available here: {'; '.join(here)}"]
        if missing:
            lines.append(f"NOT AVAILABLE HERE: {'; '.join(missing)}")
        return lines


def enter_namespaces(module: str, arguments: Sequence[str]) -> None:
    """Start this program again with a network and mounts of its own, where that is possible.

    Replaces the process, so it returns only inside or where namespaces are not to be had.
    """
    if _INSIDE in os.environ:
        # Free ports are looked for on loopback, which a new namespace has switched off.
        subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
        return
    if any(shutil.which(program) is None for program in _PROGRAMS):
        return
    unshare = [*_UNSHARE, *([] if os.geteuid() == 0 else ["--user", "--map-root-user"])]
    # All that is needed is tried once: a container may permit one thing and not the other.
    attempt = [*unshare, "sh", "-c", "mount -t tmpfs none /mnt && ip tuntap add a mode tun"]
    if subprocess.run(attempt, check=False, capture_output=True).returncode != 0:
        return
    os.environ[_INSIDE] = "1"
    command = [*unshare, sys.executable, "-m", module, *arguments]
    os.execvp(command[0], command)  # noqa: S606 - no shell wanted


def look_around() -> Surroundings:
    """Say what this process, inside or not, can do."""
    inside = os.environ.get(_INSIDE) == "1" and Path("/dev/net/tun").exists()
    return Surroundings(has_namespaces=inside, has_clocks=Clocks.are_available())
