"""Fixtures of the tests of consumers."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.pubsub.consumers.consumer_world import ConsumerWorld, consumer_world


@pytest.fixture
async def consumers(tmp_path: Path) -> AsyncIterator[ConsumerWorld]:
    """Give a running gateway where everybody may do everything."""
    async with consumer_world(tmp_path) as running:
        yield running
