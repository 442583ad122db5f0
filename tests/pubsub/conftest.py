"""Fixtures of the gateway's tests."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.pubsub.gateway_world import World, gateway_world


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    """Give a running gateway that is connected to a node."""
    async with gateway_world(tmp_path) as running:
        yield running
