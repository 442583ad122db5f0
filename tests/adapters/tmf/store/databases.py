"""Both databases for tests: a file of SQLite, and one PostgreSQL server a session.

Each store is a file, or a schema, of its own. The server keeps its files in a folder of /tmp that
others may enter: PostgreSQL refuses to run as root, so it runs as a user of its own.
"""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Final

import psycopg
import pytest

__all__ = ["DATABASES", "new_database", "postgresql_server"]

DATABASES: Final = ("sqlite", "postgresql")
_NAMES: Final = count(1)


@contextmanager
def postgresql_server() -> Iterator[str]:
    """Run a server; give its address."""
    folder = Path(tempfile.mkdtemp(prefix="concordat-pg-"))
    folder.chmod(0o755)
    (folder / "run").mkdir(mode=0o700)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_RUNTIME_DIR", str(folder / "run"))  # else its import warns
        from pgserver.postgres_server import get_server  # noqa: PLC0415
    server = get_server(folder / "data")
    with psycopg.connect(server.get_uri(), autocommit=True) as connection:
        connection.execute("ALTER SYSTEM SET fsync = off")  # its files do not outlive the tests
        connection.execute("SELECT pg_reload_conf()")
    try:
        yield server.get_uri()
    finally:
        server.cleanup()
        shutil.rmtree(folder, ignore_errors=True)


def new_database(kind: str, folder: Path, server: str) -> str:
    """Give the address of a new, empty database."""
    name = f"test_{os.getpid()}_{next(_NAMES)}"
    if kind == "sqlite":
        return f"sqlite:///{folder / name}.db"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"CREATE SCHEMA {name}".encode())
    return f"{server}&options=-csearch_path%3D{name}"
