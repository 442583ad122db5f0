"""The DLT adapter against the reference: statuses, media types, bytes, names, units."""

import json
from functools import partial
from pathlib import Path

import httpx
import pytest
from structlog.testing import capture_logs

from adapters.dome.dlt import history
from adapters.dome.dlt.identity import checksum_address, derived_address, iss_of
from ledger.core.limits import DLT_EVENT_TYPES_MAX, DLT_SUBSCRIPTIONS_MAX, TAGS_COUNT_MAX
from tests.adapters.dlt.dlt_world import (
    BUYER_DID,
    BUYER_ID,
    SELLER_DID,
    dlt_world,
    publish,
    publishing,
)
from tests.adapters.dlt.endpoint import Endpoint
from tests.adapters.dlt.examples import example
from tests.ledger.sample_network import START_MS, block_after
from tests.pubsub import gateway_world
from tests.pubsub.gateway_world import World

JSON, HTML = "application/json; charset=utf-8", "text/html; charset=utf-8"
NODE = (400, HTML, "Error connecting to the blockchain node.")
CHAIN = (400, HTML, "Error connecting to the blockchain.")
ALL = (500, HTML, "Error subscribing to all events.")
ENDPOINT = "http://desmos:8080/api/v2/notifications/dlt"
WHOLE_TIME = "startDate=0&endDate=999999999999999&envM=prd"


def seen(answer: httpx.Response) -> tuple[int, str, str]:
    """Give status, media type and body of an answer."""
    return answer.status_code, answer.headers["content-type"], answer.text


def compact(document: object) -> str:
    """Write JSON as the reference does."""
    return json.dumps(document, separators=(",", ":"))


def subscribing(**changes: object) -> dict[str, object]:
    """Give a request for a subscription."""
    known: dict[str, object] = example("subscribe_request")
    return known | changes


# --- publishEvent ---------------------------------------------------------------------------


@pytest.mark.parametrize("version", ["v1", "v2"])
async def test_publish_answers_with_the_time_of_the_block_in_seconds(
    world: World, version: str
) -> None:
    """The reference's request is answered 201 and a bare number, the block's time."""
    body = example("publishEvent_request")
    answer = await world.http.post(f"/api/{version}/publishEvent", json=body)
    assert seen(answer) == (201, JSON, str(START_MS // 1000 + 2))


async def test_missing_iss_means_the_member(world: World) -> None:
    """A request without iss is published as the member's, under the same publisherAddress."""
    body = publishing()
    stated = body.pop("iss")
    await world.http.post("/api/v1/publishEvent", json=body)
    (item,) = (await world.get(f"/api/v1/events?{WHOLE_TIME}")).json()
    assert item["publisherAddress"] == stated


async def test_iss_may_be_of_the_did_or_of_the_organisation(tmp_path: Path) -> None:
    """The hash of the DID, of its organisation identifier and of the configured one are taken."""
    async with dlt_world(tmp_path, organisation="did:key:zSeller") as world:
        for number, name in enumerate([SELLER_DID, "VATES-S9999999E", "did:key:zSeller"]):
            body = publishing(number, iss=iss_of(name).upper().replace("0X", "0x"))
            answer = await world.http.post("/api/v1/publishEvent", json=body)
            assert answer.status_code == 201, name
        body = publishing(9)
        del body["iss"]
        await world.http.post("/api/v1/publishEvent", json=body)
        items = (await world.get(f"/api/v1/events?{WHOLE_TIME}")).json()
        assert items[0]["publisherAddress"] == iss_of("did:key:zSeller")


REFUSED = {
    "the iss of another member": publishing(iss=iss_of(BUYER_ID)),
    "an iss that is none": publishing(iss="VATES-S9999999E"),
    "a blank event type": publishing(eventType=" "),
    "a long event type": publishing(eventType="a" * 129),
    "no location": publishing(dataLocation=""),
    "an entity id that is no hash": publishing(entityId="urn:ngsi-ld:x:1"),
    "no previous hash": publishing(previousEntityHash=None),
    "metadata that is no list": publishing(relevantMetadata="prd"),
    "too much metadata": publishing(relevantMetadata=["a"] * (TAGS_COUNT_MAX + 1)),
    "long metadata": publishing(relevantMetadata=["a" * 65]),
    "no object": [],
}


@pytest.mark.parametrize("body", REFUSED.values(), ids=REFUSED)
async def test_publish_refuses_in_the_reference_words(world: World, body: object) -> None:
    """Whatever is wrong: 400, text/html, one sentence; the reason is in the log, nothing sent."""
    with capture_logs() as logs:
        answer = await world.http.post("/api/v1/publishEvent", json=body)
    assert seen(answer) == NODE
    (row,) = [row for row in logs if row["event"] == "request_refused"]
    assert row["reason"]
    assert world.node.submissions == []


async def test_foreign_iss_is_logged_with_the_true_reason(world: World) -> None:
    """The log names the iss that is not the member's."""
    iss = iss_of(BUYER_ID)
    with capture_logs() as logs:
        await world.http.post("/api/v1/publishEvent", json=publishing(iss=iss))
    assert logs[0]["reason"] == f"iss {iss} is not this gateway's member"


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b'{"eventType":"a","eventType":"b"}'])
async def test_what_is_no_json_is_refused_likewise(world: World, body: bytes) -> None:
    """Bodies that are no JSON get the same answer."""
    assert seen(await world.http.post("/api/v1/publishEvent", content=body)) == NODE


async def test_blank_metadata_is_never_passed_on(world: World) -> None:
    """Blank strings among the metadata vanish: Desmos would refuse the notification."""
    body = publishing(relevantMetadata=["prd", "", " "])
    await world.http.post("/api/v1/publishEvent", json=body)
    (item,) = (await world.get(f"/api/v1/events?{WHOLE_TIME}")).json()
    assert item["relevantMetadata"] == ["prd"]


# --- subscribe ------------------------------------------------------------------------------


async def test_subscriptions_are_listed_as_in_the_reference(world: World) -> None:
    """GET answers [] at first, then each subscription once, byte for byte as the reference."""
    assert seen(await world.get("/api/v1/subscribe")) == (200, JSON, "[]")
    for _ in range(2):
        body = subscribing(eventTypes=["product-offering"])
        assert seen(await world.http.post("/api/v1/subscribe", json=body)) == (201, HTML, "OK")
    expected = compact(example("subscribe_get_200"))
    for version in ("v1", "v2"):
        assert seen(await world.get(f"/api/{version}/subscribe")) == (200, JSON, expected)


async def test_subscription_to_all_answers_ok_and_is_not_listed(world: World) -> None:
    """subscribe/all answers 200 OK; clients of GET expect event types in every item."""
    answer = await world.http.post("/api/v2/subscribe/all", json={"notificationEndpoint": ENDPOINT})
    assert seen(answer) == (200, HTML, "OK")
    assert (await world.get("/api/v2/subscribe")).json() == []
    assert seen(await world.http.post("/api/v2/subscribe/all", json={})) == ALL


@pytest.mark.parametrize(
    "changes",
    [
        {"eventTypes": []},
        {"eventTypes": [""]},
        {"eventTypes": ["a"] * (DLT_EVENT_TYPES_MAX + 1)},
        {"metadata": []},
        {"metadata": ["prd", ""]},
        {"metadata": None},
        {"notificationEndpoint": ""},
        {"notificationEndpoint": "desmos:8080"},
        {"notificationEndpoint": "ftp://desmos/"},
        {"notificationEndpoint": "http://user@desmos/"},
        {"notificationEndpoint": "http://169.254.169.254/latest/meta-data"},
        {"notificationEndpoint": "http://[::ffff:169.254.169.254]/"},
        {"notificationEndpoint": "http://0.0.0.0/"},
        {"notificationEndpoint": "http://desmos/" + "a" * 2_048},
    ],
)
async def test_wrong_subscriptions_are_refused(world: World, changes: dict[str, object]) -> None:
    """Empty lists and strings, and endpoints outside the rules, get 400 and the sentence."""
    answer = await world.http.post("/api/v1/subscribe", json=subscribing(**changes))
    assert seen(answer) == NODE
    assert (await world.get("/api/v1/subscribe")).json() == []


async def test_subscriptions_are_limited(world: World) -> None:
    """The last allowed subscription is taken, one more is refused."""
    for number in range(DLT_SUBSCRIPTIONS_MAX + 1):
        body = subscribing(eventTypes=[f"type-{number}"] * DLT_EVENT_TYPES_MAX)
        answer = await world.http.post("/api/v1/subscribe", json=body)
        assert (answer.status_code == 201) == (number < DLT_SUBSCRIPTIONS_MAX)


# --- notifications --------------------------------------------------------------------------


async def test_notification_is_the_reference_byte_for_byte(world: World, desmos: Endpoint) -> None:
    """What another member published arrives with the reference's members, order and units."""
    await world.http.post("/api/v1/subscribe", json=subscribing(notificationEndpoint=desmos.url))
    await publish(world, BUYER_DID, publishing(7))
    await desmos.until(1)
    (told,) = desmos.received
    expected = example("notification_to_subscriber") | {
        "id": 2,
        "ethereumAddress": checksum_address(derived_address(BUYER_DID)),
        "publisherAddress": iss_of(BUYER_ID),
        "entityIDHash": f"0x{7:064x}",
        "timestamp": START_MS // 1000 + 2,
    }
    assert told.body == compact(expected).encode()
    assert told.target == "POST /api/v2/notifications/dlt HTTP/1.1"
    assert told.headers["content-type"] == "application/json"
    assert told.headers["host"] == f"127.0.0.1:{desmos.port}"


# --- events ---------------------------------------------------------------------------------


async def test_events_are_the_reference_byte_for_byte(world: World) -> None:
    """The event of the reference's request is listed as its answer, with milliseconds."""
    await publish(world, BUYER_DID, example("publishEvent_request"))
    (reference,) = example("events_get_200")
    expected = reference | {
        "id": 2,
        "ethereumAddress": checksum_address(derived_address(BUYER_DID)),
        "publisherAddress": iss_of(BUYER_ID),
        "timestamp": START_MS + 2_000,
    }
    answer = await world.get(f"/api/v1/events?{WHOLE_TIME}")
    assert seen(answer) == (200, JSON, compact([expected]))


async def test_events_are_the_last_of_each_entity_and_none_is_dropped(world: World) -> None:
    """Also the first event of the log is listed; own events, too; the newest stand first."""
    for number in (1, 2, 3, 2):
        await publish(world, BUYER_DID, publishing(number))
    await world.http.post("/api/v1/publishEvent", json=publishing(4))
    items = (await world.get(f"/api/v1/events?{WHOLE_TIME}")).json()
    assert [int(item["entityId"], 16) for item in items] == [4, 2, 3, 1]
    assert [item["id"] for item in items] == [6, 5, 4, 2]


async def test_events_are_cut_at_both_times_and_by_environment(world: World) -> None:
    """Both ends are included; of an entity the last event inside counts; envM filters."""
    for environment in ("prd", "sbx", "prd"):
        await publish(world, BUYER_DID, publishing(1, relevantMetadata=[environment]))
    everything = (await world.get("/api/v1/events?startDate=0&endDate=99999999999999")).json()
    last = everything[0]["timestamp"]

    async def ids(start: int, end: int, environment: str) -> list[int]:
        query = f"startDate={start}&endDate={end}&envM={environment}"
        return [item["id"] for item in (await world.get(f"/api/v2/events?{query}")).json()]

    assert await ids(0, last, "prd") == [4]
    assert await ids(0, last - 1, "prd") == [2]
    assert await ids(last, last, "prd") == [4]
    assert await ids(last + 1, last + 9_000, "prd") == []
    assert await ids(0, last, "sbx") == [3]
    assert await ids(0, last, "dev") == []


@pytest.mark.parametrize(
    "query", ["", "startDate=1", "startDate=a&endDate=2", "startDate=-1&endDate=2"]
)
async def test_events_without_times_are_refused(world: World, query: str) -> None:
    """Missing and wrong times get 400 and this path's own sentence."""
    assert seen(await world.get(f"/api/v1/events?{query}")) == CHAIN


async def test_events_are_cut_where_their_listed_time_is(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A block inside a second is listed at its beginning, and found there and not after it."""
    late = partial(block_after, time_ms=START_MS + 9_700)
    monkeypatch.setattr(gateway_world, "block_after", late)
    await publish(world, BUYER_DID, publishing(1))
    for start, end, count in ((9_000, 9_000, 1), (9_001, 99_000, 0), (0, 8_999, 0), (0, 9_700, 1)):
        query = f"startDate={START_MS + start}&endDate={START_MS + end}"
        items = (await world.get(f"/api/v1/events?{query}")).json()
        assert [item["timestamp"] for item in items] == [START_MS + 9_000] * count


async def test_too_many_entities_are_refused(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """At the limit all are listed; with one entity more the whole answer is refused."""
    monkeypatch.setattr(history, "DLT_LISTED_ENTITIES_MAX", 2)
    for number, status in ((1, 200), (2, 200), (3, 400)):
        await publish(world, BUYER_DID, publishing(number))
        assert (await world.get(f"/api/v1/events?{WHOLE_TIME}")).status_code == status


# --- everything else ------------------------------------------------------------------------


async def test_health_is_literal(world: World) -> None:
    """The health document is the reference's, byte for byte."""
    body = '{"status":"UP","checks":[{"name":"DLT Adapter health check","status":"UP"}]}'
    assert seen(await world.get("/health")) == (200, JSON, body)


@pytest.mark.parametrize("path", ["/api/v1/nothing", "/api/v2/", "/api/v1/subscribe/none"])
async def test_unknown_paths_say_not_found(world: World, path: str) -> None:
    """What is not there is answered as the reference answers it."""
    assert seen(await world.get(path)) == (404, JSON, '{"message":"Not Found"}')


@pytest.mark.parametrize("accept", ["application/json", "image/png", "text/html;q=0", "nonsense"])
async def test_accept_never_matters(world: World, accept: str) -> None:
    """Desmos accepts JSON only, and still gets OK as text: never 406."""
    headers = {"accept": accept}
    answer = await world.http.post("/api/v1/subscribe", json=subscribing(), headers=headers)
    assert seen(answer) == (201, HTML, "OK")
    assert (await world.http.get("/health", headers=headers)).status_code == 200


async def test_clients_of_the_internet_are_refused(tmp_path: Path) -> None:
    """A public address gets the error unless the operator opened the facade."""
    for is_public, status in ((False, 400), (True, 201)):
        directory = tmp_path / str(is_public)
        directory.mkdir()
        async with dlt_world(directory, is_public=is_public) as world:
            transport = httpx.ASGITransport(app=world.app, client=("8.8.8.8", 1))
            async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as http:
                answer = await http.post("/api/v1/publishEvent", json=publishing())
                assert answer.status_code == status
