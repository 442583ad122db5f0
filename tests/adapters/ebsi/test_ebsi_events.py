"""Timestamps and documents: what their writes refuse; and the bounds of the facade's memory."""

from collections.abc import AsyncIterator
from hashlib import sha256
from pathlib import Path

import anyio
import httpx
import pytest

from adapters.ebsi import documents, log_index, transactions
from adapters.ebsi.ethereum import keccak256
from adapters.ebsi.log_index import LogIndex, Transaction, transaction_tags
from ledger.core.event import open_entry
from ledger.core.limits import EBSI_BODY_BYTES_MAX
from tests.adapters.ebsi.ebsi_client import OTHER, EbsiWorld, ebsi_world, sign
from tests.adapters.ebsi.ebsi_world import LEGAL, TIMESTAMP, TNT, TSR, problem
from tests.ledger.sample_network import ALICE_DID, entry

DOCUMENT = "0x" + "d0" * 32
EVENT: dict[str, object] = {
    "documentHash": DOCUMENT,
    "externalHash": "outside",
    "sender": ALICE_DID,
    "origin": "",
    "metadata": "",
}
HASHES = ["0x" + f"{number:02x}" * 32 for number in range(4)]
SCHEMA = {"schemaId": "0x" + "09" * 32, "schema": "0x7b7d", "metadata": "0x7b7d"}


@pytest.fixture
async def ebsi(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[EbsiWorld]:
    """Give a gateway whose member is Alice."""
    async with ebsi_world(tmp_path, monkeypatch) as running:
        yield running


async def create(ebsi: EbsiWorld) -> None:
    """Create a document as the member."""
    call = {"documentHash": DOCUMENT, "documentMetadata": "", "didEbsiCreator": ALICE_DID}
    await ebsi.write(TNT, "createDocument", call)


async def test_only_the_creator_writes_events(ebsi: EbsiWorld) -> None:
    """Another DID of the same member writes neither in the creator's name nor in its own."""
    await create(ebsi)
    ebsi.register(LEGAL, OTHER)
    token = f"{LEGAL} tnt_write"
    for sender, expected in (
        (LEGAL, "OnlyCreatorOrWriter"),
        (ALICE_DID, "Access token sub doesn't match the DID from the payload"),
    ):
        call = {"eventParams": EVENT | {"sender": sender}}
        unsigned = await ebsi.build(TNT, "writeEvent", call, OTHER)
        before = ebsi.state()
        answer = await ebsi.send(TNT, sign(unsigned, OTHER), token)
        assert answer.json()["error"]["message"] == expected
        assert ebsi.state() == before


async def test_an_event_is_named_by_its_external_hash(ebsi: EbsiWorld) -> None:
    """Without a hash of its own an event has that of what it names outside, as in the contract."""
    await create(ebsi)
    await ebsi.write(TNT, "writeEvent", {"eventParams": EVENT})
    events = await ebsi.json(f"{TNT}/documents/{DOCUMENT}/events")
    items = events["items"]
    assert isinstance(items, list)
    assert [item["eventId"] for item in items] == ["0x" + keccak256(b"outside").hex()]


async def test_an_entity_of_the_log_goes_on_as_a_document(ebsi: EbsiWorld) -> None:
    """The member adds an event to an entity that its own events speak of, under its own id."""
    ebsi.world.chain.extend([entry(500, subject="urn:x:1")])
    name = "0x" + sha256(b"urn:x:1").hexdigest()
    external = "0x" + "07" * 32
    event = EVENT | {"documentHash": name, "externalHash": external}
    await ebsi.write(TNT, "writeEvent", {"eventParams": event})
    assert (await ebsi.json(f"{TNT}/documents/{name}/events"))["total"] == 2
    native = (await ebsi.world.get("/v1/events?subject=urn:x:1")).json()
    assert native[1]["previoushash"] == external[2:]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"sender": "nobody"}, "sender must be a hexadecimal number of bytes"),
        ({"sender": "0x6e6f"}, "sender must be a valid DID"),
        ({"origin": "x" * 2_049}, "origin may have 2048 characters"),
        ({"metadata": "ask ann@example.org"}, "could hold personal data: an e-mail address"),
        ({"origin": "ann@example.org"}, "could hold personal data: an e-mail address"),
        ({"more": ""}, "invalid params: 'writeEvent' takes from, documentHash, externalHash"),
    ],
)
async def test_events_that_are_refused(
    ebsi: EbsiWorld, change: dict[str, object], message: str
) -> None:
    """What cannot be an event of the log is refused."""
    await create(ebsi)
    told = await ebsi.refused(TNT, "writeEvent", {"eventParams": EVENT | change})
    assert told.startswith(message)


@pytest.mark.parametrize(
    ("algorithms", "hashes", "data", "message"),
    [
        ([0], [], [], "hashValues must hold 1 to 3 different hashes"),
        ([0] * 4, HASHES, [], "hashValues must hold 1 to 3 different hashes"),
        ([0, 0], HASHES[:1] * 2, [], "hashValues must hold 1 to 3 different hashes"),
        ([0, 0], HASHES[:1], [], "hashAlgorithmIds, hashValues and timestampData differ in length"),
        ([0], HASHES[:1], ["0x", "0x"], "hashAlgorithmIds, hashValues and timestampData differ"),
        ([7], HASHES[:1], [], "hash algorithm unknown, or another length of hash"),
        ([1], HASHES[:1], [], "hash algorithm unknown, or another length of hash"),
    ],
)
async def test_timestamps_that_are_refused(
    ebsi: EbsiWorld, algorithms: list[int], hashes: list[str], data: list[str], message: str
) -> None:
    """One to three different hashes of known algorithms, and nothing else."""
    call = {"hashAlgorithmIds": algorithms, "hashValues": hashes, "timestampData": data}
    assert (await ebsi.refused(TIMESTAMP, "timestampHashes", call)).startswith(message)


async def test_three_hashes_are_one_change(ebsi: EbsiWorld) -> None:
    """Three hashes, of different algorithms too, are timestamped by one transaction."""
    call = {
        "hashAlgorithmIds": [0, 4, "0x2"],
        "hashValues": [*HASHES[:2], "0x" + "ab" * 64],
    }
    await ebsi.write(TIMESTAMP, "timestampHashes", call)
    assert (await ebsi.json(f"{TIMESTAMP}/timestamps"))["total"] == 3


async def test_records_that_are_not_there(ebsi: EbsiWorld) -> None:
    """A record or version that is unknown, or an owner with a period, is refused."""
    base = {"hashAlgorithmIds": [0], "hashValues": HASHES[:1]}
    record = {"recordId": HASHES[0]}
    version = {**record, "versionId": 0}
    owner = {**record, "ownerId": OTHER.address, "notBefore": 0, "notAfter": 0}
    calls: dict[str, dict[str, object]] = {
        "timestampVersionHashes": {"versionHash": HASHES[1], **base},
        "timestampRecordVersionHashes": {**record, **base},
        "appendRecordVersionHashes": {**version, **base},
        "detachRecordVersionHash": {**version, "hashValue": HASHES[1]},
        "insertRecordVersionInfo": {**version, "versionInfo": "0x00"},
        "insertRecordOwner": dict(owner),
        "revokeRecordOwner": {**record, "ownerId": OTHER.address},
    }
    for method, call in calls.items():
        assert await ebsi.refused(TIMESTAMP, method, call) == "record unknown", method


async def test_a_body_that_is_too_long(ebsi: EbsiWorld) -> None:
    """A body is taken up to its limit and not beyond."""
    headers = {"authorization": f"Bearer {ALICE_DID} tsr_write"}
    for size, status in ((EBSI_BODY_BYTES_MAX, 400), (EBSI_BODY_BYTES_MAX + 1, 413)):
        answer = await ebsi.world.http.post(f"{TSR}/jsonrpc", content=b" " * size, headers=headers)
        assert problem(answer)[0] == status


async def test_documents_beyond_the_bound(ebsi: EbsiWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first documents are served, up to the bound; their later events too."""
    monkeypatch.setattr(log_index, "EBSI_DOCUMENTS_MAX", 2)
    monkeypatch.setattr(log_index, "EBSI_INDEX_SLICE_EVENTS", 2)
    subjects = ["urn:a", "urn:b", "urn:c", "urn:a"]
    ebsi.world.chain.extend(
        [entry(600 + number, subject=subject) for number, subject in enumerate(subjects)]
    )
    index = LogIndex(None)
    index.catch_up(ebsi.world.chain.store)
    total, ids = index.documents(0, 10)
    assert (total, ids) == (2, [sha256(name.encode()).digest() for name in subjects[:2]])
    assert len(index.sequences(ids[0]) or []) == 2
    assert index.sequences(sha256(b"urn:c").digest()) is None


async def test_transactions_beyond_the_bound(
    ebsi: EbsiWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The oldest is no longer found by its hash, but its nonce still counts."""
    monkeypatch.setattr(log_index, "EBSI_TRANSACTIONS_MAX", 2)
    made = [
        Transaction("timestamp/v4", bytes([number]) * 32, bytes(20), number) for number in range(3)
    ]
    for item in made:
        tags, type_ = transaction_tags(item), log_index.TRANSACTION_TYPE
        ebsi.world.chain.extend([entry(700 + item.nonce, type=type_, tags=tags)])
    index = LogIndex(ALICE_DID)
    index.catch_up(ebsi.world.chain.store)
    assert [index.sequence_of(item.hash) is None for item in made] == [True, False, False]
    assert index.nonce(bytes(20)) == 3


async def test_open_transactions_are_bounded(
    ebsi: EbsiWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With too many open no other is begun; when they can no longer become final they give way."""
    monkeypatch.setattr("adapters.member.GATEWAY_WAIT_MS", 30)
    monkeypatch.setattr(transactions, "EBSI_PENDING_MAX", 1)
    ebsi.world.node.finalises = False
    unsigned = await ebsi.build(TSR, "insertSchema", SCHEMA)
    assert problem(await ebsi.send(TSR, sign(unsigned)))[0] == 503
    ebsi.register(LEGAL, OTHER)
    other = await ebsi.build(TSR, "insertSchema", SCHEMA, OTHER)
    answer = await ebsi.send(TSR, sign(other, OTHER), f"{LEGAL} tsr_write")
    assert answer.json()["error"]["message"].startswith("too many transactions are under way")
    monkeypatch.setattr(transactions, "EVENT_AGE_MS_MAX", -1)
    answer = await ebsi.send(TSR, sign(other, OTHER), f"{LEGAL} tsr_write")
    assert problem(answer)[0] == 503
    assert len(ebsi.world.node.submissions) == 2


async def test_events_beyond_the_bound_of_a_search(
    ebsi: EbsiWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A document tells its first hashes; a later event is found by its own id."""
    monkeypatch.setattr(documents, "EBSI_DOCUMENT_EVENTS_MAX", 2)
    entries = [
        entry(800 + number, subject="urn:x:1", entity_hash=bytes([number]) * 32)
        for number in range(3)
    ]
    ebsi.world.chain.extend(entries)
    path = f"{TNT}/documents/0x{sha256(b'urn:x:1').hexdigest()}"
    hashes = ["0x" + bytes([number]).hex() * 32 for number in range(3)]
    assert (await ebsi.json(path))["events"] == hashes[:2]
    assert (await ebsi.json(f"{path}/events"))["total"] == 3
    for name, status in (
        (hashes[1], 200),
        (hashes[2], 404),
        (open_entry(entries[2]).id.hex(), 200),
    ):
        assert (await ebsi.world.get(f"{path}/events/{name}")).status_code == status


@pytest.mark.parametrize("is_same", [True, False])
async def test_of_two_at_once_one_is_carried_out(ebsi: EbsiWorld, is_same: bool) -> None:
    """The same transaction twice at once, or two of one nonce, lead to one event."""
    first = await ebsi.build(TSR, "insertSchema", SCHEMA)
    second = first if is_same else first | {"gasLimit": "0x1"}
    answers: list[httpx.Response] = []

    async def send(unsigned: dict[str, str]) -> None:
        answers.append(await ebsi.send(TSR, sign(unsigned)))

    async with anyio.create_task_group() as group:
        group.start_soon(send, first)
        group.start_soon(send, second)
    assert sorted(answer.status_code for answer in answers) == [200, 400]
    refused = next(answer for answer in answers if answer.status_code == 400)
    expected = "Known transaction" if is_same else "Nonce too low"
    assert refused.json()["error"]["message"] == expected
    assert len(ebsi.world.node.submissions) == 1
