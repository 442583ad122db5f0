"""What a store says when it cannot keep its word.

A failed write or a damaged file is never worked around: a node that went on could contradict
what it has signed. So every error of LMDB and of the file system becomes ``StorageError``, an
``InvariantError``, and the process stops; the message is for the person who must act.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from errno import EDQUOT, EFBIG, EIO, ENOMEM, ENOSPC
from pathlib import Path

import lmdb

from ledger.core.errors import InvariantError

__all__ = ["StorageError", "damaged", "lmdb_errors", "storage_errors"]


class StorageError(InvariantError):
    """A store is unusable.

    Attributes:
        path: the store's directory.
        cause: what is wrong.
        remedy: what to do.
    """

    def __init__(self, path: Path, cause: str, remedy: str) -> None:
        super().__init__(f"{path}: {cause}. {remedy}.")
        self.path = path
        self.cause = cause
        self.remedy = remedy


_DAMAGED = (
    "Stop here and keep the directory as evidence; check the disk, then rebuild this store from "
    "the other validators"
)
_NO_SPACE = (ENOSPC, EDQUOT, EFBIG, EIO)  # EIO: what LMDB makes of a write that was cut short
_FULL_DISK = (
    "Free space on its disk, or replace the disk if it fails, then start again: what was "
    "committed before is kept"
)
_ACCESS = "Make the directory writable for the user that runs Concordat"


@contextmanager
def lmdb_errors(path: Path, doing: str) -> Iterator[None]:
    """Turn errors of LMDB into StorageError while ``doing`` something."""
    try:
        yield
    except lmdb.Error as error:
        raise StorageError(path, f"cannot {doing}: {error}", _remedy(error)) from error


@contextmanager
def storage_errors(path: Path, doing: str) -> Iterator[None]:
    """Turn errors of LMDB and of the file system into StorageError while ``doing`` something."""
    try:
        with lmdb_errors(path, doing):
            yield
    except OSError as error:
        remedy = _FULL_DISK if error.errno in _NO_SPACE else _ACCESS
        raise StorageError(path, f"cannot {doing}: {error.strerror or error}", remedy) from error


def damaged(path: Path, what: str) -> StorageError:
    """Give the error for stored bytes that are not what was written."""
    return StorageError(path, f"the store is damaged: {what}", _DAMAGED)


def _remedy(error: lmdb.Error) -> str:
    """Give what to do about an error of LMDB."""
    match error:
        case lmdb.MapFullError():
            return "The store has reached its largest size: raise STORE_MAP_BYTES and start again"
        case lmdb.ReadersFullError():
            return "Too many processes read this store: stop some gateways"
        case lmdb.ReadonlyError() | lmdb.LockError():
            return _ACCESS
        case lmdb.CorruptedError() | lmdb.InvalidError() | lmdb.VersionMismatchError():
            return _DAMAGED
    if error.code in _NO_SPACE:
        return _FULL_DISK
    if error.code == ENOMEM:
        return "Allow the process more address space: ulimit -v, vm.overcommit_memory"
    return "See the cause; if the disk is healthy, this is a bug worth reporting"
