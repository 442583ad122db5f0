"""What is due again while a gateway that was restarted has not followed the log yet."""

from pathlib import Path

import anyio

from pubsub.io.feed import Feed
from tests.pubsub.consumers.consumer_world import QUICK, consumer_world


async def test_what_is_due_again_comes_from_the_log_before_the_feed_has_it(tmp_path: Path) -> None:
    """Events that were given out before a restart are given again, from the log, at once."""
    async with consumer_world(tmp_path) as world:
        await world.create(**QUICK)
        await world.publish(3)
        await world.followed(3)
        assert [sequence for sequence, _ in await world.fetch()] == [0, 1, 2]
        empty = Feed()
        world.consumers._following._feed = empty
        world.consumers._taking._feed = empty
        await anyio.sleep(0.4)
        assert await world.fetch() == [(0, 2), (1, 2), (2, 2)]
