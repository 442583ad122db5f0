"""One LMDB environment in one directory: opening it, its format version, and its only writer.

Owns what all stores share. A directory has one writer process: LMDB would let a second one take
turns, but two nodes with one home would sign against each other. The writer holds an exclusive
``flock`` on the file ``LOCK``, which the kernel drops when the process ends, however it ends.

Every commit is synced (no ``nosync``, no ``nometasync``, no ``writemap``), and the map is larger
than any disk, because it must never be resized while somebody reads.
"""

import fcntl
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

import lmdb

from ledger.core.limits import STORE_MAP_BYTES, STORE_READERS_MAX
from ledger.io.errors import StorageError, lmdb_errors, storage_errors

__all__ = [
    "FILES_NAME",
    "STORE_FILE_MODE",
    "Environment",
    "Table",
    "format_version",
    "is_known_format",
    "lock_directory",
    "sync_names",
]

FILES_NAME: Final = "batches"
"""The directory in a store of the append-only files that its rows may refer to."""
STORE_FILE_MODE: Final = 0o660
"""Of every file of a store: a gateway of the same group enters itself into the table of readers."""
FORMAT_VERSION: Final = 7
_OLDER_VERSIONS: Final = {"delivery": 4}  # what these stores hold did not change since
_EXTENDED: Final = {"chain": (5, 6)}  # the present format only adds to these: they are taken too
_META: Final = b"meta"
_VERSION_KEY: Final = b"format"
_TABLES_MAX: Final = 32
_SPARE_READERS: Final = 8  # finished read transactions kept for the next ones

Table = lmdb._Database  # noqa: SLF001 - py-lmdb gives the type no public name


class Environment:
    """An open LMDB environment.

    Use :meth:`create`, :meth:`open` or :meth:`open_readonly`; close it with :meth:`close`.

    Attributes:
        path: its directory.
        kind: what is stored there, for messages and the version of the format.
        lmdb: the environment itself.
        meta: table of the format version and of the store's own singular facts.
    """

    def __init__(self, path: Path, kind: str, env: lmdb.Environment, lock: int | None) -> None:
        self.path = path
        self.kind = kind
        self.lmdb = env
        self._lock = lock
        self._is_failed = False
        with storage_errors(path, "open the store"):
            self.meta = env.open_db(_META, create=lock is not None)

    @classmethod
    def create(cls, path: Path, kind: str, map_bytes: int = STORE_MAP_BYTES) -> "Environment":
        """Make the directory and an empty environment of a ``kind`` of store.

        Nothing counts before :meth:`seal`: what an interrupted creation left is made anew.

        Raises:
            StorageError: there is a store already, or the directory cannot be written.
        """
        with storage_errors(path, f"create the {kind} store"):
            path.mkdir(parents=True, exist_ok=True)
            lock = lock_directory(path)
            try:
                environment = cls(path, kind, _open_lmdb(path, map_bytes), lock)
            except BaseException:
                os.close(lock)
                raise
        if environment._version() is not None:
            environment.close()
            raise StorageError(
                path, f"there is a {kind} store already", "Use it, or move it away first"
            )
        return environment

    @classmethod
    def open(cls, path: Path, kind: str, map_bytes: int = STORE_MAP_BYTES) -> "Environment":
        """Open for writing.

        Raises:
            StorageError: absent, in use by another process, damaged, or of another version.
        """
        _require_store(path, kind)
        with storage_errors(path, f"open the {kind} store"):
            lock = lock_directory(path)
            try:
                env = _open_lmdb(path, map_bytes)
                _extend(path, env)
                env.reader_check()
                environment = cls(path, kind, env, lock)
            except BaseException:
                os.close(lock)
                raise
        return environment.require_version()

    @classmethod
    def open_readonly(cls, path: Path, kind: str) -> "Environment":
        """Open for reading beside the writer, from another process.

        Raises:
            StorageError: absent, damaged, or of another version.
        """
        _require_store(path, kind)
        with storage_errors(path, f"open the {kind} store for reading"):
            entered = path.stat().st_ino
            env = _open_lmdb(path, STORE_MAP_BYTES, readonly=True)
            env.reader_check()
            if path.stat().st_ino != entered:  # its two files may be of different stores
                env.close()
                raise StorageError(path, "it was replaced just now", "Start again")
        return cls(path, kind, env, None).require_version()

    def close(self) -> None:
        """Close the environment and let go of its directory."""
        self.lmdb.close()
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def seal(self, transaction: "lmdb.Transaction[memoryview]") -> None:
        """Mark the store as complete, in the transaction that fills it."""
        transaction.put(_VERSION_KEY, _version_value(format_version(self.kind)), db=self.meta)

    def upgrade(self) -> None:
        """Keep programs that know only the format before from a store that is open for writing."""
        if self._version() != format_version(self.kind):
            with self.write() as transaction:
                self.seal(transaction)

    def sync_directory(self) -> None:
        """Make the files' names durable: a synced file without a name is lost."""
        with storage_errors(self.path, "sync the directory"):
            sync_names(self.path)

    @contextmanager
    def write(self) -> Iterator["lmdb.Transaction[memoryview]"]:
        """Begin a transaction of the calling thread; synced when the block ends well.

        After a failure nothing more is written through this object: what the kernel kept of a
        failed write is unknown until the files are opened anew.

        Raises:
            StorageError: a write failed, now or before.
        """
        if self._is_failed:
            raise StorageError(self.path, "an earlier write failed", "Start the process again")
        try:
            with (
                lmdb_errors(self.path, "write"),
                self.lmdb.begin(write=True, buffers=True) as transaction,
            ):
                yield transaction
        except StorageError:
            self._is_failed = True
            raise

    @contextmanager
    def read(self) -> Iterator["lmdb.Transaction[memoryview]"]:
        """Begin a snapshot. Values are views of the map: copy them before it ends.

        Raises:
            StorageError: reading failed.
        """
        with (
            lmdb_errors(self.path, "read"),
            self.lmdb.begin(buffers=True) as transaction,
        ):
            yield transaction

    def _version(self) -> int | None:
        with self.read() as transaction:
            value = transaction.get(_VERSION_KEY, db=self.meta)
            return None if value is None else int.from_bytes(value, "big")

    def require_version(self) -> "Environment":
        """Give this environment back when its format is known; else close it and raise."""
        version, known = self._version(), format_version(self.kind)
        if version is not None and is_known_format(self.kind, version):
            return self
        self.close()
        if version is None:
            raise StorageError(
                self.path,
                f"the {self.kind} store was never completed",
                "Delete the directory and create it again",
            )
        remedy = "Install the release of Concordat that wrote it"
        if self.kind == "chain" and version < known:
            remedy += ", or move the store away and copy the ledger anew with `concordat join`"
        raise StorageError(
            self.path,
            f"the {self.kind} store has format {version}, this program knows {known}",
            remedy,
        )


def format_version(kind: str) -> int:
    """Give the version of the format in which a kind of store is written."""
    return _OLDER_VERSIONS.get(kind, FORMAT_VERSION)


def is_known_format(kind: str, version: int) -> bool:
    """Say whether this program opens a kind of store of that format."""
    return version in (format_version(kind), *_EXTENDED.get(kind, ()))


def sync_names(path: Path) -> None:
    """Make the name of a directory, and those in it, durable. Raises OSError."""
    for directory in (path, path.parent):
        handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _version_value(version: int) -> bytes:
    return version.to_bytes(4, "big")


def _require_store(path: Path, kind: str) -> None:
    with storage_errors(path, f"look for the {kind} store"):
        mode = path.stat().st_mode if path.exists() else 0
    if not stat.S_ISDIR(mode) or not (path / "data.mdb").exists():
        raise StorageError(
            path, f"there is no {kind} store", "Check the path, or create the store first"
        )


def _open_lmdb(path: Path, map_bytes: int, *, readonly: bool = False) -> lmdb.Environment:
    return lmdb.open(
        str(path),
        map_size=map_bytes,
        readonly=readonly,
        create=not readonly,
        mode=STORE_FILE_MODE,
        max_readers=STORE_READERS_MAX,
        max_dbs=_TABLES_MAX,
        max_spare_txns=_SPARE_READERS,
        # Random reads of an index larger than the memory would each drag in pages in vain.
        readahead=False,
    )


def lock_directory(path: Path) -> int:
    """Become the only writer of the directory; the lock lives as long as the descriptor."""
    handle = os.open(path / "LOCK", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, STORE_FILE_MODE)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        owner = os.pread(handle, 20, 0).decode("ascii", "replace").strip() or "unknown"
        os.close(handle)
        raise StorageError(
            path, f"another process (pid {owner}) uses this directory", "Stop that one first"
        ) from None
    except BaseException:
        os.close(handle)
        raise
    with suppress(OSError):  # A full disk shows itself below; the pid is only for messages.
        os.ftruncate(handle, 0)
        os.pwrite(handle, b"%d\n" % os.getpid(), 0)
    return handle


def _extend(path: Path, env: lmdb.Environment) -> None:
    """Let the file reach to the last page that it names, if need be with zeros.

    LMDB does not write pages at the end that were given up in the transaction that took them. A
    file that somebody cut is as short; reading a page behind its end would kill the process with
    SIGBUS, whereas zeros are recognised as damage.
    """
    data = path / "data.mdb"
    needed = (env.info()["last_pgno"] + 1) * env.stat()["psize"]
    if data.stat().st_size < needed:
        os.truncate(data, needed)
