"""What the access node's store says when its database fails.

A broken or full disk is never worked around: ``StorageError``, an ``InvariantError``. A database
that is busy or out of reach is ``Unavailable``. Neither message holds a statement or its values.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from sqlite3 import Error as SqliteError
from typing import Final

from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from ledger.core.errors import Unavailable
from ledger.io.errors import StorageError

__all__ = ["database_errors"]

_TRANSIENT: Final = ("SQLITE_BUSY", "SQLITE_LOCKED", "SQLITE_INTERRUPT")
_FULL: Final = "Free space on its disk, then start again: what was committed before is kept"
_DAMAGED: Final = "Stop here, keep the files as evidence, check the disk, then restore or replay"
_REMEDIES: Final = {
    "SQLITE_FULL": _FULL,
    "SQLITE_READONLY": "Make the files and their folder writable for the user of the access node",
    "SQLITE_CANTOPEN": "Make the folder exist and be writable for the user of the access node",
    "SQLITE_IOERR": "Replace the disk if it fails, then start again",
    "SQLITE_CORRUPT": _DAMAGED,
    "SQLITE_NOTADB": _DAMAGED,
}
_BUG: Final = "This is a bug worth reporting"


@contextmanager
def database_errors(place: str) -> Iterator[None]:
    """Turn the errors of both databases into ours; ``place`` names the database, no password."""
    try:
        yield
    except PoolTimeoutError as error:
        raise Unavailable(f"{place}: all connections are in use") from error
    except DBAPIError as error:
        if isinstance(error.orig, SqliteError):
            raise _of_sqlite(place, error.orig) from error
        if isinstance(error, OperationalError | InterfaceError):
            raise Unavailable(f"{place}: {_first_line(error)}") from error
        raise StorageError(Path(place), _first_line(error), _BUG) from error


def _of_sqlite(place: str, error: SqliteError) -> Exception:
    name = getattr(error, "sqlite_errorname", "")
    if name.startswith(_TRANSIENT):
        return Unavailable(f"{place}: {error}")
    remedy = next((text for start, text in _REMEDIES.items() if name.startswith(start)), _BUG)
    return StorageError(Path(place), f"{name or 'SQLite'}: {error}", remedy)


def _first_line(error: DBAPIError) -> str:
    return (str(error.orig).splitlines() or ["no message"])[0]
