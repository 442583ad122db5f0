"""Fixtures of the DLT adapter's tests."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.adapters.dlt.dlt_world import dlt_world
from tests.adapters.dlt.endpoint import Endpoint, listening
from tests.pubsub.gateway_world import World


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    """The seller's gateway."""
    async with dlt_world(tmp_path) as running:
        yield running


@pytest.fixture
async def desmos() -> AsyncIterator[Endpoint]:
    """An endpoint as Desmos has it."""
    async with listening() as endpoint:
        yield endpoint
