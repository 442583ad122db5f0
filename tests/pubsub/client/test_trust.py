"""The client's side of the lists against the real gateway: writes, verified reads, lies."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
from msgspec.structs import replace

from ledger.core.errors import PeerFault, ProofError, RejectCode, Rejected
from ledger.core.genesis import Genesis, Participant, ParticipantKey
from ledger.core.ids import Height
from ledger.core.signing import SeedSigner
from ledger.core.state_proof import decode_state_bundle, encode_state_bundle, verify_state_bundle
from ledger.core.trust.lists import EntryStatus
from ledger.core.trust.operations import SetParameter
from pubsub.client.async_client import AsyncClient
from pubsub.client.identity import Publisher
from tests.ledger.sample_network import ALICE, ALICE_DID, BOB, BOB_DID, GENESIS, START_MS, network
from tests.pubsub.gateway_world import World, gateway_world

ISSUER = "did:web:issuer.example%3A80"
ALICE_PUBLISHER = Publisher(ALICE_DID, ALICE, GENESIS.chain_id)
BOB_PUBLISHER = Publisher(BOB_DID, BOB, GENESIS.chain_id)


@pytest.fixture(autouse=True)
def _sample_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sign with the time of the sample network's blocks."""
    monkeypatch.setattr("pubsub.client.identity.time.time_ns", lambda: START_MS * 1_000_000)


@asynccontextmanager
async def client_in(
    directory: Path, genesis: Genesis | None = GENESIS
) -> AsyncIterator[tuple[World, AsyncClient]]:
    """Give a gateway whose node finalises at once, and a client of it."""
    async with gateway_world(directory) as world:
        world.node.finalises = True
        await world.node.extend()
        await world.node.extend()
        transport = httpx.ASGITransport(app=world.app)
        async with AsyncClient("http://gateway", genesis, transport=transport) as client:
            yield world, client


async def test_put_read_and_revoke_verified(tmp_path: Path) -> None:
    """What is put is read back proven at the receipt's height, and so is its end."""
    async with client_in(tmp_path) as (_, client):
        trust = client.trust
        absent = await trust.entry("issuers", ISSUER)
        assert (absent.value, absent.is_verified) == (None, True)
        receipt = await trust.put(
            ALICE_PUBLISHER, "issuers", ISSUER, ("issuer", b""), expected_revision=0, valid_to_ms=9
        )
        reading = await trust.entry("issuers", ISSUER, at_least=receipt.height)
        assert reading.value is not None
        assert (reading.value.revision, reading.value.valid_to_ms) == (1, 9)
        assert reading.value.event_id == receipt.id
        assert receipt.height is not None
        assert reading.height >= receipt.height
        assert verify_state_bundle(reading.bundle, GENESIS).value is not None
        ended = await trust.revoke(ALICE_PUBLISHER, "issuers", ISSUER, expected_revision=1)
        history = await trust.history("issuers", ISSUER, at_least=ended.height)
        assert [item.value and item.value.status for item in history] == [*EntryStatus]
        assert [row.id async for row in trust.entries("issuers")] == []
        rows = [row async for row in trust.entries("issuers", also_revoked=True)]
        assert [(row.id, row.entry.revision) for row in rows] == [(ISSUER, 2)]
        old = await trust.entry("issuers", ISSUER, at_least=receipt.height)
        assert old.value is not None
        assert old.value.status is EntryStatus.ACTIVE
        assert old.height < (ended.height or 0)


async def test_refusals_have_their_codes(tmp_path: Path) -> None:
    """A late refusal of the state machine raises its code, and nothing changed."""
    async with client_in(tmp_path) as (_, client):
        for publisher, expected, code in (
            (BOB_PUBLISHER, None, RejectCode.TOPIC_FORBIDDEN),
            (ALICE_PUBLISHER, 4, RejectCode.CONFLICT),
        ):
            with pytest.raises(Rejected) as caught:
                await client.trust.revoke(publisher, "issuers", ISSUER, expected_revision=expected)
            assert caught.value.code is code
        with pytest.raises(Rejected) as caught:
            [row async for row in client.trust.entries("nonsense")]
        assert caught.value.code is RejectCode.NO_SUCH_ENTRY
        assert (await client.trust.entry("issuers", ISSUER)).value is None


async def test_pages_are_followed_to_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A list longer than a page comes whole, once and in order."""
    async with client_in(tmp_path) as (_, client):
        for number in range(3):
            await client.trust.put(ALICE_PUBLISHER, "schemas", f"s{number}", ("schema", b"{}"))
        monkeypatch.setattr("pubsub.io.trust_reads.GATEWAY_PAGE_EVENTS", 2)
        assert [row.id async for row in client.trust.entries("schemas")] == ["s0", "s1", "s2"]
        counts = {row.name: row.entries for row in await client.trust.lists()}
        assert (counts["schemas"], counts["issuers"]) == (3, 0)


async def test_participants_and_their_keys(tmp_path: Path) -> None:
    """A registrar registers; a participant adds a key that consents, and revokes one."""
    async with client_in(tmp_path) as (_, client):
        trust, second = client.trust, SeedSigner(bytes([77]) * 32)
        new = Participant(
            "did:web:new.example", "New", (ParticipantKey(second.public_key, revoked=False),), ()
        )
        await trust.register(ALICE_PUBLISHER, new)
        receipt = await trust.add_key(BOB_PUBLISHER, second)
        bob = await trust.participant(BOB_DID, at_least=receipt.height)
        assert bob.value is not None
        assert [item.key for item in bob.value.keys] == [BOB.public_key, second.public_key]
        await trust.revoke_key(Publisher(BOB_DID, second, GENESIS.chain_id), BOB.public_key)
        with pytest.raises(Rejected) as caught:
            await trust.revoke_key(BOB_PUBLISHER, second.public_key)
        assert caught.value.code is RejectCode.REVOKED_KEY
        assert (await trust.participant(new.did, at_least=receipt.height)).value == new
        assert (await trust.participant("did:web:nobody")).value is None


async def test_governance(tmp_path: Path) -> None:
    """With a threshold of one a proposal is carried out at once; it is proven as decided."""
    async with client_in(tmp_path) as (_, client):
        action = SetParameter("speed", 3, 1)
        receipt = await client.trust.propose(ALICE_PUBLISHER, action, START_MS + 60_000)
        proposal = await client.trust.proposal(receipt.id, at_least=receipt.height)
        assert proposal.value is not None
        assert proposal.value.action == action
        assert proposal.value.executed_ms
        governors = await client.trust.governors(at_least=receipt.height)
        assert governors.value == GENESIS.governors
        assert (await client.trust.governance()).parameters == {"speed": (3, 1)}
        with pytest.raises(Rejected) as caught:
            await client.trust.approve(ALICE_PUBLISHER, receipt.id.hex())
        assert caught.value.code is RejectCode.CONFLICT


async def test_verifying_needs_genesis(tmp_path: Path) -> None:
    """Without genesis a verified read is refused; an unverified one says that it is none."""
    async with client_in(tmp_path, None) as (_, client):
        with pytest.raises(ValueError, match="genesis"):
            await client.trust.governors()
        reading = await client.trust.governors(verified=False)
        assert (reading.value, reading.is_verified) == (GENESIS.governors, False)


@pytest.mark.parametrize("lie", ["other key", "other value", "older", "other network", "bytes"])
async def test_lies_are_refused(tmp_path: Path, lie: str) -> None:
    """A proof of something else, of an older state, a false one, and what is none."""
    async with gateway_world(tmp_path) as world:
        for _ in range(4):
            world.chain.extend()
        honest = (await world.get("/v1/governance/proof")).content
        bundle = decode_state_bundle(honest)
        body, question = honest, client_question
        if lie == "other key":
            question = participant_question
        elif lie == "other value":
            body = encode_state_bundle(replace(bundle, value=None))
        elif lie == "bytes":
            body = honest[:-1]
        genesis = network("other") if lie == "other network" else GENESIS
        at_least = Height(bundle.root.height + 1) if lie == "older" else None
        transport = httpx.MockTransport(lambda _request: httpx.Response(200, content=body))
        async with AsyncClient("http://gateway", genesis, transport=transport) as client:
            with pytest.raises((ProofError, PeerFault)):
                await question(client, at_least)


async def client_question(client: AsyncClient, at_least: Height | None) -> None:
    """Ask who governs."""
    await client.trust.governors(at_least=at_least)


async def participant_question(client: AsyncClient, at_least: Height | None) -> None:
    """Ask who Bob is."""
    await client.trust.participant(BOB_DID, at_least=at_least)


@pytest.mark.parametrize("body", [b"", b"\x92\xc0\x90x", b"\x92\xa1a\x90", b"{}"])
async def test_unreadable_pages_are_a_fault(body: bytes) -> None:
    """What is no page raises PeerFault; what says that it goes on where it began is cut off."""
    answers = [httpx.Response(200, content=body) for _ in range(3)]
    transport = httpx.MockTransport(lambda _request: answers.pop())
    async with AsyncClient("http://gateway", transport=transport) as client:
        with pytest.raises(PeerFault):
            [row async for row in client.trust.entries("issuers")]
        with pytest.raises(PeerFault):
            await client.trust.lists() if body != b"{}" else await client.trust.governance()
