"""The delivery store ``delivery/``: what a gateway must remember about its subscribers.

Owns durability alone: consumers, webhooks and whatever else is durable in a gateway put rows into
named tables and keep images of them in memory; rows are read from the disk once, at the start.

All that is waiting is written in one synced transaction, so that hundreds of changes within a
millisecond share one fsync. Changes that were put in one step without an ``await`` between them are
in one transaction, or none of them is. A value may be a function: it is called when the transaction
is formed, so that a row that changes a thousand times between two transactions is encoded once.

A failed write ends the process: nothing is retried. One process has the directory at a time.
"""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Final, NamedTuple, Self

import anyio
import anyio.to_thread

from ledger.core.errors import InvariantError, Unavailable
from ledger.core.limits import STORE_MAP_BYTES
from ledger.io.environment import Environment, Table, sync_names
from ledger.io.errors import StorageError, lmdb_errors, storage_errors

__all__ = ["TABLES", "Change", "DeliveryStore"]

TABLES: Final = ("consumers", "positions", "dead_letters", "webhooks", "audit")
"""Names of the tables; who adds one adds it at the end."""

_KIND: Final = "delivery"
_FORMAT_KEY: Final = b"delivery format"
_FORMAT: Final = 1

Value = bytes | Callable[[], bytes] | None


class Change(NamedTuple):
    """A row that is to be stored.

    Attributes:
        table: one of ``TABLES``.
        key: 1 to 511 bytes.
        value: the row's bytes, a function that gives them when the transaction is formed, or
            None to delete the row.
    """

    table: str
    key: bytes
    value: Value


class _Commit:
    """One transaction that is yet to come, and who waits for it."""

    __slots__ = ("done", "error", "rows")

    def __init__(self) -> None:
        self.rows: dict[tuple[str, bytes], Value] = {}
        self.done = anyio.Event()
        self.error: Exception | None = None


class DeliveryStore:
    """The open delivery store.

    Attributes:
        commits_count: synced transactions so far.
    """

    def __init__(self, environment: Environment) -> None:
        """Hold an environment that is complete. Use :meth:`open`."""
        self.path = environment.path
        self.commits_count = 0
        self._environment = environment
        self._next = _Commit()
        self._notice = anyio.Event()
        self._ended: Exception | None = None
        self._tables: dict[str, Table] = {}
        self._limiter = anyio.CapacityLimiter(1)
        with lmdb_errors(self.path, "open the tables"):
            for name in TABLES:
                self._tables[name] = environment.lmdb.open_db(name.encode())

    @classmethod
    def open(cls, path: Path, *, map_bytes: int = STORE_MAP_BYTES) -> Self:
        """Open the store, and make it when there is none; blocks.

        Raises:
            StorageError: in use by another process, damaged, or of a newer release.
        """
        if not path.exists():
            _create(path, map_bytes)
        environment = Environment.open(path, _KIND, map_bytes)
        try:
            _require_format(environment)
            return cls(environment)
        except BaseException:
            environment.close()
            raise

    def close(self) -> None:
        """Close the store; :meth:`run` must have ended."""
        self._environment.close()

    def rows(self, table: str) -> Iterator[tuple[bytes, bytes]]:
        """Give the stored (key, value) rows of a table in order; for the start, so it blocks."""
        with (
            self._environment.read() as transaction,
            transaction.cursor(self._tables[table]) as cursor,
        ):
            for key, value in cursor.iternext(keys=True, values=True):
                yield bytes(key), bytes(value)

    def put(self, changes: Iterable[Change]) -> None:
        """Add rows to the next transaction, without waiting for it. The last one of a key counts.

        Raises:
            InvariantError: the store has failed. Unavailable: it was closed.
        """
        if self._ended is not None:
            raise self._ended
        for table, key, value in changes:
            assert table in self._tables
            self._next.rows[table, key] = value
        self._notice.set()

    async def synced(self) -> None:
        """Return when all that was put before is on the disk.

        Raises:
            InvariantError: the store has failed. Unavailable: it was closed.
        """
        if self._ended is not None:
            raise self._ended
        commit = self._next
        self._notice.set()
        await commit.done.wait()
        if commit.error is not None:
            raise commit.error

    async def write(self, changes: Iterable[Change]) -> None:
        """Put rows and return when they are on the disk. Raises as :meth:`synced`."""
        self.put(changes)
        await self.synced()

    async def run(self) -> None:
        """Write what is put until cancelled; then what is left.

        Raises:
            StorageError: a write failed; the process must end.
        """
        try:
            while True:
                await self._notice.wait()
                self._notice = anyio.Event()
                with anyio.CancelScope(shield=True):
                    await self._commit()
        except InvariantError as error:
            self._end(error)
            raise
        except BaseException:
            with anyio.CancelScope(shield=True):
                await self._commit()
            self._end(Unavailable("the gateway is closing"))
            raise

    async def _commit(self) -> None:
        commit, self._next = self._next, _Commit()
        try:
            rows = [
                (self._tables[table], key, value() if callable(value) else value)
                for (table, key), value in commit.rows.items()
            ]
            if rows:
                await anyio.to_thread.run_sync(self.commit_rows, rows, limiter=self._limiter)
        except Exception as error:
            commit.error = error
            raise
        finally:
            commit.done.set()

    def commit_rows(self, rows: list[tuple[Table, bytes, bytes | None]]) -> None:
        """Write rows in one synced transaction; runs in a worker thread. Raises StorageError."""
        with self._environment.write() as transaction:
            for table, key, value in rows:
                if value is None:
                    transaction.delete(key, db=table)
                else:
                    transaction.put(key, value, db=table)
        self.commits_count += 1

    def _end(self, error: Exception) -> None:
        """Refuse everything from now on."""
        self._ended = self._next.error = error
        self._next.done.set()


def _create(path: Path, map_bytes: int) -> None:
    """Make an empty store beside its place and move it there: what is there is complete."""
    new = path.with_name(f"{path.name}.new")
    if not _is_complete(new, map_bytes):
        environment = Environment.create(new, _KIND, map_bytes)
        try:
            with environment.write() as transaction:
                transaction.put(_FORMAT_KEY, _FORMAT.to_bytes(4, "big"), db=environment.meta)
                environment.seal(transaction)
            environment.sync_directory()
        finally:
            environment.close()
    with storage_errors(path, "create the delivery store"):
        new.rename(path)
        sync_names(path)


def _is_complete(path: Path, map_bytes: int) -> bool:
    """Say whether a creation was interrupted after its last step but the move."""
    try:
        Environment.open(path, _KIND, map_bytes).close()
    except StorageError:
        return False
    return True


def _require_format(environment: Environment) -> None:
    with environment.read() as transaction:
        value = transaction.get(_FORMAT_KEY, db=environment.meta)
        found = 0 if value is None else int.from_bytes(value, "big")
    if found != _FORMAT:
        raise StorageError(
            environment.path,
            f"the delivery store has format {found}, this program knows {_FORMAT}",
            "Install the release of Concordat that wrote it",
        )
