"""Opening SQLite or PostgreSQL: one connection that writes, and some that read.

Owns the settings on which durability and isolation rest. A writer has the database to itself from
its first statement to its commit; a reader sees one snapshot.
"""

import os
import time
from pathlib import Path
from sqlite3 import Connection as SqliteConnection
from typing import Any, Final, NamedTuple

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url, text
from sqlalchemy.exc import ArgumentError
from sqlalchemy.pool import ConnectionPoolEntry

from ledger.core.limits import (
    TMF_STATEMENT_MS_MAX,
    TMF_STORE_READERS_MAX,
    TMF_STORE_WAIT_MS_MAX,
)
from ledger.io.errors import StorageError

__all__ = ["Engines", "open_engines"]

_WRITER_LOCK: Final = 0x636F6E63_6F726461  # "concorda": one writer of a PostgreSQL database
_ENDS: Final = "ends"  # of the running statement, in a connection's notes
_STEPS: Final = 100_000  # of SQLite's machine between two looks at the clock: a few milliseconds
_WAIT_S: Final = TMF_STORE_WAIT_MS_MAX / 1000
_MODE: Final = 0o600  # orders and usage are nobody else's business
_PRAGMAS: Final = (
    "journal_mode=WAL",  # readers and the writer do not wait for each other
    "synchronous=FULL",  # a commit is on the disk when it returns
    f"busy_timeout={TMF_STORE_WAIT_MS_MAX}",
    "temp_store=MEMORY",
    "cache_size=-65536",  # 64 MiB a connection
    "wal_autocheckpoint=8192",  # pages: fewer random writes, a log of 32 MiB
)


class Engines(NamedTuple):
    """Both ways to the database.

    Attributes:
        place: names the database in errors, without its password.
    """

    writer: Engine
    reader: Engine
    place: str


def open_engines(url: str) -> Engines:
    """Prepare the engines for ``sqlite:///path`` or ``postgresql://...``; connects to nothing yet.

    Raises:
        StorageError: the address is neither.
    """
    try:
        parsed = make_url(url)
    except ArgumentError:
        raise _refused("the database's address") from None
    place = parsed.render_as_string(hide_password=True)
    if parsed.get_backend_name() == "sqlite" and parsed.database not in (None, "", ":memory:"):
        return Engines(_sqlite(parsed, is_writer=True), _sqlite(parsed, is_writer=False), place)
    if parsed.get_backend_name() == "postgresql":
        parsed = parsed.set(drivername="postgresql+psycopg")
        return Engines(
            _postgresql(parsed, is_writer=True), _postgresql(parsed, is_writer=False), place
        )
    raise _refused(place)


def _refused(place: str) -> StorageError:
    return StorageError(
        Path(place), "no database", "Write sqlite:///path/to/file or postgresql://host/name"
    )


def _sqlite(url: URL, *, is_writer: bool) -> Engine:
    engine = create_engine(url, **_pool(is_writer=is_writer))

    def connected(connection: SqliteConnection, record: ConnectionPoolEntry) -> None:
        connection.isolation_level = None  # transactions begin where we say so
        for pragma in _PRAGMAS:
            connection.execute(f"PRAGMA {pragma}")
        if not is_writer:
            connection.execute("PRAGMA query_only=ON")
            ends = record.info[_ENDS] = [0.0]
            connection.set_progress_handler(lambda: time.monotonic() > ends[0], _STEPS)

    def begun(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE" if is_writer else "BEGIN")

    if is_writer and url.database:
        _keep_private(Path(url.database))
    event.listen(engine, "connect", connected)
    event.listen(engine, "begin", begun)
    if not is_writer:
        event.listen(engine, "before_cursor_execute", _limit_time)
    return engine


def _limit_time(connection: Connection, *_: object) -> None:
    """Give a statement of SQLite as much time as PostgreSQL gives it."""
    connection.info[_ENDS][0] = time.monotonic() + TMF_STATEMENT_MS_MAX / 1000


def _keep_private(path: Path) -> None:
    """Make the file before SQLite does: SQLite gives its other files the mode of this one."""
    try:
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, _MODE))
    except OSError as error:
        raise StorageError(
            path, f"cannot open: {error.strerror}", "Make its folder exist and be writable"
        ) from error


def _postgresql(url: URL, *, is_writer: bool) -> Engine:
    settings = (
        f"{url.query.get('options', '')} -c statement_timeout={TMF_STATEMENT_MS_MAX} "
        f"-c lock_timeout={TMF_STORE_WAIT_MS_MAX} -c client_encoding=UTF8"
    )
    # The writer's snapshots must be younger than its lock; a reader needs one for all statements.
    engine = create_engine(
        url,
        isolation_level="READ COMMITTED" if is_writer else "REPEATABLE READ",
        connect_args={"options": settings, "connect_timeout": TMF_STORE_WAIT_MS_MAX // 1000},
        pool_pre_ping=True,
        **_pool(is_writer=is_writer),
    )
    event.listen(engine, "begin", _lock_database if is_writer else _only_read)
    return engine


def _lock_database(connection: Connection) -> None:
    connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _WRITER_LOCK})


def _only_read(connection: Connection) -> None:
    connection.execute(text("SET TRANSACTION READ ONLY"))


def _pool(*, is_writer: bool) -> dict[str, Any]:
    size = 1 if is_writer else TMF_STORE_READERS_MAX
    return {"pool_size": size, "max_overflow": 0, "pool_timeout": _WAIT_S}
