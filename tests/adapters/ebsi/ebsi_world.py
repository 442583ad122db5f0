"""A gateway that serves the EBSI facade over a real store with filled lists."""

import json
from base64 import b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from hashlib import sha256
from pathlib import Path

import httpx

from adapters.ebsi.facade import EbsiFacade, EbsiSettings
from adapters.ebsi.identifiers import base58_encode, timestamp_id
from ledger.core.trust.operations import ChangeList, PutEntry
from tests.ledger.sample_network import entry
from tests.ledger.trust.test_application import operation_entry
from tests.pubsub.gateway_world import World, gateway_world

TIR, TSR = "/trusted-issuers-registry/v5", "/trusted-schemas-registry/v3"
DIDR, TIMESTAMP, TNT = "/did-registry/v5", "/timestamp/v4", "/track-and-trace/v1"
LIMITED = 12  # more than one page

LEGAL = "did:ebsi:z" + base58_encode(b"\x01" + bytes(range(16)))
ISSUERS = sorted([LEGAL, *(f"did:elsi:VATES-{number:08}" for number in range(LIMITED - 1))])
JWT = b"eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJkaWQ6ZWJzaSJ9.c2lnbmF0dXJl"
JWT_ID = sha256(JWT).hexdigest()
CREDENTIAL = b'{"credentialsType":"gx:LabelCredential","claims":[]}'
CREDENTIAL_ID = sha256(CREDENTIAL).hexdigest()
METADATA = {"issuerType": "TI", "tao": "did:elsi:VATES-TAO", "rootTao": "did:elsi:VATES-ROOT"}
PROXY = {"prefix": "https://issuer.example/api/", "headers": {"A": "b"}, "testSuffix": "/x"}
PROXY_ID = "0x" + sha256(json.dumps(PROXY).encode()).hexdigest()
SCHEMA_BYTES = bytes(range(32))
SCHEMA = "z" + base58_encode(SCHEMA_BYTES)
REVISIONS = (b'{"type":"object"}', b'{"type": "string"}')
REVISION_IDS = tuple("0x" + sha256(body).hexdigest() for body in REVISIONS)
SCHEMA_METADATA = b'{"validFrom":"2027-01-01T00:00:00Z"}'
SCHEMA_METADATA_ID = "0x" + sha256(SCHEMA_METADATA).hexdigest()
DOCUMENT = {"@context": ["https://www.w3.org/ns/did/v1"], "id": LEGAL, "controller": [LEGAL]}
HASH = bytes([5]) * 32
STAMP = {"hash": "0x" + HASH.hex(), "timestampedBy": "0x" + "ab" * 20, "data": "0x01"}
RECORD_ID = timestamp_id(b"a record")
RECORD = {
    "ownerIds": ["0x" + "ab" * 20],
    "revokedOwnerIds": [],
    "versions": [{"hashes": ["0x" + HASH.hex()], "info": ["0x7b7d"]}],
}


def put(id_: str, kind: str, body: object = b"") -> PutEntry:
    """Put an entry without limits of time."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return PutEntry(id_, kind, data, 0, 0, None)


def fill(world: World) -> None:
    """Put one of everything into the lists, and events of three entities into the log."""
    attributes = [
        put(f"{LEGAL}/{JWT_ID}", "accreditation", JWT),
        put(f"{LEGAL}/{JWT_ID}/metadata", "metadata", METADATA),
        put(f"{LEGAL}/{CREDENTIAL_ID}", "credential", CREDENTIAL),
        put(f"{LEGAL}/{'0' * 64}/metadata", "metadata", METADATA),
        put(f"{LEGAL}/proxies/{PROXY_ID}", "proxy", PROXY),
    ]
    operations = [
        ChangeList("issuers", tuple(put(did, "issuer") for did in ISSUERS)),
        ChangeList("issuers", tuple(attributes)),
        ChangeList("schemas", (put(SCHEMA, "schema", REVISIONS[0]),)),
        ChangeList("schemas", (put(SCHEMA, "schema", REVISIONS[1]),)),
        ChangeList(
            "schemas",
            (put(f"{SCHEMA}/{REVISION_IDS[1]}/{SCHEMA_METADATA_ID}", "metadata", SCHEMA_METADATA),),
        ),
        ChangeList("did-documents", (put(LEGAL, "document", DOCUMENT),)),
        ChangeList("timestamps", (put(timestamp_id(HASH), "timestamp", STAMP),)),
        ChangeList("timestamps", (put(f"records/{RECORD_ID}", "record", RECORD),)),
    ]
    for number, operation in enumerate(operations):
        world.chain.extend([operation_entry(operation, number)])
    first, second = bytes([1]) * 32, bytes([2]) * 32
    world.chain.extend([entry(100, subject="urn:x:1", entity_hash=first)])
    world.chain.extend([entry(101, subject="urn:x:2", entity_hash=b"")])
    world.chain.extend([entry(102, subject="urn:x:1", entity_hash=second, previous_hash=first)])


@asynccontextmanager
async def reading_world(directory: Path) -> AsyncIterator[World]:
    """Run a gateway whose lists are filled and which needs no node."""
    facade = EbsiFacade(EbsiSettings())
    async with gateway_world(directory, with_node=False, facades=[facade]) as world:
        fill(world)
        yield world


def problem(answer: httpx.Response) -> tuple[int, str, str]:
    """Give status, title and detail of a problem, after a look at its form."""
    assert answer.headers["content-type"] == "application/problem+json"
    document = answer.json()
    assert set(document) == {"title", "status", "detail", "type"}
    assert (document["status"], document["type"]) == (answer.status_code, "about:blank")
    return document["status"], document["title"], document["detail"]


def base64_text(data: bytes) -> str:
    """Give standard base64."""
    return b64encode(data).decode()
