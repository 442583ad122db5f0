"""Two Desmos-like clients replicate through two gateways: nothing lost, all in order, once."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest

from tests.adapters.dlt.desmos import Desmos, DesmosEnds, may_publish, notification_fault
from tests.adapters.dlt.desmos_hash import digest
from tests.adapters.dlt.desmos_pair import differences, offering, repetitions, trust_each_other
from tests.adapters.dlt.dlt_world import (
    BUYER_DID,
    BUYER_ID,
    SELLER_DID,
    SELLER_ID,
    dlt_world,
    second_gateway,
)
from tests.adapters.dlt.endpoint import Endpoint, listening
from tests.adapters.dlt.examples import example
from tests.pubsub.gateway_world import WAIT_S


@asynccontextmanager
async def pair(directory: Path) -> AsyncIterator[tuple[Desmos, Desmos]]:
    """Run a seller's and a buyer's Desmos, each at its own gateway."""
    async with (
        dlt_world(directory) as world,
        second_gateway(world) as other,
        listening() as one,
        listening() as two,
        anyio.create_task_group() as group,
    ):
        seller, buyer = Desmos(SELLER_ID, world.http, one), Desmos(BUYER_ID, other, two)
        trust_each_other({SELLER_DID: seller, BUYER_DID: buyer})
        for desmos in (seller, buyer):
            assert await desmos.start()
            group.start_soon(desmos.run)
        yield seller, buyer
        group.cancel_scope.cancel()


async def until(holds: Callable[[], bool]) -> None:
    """Wait until something holds."""
    with anyio.fail_after(WAIT_S):
        while not holds():  # noqa: ASYNC110 - simplest
            await anyio.sleep(0.005)


async def test_every_launched_entity_is_at_both_ends(tmp_path: Path) -> None:
    """Offerings of both sides, and their later versions, reach the other side whole, each once."""
    async with pair(tmp_path) as (seller, buyer):
        for version in (1, 2, 2):
            for number in range(5):
                seller.launch(offering("s", number, version))
                buyer.launch(offering("b", number, version))
            await until(lambda: not differences(seller, buyer))
            await until(lambda: len(seller.notified) == len(buyer.notified))
        # The same content again is a publication, too: its hashlink is another one.
        await until(lambda: len(buyer.notified) == len(seller.notified) == 15)
        assert [repetitions(desmos) for desmos in (seller, buyer)] == [0, 0]
        assert seller.faults == buyer.faults == []
        assert {told["publisherAddress"] for told in seller.notified} == {"0x" + digest(BUYER_ID)}


async def test_replicated_entities_are_not_published_again(tmp_path: Path) -> None:
    """The broker's notification of what came from the ledger goes no further."""
    async with pair(tmp_path) as (seller, buyer):
        seller.launch(offering("s", 1))
        await until(lambda: len(buyer.broker) == 1)
        await buyer.publish(buyer.broker[offering("s", 1)["id"]])
        assert not [record for record in buyer.audit if record.trader == "PRODUCER"]


async def test_second_start_finds_the_subscription(tmp_path: Path) -> None:
    """A Desmos that starts again finds its subscription and makes no other."""
    async with pair(tmp_path) as (seller, _):
        assert not await seller.start()


async def test_untrusted_publisher_is_refused_and_holds_up_nobody(tmp_path: Path) -> None:
    """Desmos answers 401 for an address it does not trust; what others publish still comes."""
    async with pair(tmp_path) as (seller, buyer):
        trusted = set(buyer.trusted)
        buyer.trusted.clear()
        seller.launch(offering("s", 1))
        await until(lambda: len(buyer.endpoint.received) >= 1)
        buyer.trusted |= trusted
        seller.launch(offering("s", 2))
        await until(lambda: offering("s", 2)["id"] in buyer.broker)


# --- the client itself ----------------------------------------------------------------------


@pytest.mark.parametrize(
    "changes, expected",
    [
        ({}, True),
        ({"lifecycleStatus": {"type": "Property", "value": "Active"}}, False),
        ({"lifecycleStatus": "Retired"}, True),
        ({"type": "quote", "lifecycleStatus": None}, True),
        ({"validFor": {"startDateTime": "2099-01-01T00:00:00Z"}}, False),
        ({"validFor": {"endDateTime": "2024-01-01T00:00:00Z"}}, False),
    ],
)
def test_policies(changes: dict[str, object], expected: bool) -> None:
    """Only launched entities in their time are published; orders and quotes always."""
    entity: dict[str, Any] = offering("s", 1) | changes
    assert may_publish(entity, datetime(2026, 1, 1, tzinfo=UTC)) is expected


def test_the_reference_notification_is_valid_and_others_are_not() -> None:
    """The client's validation takes the reference and refuses what Desmos refuses."""
    reference = example("notification_to_subscriber")
    assert notification_fault(reference) is None
    wrong = {"id": -1, "timestamp": None, "relevantMetadata": ["sbx", ""], "dataLocation": "x"}
    wrong |= {"publisherAddress": " ", "ethereumAddress": ""}
    for name, value in wrong.items():
        assert notification_fault(reference | {name: value}), name


@pytest.mark.parametrize(
    "answer",
    [
        httpx.Response(404, json=[]),
        httpx.Response(200, text="OK"),
        httpx.Response(200, json=[{"eventTypes": None, "notificationEndpoint": "http://x/"}]),
        httpx.Response(200, json=[{"eventTypes": ["a"]}]),
    ],
)
async def test_start_ends_where_desmos_would(answer: httpx.Response, desmos: Endpoint) -> None:
    """Errors, other media types and missing members at GET subscribe end the client."""
    transport = httpx.MockTransport(lambda _: answer)
    async with httpx.AsyncClient(transport=transport, base_url="http://adapter") as http:
        with pytest.raises(DesmosEnds):
            await Desmos(SELLER_ID, http, desmos).start()
