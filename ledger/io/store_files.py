"""The files beside LMDB to which rows of a store may refer, as copies of the store see them.

Owns what is true of them in any store: they lie in one directory of the store, only grow, and are
deleted whole after the last row that refers to them. So the files as they are after a snapshot have
all that it refers to, unless one was deleted meanwhile.
"""

import os
import stat
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Final

from ledger.core.errors import Unavailable
from ledger.io.environment import FILES_NAME, STORE_FILE_MODE, sync_names

__all__ = ["Take", "copy_file", "files_of", "link_file", "make_files_directory", "take_files"]

Take = Callable[[Path, Path, int], None]
"""Has so many bytes of a file under another name as well."""

_PART_BYTES: Final = 2**20
_NEW: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC


def files_of(store: Path) -> dict[str, int]:
    """Give name and length of each file of a store. Raises OSError."""
    try:
        with os.scandir(store / FILES_NAME) as entries:
            found = (entry for entry in entries if entry.name.isdecimal())
            return {entry.name: entry.stat().st_size for entry in found}
    except FileNotFoundError:
        return {}


def make_files_directory(store: Path) -> Path:
    """Make the directory of a store's files, unless it is there; give it. Raises OSError."""
    directory = store / FILES_NAME
    if not directory.exists():
        directory.mkdir()
        # Who may read the store may read its files, whatever this process's umask says.
        directory.chmod(stat.S_IMODE(store.stat().st_mode))
    return directory


def take_files(source: Path, before: Iterable[str], target: Path, take: Take) -> None:
    """Have the files of a store beside a copy of its rows, which was made just now.

    Args:
        before: names of the files that were there when the copy of the rows was begun.

    Raises:
        Unavailable: one of them is deleted or cut. OSError: one cannot be written.
    """
    sizes = files_of(source)
    is_whole = sizes.keys() >= set(before)
    if sizes:
        directory = make_files_directory(target)
        with suppress(FileNotFoundError):
            for name in sorted(sizes):
                take(source / FILES_NAME / name, directory / name, sizes[name])
        sync_names(directory)
        is_whole = is_whole and files_of(target).keys() == sizes.keys()
    if not is_whole:
        raise Unavailable(f"{source} was pruned while it was copied: try again")


def copy_file(source: Path, target: Path, size: int, told: Callable[[int], None]) -> None:
    """Copy the first bytes of a file, which may grow meanwhile; tell of each part how long it is.

    Raises:
        Unavailable: the file is shorter: a writer that began anew cut what was not committed.
        OSError: the copy cannot be written.
    """
    with (
        source.open("rb") as reading,
        os.fdopen(os.open(target, _NEW, STORE_FILE_MODE), "wb") as writing,
    ):
        while size > 0 and (part := reading.read(min(size, _PART_BYTES))):
            writing.write(part)
            size -= len(part)
            told(len(part))
        writing.flush()
        os.fsync(writing.fileno())
    if size:
        raise Unavailable(f"{source} was cut while it was copied: try again")


def link_file(source: Path, target: Path, _size: int) -> None:
    """Give a file that nobody writes a second name. Raises OSError."""
    os.link(source, target)
