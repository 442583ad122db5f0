"""Databases that all tests of the access node may ask for."""

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from adapters.tmf.store.database import Store
from tests.adapters.tmf.store.databases import DATABASES, new_database, postgresql_server


@pytest.fixture(scope="session")
def postgresql() -> Iterator[str]:
    """Give the address of a running PostgreSQL server."""
    with postgresql_server() as address:
        yield address


@pytest.fixture(params=DATABASES)
def database(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Give the address of a new database, of each kind in turn."""
    server = request.getfixturevalue("postgresql") if request.param == "postgresql" else ""
    return new_database(request.param, tmp_path, server)


@pytest.fixture
def store(database: str) -> Iterator[Store]:
    """Give an empty store."""
    opened = Store.open(database)
    yield opened
    opened.close()


@pytest.fixture(scope="module", params=DATABASES)
def shared_store(request: pytest.FixtureRequest) -> Iterator[Store]:
    """Give one store to all tests of a module: each example takes a resource of its own."""
    server = request.getfixturevalue("postgresql") if request.param == "postgresql" else ""
    with TemporaryDirectory() as folder:
        opened = Store.open(new_database(request.param, Path(folder), server))
        yield opened
        opened.close()
