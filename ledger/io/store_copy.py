"""Copies of a whole LMDB store, page by page: for backups, and to give disk space back.

Owns what is true of any store, whatever its tables hold. A copy is one consistent snapshot, taken
beside a running writer, without the pages that the store has free, with the files to which its rows
refer. It exists under its name only
when it is complete, on the disk, and has the rows that the snapshot had.

A store is replaced by its copy by exchanging two directories in one atomic step of the kernel:
whenever the process ends, one whole store is under the name. Nobody else has it open meanwhile.
"""

import ctypes
import errno
import fcntl
import os
import shutil
import stat
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final

import lmdb

from ledger.core.errors import Unavailable
from ledger.io.environment import FILES_NAME, STORE_FILE_MODE, Environment, sync_names
from ledger.io.errors import StorageError, lmdb_errors, storage_errors
from ledger.io.store_files import copy_file, files_of, link_file, take_files

__all__ = [
    "Watch",
    "compact_store",
    "copy_store",
    "leftover_path",
    "require_no_writer",
    "rows_of",
    "store_bytes",
]

Watch = Callable[[int, int], None]
"""Told again and again how many bytes are copied, of about how many."""

_TABLES_MAX: Final = 32
_PART_BYTES: Final = 2**20
_NEW: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
_AT_FDCWD: Final = -100
_RENAME_EXCHANGE: Final = 2
_LOCK_BYTE: Final = (1, 0)  # length and start of what LMDB locks in lock.mdb while it is open


def copy_store(source: Path, kind: str, target: Path, watch: Watch) -> None:
    """Copy a store that others may be writing to the new directory ``target``.

    While it lasts, the writer reuses none of the pages that it gives up: the store may grow by as
    much as is written meanwhile.

    Raises:
        StorageError: the source is absent, damaged or of another version, or the copy is not what
            was read.
        Unavailable: the target cannot be written. Nothing of it is left.
    """
    environment = Environment.open_readonly(source, kind)
    try:
        _copy(environment, target, watch)
    finally:
        environment.close()


def compact_store(path: Path, kind: str, check: Callable[[Path], None], watch: Watch) -> int:
    """Replace a store that nobody uses by a copy without free pages; give the bytes won.

    Args:
        check: told where the copy stands; raises when that is not a good store.

    Raises:
        Unavailable: a process uses the store, or there is no space for the copy. Nothing changed.
        StorageError: the store or its copy is damaged. The old one is still under its name.
    """
    part = leftover_path(path)
    require_no_writer(path, "node")
    environment = Environment.open(path, kind)
    try:
        with _alone(path):
            shutil.rmtree(part, ignore_errors=True)  # of a run that was cut short
            before = store_bytes(path)
            _copy(environment, part, watch, is_linked=True)
            try:
                check(part)
                _take_after(part, path)
            except BaseException:
                shutil.rmtree(part, ignore_errors=True)  # a full disk must not stay full
                raise
            _exchange(part, path)  # from here on what is called ``part`` may be the old store
    finally:
        environment.close()
    with storage_errors(path, "remove what was replaced"):
        shutil.rmtree(part)
    return before - store_bytes(path)


def store_bytes(path: Path) -> int:
    """Give how long the files of a store are, without those that are only for locks."""
    with storage_errors(path, "look at the files"):
        return (path / "data.mdb").stat().st_size + sum(files_of(path).values())


def leftover_path(path: Path) -> Path:
    """Give where a copy stands until it is whole, and what it replaces after that."""
    return path.with_name(f"{path.name}.compacting")


def rows_of(environment: lmdb.Environment) -> tuple[dict[bytes, int], int]:
    """Give how many rows each table has, and how many bytes the pages in use take."""
    rows: dict[bytes, int] = {}
    with environment.begin() as transaction:
        main = environment.stat()
        pages = _pages(main)
        with transaction.cursor() as cursor:
            names = [bytes(name) for name in cursor.iternext(values=False)]
        for name in names:
            table = environment.open_db(name, transaction, create=False)
            found = transaction.stat(table)
            rows[name] = found["entries"]
            pages += _pages(found)
    return rows, pages * main["psize"]


def _copy(environment: Environment, target: Path, watch: Watch, *, is_linked: bool = False) -> None:
    """Copy a store; with ``is_linked`` its files get second names: nobody may be writing them."""
    with lmdb_errors(environment.path, "read"):
        rows, bytes_count = rows_of(environment.lmdb)
    done = 0

    def told(more: int) -> None:
        nonlocal done
        done += more
        watch(done, bytes_count)

    try:
        files = files_of(environment.path)
        bytes_count += 0 if is_linked else sum(files.values())
        take = link_file if is_linked else partial(copy_file, told=told)
        _require_space(target, bytes_count)
        target.mkdir(mode=0o700)
        try:
            _write(environment, target / "data.mdb", told)
            take_files(environment.path, files, target, take)
            sync_names(target)
            _require_same(environment, rows, target)
        except BaseException:
            shutil.rmtree(target, ignore_errors=True)
            raise
    except OSError as error:
        raise Unavailable(f"cannot write {target}: {error.strerror or error}") from error


def _write(environment: Environment, file: Path, told: Callable[[int], None]) -> None:
    """Write a snapshot. It comes through a pipe: when writing fails, reading it ends too."""
    reading, writing = os.pipe()
    failed: list[lmdb.Error] = []

    def copy() -> None:
        try:
            environment.lmdb.copyfd(writing, compact=True)
        except lmdb.Error as error:
            failed.append(error)
        finally:
            os.close(writing)

    thread = threading.Thread(target=copy, name="store copy")
    thread.start()
    try:
        with os.fdopen(os.open(file, _NEW, STORE_FILE_MODE), "wb", buffering=0) as output:
            while part := os.read(reading, _PART_BYTES):
                _write_all(output.fileno(), part)
                told(len(part))
            os.fsync(output.fileno())
    finally:
        os.close(reading)
        thread.join()
    if failed:
        with lmdb_errors(environment.path, "copy"):
            raise failed[0]


def _write_all(handle: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(handle, view) :]


def _require_same(environment: Environment, before: dict[bytes, int], target: Path) -> None:
    """Compare the tables of the copy with the store's.

    Where the store was written meanwhile their rows may differ; its readers judge that copy.
    """
    with (
        lmdb_errors(target, "read the copy"),
        lmdb.open(
            str(target), readonly=True, lock=False, create=False, max_dbs=_TABLES_MAX
        ) as copied,
    ):
        rows, _ = rows_of(copied)
        after, _ = rows_of(environment.lmdb)
    if rows.keys() != after.keys() or (before == after and rows != after):
        raise StorageError(target, "the copy is not what was read", "Check the disk and try again")


def _require_space(target: Path, needed: int) -> None:
    free = shutil.disk_usage(target.parent).free
    if free < needed:
        raise Unavailable(
            f"{target} needs about {needed // 2**20 + 1} MiB, and {free // 2**20} MiB are free"
        )


def require_no_writer(path: Path, what: str) -> None:
    """Refuse while another process writes the store: ``what``, in a word, for people.

    Raises:
        Unavailable: one does.
    """
    lock = path / "LOCK"
    if not lock.exists():
        return
    with lock.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Unavailable(f"the {what} of {path} is running: stop it first") from None


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Hold that no other process has the open store open, not even to read.

    The lock is the one by which LMDB itself finds out whether it is the first. Closing any handle
    of the file gives up all locks that the process has on it, so this ends before the store closes.
    """
    with (path / "lock.mdb").open("r+b") as file:
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB, *_LOCK_BYTE)
        except OSError:
            raise Unavailable(f"a gateway reads {path}: stop it first") from None
        yield


def _take_after(copy: Path, store: Path) -> None:
    """Give a copy the owner and modes of its store: root may do this for a service's user."""
    try:
        for place in (copy, *copy.iterdir(), *copy.glob(f"{FILES_NAME}/*")):
            like = store / place.relative_to(copy)
            status = (like if like.exists() else store / "data.mdb").stat()
            os.chown(place, status.st_uid, status.st_gid)
            place.chmod(stat.S_IMODE(status.st_mode))
    except OSError as error:
        raise Unavailable(f"cannot give {copy} to the owner of {store}: {error}") from error


def _exchange(one: Path, other: Path) -> None:
    """Let two directories change names, in one step."""
    libc = ctypes.CDLL(None, use_errno=True)
    names = (_AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other), _RENAME_EXCHANGE)
    if libc.renameat2(*names) != 0:
        number = ctypes.get_errno()
        reason = (
            "it is a mount point: let a directory of the mounted disk be the store"
            if number == errno.EBUSY
            else os.strerror(number)
        )
        raise Unavailable(f"cannot replace {other}: {reason}. The old store is in its place")
    with storage_errors(other, "sync the directory"):
        sync_names(other)


def _pages(table: Mapping[str, Any]) -> int:
    return int(table["branch_pages"] + table["leaf_pages"] + table["overflow_pages"])
