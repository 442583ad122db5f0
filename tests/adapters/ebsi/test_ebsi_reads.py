"""The reads of EBSI's interfaces: every path, its pages, its refusals."""

import json
from collections.abc import AsyncIterator
from hashlib import sha256
from pathlib import Path

import pytest

from adapters.ebsi.identifiers import timestamp_id
from tests.adapters.ebsi import ebsi_world as ebsi
from tests.adapters.ebsi.ebsi_world import DIDR, LEGAL, TIMESTAMP, TIR, TNT, TSR, problem
from tests.ledger.sample_network import ALICE_DID, entry
from tests.pubsub.gateway_world import World

ABSENT_DID = "did:elsi:VATES-99999999"
ABSENT_HASH = "0x" + "ee" * 32
STAMP_ID = timestamp_id(ebsi.HASH)
FIRST = "0x" + sha256(b"urn:x:1").hexdigest()
SECOND = "0x" + sha256(b"urn:x:2").hexdigest()
LISTS = {
    f"{TIR}/issuers": ebsi.LIMITED,
    f"{TIR}/issuers/{LEGAL}/attributes": 2,
    f"{TIR}/issuers/{LEGAL}/attributes/{ebsi.JWT_ID}/revisions": 1,
    f"{TSR}/schemas": 1,
    f"{TSR}/schemas/{ebsi.SCHEMA}/revisions": 2,
    f"{TSR}/schemas/{ebsi.SCHEMA}/revisions/{ebsi.REVISION_IDS[1]}/metadata": 1,
    f"{TSR}/schemas/{ebsi.SCHEMA}/revisions/{ebsi.REVISION_IDS[0]}/metadata": 0,
    f"{DIDR}/identifiers": 1,
    f"{TIMESTAMP}/hash-algorithms": 7,
    f"{TIMESTAMP}/timestamps": 1,
    f"{TIMESTAMP}/records": 1,
    f"{TIMESTAMP}/records/{ebsi.RECORD_ID}/versions": 1,
    f"{TNT}/documents": 2,
    f"{TNT}/documents/{FIRST}/events": 2,
    f"{TNT}/documents/{FIRST}/accesses": 1,
    f"{TNT}/accesses?subject={ALICE_DID}": 2,
}
NOT_FOUND = {
    f"{TIR}/issuers/{ABSENT_DID}": ("Issuer Not Found", f"Issuer {ABSENT_DID} not found"),
    f"{TIR}/issuers/{ABSENT_DID}/attributes": (
        "Issuer Not Found",
        f"Issuer {ABSENT_DID} not found",
    ),
    f"{TIR}/issuers/{LEGAL}/attributes/{ABSENT_HASH}": (
        "Attribute Not Found",
        f"Attribute {ABSENT_HASH} not found",
    ),
    f"{TIR}/issuers/{LEGAL}/attributes/wrong-hash/revisions": (
        "Attribute Not Found",
        "Attribute wrong-hash not found",
    ),
    f"{TIR}/issuers/{LEGAL}/attributes/{'0' * 64}": (
        "Attribute Not Found",
        f"Attribute {'0' * 64} not found",
    ),
    f"{TIR}/issuers/{LEGAL}/proxies/{ABSENT_HASH}": (
        "Proxy Not Found",
        f"Proxy {ABSENT_HASH} of issuer {LEGAL} can't be found",
    ),
    f"{TSR}/schemas/{ABSENT_HASH}": ("Schema Not Found", f"Schema {ABSENT_HASH} not found"),
    f"{TSR}/schemas/{ebsi.SCHEMA}/revisions/{ABSENT_HASH}": (
        "Revision Not Found",
        f"Revision {ABSENT_HASH} not found",
    ),
    f"{TSR}/schemas/{ebsi.SCHEMA}/revisions/{ebsi.REVISION_IDS[0]}/metadata/{ABSENT_HASH}": (
        "Metadata Not Found",
        f"Metadata {ABSENT_HASH} not found",
    ),
    f"{DIDR}/identifiers/{ABSENT_DID}": (
        "Identifier Not Found",
        f"Identifier {ABSENT_DID} not found",
    ),
    f"{TIMESTAMP}/hash-algorithms/7": ("Hash Algorithm Not Found", "Hash algorithm 7 not found"),
    f"{TIMESTAMP}/timestamps/{ebsi.RECORD_ID}": (
        "Timestamp Not Found",
        f"Timestamp {ebsi.RECORD_ID} not found",
    ),
    f"{TIMESTAMP}/records/{STAMP_ID}": ("Record Not Found", f"Record {STAMP_ID} not found"),
    f"{TIMESTAMP}/records/{ebsi.RECORD_ID}/versions/1": (
        "Version Not Found",
        "Version 1 not found",
    ),
    f"{TNT}/documents/{ABSENT_HASH}": (
        "Document Not Found",
        f"Document {ABSENT_HASH} not found",
    ),
    f"{TNT}/documents/{FIRST}/events/{ABSENT_HASH}": (
        "Event Not Found",
        f"Event {ABSENT_HASH} not found",
    ),
}
MALFORMED = {
    f"{TIR}/issuers/not-a-did": "did must be a valid DID v1",
    f"{TIR}/issuers/did:ebsi:z1234": "did must be a valid DID v1",
    f"{TIR}/issuers/did:ebsi:z1234/proxies": "did must be a valid DID v1",
    f"{TSR}/schemas/no-schema": "schemaId must be a valid schema ID",
    f"{TSR}/schemas/no-schema/revisions": "schemaId must be a valid schema ID",
    f"{TSR}/schemas/{ebsi.SCHEMA}/revisions?valid-at=x": (
        "valid-at must be a valid ISO 8601 date string"
    ),
    f"{DIDR}/identifiers/not-a-did": "did must be a valid DID v1",
    f"{DIDR}/identifiers/{LEGAL}?valid-at=": "valid-at must be a valid ISO 8601 date string",
    f"{TIMESTAMP}/hash-algorithms/x": "hashAlgorithmId must be a positive integer",
    f"{TIMESTAMP}/timestamps/uAA": (
        "timestampId must be a valid multibase base64url-encoded multihash"
    ),
    f"{TNT}/documents/0x12": "documentId must be a 32 bytes hexadecimal string",
    f"{TNT}/documents/{FIRST}/events/x": "eventId must be a 32 bytes hexadecimal string",
    f"{TNT}/accesses": "subject must be a string",
}


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    """Give a gateway with filled lists."""
    async with ebsi.reading_world(tmp_path) as running:
        yield running


@pytest.mark.parametrize("path", LISTS)
async def test_each_list_keeps_the_paging_contract(world: World, path: str) -> None:
    """Defaults, sizes, the last page, beyond the end and every bad number, on every list."""
    total = LISTS[path]
    sign = "&" if "?" in path else "?"
    answer = await world.get(path)
    assert answer.status_code == 200, answer.text
    document = answer.json()
    assert set(document) == {"self", "items", "total", "pageSize", "links"}
    assert (document["total"], document["pageSize"]) == (total, 10)
    assert len(document["items"]) == min(10, total)
    url = f"http://gateway{path.partition('?')[0]}"
    assert document["self"] == f"{url}?page[after]=1&page[size]=10"
    one = (await world.get(f"{path}{sign}page[size]=1&page[after]={max(1, total)}")).json()
    assert one["items"] == ((await world.get(f"{path}{sign}page[size]=50")).json()["items"][-1:])
    beyond = (await world.get(f"{path}{sign}page[after]=100&page[size]=3")).json()
    last = f"{url}?page[after]={max(1, -(-total // 3))}&page[size]=3"
    assert beyond["items"] == []
    assert [beyond["links"][name] for name in ("prev", "next", "last")] == [last] * 3
    for query, fault in {
        "page[size]=51": "page[size] must not be greater than 50",
        "page[size]=0": "page[size] must not be less than 1",
        "page[after]=0": "page[after] must not be less than 1",
    }.items():
        refused = await world.get(f"{path}{sign}{query}")
        assert problem(refused) == (400, "Bad Request", f'["{fault}"]')


@pytest.mark.parametrize("path", NOT_FOUND)
async def test_what_is_not_there_has_ebsis_words(world: World, path: str) -> None:
    """Each kind of thing that is not found is named in title and detail."""
    assert problem(await world.get(path)) == (404, *NOT_FOUND[path])


@pytest.mark.parametrize("path", MALFORMED)
async def test_what_is_malformed_has_ebsis_words(world: World, path: str) -> None:
    """A malformed identifier is refused with a list of faults."""
    assert problem(await world.get(path)) == (400, "Bad Request", f'["{MALFORMED[path]}"]')


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/trusted-issuers-registry/v2/issuers", 404),
        ("GET", "/trusted-issuers-registry/v5/nothing", 404),
        ("POST", "/trusted-schemas-registry/v9/jsonrpc", 404),
        ("GET", "/track-and-trace/v2/documents", 404),
        ("DELETE", f"{TIR}/issuers", 405),
        ("POST", f"{TIR}/issuers/{LEGAL}", 405),
    ],
)
async def test_unknown_versions_paths_and_methods(
    world: World, method: str, path: str, status: int
) -> None:
    """What is not served under EBSI's prefixes is refused in EBSI's form."""
    answer = await world.http.request(method, path)
    assert problem(answer)[0] == status
    if status == 404:
        assert problem(answer)[2] == f"Cannot {method} {path}"
    else:
        assert answer.headers["allow"] == "GET, HEAD"


@pytest.mark.parametrize("version", ["v3", "v4", "v5"])
async def test_issuer_and_its_attributes(world: World, version: str) -> None:
    """Accreditations are served as JWTs, credentials in base64, each with who accredited it."""
    mount = f"/trusted-issuers-registry/{version}"
    accredited = {"hash": ebsi.JWT_ID, "body": ebsi.JWT.decode(), **ebsi.METADATA}
    plain = {
        "hash": ebsi.CREDENTIAL_ID,
        "body": ebsi.base64_text(ebsi.CREDENTIAL),
        "issuerType": "Undefined",
        "tao": "",
        "rootTao": "",
    }
    issuer = (await world.get(f"{mount}/issuers/{LEGAL}")).json()
    assert issuer["did"] == LEGAL
    assert sorted(issuer["attributes"], key=str) == sorted([accredited, plain], key=str)
    listed = (await world.get(f"{mount}/issuers/{LEGAL}/attributes")).json()["items"]
    base = f"http://gateway{mount}/issuers/{LEGAL}/attributes"
    assert {"id": ebsi.JWT_ID, "href": f"{base}/{ebsi.JWT_ID}"} in listed
    for name in (ebsi.JWT_ID, f"0x{ebsi.JWT_ID}"):
        one = (await world.get(f"{mount}/issuers/{LEGAL}/attributes/{name}")).json()
        assert one == {"did": LEGAL, "attribute": accredited}
    revisions = await world.get(f"{mount}/issuers/{LEGAL}/attributes/{ebsi.JWT_ID}/revisions")
    assert revisions.json()["items"] == [accredited]


async def test_issuers_are_listed_with_links(world: World) -> None:
    """Each issuer stands once, in order, with the address where it is found."""
    pages = [
        (await world.get(f"{TIR}/issuers?page[after]={number}&page[size]=5")).json()["items"]
        for number in (1, 2, 3)
    ]
    items = [item for page in pages for item in page]
    assert [item["did"] for item in items] == ebsi.ISSUERS
    for item in items:
        assert (await world.http.get(item["href"])).json()["did"] == item["did"]


async def test_proxies(world: World) -> None:
    """Proxies are listed without pages; a status list is fetched by the client, not by us."""
    listed = (await world.get(f"{TIR}/issuers/{LEGAL}/proxies")).json()
    href = f"http://gateway{TIR}/issuers/{LEGAL}/proxies/{ebsi.PROXY_ID}"
    assert listed == {"items": [{"proxyId": ebsi.PROXY_ID, "href": href}], "total": 1}
    for id_ in (ebsi.PROXY_ID, ebsi.PROXY_ID.removeprefix("0x")):
        one = await world.get(f"{TIR}/issuers/{LEGAL}/proxies/{id_}")
        assert one.json() == ebsi.PROXY
    sent_on = await world.http.get(f"{href}/credentials/status/3")
    assert sent_on.status_code == 307
    assert sent_on.headers["location"] == "https://issuer.example/api/credentials/status/3"


async def test_schemas(world: World) -> None:
    """A schema is served byte by byte, by both forms of its id, with revisions and metadata."""
    for id_ in (ebsi.SCHEMA, "0x" + ebsi.SCHEMA_BYTES.hex()):
        newest = await world.get(f"/trusted-schemas-registry/v2/schemas/{id_}")
        assert newest.content == ebsi.REVISIONS[1]
        assert newest.headers["content-type"] == "application/json"
    base = f"{TSR}/schemas/{ebsi.SCHEMA}/revisions"
    listed = (await world.get(base)).json()["items"]
    assert [item["schemaRevisionId"] for item in listed] == list(ebsi.REVISION_IDS)
    assert (await world.http.get(listed[0]["href"])).content == ebsi.REVISIONS[0]
    metadata = f"{base}/{ebsi.REVISION_IDS[1]}/metadata/{ebsi.SCHEMA_METADATA_ID}"
    assert (await world.get(metadata)).content == ebsi.SCHEMA_METADATA


async def test_schema_revisions_valid_at_a_time(world: World) -> None:
    """A revision whose metadata says it begins later is left out before that."""
    base = f"{TSR}/schemas/{ebsi.SCHEMA}/revisions?valid-at="
    for time, expected in (
        ("2026-12-31T23:59:59Z", ebsi.REVISION_IDS[:1]),
        ("2027-01-01", ebsi.REVISION_IDS),
    ):
        items = (await world.get(base + time)).json()["items"]
        assert [item["schemaRevisionId"] for item in items] == list(expected)


async def test_did_documents(world: World) -> None:
    """A DID document is served as it stands, also as it stood, and found by its controller."""
    answer = await world.get(f"{DIDR}/identifiers/{LEGAL}")
    assert answer.json() == ebsi.DOCUMENT
    assert answer.headers["content-type"] == "application/did+ld+json"
    past = await world.get(f"{DIDR}/identifiers/{LEGAL}?valid-at=2020-01-01T00:00:00Z")
    assert past.status_code == 404
    now = await world.get(f"{DIDR}/identifiers/{LEGAL}?valid-at=2999-01-01T00:00:00Z")
    assert now.json() == ebsi.DOCUMENT
    for controller, count in ((LEGAL, 1), (ABSENT_DID, 0)):
        found = (await world.get(f"{DIDR}/identifiers?controller={controller}")).json()
        assert (found["total"], len(found["items"])) == (count, count)


async def test_timestamps_and_records(world: World) -> None:
    """A timestamp tells hash, block and transaction; a record its versions."""
    stamp = (await world.get(f"/timestamp/v3/timestamps/{STAMP_ID}")).json()
    assert {name: stamp[name] for name in ebsi.STAMP} == ebsi.STAMP
    assert stamp["blockNumber"] == 7
    assert stamp["timestamp"].endswith(".000Z")
    assert len(stamp["transactionHash"]) == 66
    record = (await world.get(f"{TIMESTAMP}/records/{ebsi.RECORD_ID}")).json()
    assert record == {
        "ownerIds": ebsi.RECORD["ownerIds"],
        "revokedOwnerIds": [],
        "firstVersionTimestamps": [STAMP_ID],
        "lastVersionTimestamps": [STAMP_ID],
        "totalVersions": 1,
    }
    version = (await world.get(f"{TIMESTAMP}/records/{ebsi.RECORD_ID}/versions/0")).json()
    assert version == {"hashes": [ebsi.STAMP["hash"]], "info": ["0x7b7d"]}
    algorithm = (await world.get(f"{TIMESTAMP}/hash-algorithms/0")).json()
    assert (algorithm["ianaName"], algorithm["outputLengthBits"]) == ("sha-256", 256)


@pytest.mark.parametrize(
    ("query", "total"),
    [
        (f"owner=0x{'ab' * 20}", 1),
        (f"owner=0x{'ac' * 20}", 0),
        (f"first-version=0x{ebsi.HASH.hex()}", 1),
        ("first-version=0x00", 0),
    ],
)
async def test_records_are_filtered(world: World, query: str, total: int) -> None:
    """Records are found by owner and by the hash of their first version."""
    assert (await world.get(f"{TIMESTAMP}/records?{query}")).json()["total"] == total


async def test_entities_of_the_log_are_documents(world: World) -> None:
    """Entities are listed in the order in which they came; list changes are no documents."""
    listed = (await world.get(f"{TNT}/documents")).json()["items"]
    assert [item["documentId"] for item in listed] == [FIRST, SECOND]
    document = (await world.get(f"{TNT}/documents/{FIRST}")).json()
    assert document["creator"] == ALICE_DID
    assert document["events"] == ["0x" + "01" * 32, "0x" + "02" * 32]
    assert document["timestamp"]["source"] == "block"
    event = (await world.get(f"{TNT}/documents/{FIRST}/events/0x{'02' * 32}")).json()
    assert (event["hash"], event["externalHash"]) == ("0x" + "02" * 32, "0x" + "01" * 32)
    assert (event["sender"], event["origin"]) == (ALICE_DID, "https://alice.example/offering/102")
    assert json.loads(event["metadata"])["eventType"] == "org.example.offering.changed"
    accesses = (await world.get(f"{TNT}/documents/{FIRST}/accesses")).json()["items"]
    assert accesses == [
        {
            "subject": ALICE_DID,
            "documentId": FIRST,
            "grantedBy": ALICE_DID,
            "permission": "creator",
        }
    ]


async def test_an_event_without_a_hash_has_its_own(world: World) -> None:
    """An event that names no content is listed and found by its own id."""
    events = (await world.get(f"{TNT}/documents/{SECOND}/events")).json()["items"]
    assert len(events) == 1
    event = (await world.http.get(events[0]["href"])).json()
    assert event["hash"] == events[0]["eventId"]
    elsewhere = f"{TNT}/documents/{FIRST}/events/{events[0]['eventId']}"
    assert (await world.get(elsewhere)).status_code == 404


async def test_new_events_are_seen_at_once(world: World) -> None:
    """A document is there as soon as its event is final."""
    assert (await world.get(f"{TNT}/documents")).json()["total"] == 2
    world.chain.extend([entry(200, subject="urn:x:3")])
    assert (await world.get(f"{TNT}/documents")).json()["total"] == 3


@pytest.mark.parametrize(("did", "status"), [(ALICE_DID, 204), (LEGAL, 204), (ABSENT_DID, 404)])
async def test_creators_are_asked_by_head(world: World, did: str, status: int) -> None:
    """Who is known here may create documents."""
    answer = await world.http.head(f"{TNT}/accesses?creator={did}")
    assert (answer.status_code, answer.content) == (status, b"")
