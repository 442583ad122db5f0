"""The store: opening the database, snapshots, transactions, threads, and waking who waits.

Owns the rule that there is one writer at a time, in this process by a lock and in the database by
its own, so that numbers of the journal become visible in their order and without gaps.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from threading import Lock
from typing import TypeVar
from uuid import uuid4

import anyio
import anyio.to_thread
from sqlalchemy import Connection, insert, select

from adapters.tmf.store.engines import Engines, open_engines
from adapters.tmf.store.errors import database_errors
from adapters.tmf.store.paths import KnownPaths
from adapters.tmf.store.schema import FORM, METADATA, VERSION
from adapters.tmf.store.transaction import SqlReading, SqlWriting
from adapters.tmf.store.wakeup import Wakeup
from ledger.core.errors import Unavailable
from ledger.core.limits import (
    TMF_CHANGE_POLL_MS,
    TMF_STORE_THREADS_MAX,
    TMF_STORE_WAIT_MS_MAX,
)
from ledger.io.errors import StorageError

__all__ = ["Store"]

T = TypeVar("T")


class Store:
    """An open database.

    The coroutines belong to one event loop; all else may be called from any thread.
    """

    def __init__(
        self, engines: Engines, now_ms: Callable[[], int], new_event_id: Callable[[], str]
    ) -> None:
        self._engines = engines
        self._now_ms = now_ms
        self._new_event_id = new_event_id
        self._known: KnownPaths = {}
        self._turn = Lock()
        self._threads = anyio.CapacityLimiter(TMF_STORE_THREADS_MAX)
        with database_errors(engines.place), engines.writer.begin() as connection:
            _prepare(connection, engines.place)
            newest = SqlReading(connection, self._known).last_change()
        self._wakeup = Wakeup(newest)

    @classmethod
    def open(
        cls,
        url: str,
        *,
        now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
        new_event_id: Callable[[], str] = lambda: str(uuid4()),
    ) -> "Store":
        """Open or create the database at ``sqlite:///path`` or ``postgresql://...``.

        Tables of other packages are made too: import these packages before.

        Raises:
            StorageError: it cannot be used, or was written by a newer release.
            Unavailable: PostgreSQL cannot be reached.
        """
        engines = open_engines(url)
        try:
            return cls(engines, now_ms, new_event_id)
        except BaseException:
            engines.writer.dispose()
            raise

    def close(self) -> None:
        """Close all connections; transactions must have ended."""
        self._engines.reader.dispose()
        self._engines.writer.dispose()

    @contextmanager
    def read(self) -> Iterator[SqlReading]:
        """Give one snapshot.

        Raises:
            Unavailable: all connections are in use, or PostgreSQL cannot be reached.
            StorageError: the database is broken.
        """
        with database_errors(self._engines.place), self._engines.reader.begin() as connection:
            reading = SqlReading(connection, self._known)
            yield reading
        reading.paths.keep()

    @contextmanager
    def write(self) -> Iterator[SqlWriting]:
        """Give the one transaction that writes; it is on the disk when the block was left.

        Raises:
            Unavailable: the turn did not come in time, or PostgreSQL cannot be reached.
            StorageError: the database is broken; nothing was written.
        """
        if not self._turn.acquire(timeout=TMF_STORE_WAIT_MS_MAX / 1000):
            raise Unavailable(f"{self._engines.place}: another transaction takes too long")
        try:
            with database_errors(self._engines.place), self._engines.writer.begin() as connection:
                writing = SqlWriting(connection, self._known, self._now_ms, self._new_event_id)
                yield writing
            writing.paths.keep()
        finally:
            self._turn.release()
        self._wakeup.committed(writing.newest)

    async def in_thread(self, work: Callable[["Store"], T]) -> T:
        """Do blocking work with this store in a worker thread."""
        return await anyio.to_thread.run_sync(partial(work, self), limiter=self._threads)

    async def wait_for_change(self, after: int) -> int:
        """Wait until the journal goes beyond a number; give its newest number."""
        while True:
            newest = await self.in_thread(_last_change)
            if newest > after:
                return newest
            with anyio.move_on_after(TMF_CHANGE_POLL_MS / 1000):
                await self._wakeup.wait(newest)


def _last_change(store: Store) -> int:
    with store.read() as reading:
        return reading.last_change()


def _prepare(connection: Connection, place: str) -> None:
    """Make what tables are missing.

    Raises:
        StorageError: a newer release made them, or the database has another encoding than UTF-8.
    """
    if connection.dialect.name == "postgresql":
        encoding = connection.exec_driver_sql("SHOW server_encoding").scalar_one()
        if encoding != "UTF8":
            raise StorageError(Path(place), f"its encoding is {encoding}", "Make one in UTF8")
    METADATA.create_all(connection)
    version = connection.execute(select(FORM.c.version)).scalar_one_or_none()
    if version is None:
        connection.execute(insert(FORM).values(version=VERSION))
    elif version != VERSION:
        raise StorageError(
            Path(place),
            f"its tables have form {version}, this release knows {VERSION}",
            "Start the release that wrote them, or a newer one",
        )
