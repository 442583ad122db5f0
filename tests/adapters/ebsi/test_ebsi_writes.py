"""EBSI's writes: signed by an independent Ethereum library, they end up in the lists."""

import json
from collections.abc import AsyncIterator
from hashlib import sha256
from pathlib import Path

import pytest
from eth_account import Account

from adapters.ebsi.identifiers import base58_encode, timestamp_id, timestamp_id_digest
from tests.adapters.ebsi.ebsi_client import MINE, OTHER, EbsiWorld, ebsi_world, entry_of, sign
from tests.adapters.ebsi.ebsi_world import (
    CREDENTIAL,
    DIDR,
    HASH,
    JWT,
    JWT_ID,
    LEGAL,
    TIMESTAMP,
    TIR,
    TNT,
    TSR,
)
from tests.ledger.sample_network import ALICE_DID, BOB_DID

SCHEMA_BYTES = bytes([9]) * 32
SCHEMA = "z" + base58_encode(SCHEMA_BYTES)
ROOT_ATTRIBUTE = "0x" + "11" * 32
ZERO = "0x" + "00" * 32
DOCUMENT = "0x" + "d0" * 32


def hexadecimal(data: bytes) -> str:
    """Give 0x and digits."""
    return "0x" + data.hex()


@pytest.fixture
async def ebsi(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[EbsiWorld]:
    """Give a gateway whose member is Alice."""
    async with ebsi_world(tmp_path, monkeypatch) as running:
        yield running


async def make_root(ebsi: EbsiWorld) -> None:
    """Let the member be its own root of accreditation."""
    metadata = {
        "did": ALICE_DID,
        "attributeId": ROOT_ATTRIBUTE,
        "issuerType": 1,
        "taoDid": ALICE_DID,
        "taoAttributeId": ZERO,
    }
    await ebsi.write(TIR, "setAttributeMetadata", metadata)
    data = {"did": ALICE_DID, "attributeId": ROOT_ATTRIBUTE, "attributeData": hexadecimal(JWT)}
    await ebsi.write(TIR, "setAttributeData", data)


async def test_an_issuer_is_accredited_and_accepts(ebsi: EbsiWorld) -> None:
    """The TAO sets metadata, the issuer sets data with its own key, and both are served."""
    await make_root(ebsi)
    ebsi.register(LEGAL, OTHER)
    invited = {
        "did": LEGAL,
        "attributeId": "0x" + JWT_ID,
        "issuerType": 3,
        "taoDid": ALICE_DID,
        "taoAttributeId": ROOT_ATTRIBUTE,
    }
    await ebsi.write(TIR, "setAttributeMetadata", invited)
    assert (await ebsi.world.get(f"{TIR}/issuers/{LEGAL}")).status_code == 404
    accepted = {
        "from": OTHER.address,
        "did": LEGAL,
        "attributeId": "0x" + JWT_ID,
        "attributeData": hexadecimal(JWT),
    }
    token = f"{LEGAL} openid tir_invite"
    unsigned = (await ebsi.call(TIR, "setAttributeData", accepted, token)).json()["result"]
    sent = await ebsi.send(TIR, sign(unsigned, OTHER), token)
    assert sent.status_code == 200, sent.text
    attribute = await ebsi.json(f"{TIR}/issuers/{LEGAL}/attributes/{JWT_ID}")
    assert attribute == {
        "did": LEGAL,
        "attribute": {
            "hash": JWT_ID,
            "body": JWT.decode(),
            "issuerType": "TI",
            "tao": ALICE_DID,
            "rootTao": ALICE_DID,
        },
    }


async def test_issuers_of_version_4(ebsi: EbsiWorld) -> None:
    """InsertIssuer sets data and metadata at once; updateIssuer makes the next revision."""
    await make_root(ebsi)
    mount = "/trusted-issuers-registry/v4"
    given = {"did": LEGAL, "issuerType": 3, "taoDid": ALICE_DID, "taoAttributeId": ROOT_ATTRIBUTE}
    inserted = given | {"attributeData": hexadecimal(JWT)}
    await ebsi.write(mount, "insertIssuer", inserted)
    assert await ebsi.refused(mount, "insertIssuer", inserted) == "attribute already stored"
    updated = given | {
        "attributeData": hexadecimal(CREDENTIAL),
        "prevAttributeHash": "0x" + JWT_ID,
    }
    await ebsi.write(mount, "updateIssuer", updated)
    listed = await ebsi.json(f"{mount}/issuers/{LEGAL}/attributes")
    assert listed["total"] == 1
    revisions = await ebsi.json(f"{mount}/issuers/{LEGAL}/attributes/{JWT_ID}/revisions")
    assert revisions["total"] == 2


async def test_proxies(ebsi: EbsiWorld) -> None:
    """A proxy is added under the hash of its data, and changed under the same id."""
    await make_root(ebsi)
    proxy = json.dumps({"prefix": "https://a.example", "headers": {}, "testSuffix": "/t"})
    id_ = hexadecimal(sha256(proxy.encode()).digest())
    await ebsi.write(TIR, "addIssuerProxy", {"did": ALICE_DID, "proxyData": proxy})
    assert await ebsi.json(f"{TIR}/issuers/{ALICE_DID}/proxies/{id_}") == json.loads(proxy)
    changed = proxy.replace("a.example", "b.example")
    call = {"did": ALICE_DID, "proxyId": id_, "proxyData": changed}
    await ebsi.write(TIR, "updateIssuerProxy", call)
    assert await ebsi.json(f"{TIR}/issuers/{ALICE_DID}/proxies/{id_}") == json.loads(changed)
    unknown = call | {"proxyId": ZERO}
    assert await ebsi.refused(TIR, "updateIssuerProxy", unknown) == "proxy not found"


async def test_schemas(ebsi: EbsiWorld) -> None:
    """A schema is inserted, updated, and its metadata too; each revision stays."""
    first, second, metadata = b'{"a":1}', b'{"a":2}', b'{"meta":"data"}'
    call = {"schemaId": hexadecimal(SCHEMA_BYTES), "metadata": hexadecimal(metadata)}
    await ebsi.write(TSR, "insertSchema", call | {"schema": hexadecimal(first)})
    assert (await ebsi.world.get(f"{TSR}/schemas/{SCHEMA}")).content == first
    await ebsi.write(TSR, "updateSchema", call | {"schema": hexadecimal(second)})
    assert (await ebsi.world.get(f"{TSR}/schemas/{SCHEMA}")).content == second
    revision = hexadecimal(sha256(first).digest())
    more = {**call, "schemaRevisionId": revision, "metadata": hexadecimal(b"{}")}
    await ebsi.write("/trusted-schemas-registry/v2", "updateMetadata", more)
    listed = await ebsi.json(f"{TSR}/schemas/{SCHEMA}/revisions/{revision}/metadata")
    assert listed["total"] == 2


@pytest.mark.parametrize(
    ("method", "schema", "message"),
    [
        ("updateSchema", b"{}", "schema not found"),
        ("insertSchema", b"no json", "schema cannot be stored: not JSON: "),
        ("insertSchema", b'{"a":1,"a":2}', "schema cannot be stored: not JSON: "),
    ],
)
async def test_schemas_that_are_refused(
    ebsi: EbsiWorld, method: str, schema: bytes, message: str
) -> None:
    """What cannot be stored is said at once, and changes nothing."""
    call = {"schemaId": hexadecimal(SCHEMA_BYTES), "metadata": "0x7b7d"}
    told = await ebsi.refused(TSR, method, call | {"schema": hexadecimal(schema)})
    assert told.startswith(message)


async def test_timestamps_and_records(ebsi: EbsiWorld) -> None:
    """Hashes are timestamped once; a record grows by versions of its owner's."""
    call = {"hashAlgorithmIds": [0], "hashValues": [hexadecimal(HASH)]}
    hash_ = await ebsi.write(TIMESTAMP, "timestampHashes", call | {"timestampData": ["0x01"]})
    stamp = await ebsi.json(f"{TIMESTAMP}/timestamps/{timestamp_id(HASH)}")
    assert stamp["transactionHash"] == hash_
    assert stamp["timestampedBy"] == MINE.address.lower()
    assert await ebsi.refused(TIMESTAMP, "timestampHashes", call) == "timestamp exists"
    first, second = bytes([6]) * 32, bytes([7]) * 32
    await ebsi.write(
        TIMESTAMP, "timestampRecordHashes", call | {"hashValues": [hexadecimal(first)]}
    )
    listed = await ebsi.json(f"{TIMESTAMP}/records?owner={MINE.address}")
    items = listed["items"]
    assert isinstance(items, list)
    record = items[0]["recordId"]
    version = {"versionHash": hexadecimal(first), "versionInfo": "0x7b7d"}
    more = call | version | {"hashValues": [hexadecimal(second)]}
    await ebsi.write(TIMESTAMP, "timestampVersionHashes", more)
    document = await ebsi.json(f"{TIMESTAMP}/records/{record}")
    assert document["totalVersions"] == 2
    assert document["lastVersionTimestamps"] == [timestamp_id(second)]


async def test_records_belong_to_their_owners(ebsi: EbsiWorld) -> None:
    """Another address changes a record only after its owner let it."""
    first, second = bytes([6]) * 32, bytes([7]) * 32
    call = {"hashAlgorithmIds": [0], "hashValues": [hexadecimal(first)]}
    await ebsi.write(TIMESTAMP, "timestampRecordHashes", call)
    ebsi.change("did-documents", (f"{ALICE_DID}/address/{OTHER.address.lower()}", "address", b""))
    items = (await ebsi.json(f"{TIMESTAMP}/records"))["items"]
    assert isinstance(items, list)
    record = hexadecimal(timestamp_id_digest(items[0]["recordId"]) or b"")
    more = call | {"recordId": record, "versionId": 0, "hashValues": [hexadecimal(second)]}
    unsigned = await ebsi.build(TIMESTAMP, "appendRecordVersionHashes", more, OTHER)
    answer = await ebsi.send(TIMESTAMP, sign(unsigned, OTHER))
    assert answer.json()["error"]["message"] == "sender is not an owner of the record"
    owner = {"recordId": record, "ownerId": OTHER.address, "notBefore": 0, "notAfter": 0}
    await ebsi.write(TIMESTAMP, "insertRecordOwner", owner)
    await ebsi.write(TIMESTAMP, "appendRecordVersionHashes", more, OTHER)
    info = {"recordId": record, "versionId": 0, "versionInfo": "0x01"}
    await ebsi.write(TIMESTAMP, "insertRecordVersionInfo", info)
    hash_ = {"recordId": record, "versionId": 0, "hashValue": hexadecimal(first)}
    await ebsi.write(TIMESTAMP, "detachRecordVersionHash", hash_)
    version = await ebsi.json(f"{TIMESTAMP}/records/{items[0]['recordId']}/versions/0")
    assert version == {"hashes": [hexadecimal(second)], "info": ["0x01"]}
    revoked = {"recordId": record, "ownerId": OTHER.address}
    await ebsi.write(TIMESTAMP, "revokeRecordOwner", revoked)
    assert "the last" in await ebsi.refused(
        TIMESTAMP, "revokeRecordOwner", revoked | {"ownerId": MINE.address}
    )


async def test_documents_and_their_events(ebsi: EbsiWorld) -> None:
    """A document is created and gets an event, which subscribers see as any event."""
    created = {
        "documentHash": DOCUMENT,
        "documentMetadata": "some words",
        "didEbsiCreator": ALICE_DID,
    }
    await ebsi.write(TNT, "createDocument", created)
    assert await ebsi.refused(TNT, "createDocument", created) == "DocumentExists"
    document = await ebsi.json(f"{TNT}/documents/{DOCUMENT}")
    assert (document["metadata"], document["events"]) == ("some words", [])
    event = {
        "documentHash": DOCUMENT,
        "eventHash": "0x" + "e0" * 32,
        "externalHash": "outside",
        "sender": ALICE_DID,
        "origin": "https://alice.example/1",
        "metadata": "more",
    }
    await ebsi.write(TNT, "writeEvent", {"eventParams": event})
    read = await ebsi.json(f"{TNT}/documents/{DOCUMENT}/events/0x{'e0' * 32}")
    assert {name: read[name] for name in ("externalHash", "sender", "origin", "metadata")} == {
        name: event[name] for name in ("externalHash", "sender", "origin", "metadata")
    }
    assert await ebsi.refused(TNT, "writeEvent", {"eventParams": event}) == "ExternalHashExist"
    foreign = event | {"documentHash": ZERO}
    told = await ebsi.refused(TNT, "writeEvent", {"eventParams": foreign})
    assert told == "DocumentDoesNotExist"
    native = await ebsi.json("/v1/events/2")
    assert (native["topic"], native["source"]) == ("catalog.documents", ALICE_DID)


KEY = Account.from_key(bytes([3]) * 32)
DID_CALL = {
    "from": KEY.address,
    "did": LEGAL,
    "baseDocument": json.dumps({"@context": ["https://www.w3.org/ns/did/v1"]}),
    "vMethodId": "key-1",
    "publicKey": hexadecimal(b"\4" + KEY._key_obj.public_key.to_bytes()),
    "isSecp256k1": True,
    "notBefore": 0,
    "notAfter": 0,
}


async def write_did(ebsi: EbsiWorld, method: str, call: dict[str, object], did: str) -> str | None:
    """Write with the DID's own key; give the words of a refusal."""
    token = f"{did} openid didr_write didr_invite"
    answer = await ebsi.call(DIDR, method, {"from": KEY.address, **call}, token)
    if answer.status_code == 200:
        answer = await ebsi.send(DIDR, sign(answer.json()["result"], KEY), token)
    if answer.status_code == 200:
        return None
    message: str = answer.json()["error"]["message"]
    return message


async def test_a_did_is_inserted_with_its_key_and_loses_it(ebsi: EbsiWorld) -> None:
    """The first key signs its own insertion; when it is revoked its address acts no more."""
    assert await write_did(ebsi, "insertDidDocument", DID_CALL, LEGAL) is None
    document = await ebsi.json(f"{DIDR}/identifiers/{LEGAL}")
    assert document["id"] == LEGAL
    assert document["authentication"] == [f"{LEGAL}#key-1"]
    address = f"{LEGAL}/address/{KEY.address.lower()}"
    assert entry_of(ebsi, "did-documents", address) is not None
    assert await write_did(ebsi, "insertDidDocument", DID_CALL, LEGAL) == "did already exists"
    revoke: dict[str, object] = {"did": LEGAL, "vMethodId": "key-1", "notAfter": 0}
    assert await write_did(ebsi, "revokeVerificationMethod", revoke, LEGAL) is None
    assert entry_of(ebsi, "did-documents", address) is None
    told = await write_did(ebsi, "addController", {"did": LEGAL, "controller": ALICE_DID}, LEGAL)
    assert told == f"The DID {LEGAL} is not controlled by the address {KEY.address}"


@pytest.mark.parametrize(
    ("did", "change", "message"),
    [
        (BOB_DID, {}, f"The DID {BOB_DID} was not registered by the member of this gateway"),
        (LEGAL, {"isSecp256k1": False}, "first publicKey must be for secp256k1"),
        (
            LEGAL,
            {"publicKey": "0x04" + "00" * 64},
            "the transaction must be signed with the key that it inserts",
        ),
        (LEGAL, {"baseDocument": "{}"}, "invalid baseDocument"),
        (LEGAL, {"baseDocument": '{"@context":[],"id":"x"}'}, "invalid baseDocument"),
        (LEGAL, {"notBefore": 2, "notAfter": 1}, "invalid dates"),
        (LEGAL, {"vMethodId": ""}, "invalid vMethodId"),
    ],
)
async def test_dids_that_are_not_inserted(
    ebsi: EbsiWorld, did: str, change: dict[str, object], message: str
) -> None:
    """A participant's DID, another key than the signer's, or half a document is refused."""
    before = ebsi.state()
    call = {**DID_CALL, "did": did, **change}
    assert await write_did(ebsi, "insertDidDocument", call, did) == message
    assert ebsi.state() == before


async def test_keys_and_controllers_of_a_did(ebsi: EbsiWorld) -> None:
    """Keys, relationships and controllers come and go; a rolled key takes its address along."""
    await write_did(ebsi, "insertDidDocument", DID_CALL, LEGAL)
    key: dict[str, object] = {
        "did": LEGAL,
        "vMethodId": "key-2",
        "publicKey": hexadecimal(b'{"kty":"EC","crv":"P-256","x":"x","y":"y"}'),
        "isSecp256k1": False,
    }
    period: dict[str, object] = {"notBefore": 0, "notAfter": 4_000_000_000}
    relationship = {"did": LEGAL, "name": "assertionMethod", "vMethodId": "key-2", **period}
    rolled = {
        **DID_CALL,
        **period,
        "vMethodId": "key-3",
        "publicKey": hexadecimal(b"\4" + OTHER._key_obj.public_key.to_bytes()),
        "oldVMethodId": "key-1",
        "duration": 0,
    }
    rolled.pop("baseDocument")
    steps: list[tuple[str, dict[str, object], str | None]] = [
        ("addVerificationRelationship", relationship, "vMethodId doesn't exist"),
        ("addVerificationMethod", key, None),
        ("addVerificationMethod", key, "vMethodId already exists"),
        ("addVerificationRelationship", relationship, None),
        ("addController", {"did": LEGAL, "controller": ALICE_DID}, None),
        ("addController", {"did": LEGAL, "controller": ALICE_DID}, "controller exists"),
        ("revokeController", {"did": LEGAL, "controller": ALICE_DID}, None),
        (
            "revokeController",
            {"did": LEGAL, "controller": LEGAL},
            "controller unknown, or the last",
        ),
        ("updateBaseDocument", {"did": LEGAL, "baseDocument": '{"@context":["x"]}'}, None),
        ("expireVerificationMethod", {"did": LEGAL, "vMethodId": "key-2", "notAfter": 0}, None),
        ("rollVerificationMethod", rolled, None),
    ]
    for method, call, expected in steps:
        assert await write_did(ebsi, method, call, LEGAL) == expected, method
    document = await ebsi.json(f"{DIDR}/identifiers/{LEGAL}")
    assert (document["@context"], document["controller"]) == (["x"], [LEGAL])
    assert document["assertionMethod"] == []
    assert document["capabilityInvocation"] == [f"{LEGAL}#key-3"]
    gone, new = (f"{LEGAL}/address/{who.address.lower()}" for who in (KEY, OTHER))
    assert entry_of(ebsi, "did-documents", gone) is None
    entry = entry_of(ebsi, "did-documents", new)
    assert entry is not None
    assert entry.valid_to_ms == 4_000_000_000_000


@pytest.mark.parametrize(
    ("method", "call", "message"),
    [
        (
            "setAttributeMetadata",
            {"issuerType": 3, "taoDid": ALICE_DID},
            "Policy error: the attribute of the TAO accredits nobody",
        ),
        (
            "setAttributeMetadata",
            {"issuerType": 3, "taoDid": BOB_DID},
            "Access token sub doesn't match the DID from the payload",
        ),
        ("setAttributeMetadata", {"issuerType": 5, "taoDid": ALICE_DID}, "invalid issuerType"),
        ("setAttributeMetadata", {"issuerType": 0, "taoDid": ALICE_DID}, "invalid issuerType"),
        (
            "setAttributeMetadata",
            {"issuerType": 1, "taoDid": ALICE_DID, "did": "nobody"},
            "did must be a valid DID v1",
        ),
        (
            "setAttributeData",
            {"attributeData": "0x00"},
            "Access token sub doesn't match the DID from the payload",
        ),
        (
            "setAttributeData",
            {"attributeData": "0x00", "did": ALICE_DID},
            "attribute has not been found",
        ),
    ],
)
async def test_accreditations_that_are_refused(
    ebsi: EbsiWorld, method: str, call: dict[str, object], message: str
) -> None:
    """Who is accredited by nobody accredits nobody, and data need an accreditation."""
    given: dict[str, object] = {"did": LEGAL, "attributeId": ROOT_ATTRIBUTE}
    if method == "setAttributeMetadata":
        given["taoAttributeId"] = ROOT_ATTRIBUTE
    assert await ebsi.refused(TIR, method, given | call) == message


async def test_only_the_member_is_a_root(ebsi: EbsiWorld) -> None:
    """A registered DID cannot make itself the root of accreditation."""
    ebsi.register(LEGAL, OTHER)
    call = {
        "did": LEGAL,
        "attributeId": ROOT_ATTRIBUTE,
        "issuerType": 1,
        "taoDid": LEGAL,
        "taoAttributeId": ZERO,
    }
    unsigned = await ebsi.build(TIR, "setAttributeMetadata", call, OTHER)
    answer = await ebsi.send(TIR, sign(unsigned, OTHER), f"{LEGAL} tir_write")
    told = answer.json()["error"]["message"]
    assert told == "Policy error: only the gateway's member accredits a RootTAO"


async def test_only_its_accreditor_changes_an_accreditation(ebsi: EbsiWorld) -> None:
    """Another TAO of the same member cannot take an issuer over."""
    await make_root(ebsi)
    tao = "did:elsi:VATES-TAO"
    ebsi.register(tao, OTHER)
    given: dict[str, object] = {"taoDid": ALICE_DID, "taoAttributeId": ROOT_ATTRIBUTE}
    as_tao = given | {"did": tao, "attributeId": ROOT_ATTRIBUTE, "issuerType": 2}
    await ebsi.write(TIR, "setAttributeMetadata", as_tao)
    taken = {"did": tao, "attributeId": ROOT_ATTRIBUTE, "attributeData": hexadecimal(JWT)}
    unsigned = await ebsi.build(TIR, "setAttributeData", taken, OTHER)
    token = f"{tao} tir_write"
    assert (await ebsi.send(TIR, sign(unsigned, OTHER), token)).status_code == 200
    issuer = given | {"did": LEGAL, "attributeId": "0x" + JWT_ID, "issuerType": 3}
    await ebsi.write(TIR, "setAttributeMetadata", issuer)
    other = issuer | {"taoDid": tao}
    unsigned = await ebsi.build(TIR, "setAttributeMetadata", other, OTHER)
    answer = await ebsi.send(TIR, sign(unsigned, OTHER), token)
    told = answer.json()["error"]["message"]
    assert told == f"Policy error: sender is not TAO/RootTao of current did {LEGAL}"
