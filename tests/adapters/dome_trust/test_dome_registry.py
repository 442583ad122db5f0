"""DOME's trust registry: what the five lists take and show."""

import hashlib
import json
from typing import Any, NamedTuple
from urllib.parse import quote

import pytest

from ledger.core.trust.operations import RevokeEntry
from tests.adapters.registry_world import NOW_MS, RegistryWorld, put

BASE = "/dome-trust-registry/v4"
DID = "did:elsi:VATES-12345678"
ADDRESS = "0x" + "0" * 30 + "00000000Aa"
CLAIM = {"name": "role", "allowedValues": [{"value": "A", "description": ""}]}
BODY = {
    "credentialsType": "LEARCredentialEmployee",
    "validFor": {"from": "2026-01-01T00:00:00Z", "to": "2096-01-01T00:00:00Z"},
    "claims": [CLAIM],
}
SERVICE = {
    "client_id": "https://portal.example/a?b=1",
    "redirectUris": ["https://portal.example/cb"],
    "scopes": ["openid_learcredential"],
    "clientAuthenticationMethods": ["client_secret_jwt"],
    "postLogoutRedirectUris": ["https://portal.example/"],
    "requireAuthorizationConsent": False,
    "requireProofKey": False,
    "jwkSetUrl": "https://portal.example/jwks",
    "tokenEndpointAuthenticationSigningAlgorithm": "ES256",
    "authorizationGrantTypes": "authorization_code",
}


def attribute(body: dict[str, Any], type_: str = "TI") -> dict[str, Any]:
    """Make an attribute whose hash is anything."""
    return {"hash": "-", "issuerType": type_, "body": body}


class Case(NamedTuple):
    """A list, a document of it, and another one with the same name."""

    path: str
    name: str
    document: dict[str, Any]
    changed: dict[str, Any]


SCHEMA = {"id": "https://schemas.example/a b.json", "schemaData": '{"type": "object"}'}
CASES = [
    Case("participants", DID, {"did": DID}, {"did": DID, "attributes": [], "hasAttributes": False}),
    Case(
        "issuers",
        DID,
        {"did": DID, "attributes": [attribute(BODY)], "hasAttributes": True},
        {"did": DID, "attributes": [attribute(BODY | {"claims": []})], "hasAttributes": True},
    ),
    Case("schemas", SCHEMA["id"], SCHEMA, SCHEMA | {"schemaData": '{"title":"é"}'}),
    Case("services", str(SERVICE["client_id"]), SERVICE, SERVICE | {"scopes": []}),
    Case(
        "accessNodes",
        ADDRESS.lower(),
        {"dlt_address": ADDRESS.lower(), "name": "IN2"},
        {"dlt_address": ADDRESS.lower(), "name": "yes"},
    ),
]


def shown(case: Case, document: dict[str, Any]) -> dict[str, Any]:
    """Give the document as it is shown: with defaults, and with the ledger's own hashes."""
    if case.path == "participants":
        return {"did": DID, "attributes": [], "hasAttributes": False}
    if case.path != "issuers":
        return document
    (item,) = document["attributes"]
    claims = [{"name": claim["name"], "allowedValues": ["A"]} for claim in item["body"]["claims"]]
    stored = {
        "validFor": BODY["validFor"],
        "credentialsType": BODY["credentialsType"],
        "claims": claims,
    }
    text = json.dumps(stored, separators=(",", ":"))
    digest = hashlib.sha256(text.encode()).hexdigest()
    return document | {"attributes": [item | {"hash": digest}]}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.path)
async def test_an_entry_is_registered_read_replaced(world: RegistryWorld, case: Case) -> None:
    """What was posted is listed and read, a second posting conflicts, a put replaces it."""
    url = f"{BASE}/{case.path}"
    one = f"{url}/{quote(case.name, safe='')}"
    assert (await world.http.get(one)).status_code == 404
    made = await world.http.post(url, json=case.document)
    assert made.status_code == 200
    again = await world.http.post(url + "/", json=case.document)
    assert (again.status_code, again.json()["errCode"]) == (409, 409)
    for path in (one, one + "/", f"{url}/{quote(case.name, safe=':/')}"):
        read = await world.http.get(path)
        assert (read.status_code, read.json()) == (200, shown(case, case.document))
    listed = (await world.http.get(url)).json()
    href = f"http://gateway{url}/{quote(case.name, safe=':')}"
    assert listed["items"] == [{"did": case.name, "href": href}]
    assert (await world.http.get(listed["items"][0]["href"])).json() == read.json()
    replaced = await world.http.put(one, json=case.changed)
    assert replaced.status_code == 200
    assert (await world.http.get(one)).json() == shown(case, case.changed)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.path)
async def test_only_participants_and_schemas_can_be_deleted(
    world: RegistryWorld, case: Case
) -> None:
    """A deleted entry is gone and can be made again; the other lists know no such method."""
    url = f"{BASE}/{case.path}"
    one = f"{url}/{quote(case.name, safe='')}"
    assert (await world.http.post(url, json=case.document)).status_code == 200
    deleted = await world.http.delete(one)
    if case.path not in ("participants", "schemas"):
        assert (deleted.status_code, deleted.headers["allow"]) == (405, "GET, HEAD, PUT")
        return
    assert (deleted.status_code, deleted.content) == (200, b"")
    assert (await world.http.get(one)).status_code == 404
    assert (await world.http.get(url)).json()["total"] == 0
    assert (await world.http.delete(one)).status_code == 404
    assert (await world.http.post(url, json=case.document)).status_code == 200
    assert (await world.http.get(one)).json() == shown(case, case.document)


async def test_answers_of_writes(world: RegistryWorld) -> None:
    """A new participant is answered with the digest of its DID, a new service's change in words."""
    made = await world.http.post(f"{BASE}/participants", json={"did": DID})
    assert made.headers["content-type"].startswith("text/plain")
    assert made.text == "0x" + hashlib.sha256(DID.encode()).hexdigest()
    assert (await world.http.post(f"{BASE}/services", json=SERVICE)).content == b""
    path = f"{BASE}/services/{quote(str(SERVICE['client_id']), safe='')}"
    changed = await world.http.put(path, json=SERVICE)
    assert set(changed.json()) == {"errCode", "errMessage"}
    assert changed.json()["errCode"] == 200


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.path)
async def test_what_is_not_there_cannot_be_replaced(world: RegistryWorld, case: Case) -> None:
    """Replacing is 404, of participants 400; other names in path and body are 400."""
    one = f"{BASE}/{case.path}/{quote(case.name, safe='')}"
    missing = await world.http.put(one, json=case.document)
    assert missing.status_code == (400 if case.path == "participants" else 404)
    assert set(missing.json()) == {"errCode", "errMessage"}
    assert missing.json()["errCode"] == missing.status_code
    other = await world.http.put(f"{BASE}/{case.path}/other", json=case.document)
    assert other.status_code == 400
    assert world.submissions() == 0


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.path)
async def test_what_is_no_document_is_refused(world: RegistryWorld, case: Case) -> None:
    """Nothing of the wrong form reaches the ledger; each refusal has the registry's form."""
    name = next(iter(case.document))
    wrong = [
        b"",
        b"[]",
        b"{",
        b'{"unknown":1}',
        json.dumps(case.document | {"unknown": 1}).encode(),
        json.dumps({key: case.document[key] for key in case.document if key != name}).encode(),
        json.dumps(case.document | {name: 5}).encode(),
        json.dumps(case.document | {name: ""}).encode(),
        json.dumps(case.document)[:-1].encode() + f', "{name}": "twice"}}'.encode(),
        b"[" * 90_000,
        b"\xff",
    ]
    for body in wrong:
        answer = await world.http.post(f"{BASE}/{case.path}", content=body)
        assert (answer.status_code, answer.json()["errCode"]) == (400, 400), body
    assert world.submissions() == 0


@pytest.mark.parametrize(
    "path, document",
    [
        ("participants", {"did": "elsi:VATES-1"}),
        ("participants", {"did": DID, "attributes": [attribute(BODY)]}),
        ("schemas", {"id": "a", "schemaData": "no JSON"}),
        ("schemas", {"id": "a", "schemaData": "[]"}),
        ("schemas", {"id": "a", "schemaData": json.dumps({"x": "a@b.example"})}),
        ("schemas", {"id": "x" * 401, "schemaData": "{}"}),
        ("schemas", {"id": "a", "schemaData": json.dumps({"x": "y" * 33_000})}),
        ("accessNodes", {"dlt_address": "0x12", "name": "a"}),
        ("accessNodes", {"dlt_address": "0x" + "g" * 40, "name": "a"}),
        ("services", SERVICE | {"requireProofKey": "false"}),
        ("issuers", {"did": DID, "attributes": [attribute(BODY, "Revoked")]}),
        ("issuers", {"did": DID, "attributes": [attribute(BODY | {"validFor": {"from": "x"}})]}),
        (
            "issuers",
            {
                "did": DID,
                "attributes": [
                    attribute(BODY | {"validFor": {"from": "2026-01-01T00:00:00Z", "to": "2026"}})
                ],
            },
        ),
    ],
)
async def test_what_could_not_be_kept_is_refused(
    world: RegistryWorld, path: str, document: dict[str, Any]
) -> None:
    """Values that the ledger or the files could not hold are 400 and change nothing."""
    before = world.state_root()
    answer = await world.http.post(f"{BASE}/{path}", json=document)
    assert (answer.status_code, answer.json()["errCode"]) == (400, 400)
    assert world.state_root() == before


async def test_pages_are_those_of_a_naive_list(world: RegistryWorld) -> None:
    """Pages are counted from 0, and all four links are always there."""
    names = [f"s-{number}" for number in range(5)]
    await world.change("schemas", *(put(name, "schema", b"{}") for name in names))
    url = f"http://gateway{BASE}/schemas"
    for size in (1, 2, 5, 9):
        last = (len(names) - 1) // size
        for page in range(last + 3):
            query = f"?page%5Bafter%5D={page}&page%5Bsize%5D={size}"
            document = (await world.http.get(f"{BASE}/schemas{query}")).json()
            links = {"first": 0, "prev": min(max(page - 1, 0), last), "next": min(page + 1, last)}
            assert document == {
                "self": url + query,
                "items": [
                    {"did": name, "href": f"{url}/{name}"}
                    for name in names[page * size : (page + 1) * size]
                ],
                "total": len(names),
                "pageSize": size,
                "links": {
                    name: f"{url}?page%5Bafter%5D={number}&page%5Bsize%5D={size}"
                    for name, number in (links | {"last": last}).items()
                },
            }
    wrong = await world.http.get(f"{BASE}/schemas?page[size]=0")
    assert (wrong.status_code, wrong.json()["errCode"]) == (400, 400)


async def test_both_registries_are_views_of_one_list(world: RegistryWorld) -> None:
    """What DOME registers FIWARE serves, and the other way round, without losing anything."""
    described = {"name": "x", "allowedValues": [{"value": "A", "description": "first"}]}
    body = BODY | {"claims": [CLAIM, described]}
    document = {"did": DID, "attributes": [attribute(body)]}
    assert (await world.http.post(f"{BASE}/issuers", json=document)).status_code == 200
    (credential,) = (await world.http.get(f"/issuer/{DID}")).json()["credentials"]
    assert [claim["allowedValues"] for claim in credential["claims"]] == [["A"], ["A"]]
    assert "descriptions" not in credential["claims"][0]
    assert credential["claims"][1]["descriptions"] == ["first"]
    fiware = {"did": DID, "credentials": [credential]}
    assert (await world.http.put(f"/issuer/{DID}", json=fiware)).status_code == 200
    (item,) = (await world.http.get(f"{BASE}/issuers/{DID}")).json()["attributes"]
    assert (item["body"], item["issuerType"]) == (body, "TI")
    values = [True, 12, 1.5, "t", {"a": [1]}]
    claims = [{"name": "x", "path": "$.x", "allowedValues": values}]
    fiware = {"did": DID, "credentials": [{"credentialsType": "B", "claims": claims}]}
    assert (await world.http.put(f"/issuer/{DID}", json=fiware)).status_code == 200
    (item,) = (await world.http.get(f"{BASE}/issuers/{DID}")).json()["attributes"]
    assert item["body"]["validFor"]["from"] == "1970-01-01T00:00:00Z"
    (claim,) = item["body"]["claims"]
    texts = [value["value"] for value in claim["allowedValues"]]
    assert (claim["path"], texts) == ("$.x", ["true", "12", "1.5", "t", '{"a": ["1"]}'])


async def test_members_that_the_registry_does_not_know_stay(world: RegistryWorld) -> None:
    """Writing over an entry keeps what the ledger knows of it besides, validity included."""
    body = b'{"name":"A","dlt_address":"%s","url":"https://a.example"}' % ADDRESS.lower().encode()
    entry = put(ADDRESS.lower(), "access-node", body, (1, NOW_MS + 1))
    await world.change("access-nodes", entry)
    document = {"dlt_address": ADDRESS, "name": "B"}
    assert (await world.http.put(f"{BASE}/accessNodes/{ADDRESS}", json=document)).is_success
    newest = world.revisions("access-nodes", ADDRESS.lower())[-1]
    assert json.loads(newest.body) == json.loads(body) | {"name": "B"}
    assert (newest.valid_from_ms, newest.valid_to_ms) == (1, NOW_MS + 1)


async def test_entries_are_found_by_what_their_bodies_say(world: RegistryWorld) -> None:
    """What others wrote under another id is listed, found and replaced, and is not made twice."""
    upper = ADDRESS.replace("a", "A")
    node = b'{"name":"A","dlt_address":"%s"}' % upper.encode()
    service = b'{"clientId":"portal/1"}'
    await world.change("access-nodes", put(DID, "access-node", node))
    await world.change("services", put("something", "service", service))
    document: dict[str, Any] = {"dlt_address": upper, "name": "B"}
    cases = (
        ("accessNodes", ADDRESS.lower(), document, "access-nodes", DID),
        ("services", "portal/1", SERVICE | {"client_id": "portal/1"}, "services", "something"),
    )
    for path, name, content, list_name, id_ in cases:
        listed = (await world.http.get(f"{BASE}/{path}")).json()["items"]
        assert [item["did"] for item in listed] == [name]
        assert (await world.http.get(listed[0]["href"])).status_code == 200
        assert (await world.http.post(f"{BASE}/{path}", json=content)).status_code == 409
        assert (await world.http.put(f"{BASE}/{path}/{name}", json=content)).status_code == 200
        assert len(world.revisions(list_name, id_)) == 2
        assert (await world.http.get(f"{BASE}/{path}/{id_}")).status_code == 404


async def test_what_is_out_of_its_time_is_not_found(world: RegistryWorld) -> None:
    """Reading one entry answers whether it holds now; the list shows everything that stands."""
    body = b'{"organizationIdentifier":"x"}'
    await world.change("participants", put(DID, "participant", body, (0, NOW_MS)))
    assert (await world.http.get(f"{BASE}/participants/{DID}")).status_code == 404
    assert (await world.http.get(f"{BASE}/participants")).json()["total"] == 1
    await world.change("participants", RevokeEntry(DID, None))
    assert (await world.http.get(f"{BASE}/participants")).json()["total"] == 0


async def test_any_body_that_the_ledger_took_can_be_shown(world: RegistryWorld) -> None:
    """Values of the wrong type, control characters and huge numbers never end in an error."""
    strange = [
        b'{"credentialsType":["x"],"validFor":7,"claims":{"a":1}}',
        b'{"credentialsType":null,"claims":[1,{"allowedValues":"x","descriptions":[1,2]}]}',
        b'{"credentialsType":1e99,"claims":[{"name":{},"allowedValues":[%s]}]}' % (b"9" * 5_000),
        b'{"credentialsType":"\\u0000","validFor":{"from":[],"to":5}}',
    ]
    metadata = put(f"{DID}/1/metadata", "metadata", b'{"issuerType":{"\\uffff":1}}')
    entries = [put(f"{DID}/{n}", "credential", body) for n, body in enumerate(strange)]
    await world.change("issuers", put(DID, "issuer"), *entries, metadata)
    for path in (f"{BASE}/issuers/{DID}", f"/issuer/{DID}", f"/v4/issuers/{DID}"):
        assert (await world.http.get(path)).status_code == 200
    changed = {"did": DID, "credentials": [{"credentialsType": "x"}]}
    assert (await world.http.put(f"/issuer/{DID}", json=changed)).status_code == 200
    node = b'{"name":{"x":1},"dlt_address":[7]}'
    service = b'{"clientId":"\\ufeff","redirectUris":7,"authorizationGrantTypes":[1]}'
    await world.change("access-nodes", put("x", "access-node", node))
    await world.change("services", put("x", "service", service))
    for path in ("accessNodes", "services"):
        (item,) = (await world.http.get(f"{BASE}/{path}")).json()["items"]
        assert (await world.http.get(item["href"])).status_code == 200
