"""The DLT adapter against the reference: statuses, media types, bytes, names, units."""

import json
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from adapters.dome.dlt.identity import checksum_address, derived_address, iss_of
from tests.adapters.dlt.dlt_world import (
    BUYER_DID,
    BUYER_ID,
    dlt_world,
    example,
    publish,
    publishing,
)
from tests.adapters.dlt.endpoint import Endpoint, listening
from tests.ledger.sample_network import START_MS
from tests.pubsub.gateway_world import World

JSON, HTML = "application/json; charset=utf-8", "text/html; charset=utf-8"
NODE = (400, HTML, "Error connecting to the blockchain node.")


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


def seen(answer: httpx.Response) -> tuple[int, str, str]:
    """Give status, media type and body of an answer."""
    return answer.status_code, answer.headers["content-type"], answer.text


@pytest.mark.parametrize("version", ["v1", "v2"])
async def test_publish_answers_with_the_time_of_the_block_in_seconds(
    world: World, version: str
) -> None:
    """The reference's request is answered 201 and a bare number, the block's time."""
    body = example("publishEvent_request")
    answer = await world.http.post(f"/api/{version}/publishEvent", json=body)
    assert seen(answer) == (201, JSON, str(START_MS // 1000 + 2))


async def test_notification_is_the_reference_byte_for_byte(world: World, desmos: Endpoint) -> None:
    """What another member published arrives with the reference's members, order and units."""
    wanted = example("subscribe_request") | {"notificationEndpoint": desmos.url}
    answer = await world.http.post("/api/v1/subscribe", json=wanted)
    assert seen(answer) == (201, HTML, "OK")
    await publish(world, BUYER_DID, publishing(7))
    await desmos.until(1)
    (told,) = desmos.received
    reference = example("notification_to_subscriber")
    expected = reference | {
        "id": 2,
        "ethereumAddress": checksum_address(derived_address(BUYER_DID)),
        "publisherAddress": iss_of(BUYER_ID),
        "entityIDHash": f"0x{7:064x}",
        "timestamp": START_MS // 1000 + 2,
    }
    assert told.body == json.dumps(expected, separators=(",", ":")).encode()
    assert told.target == "POST /api/v2/notifications/dlt HTTP/1.1"
    assert told.headers["content-type"] == "application/json"
    assert told.headers["host"] == f"127.0.0.1:{desmos.port}"
