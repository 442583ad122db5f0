"""FIWARE's management of issuers: what it makes, replaces and ends, as one operation each."""

import hashlib
import json
import math
from typing import Any

import anyio
import pytest

from ledger.core.limits import LIST_CHANGES_COUNT_MAX, REGISTRY_BODY_BYTES_MAX
from ledger.core.trust.lists import EntryStatus
from ledger.core.trust.operations import RevokeEntry
from tests.adapters.registry_world import RegistryWorld, put

DID = "did:elsi:VATES-12345678"
URL = f"/issuer/{DID}"


def credential(type_: str, *values: object) -> dict[str, Any]:
    """Make a credential with one claim."""
    return {"credentialsType": type_, "claims": [{"name": "c", "allowedValues": list(values)}]}


def issuer(*credentials: dict[str, Any]) -> dict[str, Any]:
    """Make an issuer."""
    return {"did": DID, "credentials": list(credentials)}


def attribute_id(content: dict[str, Any]) -> str:
    """Give the id of an attribute whose first body is a credential."""
    return hashlib.sha256(json.dumps(content, separators=(",", ":")).encode()).hexdigest()


def valid(times: dict[str, str]) -> bytes:
    """Make the text of an issuer with a validity."""
    content = {"credentialsType": "A", "validFor": times}
    return json.dumps({"did": "did:elsi:A", "credentials": [content]}).encode()


async def served(world: RegistryWorld) -> list[Any]:
    """Give what the issuer may issue, in order of the texts."""
    answer = await world.http.get(URL)
    assert answer.status_code == 200
    return sorted(answer.json()["credentials"], key=json.dumps)


async def write(world: RegistryWorld, method: str, document: object) -> int:
    """Post or put an issuer; give the status."""
    url = "/issuer" if method == "POST" else URL
    return (await world.http.request(method, url, json=document)).status_code


async def test_an_issuer_lives_and_ends(world: RegistryWorld) -> None:
    """Made once, conflicting twice, read, listed, ended, gone, and made again without its past."""
    first = issuer(credential("A", 1), credential("B", 2))
    assert (await world.http.get(URL)).status_code == 404
    assert await write(world, "POST", first) == 201
    again = await world.http.post("/issuer", json=first)
    assert (again.status_code, again.json()["status"]) == (409, 409)
    assert (await world.http.get(URL)).json()["did"] == DID
    assert await served(world) == first["credentials"]
    assert (await world.http.get("/issuer")).json()["items"] == [DID]
    ended = await world.http.delete(URL)
    assert (ended.status_code, ended.content) == (204, b"")
    for method in ("GET", "DELETE"):
        gone = await world.http.request(method, URL)
        assert (gone.status_code, gone.json()["status"]) == (404, 404)
    assert await write(world, "PUT", first) == 404
    assert (await world.http.get(f"/v4/issuers/{DID}")).status_code == 404
    assert await write(world, "POST", {"did": DID}) == 201
    assert await served(world) == []


async def test_putting_replaces_as_one_operation(world: RegistryWorld) -> None:
    """What is the same stays, the same type is revised, the rest is new or revoked; at once."""
    kept, old, ended = credential("A", 1), credential("B", 1), credential("C", 1)
    revised, new = credential("B", 2), credential("D", 1)
    assert await write(world, "POST", issuer(kept, old, ended)) == 201
    before = world.submissions()
    answer = await world.http.put(URL, json=issuer(new, revised, kept))
    assert (answer.status_code, answer.json()["did"]) == (200, DID)
    assert world.submissions() == before + 1
    assert await served(world) == [kept, revised, new]
    histories = {
        name: [
            (entry.revision, entry.status)
            for entry in world.revisions("issuers", f"{DID}/{attribute_id(content)}")
        ]
        for name, content in (("kept", kept), ("old", old), ("ended", ended), ("new", new))
    }
    active, revoked = EntryStatus.ACTIVE, EntryStatus.REVOKED
    assert histories == {
        "kept": [(1, active)],
        "old": [(1, active), (2, active)],
        "ended": [(1, active), (2, revoked)],
        "new": [(1, active)],
    }
    assert world.revisions("issuers", f"{DID}/{attribute_id(revised)}") == []


async def test_an_id_that_is_taken_is_not_taken_twice(world: RegistryWorld) -> None:
    """A first body that comes back beside its successor is an attribute of its own."""
    first, second = credential("A", 1), credential("A", 2)
    assert await write(world, "POST", issuer(first)) == 201
    assert await write(world, "PUT", issuer(second)) == 200
    assert await write(world, "PUT", issuer(first, second)) == 200
    assert await served(world) == [first, second]
    assert await write(world, "PUT", issuer(first)) == 200
    assert await served(world) == [first]
    assert await write(world, "PUT", issuer(first, first, second)) == 200
    assert await served(world) == [first, second]


async def test_putting_ends_a_revocation_from_elsewhere(world: RegistryWorld) -> None:
    """An attribute that EBSI's metadata calls revoked is gone here until it is put again."""
    content = credential("A", 1)
    id_ = f"{DID}/{attribute_id(content)}"
    assert await write(world, "POST", issuer(content)) == 201
    await world.change("issuers", put(f"{id_}/metadata", "metadata", b'{"issuerType":"Revoked"}'))
    assert await served(world) == []
    assert await write(world, "PUT", issuer()) == 200
    assert await served(world) == []
    assert await write(world, "PUT", issuer(content)) == 200
    assert await served(world) == [content]
    await world.change("issuers", put(f"{id_}/metadata", "metadata", b'{"issuerType":"TI"}'))
    assert await write(world, "PUT", issuer(content)) == 200
    assert len(world.revisions("issuers", f"{id_}/metadata")) == 3, "a role stays as it is"


async def test_putting_leaves_what_is_not_fiwares(world: RegistryWorld) -> None:
    """Accreditations and proxies of the issuer are not touched, unless the issuer ends."""
    others = [
        put(f"{DID}/jws", "accreditation", b"a.b.c"),
        put(f"{DID}/proxies/1", "proxy", b'{"prefix":"https://p.example"}'),
    ]
    assert await write(world, "POST", issuer(credential("A"))) == 201
    await world.change("issuers", *others)
    assert await write(world, "PUT", issuer()) == 200
    assert [len(world.revisions("issuers", other.id)) for other in others] == [1, 1]
    assert (await world.http.delete(URL)).status_code == 204
    for other in others:
        assert world.revisions("issuers", other.id)[-1].status is EntryStatus.REVOKED


@pytest.mark.parametrize("method", ["PUT", "DELETE"])
async def test_of_two_writes_at_once_one_conflicts(world: RegistryWorld, method: str) -> None:
    """Plans that saw the same issuer never mix, though they touch different credentials."""
    kept, new = credential("A"), credential("B")
    assert await write(world, "POST", issuer(kept)) == 201
    answers: dict[str, int] = {}
    node = world.world.node
    node.finalises = False
    node.submissions.clear()

    async def begin(method: str, document: object, count: int) -> None:
        async def one() -> None:
            answers[f"{count} {method}"] = await write(world, method, document)

        group.start_soon(one)
        with anyio.fail_after(5):
            while len(node.submissions) < count:  # noqa: ASYNC110 - it has no event
                await anyio.sleep(0.005)

    async with anyio.create_task_group() as group:
        await begin("PUT", issuer(kept, new), 1)
        await begin(method, issuer(credential("C")), 2)
        await node.extend([entry for entries in node.submissions for entry in entries])
        await node.extend()
    assert answers == {"1 PUT": 200, f"2 {method}": 409}
    assert await served(world) == [kept, new]


async def test_as_many_credentials_as_one_operation_holds(world: RegistryWorld) -> None:
    """One less than the changes of an operation can be posted; more are refused and nothing is."""
    most = [{"credentialsType": f"T{number:03}"} for number in range(LIST_CHANGES_COUNT_MAX)]
    before = world.state_root()
    assert await write(world, "POST", issuer(*most)) == 400
    assert world.state_root() == before
    assert await write(world, "POST", issuer(*most[1:])) == 201
    assert len(await served(world)) == LIST_CHANGES_COUNT_MAX - 1
    assert await write(world, "PUT", issuer(*most)) == 200
    assert (await world.http.delete(URL)).status_code == 204
    assert await write(world, "POST", {"did": DID}) == 201
    assert await served(world) == []


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b'{"did":"x"}',
        b'{"credentials":[]}',
        b'{"did":5}',
        b'{"did":"did:elsi:A/B"}',
        b'{"did":"did:elsi:A","did":"did:elsi:B"}',
        b'{"did":"did:elsi:A","more":1}',
        b'{"did":"did:elsi:A","credentials":[{}]}',
        b'{"did":"did:elsi:A","credentials":[{"credentialsType":""}]}',
        b'{"did":"did:elsi:A","credentials":[{"credentialsType":"A","more":1}]}',
        b'{"did":"did:elsi:A","credentials":[{"credentialsType":"A","claims":[{}]}]}',
        b'{"did":"did:elsi:A","credentials":[{"credentialsType":"A","validFor":{"from":"x"}}]}',
        valid({"from": "2026-01-01T00:00:00"}),
        valid({"from": "2026-01-01T00:00:00Z", "to": "2026-01-01T00:00:00.0009Z"}),
        valid({"to": "1969-12-31T23:59:59Z", "from": "1971-01-01T00:00:00Z"}),
        b'{"did":"did:elsi:A","credentials":[{"credentialsType":"a@b.example"}]}',
        b'{"did":"did:elsi:A","credentials":' + b"[" * 40 + b"]" * 40 + b"}",
        b'{"did":"did:elsi:A","credentials":[{"credentialsType":"' + b"A" * 33_000 + b'"}]}',
        b'{"did":"did:elsi:A","credentials":[{"credentialsType":"\\ud800"}]}',
        json.dumps({"did": "did:elsi:A", "credentials": [credential("A", math.nan)]}).encode(),
    ],
)
async def test_what_is_no_issuer_is_refused(world: RegistryWorld, body: bytes) -> None:
    """Anything that could not be kept and served as it is, is 400 and changes nothing."""
    await world.change("issuers", put("did:elsi:B", "issuer"))
    before = world.state_root()
    requests = (
        ("POST", "/issuer", body),
        ("PUT", "/issuer/did:elsi:B", body.replace(b"did:elsi:A", b"did:elsi:B")),
    )
    for method, url, content in requests:
        answer = await world.http.request(method, url, content=content)
        assert answer.status_code == 400
        assert set(answer.json()) == {"type", "title", "status", "detail"}
    assert world.state_root() == before


async def test_a_body_has_a_limit(world: RegistryWorld) -> None:
    """White space up to the limit is taken, one byte more is not."""
    text = json.dumps({"did": DID}).encode()
    for excess, status in ((1, 413), (0, 201)):
        body = text + b" " * (REGISTRY_BODY_BYTES_MAX - len(text) + excess)
        assert (await world.http.post("/issuer", content=body)).status_code == status


async def test_nulls_and_names_of_the_path_are_taken_as_java_sends_them(
    world: RegistryWorld,
) -> None:
    """Members that are null are left out; another DID than the path's is refused."""
    nulls = {"credentialsType": "A", "validFor": None, "claims": None}
    assert await write(world, "POST", {"did": DID, "credentials": None}) == 201
    assert await write(world, "PUT", issuer(nulls)) == 200
    assert await served(world) == [{"credentialsType": "A"}]
    assert await write(world, "PUT", {"did": "did:elsi:OTHER"}) == 400


async def test_pages_of_dids_are_those_of_a_naive_list(world: RegistryWorld) -> None:
    """Pages count from 0 and have ten items when nothing is said."""
    dids = [f"did:elsi:X-{number:02}" for number in range(12)]
    await world.change("issuers", *(put(did, "issuer") for did in dids))
    await world.change("issuers", RevokeEntry(dids.pop(3), None))
    assert (await world.http.get("/issuer/")).json()["items"] == dids[:10]
    for size in (1, 4, 11, 100):
        for page in range(13):
            document = (await world.http.get(f"/issuer?pageSize={size}&page={page}")).json()
            items = dids[page * size : (page + 1) * size]
            assert document == {"total": 11, "pageSize": size, "page": page, "items": items}
    for query in ("pageSize=0", "pageSize=101", "page=-1", "page=x"):
        assert (await world.http.get(f"/issuer?{query}")).status_code == 400
