"""Fixtures of the tests of webhooks."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.pubsub.webhook.receiver import Receiver, receiving
from tests.pubsub.webhook.webhook_world import WebhookWorld, webhook_world


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """Give a receiver that knows two packages and nothing of ours."""
    with receiving() as running:
        yield running


@pytest.fixture
async def hooks(tmp_path: Path) -> AsyncIterator[WebhookWorld]:
    """Give a running gateway that may call loopback addresses."""
    async with webhook_world(tmp_path) as running:
        yield running
