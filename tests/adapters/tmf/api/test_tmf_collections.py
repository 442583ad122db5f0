"""Collections and items over HTTP: TMF630's statuses, headers and bodies, on both databases."""

import json
from typing import Any

import pytest

from ledger.core.limits import TMF_BODY_BYTES_MAX
from tests.adapters.tmf.api.api_world import CATALOGUE, OFFERING, ORDER, ApiWorld

JSON = "application/json;charset=utf-8"


async def test_a_created_entity_is_answered_and_found(world: ApiWorld) -> None:
    """POST answers 201 with the entity, Location is its href, and GET gives the same."""
    answer = await world.client.post(OFFERING, json={"name": "Storage"})
    made = answer.json()
    assert answer.status_code == 201
    assert answer.headers["content-type"] == JSON
    assert answer.headers["location"] == made["href"] == f"{OFFERING}/{made['id']}"
    found = await world.client.get(made["href"])
    assert (found.status_code, found.json()) == (200, made)
    assert found.headers["etag"] == answer.headers["etag"]
    assert found.headers["last-modified"].endswith("GMT")


async def test_fields_are_honoured_everywhere(world: ApiWorld) -> None:
    """POST, GET of an item, GET of a list and PATCH show the attributes that were asked for."""
    made = await world.create(OFFERING, {"name": "Storage", "description": "Much"})
    identity = {"id": made["id"], "href": made["href"]}
    posted = await world.client.post(f"{OFFERING}?fields=name", json={"name": "A"})
    assert posted.json().keys() == {"id", "href", "name"}
    item = await world.client.get(f"{made['href']}?fields=description")
    assert item.json() == {**identity, "description": "Much"}
    listed = await world.client.get(f"{OFFERING}?fields=none&name=Storage")
    assert listed.json() == [identity]
    patched = await world.client.patch(f"{made['href']}?fields=name", json={"name": "B"})
    assert patched.json() == {**identity, "name": "B"}


async def test_a_list_without_paging_is_whole(world: ApiWorld) -> None:
    """All entities come with 200, both counts and no links."""
    for name in "abc":
        await world.create(OFFERING, {"name": name})
    answer = await world.client.get(OFFERING)
    assert (answer.status_code, [each["name"] for each in answer.json()]) == (200, ["a", "b", "c"])
    assert (answer.headers["x-total-count"], answer.headers["x-result-count"]) == ("3", "3")
    assert "link" not in answer.headers
    none = await world.client.get(f"{OFFERING}?name=d")
    assert (none.status_code, none.json(), none.headers["x-total-count"]) == (200, [], "0")


async def test_a_part_of_a_list_says_so(world: ApiWorld) -> None:
    """A part is 206 with its range, and the links lead through all parts in order."""
    for name in "abcde":
        await world.create(OFFERING, {"name": name, "isBundle": True})
    answer = await world.client.get(f"{OFFERING}?isBundle=true&limit=2&fields=name")
    assert answer.status_code == 206
    assert answer.headers["content-range"] == "items 0-1/5"
    names = [each["name"] for each in answer.json()]
    while "next" in answer.links:
        answer = await world.client.get(answer.links["next"]["url"])
        names += [each["name"] for each in answer.json()]
    assert names == ["a", "b", "c", "d", "e"]
    assert answer.links["last"]["url"].endswith("offset=4&limit=2")
    assert answer.links["prev"]["url"].endswith("isBundle=true&fields=name&offset=2&limit=2")


@pytest.mark.parametrize(
    "media_type, patch",
    [
        ("application/json", {"description": "New", "name": "B"}),
        ("application/merge-patch+json", {"description": "New", "name": "B"}),
        (
            "application/json-patch+json; charset=UTF-8",
            [
                {"op": "add", "path": "/description", "value": "New"},
                {"op": "replace", "path": "/name", "value": "B"},
            ],
        ),
    ],
)
async def test_patches_of_each_kind(world: ApiWorld, media_type: str, patch: Any) -> None:  # noqa: ANN401
    """The media type decides what a patch means; the answer is the changed entity."""
    made = await world.create(OFFERING, {"name": "A"})
    headers = {"content-type": media_type}
    answer = await world.client.patch(made["href"], content=json.dumps(patch), headers=headers)
    assert (answer.status_code, answer.json()["name"]) == (200, "B")
    assert (await world.client.get(made["href"])).json()["description"] == "New"


async def test_a_deleted_entity_is_gone(world: ApiWorld) -> None:
    """DELETE answers 204 without a body; after it nothing is there to get or delete."""
    made = await world.create(OFFERING, {"name": "A"})
    answer = await world.client.delete(made["href"])
    assert (answer.status_code, answer.content) == (204, b"")
    for method in ("GET", "DELETE"):
        assert (await world.client.request(method, made["href"])).status_code == 404


async def test_a_change_of_another_version_is_refused(world: ApiWorld) -> None:
    """If-Match lets one of two writers win, and the other lose nothing but its turn."""
    made = await world.create(OFFERING, {"name": "A"})
    tag = (await world.client.get(made["href"])).headers["etag"]
    won = await world.client.patch(made["href"], json={"name": "B"}, headers={"if-match": tag})
    lost = await world.client.patch(made["href"], json={"name": "C"}, headers={"if-match": tag})
    assert (won.status_code, lost.status_code) == (200, 412)
    assert (await world.client.delete(made["href"], headers={"if-match": tag})).status_code == 412
    fresh = {"if-match": f'"other", {won.headers["etag"]}'}
    assert (await world.client.delete(made["href"], headers=fresh)).status_code == 204


async def test_a_known_version_is_not_sent_again(world: ApiWorld) -> None:
    """If-None-Match answers 304 until the entity changes."""
    made = await world.create(OFFERING, {"name": "A"})
    known = {"if-none-match": (await world.client.get(made["href"])).headers["etag"]}
    answer = await world.client.get(made["href"], headers=known)
    assert (answer.status_code, answer.content) == (304, b"")
    await world.client.patch(made["href"], json={"name": "B"})
    assert (await world.client.get(made["href"], headers=known)).status_code == 200


async def test_head_tells_what_get_would(world: ApiWorld) -> None:
    """HEAD has GET's status and headers, and no body, on lists, items and errors."""
    made = await world.create(OFFERING, {"name": "A"})
    for path in (OFFERING, made["href"], f"{OFFERING}/none"):
        got, head = await world.client.get(path), await world.client.head(path)
        assert head.content == b""
        assert (head.status_code, head.headers) == (got.status_code, got.headers)


REFUSED = [
    ("GET", "/tmf-api", 404),
    ("GET", "/tmf-api/none/v4/x", 404),
    ("GET", f"{CATALOGUE}/productOffering/a/b/c", 404),
    ("GET", f"{CATALOGUE}/productOffering/a/content", 404),
    ("GET", f"{CATALOGUE}/productOrder", 404),
    ("GET", f"{OFFERING}/%00", 404),
    ("GET", f"{OFFERING}?limit=x", 400),
    ("PUT", OFFERING, 405),
    ("OPTIONS", OFFERING, 405),
    ("PATCH", OFFERING, 405),
    ("POST", f"{OFFERING}/x", 405),
    ("PATCH", f"{CATALOGUE}/importJob/x", 405),
    ("DELETE", "/tmf-api/productOrderingManagement/v4/cancelProductOrder/x", 405),
]


@pytest.mark.parametrize("method, path, status", REFUSED)
async def test_every_error_has_tm_forums_form(
    world: ApiWorld, method: str, path: str, status: int
) -> None:
    """Also unknown paths and methods answer with an Error document, and 405 with Allow."""
    answer = await world.client.request(method, path)
    error = answer.json()
    assert (answer.status_code, error["status"]) == (status, str(status))
    assert answer.headers["content-type"] == JSON
    assert error.keys() == {"@type", "code", "reason", "message", "status"}
    assert all(isinstance(each, str) and each for each in error.values())
    assert ("allow" in answer.headers) == (status == 405)


async def test_allow_names_what_is_allowed(world: ApiWorld) -> None:
    """Allow is what the definition offers at the place."""
    collection = await world.client.put(OFFERING)
    assert collection.headers["allow"] == "GET, HEAD, POST"
    job = await world.client.put(f"{CATALOGUE}/exportJob/x")
    assert job.headers["allow"] == "DELETE, GET, HEAD"


@pytest.mark.parametrize(
    "body, media_type, status, named",
    [
        (b'{"name": "A"}', "text/plain", 415, "text/plain"),
        (b'{"name": "A"}', "", 415, "missing"),
        (b'{"name": "A"}', "application/json; charset=latin-1", 415, "latin-1"),
        (b'{"name": "A", "name": "B"}', JSON, 400, "twice"),
        (b"[" * 100_000, JSON, 400, "deep"),
        (b'{"name": "A"', JSON, 400, "JSON"),
        (b'{"name": "\xff"}', JSON, 400, "JSON"),
        (b'{"name": NaN}', JSON, 400, "JSON"),
        (b"[]", JSON, 400, "document"),
        (b'{"description": "A"}', JSON, 400, "name"),
        (b'{"name": 7}', JSON, 400, "name"),
        (b" " * (TMF_BODY_BYTES_MAX + 1), JSON, 413, str(TMF_BODY_BYTES_MAX)),
    ],
)
async def test_bodies_that_are_refused(
    world: ApiWorld, body: bytes, media_type: str, status: int, named: str
) -> None:
    """What cannot be an entity is refused by a message that names why, and changes nothing."""
    headers = {"content-type": media_type} if media_type else {}
    answer = await world.client.post(OFFERING, content=body, headers=headers)
    assert (answer.status_code, answer.json()["status"]) == (status, str(status))
    assert named in answer.json()["message"]
    assert (await world.client.get(OFFERING)).json() == []


async def test_no_answer_depends_on_accept(world: ApiWorld) -> None:
    """Whatever a client accepts, it gets JSON: never 406."""
    answer = await world.client.get(OFFERING, headers={"accept": "text/html"})
    assert (answer.status_code, answer.headers["content-type"]) == (200, JSON)


async def test_a_closing_slash_changes_nothing(world: ApiWorld) -> None:
    """Some clients end a collection's path with a slash."""
    made = (await world.client.post(f"{OFFERING}/", json={"name": "A"})).json()
    assert (await world.client.get(f"{OFFERING}/")).json() == [made]


async def test_ids_of_the_clients(world: ApiWorld) -> None:
    """An id that a client chose is kept; its path is the same however it is encoded."""
    made = await world.create(OFFERING, {"name": "A", "id": "urn:x:1(version=2)"})
    for id_ in ("urn:x:1(version=2)", "urn%3Ax%3a1%28version%3D2%29"):
        assert (await world.client.get(f"{OFFERING}/{id_}")).json() == made
    again = await world.client.post(OFFERING, json={"name": "A", "id": made["id"]})
    assert (again.status_code, again.json()["code"]) == (409, "id-taken")


async def test_callers_see_what_is_theirs(world: ApiWorld) -> None:
    """Who asks decides what exists: in lists, items, changes and their totals."""
    order = {"productOrderItem": [{"id": "1", "action": "add"}]}
    parties = [{"id": "did:elsi:A", "@referredType": "Organization"}]
    made = await world.create(ORDER, {**order, "relatedParty": parties})
    theirs, others = {"x-caller": "did:elsi:A"}, {"x-caller": "did:elsi:B"}
    assert (await world.client.get(made["href"], headers=theirs)).json() == made
    listed = await world.client.get(ORDER, headers=others)
    assert (listed.json(), listed.headers["x-total-count"]) == ([], "0")
    for method in ("GET", "DELETE"):
        answer = await world.client.request(method, made["href"], headers=others)
        assert answer.status_code == 404


async def test_failures_tell_nothing_of_the_inside(
    world: ApiWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An error of the node's own is 500 in TM Forum's form, without its text."""

    def broken(*_: object) -> None:
        raise RuntimeError("secret")

    monkeypatch.setattr(world.entities, "find", broken)
    answer = await world.client.get(OFFERING)
    assert (answer.status_code, answer.json()["code"]) == (500, "internal-error")
    assert "secret" not in answer.text
