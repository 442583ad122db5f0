"""What a store takes of its disk, and what the disk has left."""

import os
from pathlib import Path
from typing import NamedTuple

__all__ = ["DiskUsage", "disk_usage"]


class DiskUsage(NamedTuple):
    """Bytes.

    Attributes:
        store: that the files of the directory take; a sparse file counts what it takes.
        free: that this process may still write on the file system. size: of all of it.
    """

    store: int
    free: int
    size: int


def disk_usage(directory: Path) -> DiskUsage | None:
    """Measure one store's directory, with those in it; None when it is not there."""
    try:
        store = _blocks_under(directory)
        disk = os.statvfs(directory)
    except OSError:
        return None
    return DiskUsage(store, disk.f_bavail * disk.f_frsize, disk.f_blocks * disk.f_frsize)


def _blocks_under(directory: Path) -> int:
    size = 0
    with os.scandir(directory) as entries:
        for entry in entries:
            # st_blocks counts units of 512 bytes, whatever the file system's own block is.
            size += entry.stat(follow_symlinks=False).st_blocks * 512
            if entry.is_dir(follow_symlinks=False):
                size += _blocks_under(Path(entry.path))
    return size
