"""Child processes that never outlive their parent.

A child asks the kernel for SIGKILL when its parent dies, however the parent dies. The kernel ties
that to the *thread* that forked: ``start_child`` must be called from a thread that lives as long
as the parent, so never from a worker thread (trio's own ``open_process`` uses one).
"""

import ctypes
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import IO

__all__ = ["become_child", "start_child"]

_PARENT_VARIABLE = "CONCORDAT_PARENT_PID"
_PR_SET_PDEATHSIG = 1
_TUNABLES_VARIABLE = "GLIBC_TUNABLES"
# How a child's malloc works, where it is glibc's. Batches pass through memory of 2 MiB a copy, and
# memory that is new costs: in a virtual machine each page of 4 KiB costs two walks of page tables,
# a huge one is cleared first. So huge pages are asked for, which the kernel usually gives only to
# who asks, and up to 64 MiB that are free are kept for the next copy: 8 % of the processor at full
# load together.
_TUNABLES = {
    "glibc.malloc.hugetlb": 1,
    "glibc.malloc.mmap_threshold": 32 * 2**20,
    "glibc.malloc.trim_threshold": 64 * 2**20,
}
_ROOT = Path(__file__).parents[1]


def start_child(
    arguments: Sequence[str],
    *,
    module: str = "concordat",
    own_group: bool = False,
    stdout: int | IO[bytes] | None = None,
    stderr: int | IO[bytes] | None = None,
) -> subprocess.Popen[bytes]:
    """Start ``concordat ARGUMENTS...``, run by this interpreter from this installation.

    Args:
        arguments: the command line after the program's name.
        module: what is run instead of ``concordat``; tests run nodes that lie.
        own_group: start a process group, so that the child and its children can be killed at
            once and a terminal's Ctrl-C reaches only us.
        stdout: as for :class:`subprocess.Popen`.
        stderr: as for :class:`subprocess.Popen`.
    """
    assert threading.current_thread() is threading.main_thread(), "see the module's docstring"
    environment = dict(os.environ)
    environment[_PARENT_VARIABLE] = str(os.getpid())
    environment[_TUNABLES_VARIABLE] = _with_tunables(environment.get(_TUNABLES_VARIABLE, ""))
    # With -P the current directory cannot shadow our packages; this names where they are.
    paths = [str(_ROOT), environment.get("PYTHONPATH", "")]
    environment["PYTHONPATH"] = os.pathsep.join(path for path in paths if path)
    return subprocess.Popen(  # noqa: S603 - our own program, no shell
        [sys.executable, "-P", "-m", module, *arguments],
        env=environment,
        process_group=0 if own_group else None,
        stdout=stdout,
        stderr=stderr,
    )


def _with_tunables(chosen: str) -> str:
    """Add ours to those that somebody has ``chosen`` already, which stay as they are."""
    ours = [f"{name}={value}" for name, value in _TUNABLES.items() if name not in chosen]
    return ":".join(filter(None, (chosen, *ours)))


def become_child() -> None:
    """Tie this process to the parent that started it with ``start_child``; else do nothing.

    Raises:
        SystemExit: that parent is already gone.
    """
    expected = os.environ.pop(_PARENT_VARIABLE, None)
    if expected is None:
        return
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    # The parent may have died before the kernel was asked.
    if os.getppid() != int(expected):
        raise SystemExit(1)
    # The supervisor blocks signals to take them one by one; a child inherits that.
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
