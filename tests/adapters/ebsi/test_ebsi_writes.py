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
from tests.ledger.sample_network import ALICE_DID

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


async def test_a_did_is_inserted_with_its_key_and_loses_it(ebsi: EbsiWorld) -> None:
    """The first key signs its own insertion; when it is revoked its address acts no more."""
    key = Account.from_key(bytes([3]) * 32)
    public = b"\4" + key._key_obj.public_key.to_bytes()
    call = {
        "from": key.address,
        "did": LEGAL,
        "baseDocument": json.dumps({"@context": ["https://www.w3.org/ns/did/v1"]}),
        "vMethodId": "key-1",
        "publicKey": hexadecimal(public),
        "isSecp256k1": True,
        "notBefore": 0,
        "notAfter": 0,
    }
    token = f"{LEGAL} openid didr_invite"
    unsigned = (await ebsi.call(DIDR, "insertDidDocument", call, token)).json()["result"]
    sent = await ebsi.send(DIDR, sign(unsigned, key), token)
    assert sent.status_code == 200, sent.text
    document = await ebsi.json(f"{DIDR}/identifiers/{LEGAL}")
    assert document["id"] == LEGAL
    assert document["authentication"] == [f"{LEGAL}#key-1"]
    address = f"{LEGAL}/address/{key.address.lower()}"
    assert entry_of(ebsi, "did-documents", address) is not None
    body = {"jsonrpc": "2.0", "method": "checkController", "params": [key.address], "id": 1}
    asked = await ebsi.post(f"{DIDR}/identifiers/{LEGAL}/actions", body, None)
    assert asked.json()["result"] is True
    own = f"{LEGAL} openid didr_write"
    revoke = {"from": key.address, "did": LEGAL, "vMethodId": "key-1", "notAfter": 0}
    unsigned = (await ebsi.call(DIDR, "revokeVerificationMethod", revoke, own)).json()["result"]
    sent = await ebsi.send(DIDR, sign(unsigned, key), own)
    assert sent.status_code == 200, sent.text
    assert entry_of(ebsi, "did-documents", address) is None
    asked = await ebsi.post(f"{DIDR}/identifiers/{LEGAL}/actions", body, None)
    assert asked.json()["result"] is False
