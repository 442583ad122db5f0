"""Worlds of the hub, on each database, and a callback that a test plays."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from adapters.tmf.store.database import Store
from tests.adapters.dlt.endpoint import Endpoint, listening
from tests.adapters.tmf.api.api_world import ApiWorld, make_world


@pytest.fixture
def world(store: Store, tmp_path: Path) -> ApiWorld:
    """Give an engine over an empty store."""
    return make_world(store, tmp_path / "jobs")


@pytest.fixture
async def callback() -> AsyncIterator[Endpoint]:
    """Give a callback that takes everything."""
    async with listening() as endpoint:
        yield endpoint
