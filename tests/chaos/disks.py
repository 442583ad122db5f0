"""A small disk of its own for a member: full when a test wants, or read-only.

The disk is a tmpfs over the member's home, so a write that finds no room fails exactly as on any
other file system, with ENOSPC. Mounts belong to the mount namespace that this process was started
in alone (see ``surroundings.py``) and end with it.
"""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

__all__ = ["Disk", "read_only"]

_SIZE_BYTES: Final = 2 << 30  # memory is taken only for what is written
_LEFT_BYTES: Final = 64 << 10


class Disk:
    """The disk of one member's home."""

    def __init__(self, home: Path) -> None:
        """Move ``home`` onto a disk of its own, at the same path."""
        self._home = home
        files = home.with_name(f"{home.name}-files")
        home.rename(files)
        home.mkdir()
        _run("mount", "-t", "tmpfs", "-o", f"size={_SIZE_BYTES},mode=0700", "tmpfs", str(home))
        shutil.copytree(files, home, dirs_exist_ok=True)
        shutil.rmtree(files)

    def fill(self) -> None:
        """Leave almost no room."""
        status = os.statvfs(self._home)
        used = (status.f_blocks - status.f_bfree) * status.f_frsize
        self._resize(used + _LEFT_BYTES)

    def free(self) -> None:
        """Give room again."""
        self._resize(_SIZE_BYTES)

    def keep(self) -> None:
        """Put the files beside the mount point, for people to look at when the disk is gone."""
        kept = self._home.with_name(f"{self._home.name}-kept")
        shutil.copytree(self._home, kept, ignore=shutil.ignore_patterns("*.sock"))

    def close(self) -> None:
        """Give the disk up, and all that is on it."""
        _run("umount", "--lazy", str(self._home))

    def _resize(self, size_bytes: int) -> None:
        _run("mount", "-o", f"remount,size={size_bytes}", str(self._home))


@contextmanager
def read_only(directory: Path) -> Iterator[None]:
    """Let nothing that is opened in the block write to ``directory``."""
    _run("mount", "--bind", str(directory), str(directory))
    try:
        _run("mount", "-o", "remount,bind,ro", str(directory))
        yield
    finally:
        _run("umount", "--lazy", str(directory))


def _run(*command: str) -> None:
    subprocess.run(command, check=True)
