"""What facades tell of a log whose beginning the member has forgotten: never silently less."""

from pathlib import Path

import pytest
from structlog.testing import capture_logs

from adapters.dome.dlt.subscriptions import Subscription
from adapters.ebsi.log_index import LogIndex
from ledger.core.errors import Forgotten
from tests.adapters.dlt.dlt_world import (
    BUYER_DID,
    SELLER_DID,
    adapter,
    publish,
    publishing,
    running,
    stoppable_world,
)
from tests.adapters.dlt.endpoint import listening
from tests.adapters.dlt.test_dlt_delivery import entities
from tests.adapters.ebsi.ebsi_world import TNT, reading_world
from tests.ledger.pruned_world import prune
from tests.ledger.test_chain_pruning import twins

LISTING = "/api/v1/events?startDate=0&endDate=99999999999999"


def test_index_of_documents_refuses_to_leave_out_what_is_forgotten() -> None:
    """However often it is asked; what it has read before it keeps, and reads on from there."""
    with twins(3) as world:
        world.grow(10)
        early, late, whole = LogIndex(None), LogIndex(None), LogIndex(None)
        early.catch_up(world.forgetful)
        prune(world.forgetful, len(world.entries) // 2)
        for _ in range(2):
            with pytest.raises(Forgotten):
                late.catch_up(world.forgetful)
            assert late.documents(0, 10)[0] == 0
        world.grow(3)
        early.catch_up(world.forgetful)
        whole.catch_up(world.complete)
        assert early._documents == whole._documents


async def test_documents_are_not_served_from_a_part_of_the_log(tmp_path: Path) -> None:
    """Each request is told so, and other registries are served."""
    async with reading_world(tmp_path) as world:
        prune(world.chain.store, 10**9)
        for _ in range(2):
            answer = await world.get(f"{TNT}/documents")
            assert answer.status_code == 410, answer.text
        assert (await world.get("/trusted-issuers-registry/v5/issuers")).status_code == 200


async def test_listing_that_reaches_behind_what_is_held_is_refused(tmp_path: Path) -> None:
    """Not shortened: a reader would take what is missing for what never was."""
    async with stoppable_world(tmp_path) as (world, _):
        for number in range(4):
            await publish(world, BUYER_DID, publishing(number))
        assert len((await world.get(LISTING)).json()) == 4
        prune(world.chain.store, 10**9)
        assert (await world.get(LISTING)).status_code == 400  # as all failures of that interface


async def test_subscription_made_again_after_a_pruning(tmp_path: Path) -> None:
    """What it missed and nobody can tell it is in the gateway's log; then it goes on."""
    async with listening() as desmos, stoppable_world(tmp_path) as (world, facade):
        await facade.stop()
        for number in range(5):
            await publish(world, BUYER_DID, publishing(number))
        held = prune(world.chain.store, 10**9)
        again = adapter(tmp_path, SELLER_DID)
        again._state.subscribe(Subscription(desmos.url), 0)
        with capture_logs() as logs:
            async with running(world, again):
                await publish(world, BUYER_DID, publishing(9))
                await desmos.until(2)
        assert entities(desmos) == [4, 9]
        (missed,) = [line for line in logs if line["event"] == "events_not_told"]
        assert (missed["after"], missed["until"]) == (0, held)
