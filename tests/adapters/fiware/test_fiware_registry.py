"""FIWARE's registry: what verifiers read, and how it is paged."""

import hashlib
import json
from base64 import b64decode, b64encode
from pathlib import Path

import pytest

from adapters.fiware.facade import FiwareFacade, FiwareSettings
from ledger.core.trust.operations import RevokeEntry
from tests.adapters.registry_world import NOW_MS, RegistryWorld, put, registry_world

DIDS = [f"did:elsi:VATES-{number:03}" for number in range(7)]
CREDENTIAL = {
    "validFor": {"from": "2017-07-21T17:32:28Z", "to": "2097-07-21T17:32:28Z"},
    "credentialsType": "CustomerCredential",
    "claims": [{"name": "roles", "path": "$.roles", "allowedValues": [True, 12, "GOLD", 1.5]}],
}


async def test_an_issuer_that_was_posted_is_served_to_verifiers(world: RegistryWorld) -> None:
    """The body is the credential in standard base64, the hash the base64 of its digest."""
    text = json.dumps({"did": DIDS[0], "credentials": [CREDENTIAL]}).replace("1.5]", "1.50]")
    answer = await world.http.post("/issuer", content=text)
    assert (answer.status_code, answer.headers["location"]) == (201, f"/issuer/{DIDS[0]}")
    assert answer.content == b""
    read = await world.http.get(f"/v4/issuers/{DIDS[0]}")
    assert read.headers["content-type"] == "application/json"
    document = read.json()
    assert set(document) == {"did", "attributes"}
    (attribute,) = document["attributes"]
    body = b64decode(attribute["body"], validate=True)
    digest = hashlib.sha256(body).digest()
    assert attribute == {
        "hash": b64encode(digest).decode(),
        "body": attribute["body"],
        "issuerType": "Undefined",
    }
    assert json.loads(body) == CREDENTIAL
    assert list(json.loads(body)) == ["validFor", "credentialsType", "claims"]
    assert b"1.50" in body, "numbers stay as they were written"
    assert len(world.revisions("issuers", f"{DIDS[0]}/{digest.hex()}")) == 1


async def test_the_ledger_holds_the_validity(world: RegistryWorld) -> None:
    """The milliseconds of validFor stand beside the body, whatever the zone of the text."""
    times = {"from": "1970-01-01T01:00:01.5+01:00", "to": "2097-07-21T17:32:28Z"}
    body = {"did": DIDS[0], "credentials": [CREDENTIAL | {"validFor": times}]}
    assert (await world.http.post("/issuer", json=body)).status_code == 201
    (attribute,) = (await world.http.get(f"/v4/issuers/{DIDS[0]}")).json()["attributes"]
    id_ = hashlib.sha256(b64decode(attribute["body"])).hexdigest()
    (entry,) = world.revisions("issuers", f"{DIDS[0]}/{id_}")
    assert (entry.valid_from_ms, entry.valid_to_ms) == (1_500, 4_025_266_348_000)


async def test_pages_are_those_of_a_naive_list(world: RegistryWorld) -> None:
    """Page by page, of every size: items, total, size and links are those of a sliced list."""
    await world.change("issuers", *(put(did, "issuer") for did in DIDS))
    base = "http://gateway/v4/issuers/"
    for size in (1, 2, 3, 6, 7, 8, 100):
        last = (len(DIDS) - 1) // size
        for page in range(last + 3):
            query = f"?page%5Bafter%5D={page}&page%5Bsize%5D={size}"
            document = (await world.http.get(f"/v4/issuers/{query}")).json()
            bare = f"/v4/issuers/?page[after]={page}&page[size]={size}"
            assert (await world.http.get(bare)).json() == document
            expected = DIDS[page * size : (page + 1) * size]
            links = {
                name: f"{base}?page%5Bafter%5D={number}&page%5Bsize%5D={size}"
                for name, number in (
                    ("first", 0),
                    ("last", last),
                    ("prev", min(page - 1, last)),
                    ("next", page + 1),
                )
                if number >= 0 and (name != "next" or page < last)
            }
            assert document == {
                "self": base + query,
                "items": [{"did": did, "href": base + did} for did in expected],
                "total": len(DIDS),
                "pageSize": len(expected),
                "links": links,
            }


async def test_the_first_page_has_ten_items_with_and_without_a_slash(world: RegistryWorld) -> None:
    """Both forms of the path give the same; an empty list has one empty page."""
    empty = (await world.http.get("/v4/issuers")).json()
    assert (empty["items"], empty["total"], empty["pageSize"]) == ([], 0, 0)
    assert set(empty["links"]) == {"first", "last"}
    await world.change("issuers", *(put(f"did:elsi:X-{n:02}", "issuer") for n in range(12)))
    first, second = [await world.http.get(path) for path in ("/v4/issuers", "/v4/issuers/")]
    assert first.json() == second.json()
    assert first.json()["pageSize"] == 10
    one = "/v4/issuers/did:elsi:X-00"
    assert (await world.http.get(one)).json() == (await world.http.get(one + "/")).json()


@pytest.mark.parametrize(
    "query",
    [
        *(f"page[size]={text}" for text in ("0", "101", "-1", "x", "", "%D9%A1", "1&page[size]=2")),
        *(f"page[after]={text}" for text in ("-1", "1.0", "2147483648", "9999999999999")),
    ],
)
async def test_a_page_that_cannot_be_is_refused(world: RegistryWorld, query: str) -> None:
    """Numbers outside the bounds and what is no number are 400 with ProblemDetails."""
    answer = await world.http.get(f"/v4/issuers/?{query}")
    assert answer.status_code == 400
    assert answer.json()["status"] == 400
    assert answer.json()["title"] == "Bad Request"


@pytest.mark.parametrize("query", ["page[size]=100", "page[after]=2147483647", "other=1"])
async def test_the_largest_page_is_answered(world: RegistryWorld, query: str) -> None:
    """The bounds themselves are allowed; what nobody knows is ignored."""
    assert (await world.http.get(f"/v4/issuers/?{query}")).status_code == 200


async def test_who_is_not_listed_is_not_found(world: RegistryWorld) -> None:
    """Unknown and revoked issuers are 404 in FIWARE's form."""
    await world.change("issuers", put(DIDS[0], "issuer"))
    await world.change("issuers", RevokeEntry(DIDS[0], None))
    for path in (DIDS[0], DIDS[1], "nothing", "a/b", "%00", "did:elsi:%FF"):
        answer = await world.http.get(f"/v4/issuers/{path}")
        assert (answer.status_code, answer.json()["status"]) == (404, 404)
    assert (await world.http.get("/v3/issuers/" + DIDS[0])).status_code == 404


async def test_what_is_out_of_its_time_or_revoked_is_not_served_to_verifiers(
    world: RegistryWorld,
) -> None:
    """Only credentials that hold now and whose role is not Revoked are attributes."""
    body = b'{"credentialsType":"A"}'
    valid = {
        "ended": (0, NOW_MS),
        "holds": (NOW_MS, NOW_MS + 1),
        "later": (NOW_MS + 1, 0),
        "gone": (0, 0),
    }
    entries = [put(f"{DIDS[0]}/{name}", "credential", body, v) for name, v in valid.items()]
    entries.append(put(f"{DIDS[0]}/jws", "accreditation", b"a.b.c"))
    revoked = put(f"{DIDS[0]}/gone/metadata", "metadata", b'{"issuerType":"Revoked","tao":"x"}')
    await world.change("issuers", put(DIDS[0], "issuer"), *entries, revoked)
    document = (await world.http.get(f"/v4/issuers/{DIDS[0]}")).json()
    assert len(document["attributes"]) == 1
    managed = (await world.http.get(f"/issuer/{DIDS[0]}")).json()
    assert len(managed["credentials"]) == 3


async def test_a_participant_is_trusted_while_it_stands(world: RegistryWorld) -> None:
    """The participants' base answers 200 for a participant within its validity, else 404."""
    body = b'{"organizationIdentifier":"VATES-000"}'
    valid = ((0, 0), (0, NOW_MS + 1), (0, NOW_MS), (NOW_MS + 1, 0))
    entries = [put(did, "participant", body, v) for did, v in zip(DIDS, valid, strict=False)]
    await world.change("participants", *entries)
    await world.change("issuers", put(DIDS[6], "issuer"))
    base = "/trusted-participants/v4/issuers"
    answers = [(await world.http.get(f"{base}/{did}")).status_code for did in DIDS]
    assert answers == [200, 200, 404, 404, 404, 404, 404]
    document = (await world.http.get(f"{base}/{DIDS[0]}")).json()
    assert document == {"did": DIDS[0], "attributes": []}
    assert (await world.http.get(f"{base}/")).json()["total"] == 4


@pytest.mark.parametrize(
    "did, paths",
    [
        ("did:web:a.example%3A443", ["did:web:a.example%3A443", "did:web:a.example%253A443"]),
        ("did:web:a.example:443", ["did:web:a.example:443", "did%3Aweb%3Aa.example%3A443"]),
    ],
)
async def test_a_did_is_found_as_it_stands_and_encoded(
    world: RegistryWorld, did: str, paths: list[str]
) -> None:
    """Clients that put a DID behind the slash unchanged and those that encode it find the same."""
    other = {"did:web:a.example%3A443", "did:web:a.example:443"} - {did}
    await world.change("issuers", put(did, "issuer"))
    for path in paths:
        for slash in ("", "/"):
            answer = await world.http.get(f"/v4/issuers/{path}{slash}")
            assert (answer.status_code, answer.json().get("did")) == (200, did)
    for path in other:
        assert (await world.http.get(f"/v4/issuers/{path}")).status_code == 404


async def test_links_begin_with_the_configured_address(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A base URL and a prefix stand in every link, whatever host the client named."""
    settings = FiwareSettings(prefix="/fiware", base_url="https://tir.example/")
    async with registry_world(tmp_path, monkeypatch, FiwareFacade(settings)) as world:
        await world.change("issuers", put(DIDS[0], "issuer"))
        document = (await world.http.get("/fiware/v4/issuers?page[size]=5")).json()
    base = "https://tir.example/fiware/v4/issuers/"
    assert document["items"] == [{"did": DIDS[0], "href": base + DIDS[0]}]
    assert document["self"] == f"{base}?page%5Bafter%5D=0&page%5Bsize%5D=5"


async def test_other_methods_are_refused_in_the_same_form(world: RegistryWorld) -> None:
    """The registry is read only and says which methods there are."""
    for method in ("POST", "PUT", "DELETE", "PATCH"):
        answer = await world.http.request(method, "/v4/issuers/")
        assert (answer.status_code, answer.headers["allow"]) == (405, "GET, HEAD")
        assert answer.json()["status"] == 405
    assert (await world.http.head("/v4/issuers/")).status_code == 200
