"""The hub over HTTP: registrations are made, seen and ended by their owners alone."""

import pytest
from sqlalchemy import select

from adapters.tmf.hub import registrations
from adapters.tmf.hub.registrations import REGISTRATIONS
from tests.adapters.tmf.api.api_world import CATALOGUE, ORDER, ApiWorld

HUB = f"{CATALOGUE}/hub"
CALLBACK = "http://127.0.0.1:9/events"


async def test_a_registration_is_made_and_found(world: ApiWorld) -> None:
    """POST answers 201 with Location; the item and the list show how it is served."""
    sent = {"callback": CALLBACK, "query": "eventType=CatalogCreateEvent"}
    made = await world.client.post(HUB, json=sent)
    id_ = made.json()["id"]
    assert (made.status_code, made.json()) == (201, {"id": id_, **sent})
    assert made.headers["location"] == f"{HUB}/{id_}"
    shown = (await world.client.get(f"{HUB}/{id_}")).json()
    assert shown | sent == shown
    assert (shown["state"], shown["position"], shown["failedAttempts"]) == ("active", 0, 0)
    listed = await world.client.get(HUB)
    assert (listed.json(), listed.headers["x-total-count"]) == ([shown], "1")


async def test_the_same_registration_is_a_conflict(world: ApiWorld) -> None:
    """The same callback and query of one owner stand once at one hub."""
    await world.register(CALLBACK)
    again = await world.client.post(HUB, json={"callback": CALLBACK})
    assert (again.status_code, again.json()["code"]) == (409, "already-registered")
    await world.register(CALLBACK, "eventType=CatalogCreateEvent")
    await world.register(CALLBACK, caller="did:elsi:A")
    order_hub = f"{ORDER.rpartition('/')[0]}/hub"
    other = await world.client.post(order_hub, json={"callback": CALLBACK})
    assert other.status_code == 201


async def test_a_registration_ends(world: ApiWorld) -> None:
    """DELETE answers 204, and after that 404; then there is room for the same one."""
    id_ = await world.register(CALLBACK)
    answers = [await world.client.delete(f"{HUB}/{id_}") for _ in range(2)]
    assert [answer.status_code for answer in answers] == [204, 404]
    assert (await world.client.get(f"{HUB}/{id_}")).status_code == 404
    await world.register(CALLBACK)


async def test_registrations_belong_to_their_owners(world: ApiWorld) -> None:
    """Others see and end nothing; the operator does; who is nobody registers nothing."""
    id_ = await world.register(CALLBACK, caller="did:elsi:A")
    own, other, nobody = ({"x-caller": name} for name in ("did:elsi:A", "did:elsi:B", "-"))
    path = f"{HUB}/{id_}"
    assert (await world.client.get(path, headers=own)).status_code == 200
    assert (await world.client.get(path, headers=other)).status_code == 404
    assert (await world.client.get(HUB, headers=other)).json() == []
    assert (await world.client.delete(path, headers=other)).status_code == 404
    refused = await world.client.post(HUB, json={"callback": CALLBACK}, headers=nobody)
    assert refused.status_code == 401
    assert (await world.client.get(path)).status_code == 200
    elsewhere = f"{ORDER.rpartition('/')[0]}/hub/{id_}"
    assert (await world.client.get(elsewhere)).status_code == 404
    assert (await world.client.delete(path)).status_code == 204


@pytest.mark.parametrize(
    "body, named",
    [
        ([], "the document"),
        ({}, "callback"),
        ({"callback": 7}, "callback"),
        ({"callback": "ftp://x/"}, "callback"),
        ({"callback": "/events"}, "callback"),
        ({"callback": "http://user@x/"}, "callback"),
        ({"callback": "http://169.254.169.254/latest"}, "callback"),
        ({"callback": "http://[::ffff:169.254.169.254]/"}, "callback"),
        ({"callback": "http://x/" + "y" * 2_048}, "callback"),
        ({"callback": "http://x/\0"}, "callback"),
        ({"callback": CALLBACK, "query": 7}, "query"),
        ({"callback": CALLBACK, "query": "eventType=None"}, "eventType None"),
        ({"callback": f"{CALLBACK}?a=b", "query": "delivery=listener"}, "callback"),
    ],
)
async def test_registrations_that_are_refused(world: ApiWorld, body: object, named: str) -> None:
    """What cannot be served is refused by name, and nothing is kept."""
    answer = await world.client.post(HUB, json=body)
    assert (answer.status_code, answer.json()["@type"]) == (400, "Error")
    assert named in answer.json()["message"]
    assert (await world.client.get(HUB)).json() == []


async def test_the_number_of_registrations_is_bounded(
    world: ApiWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One more than the limit is refused; room comes by ending another."""
    monkeypatch.setattr(registrations, "TMF_HUB_REGISTRATIONS_MAX", 2)
    first = await world.register(f"{CALLBACK}/1")
    await world.register(f"{CALLBACK}/2")
    more = await world.client.post(HUB, json={"callback": f"{CALLBACK}/3"})
    assert (more.status_code, more.json()["code"]) == (429, "too-many-registrations")
    await world.client.delete(f"{HUB}/{first}")
    await world.register(f"{CALLBACK}/3")
    with world.store.read() as reading:
        assert len(reading.connection.execute(select(REGISTRATIONS.c.id)).all()) == 2


async def test_other_methods(world: ApiWorld) -> None:
    """The hub allows what it offers."""
    assert (await world.client.put(HUB)).headers["allow"] == "GET, HEAD, POST"
    assert (await world.client.patch(f"{HUB}/x")).headers["allow"] == "DELETE, GET, HEAD"
