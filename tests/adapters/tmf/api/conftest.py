"""Worlds of the HTTP engine, on each database."""

from pathlib import Path

import pytest

from adapters.tmf.store.database import Store
from tests.adapters.tmf.api.api_world import ApiWorld, make_world


@pytest.fixture
def world(store: Store, tmp_path: Path) -> ApiWorld:
    """Give an engine over an empty store."""
    return make_world(store, tmp_path / "jobs")
