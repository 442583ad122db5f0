"""Notifications: who gets which, in order, at least once, through failures and restarts."""

import json
from collections.abc import Callable
from pathlib import Path

import anyio
import pytest

from adapters.dome.dlt import delivery
from adapters.dome.dlt.identity import checksum_address, derived_address
from ledger.core.limits import DLT_REFUSALS_MAX, DLT_SLICE_EVENTS
from ledger.core.trust.operations import ChangeList, PutEntry
from tests.adapters.dlt.dlt_world import (
    BUYER,
    BUYER_DID,
    SELLER_DID,
    adapter,
    publish,
    publishing,
    running,
    stoppable_world,
)
from tests.adapters.dlt.endpoint import ACCEPTED, Endpoint, Received, listening
from tests.adapters.dlt.examples import example
from tests.ledger.sample_network import START_MS, entry
from tests.ledger.trust.test_application import operation_entry
from tests.pubsub.gateway_world import World

UNAVAILABLE = b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n"
FORBIDDEN = b"HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\n\r\n"


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let failed notifications be tried again at once."""
    monkeypatch.setattr(delivery, "DLT_RETRY_MS", 1)


async def subscribe(world: World, endpoint: Endpoint, **changes: object) -> None:
    """Subscribe an endpoint."""
    body = example("subscribe_request") | {"notificationEndpoint": endpoint.url} | changes
    assert (await world.http.post("/api/v1/subscribe", json=body)).status_code == 201


def entities(endpoint: Endpoint) -> list[int]:
    """Give the numbers of the entities that an endpoint was told of."""
    return [int(json.loads(told.body)["entityIDHash"], 16) for told in endpoint.received]


def after(count: int, first: bytes) -> Callable[[Received], bytes]:
    """Answer ``first`` so many times, and accept from then on."""
    answers = [first] * count
    return lambda _: answers.pop() if answers else ACCEPTED


async def test_only_what_was_asked_for_is_told(world: World, desmos: Endpoint) -> None:
    """Event types, the environment and the publisher decide; other metadata does not."""
    await subscribe(world, desmos, eventTypes=["catalog", "product"], metadata=["prd", "other"])
    await publish(world, BUYER_DID, publishing(1, eventType="catalog"))
    await publish(world, BUYER_DID, publishing(2, eventType="category"))
    await publish(world, BUYER_DID, publishing(3, eventType="product", relevantMetadata=["sbx"]))
    await world.http.post("/api/v1/publishEvent", json=publishing(4, eventType="product"))
    await publish(world, SELLER_DID, publishing(5, eventType="product"))
    tags = ["prd", "dev", "x"]
    await publish(world, BUYER_DID, publishing(6, eventType="product", relevantMetadata=tags))
    await desmos.until(2)
    assert entities(desmos) == [1, 6]


async def test_subscription_without_environment_gets_all(world: World, desmos: Endpoint) -> None:
    """Metadata that names no environment filters nothing; subscribe/all has no filter at all."""
    await subscribe(world, desmos, metadata=["local"])
    async with listening() as other:
        body = {"notificationEndpoint": other.url}
        await world.http.post("/api/v1/subscribe/all", json=body)
        await publish(world, BUYER_DID, publishing(1, relevantMetadata=["sbx"]))
        await publish(world, BUYER_DID, publishing(2, eventType="unheard of"))
        await desmos.until(1)
        await other.until(2)
        assert (entities(desmos), entities(other)) == ([1], [1, 2])
        assert json.loads(other.received[1].body)["eventType"] == "unheard of"


async def test_what_was_before_the_subscription_is_not_told(world: World, desmos: Endpoint) -> None:
    """A subscription begins with the events after it."""
    await publish(world, BUYER_DID, publishing(1))
    await subscribe(world, desmos)
    await publish(world, BUYER_DID, publishing(2))
    await desmos.until(1)
    assert entities(desmos) == [2]


async def test_failed_notifications_are_repeated_in_order(world: World, desmos: Endpoint) -> None:
    """An endpoint that fails gets the same event again before it gets the next."""
    desmos.answer = after(3, UNAVAILABLE)
    await subscribe(world, desmos)
    for number in (1, 2):
        await publish(world, BUYER_DID, publishing(number))
    await desmos.until(5)
    assert entities(desmos) == [1, 1, 1, 1, 2]


async def test_broken_connections_and_redirects_are_failures(
    world: World, desmos: Endpoint
) -> None:
    """A connection that is closed without an answer, and a redirect, are tried again."""
    moved = b"HTTP/1.1 307 X\r\nlocation: /elsewhere\r\ncontent-length: 0\r\n\r\n"
    answers = [b"", moved, b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n"]
    desmos.answer = lambda _: answers.pop(0)
    await subscribe(world, desmos)
    await publish(world, BUYER_DID, publishing(1))
    await desmos.until(3)
    assert entities(desmos) == [1, 1, 1]
    assert len({told.target for told in desmos.received}) == 1


async def test_refused_event_does_not_stop_the_others(tmp_path: Path, desmos: Endpoint) -> None:
    """What an endpoint refuses a few times is noted and passed over."""
    desmos.answer = after(DLT_REFUSALS_MAX, FORBIDDEN)
    async with stoppable_world(tmp_path) as (world, facade):
        await subscribe(world, desmos)
        for number in (1, 2):
            await publish(world, BUYER_DID, publishing(number))
        await desmos.until(DLT_REFUSALS_MAX + 1)
        assert entities(desmos) == [1] * DLT_REFUSALS_MAX + [2]
        assert facade._facade._state.refused() == [(2, "answered 401")]


async def test_slow_subscriber_does_not_hold_up_the_others(world: World, desmos: Endpoint) -> None:
    """Each subscriber has its own pace."""
    desmos.answer = lambda _: UNAVAILABLE
    await subscribe(world, desmos)
    async with listening() as other:
        await subscribe(world, other)
        for number in range(3):
            await publish(world, BUYER_DID, publishing(number))
        await other.until(3)
        assert entities(other) == [0, 1, 2]
    assert set(entities(desmos)) == {0}


async def test_endpoint_that_takes_nothing_is_given_up_until_it_subscribes_again(
    world: World, desmos: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is no longer listed, so Desmos subscribes again, and goes on where it was."""
    monkeypatch.setattr(delivery, "DLT_SILENCE_MS_MAX", 0)
    desmos.answer = lambda _: UNAVAILABLE
    await subscribe(world, desmos)
    await publish(world, BUYER_DID, publishing(1))
    with anyio.fail_after(5):
        while (await world.get("/api/v1/subscribe")).json():  # noqa: ASYNC110 - simplest
            await anyio.sleep(0.005)
    desmos.answer = lambda _: ACCEPTED
    before = len(desmos.received)
    await publish(world, BUYER_DID, publishing(2))
    await subscribe(world, desmos)
    await desmos.until(before + 2)
    assert entities(desmos)[before:] == [1, 2]


async def test_subscriptions_survive_a_restart(tmp_path: Path, desmos: Endpoint) -> None:
    """A gateway that is started again tells what came meanwhile, in order.

    What the one before told is told again when it ended before it noted the answer.
    """
    last = DLT_SLICE_EVENTS + 3  # more than one slice of the log
    async with stoppable_world(tmp_path) as (world, facade):
        await subscribe(world, desmos)
        await publish(world, BUYER_DID, publishing(1))
        await desmos.until(1)
        await facade.stop()
        for number in range(2, last + 1):
            await publish(world, BUYER_DID, publishing(number))
        async with running(world, adapter(tmp_path, SELLER_DID)):
            await desmos.until(last)
            await desmos.until(last + entities(desmos)[:2].count(1) - 1)
            told = entities(desmos)
            assert told[told.count(1) - 1 :] == list(range(1, last + 1))


async def test_event_that_was_not_acknowledged_is_told_again(
    tmp_path: Path, desmos: Endpoint
) -> None:
    """A gateway that ends before the answer sends that one event again, and none before it."""
    async with stoppable_world(tmp_path) as (world, facade):
        await subscribe(world, desmos)
        await publish(world, BUYER_DID, publishing(1))
        await desmos.until(1)
        desmos.answer = lambda _: UNAVAILABLE
        await publish(world, BUYER_DID, publishing(2))
        await desmos.until(2)
        await facade.stop()
        before = len(desmos.received)
        desmos.answer = lambda _: ACCEPTED
        async with running(world, adapter(tmp_path, SELLER_DID)):
            await desmos.until(before + 1)
            assert entities(desmos)[before:] == [2]


# --- who it is by ---------------------------------------------------------------------------


def registering(did: str, address: bytes) -> bytes:
    """Give the entry that registers an address for a DID."""
    document = PutEntry(did, "document", json.dumps({"id": did}).encode(), 0, 0, None)
    child = PutEntry(f"{did}/address/0x{address.hex()}", "address", b"", 0, 0, None)
    return operation_entry(ChangeList("did-documents", (document, child)), 500)


async def test_registered_address_is_used_from_then_on(world: World) -> None:
    """Before an address is registered the derived one is told, and of old events still is."""
    address = bytes(range(20))
    await world.http.post("/api/v1/publishEvent", json=publishing(1))
    await world.node.extend([registering(SELLER_DID, address)])
    await world.http.post("/api/v1/publishEvent", json=publishing(2))
    items = (await world.get("/api/v1/events?startDate=0&endDate=99999999999999")).json()
    expected = [checksum_address(address), checksum_address(derived_address(SELLER_DID))]
    assert [item["ethereumAddress"] for item in items] == expected


@pytest.mark.parametrize("stolen", [derived_address(SELLER_DID), bytes(range(20))])
async def test_address_that_is_not_the_publishers_is_not_passed_on(
    world: World, stolen: bytes
) -> None:
    """What states another's address, or one that is its own only later, is told with its DID's."""
    data = {"publisherAddress": f"0x{1:064x}", "ethereumAddress": f"0x{stolen.hex()}"}
    changes = {
        "publisher": BUYER_DID,
        "time_ms": START_MS,
        "topic": "dome.catalog",
        "type": "org.concordat.dome.catalog",
        "subject": f"0x{5:064x}",
        "previous_hash": bytes(32),
        "data": json.dumps(data, separators=(",", ":")).encode(),
        "tags": ("prd",),
    }
    await world.node.extend([entry(900, BUYER, **changes)])
    await world.node.extend([registering(BUYER_DID, bytes(range(20)))])
    (told,) = (await world.get("/api/v1/events?startDate=0&endDate=99999999999999")).json()
    assert told["ethereumAddress"] == checksum_address(derived_address(BUYER_DID))


def test_addresses_are_written_as_ethereum_does() -> None:
    """The checksum is EIP-55's, with its published examples."""
    for text in (
        "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed",
        "0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359",
        "0xdbF03B407c01E7cD3CBea99509d93f8DDDC8C6FB",
        "0xD1220A0cf47c7B9Be7A2E6BA89F429762e7b9aDb",
    ):
        assert checksum_address(bytes.fromhex(text[2:])) == text
