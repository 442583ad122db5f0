"""What is told beside events tells nothing of topics that not everybody may read."""

from pathlib import Path

import anyio
import pytest

from ledger.core.errors import RejectCode
from pubsub.core.interest import InterestDocument
from pubsub.core.rights import Principal, Scope
from pubsub.core.webhook_documents import WebhookRequest
from pubsub.io.rights import Rights, RightsSettings
from tests.ledger.topics.topic_world import HASHES, rule_entry, update
from tests.pubsub.gateway_world import gateway_world, sample


@pytest.mark.parametrize(("restricted", "told"), [((), 1), (("catalog.private.>",), 3)])
async def test_the_lag_of_a_webhook(tmp_path: Path, restricted: tuple[str, ...], told: int) -> None:
    """It counts matching events where everybody may read all, and else what the log has more."""
    rights = RightsSettings(anonymous=frozenset(Scope), restricted=restricted)
    async with gateway_world(tmp_path, rights=rights) as world:
        webhooks = world.gateway.webhooks
        owner = Principal("anonymous", frozenset(Scope), (), restricted)
        interest = InterestDocument(topics=("catalog.private.x",))
        wish = WebhookRequest(url="https://gateway.example/", interest=interest)
        endpoint, _ = await webhooks.create(wish, owner)
        topics = ("catalog.open", "catalog.open", "catalog.private.x")
        await world.node.extend([sample(n, topic=name).entry for n, name in enumerate(topics)])
        with anyio.fail_after(5):
            while world.gateway.feed.end < len(topics):  # noqa: ASYNC110 - it has no event
                await anyio.sleep(0.005)
        assert webhooks.view(endpoint).lag == told


@pytest.mark.parametrize(("restricted", "is_told"), [("other", True), ("catalog.>", False)])
async def test_the_hash_of_an_entity(
    tmp_path: Path,
    restricted: str,
    is_told: bool,
) -> None:
    """Who guesses an entity's hash wrong hears the right one only where everybody may read."""
    async with gateway_world(tmp_path) as world:
        await world.node.extend([rule_entry("catalog.>", 20, expects=True)])
        await world.node.extend([update(21, "x", b"", HASHES[0])])
        world.gateway.rights = Rights(RightsSettings(restricted=(restricted,)))
        world.node.judge = lambda _: RejectCode.PREVIOUS_HASH_MISMATCH.value
        stale = update(22, "x", HASHES[1], HASHES[1])
        (row,) = (await world.post_bulk([stale])).json()["receipts"]
        assert (row.get("current_hash") == HASHES[0].hex()) is is_told
        assert (HASHES[0].hex() in str(row)) is is_told
