"""The ledger asked over the network: with proofs, remembered, never older than is believed."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
from msgspec.structs import replace

from adapters.credentials.credential import read_credential
from adapters.credentials.trust import LedgerSnapshot, need_listed_issuer
from adapters.tmf.trust.ledger import ClientLedger
from ledger.core.errors import Unavailable
from ledger.core.limits import STATUS_FRESH_MS, TMF_LEDGER_STALE_MS_MAX
from ledger.core.state_proof import decode_state_bundle, encode_state_bundle
from pubsub.client.async_client import AsyncClient
from pubsub.client.identity import Publisher
from tests.adapters.credentials.credential_world import ISSUER, employee_v1
from tests.ledger.sample_network import ALICE, ALICE_DID, GENESIS, START_MS
from tests.pubsub.gateway_world import World, gateway_world

ALICE_PUBLISHER = Publisher(ALICE_DID, ALICE, GENESIS.chain_id)
ATTRIBUTE = b'{"credentialsType":"LEARCredentialEmployee"}'
HOLDER = "did:key:zHolder"


class Asked:
    """A ledger, its gateway, and the time."""

    def __init__(self, world: World, client: AsyncClient) -> None:
        self.world = world
        self.client = client
        self.now_ms = START_MS
        self.ledger = ClientLedger(client.trust, lambda: self.now_ms)

    async def is_listed(self) -> None:
        """Hold a credential against the lists."""
        credential = read_credential(employee_v1(HOLDER))
        await self.ledger.ask(lambda ledger: need_listed_issuer(ledger.lists, credential, START_MS))

    async def put(self, list_name: str, id_: str, kind: str, body: bytes) -> None:
        """Put an entry, and wait until the gateway can prove it."""
        put = await self.client.trust.put(ALICE_PUBLISHER, list_name, id_, (kind, body))
        await self.client.trust.entry(list_name, id_, at_least=put.height)


class Tampering(httpx.ASGITransport):
    """A gateway between, that says that nothing is there.

    Attributes:
        requests: how many there were.
    """

    requests = 0
    hides = False

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Pass on, or lie."""
        self.requests += 1
        response = await super().handle_async_request(request)
        if self.hides and request.url.path.endswith("/proof"):
            bundle = decode_state_bundle(await response.aread())
            hidden = encode_state_bundle(replace(bundle, value=None))
            return httpx.Response(
                200, content=hidden, headers={"content-type": response.headers["content-type"]}
            )
        return response


@asynccontextmanager
async def asked(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[tuple[Asked, Tampering]]:
    """Give a ledger asked through a gateway whose node finalises at once."""
    monkeypatch.setattr("pubsub.client.identity.time.time_ns", lambda: START_MS * 1_000_000)
    async with gateway_world(directory) as world:
        world.node.finalises = True
        await world.node.extend()
        await world.node.extend()
        transport = Tampering(app=world.app)
        async with AsyncClient(
            "http://gateway", GENESIS, transport=transport, give_up_ms=2_000
        ) as client:
            yield Asked(world, client), transport


async def test_question_is_answered_as_in_a_gateway(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Entries, attributes of issuers and participants are read as the question asks for them."""
    async with asked(tmp_path, monkeypatch) as (here, _):
        await here.put("issuers", ISSUER, "issuer", b"")
        await here.put("issuers", f"{ISSUER}/lear", "credential", ATTRIBUTE)
        await here.is_listed()

        def rights(ledger: LedgerSnapshot) -> list[bool]:
            found = [ledger.rights(did) for did in (ALICE_DID, "did:web:nobody.example")]
            return [each is not None and each.may_publish("ledger.lists.issuers") for each in found]

        assert await here.ledger.ask(rights) == [True, False]


async def test_values_are_remembered_for_a_minute(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is known is not read again before it is old; then a revocation counts."""
    async with asked(tmp_path, monkeypatch) as (here, transport):
        await here.put("issuers", ISSUER, "issuer", b"")

        def stands(ledger: LedgerSnapshot) -> bool:
            return ledger.lists.entry("issuers", ISSUER) is not None

        assert await here.ledger.ask(stands)
        ended = await here.client.trust.revoke(ALICE_PUBLISHER, "issuers", ISSUER)
        await here.client.trust.entry("issuers", ISSUER, at_least=ended.height)
        before = transport.requests
        here.now_ms += STATUS_FRESH_MS - 1
        assert await here.ledger.ask(stands)
        assert transport.requests == before
        here.now_ms += 1
        assert not await here.ledger.ask(stands)


async def test_gateway_that_hides_an_entry_is_not_believed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A revocation cannot be kept back: that there is none must be proven."""
    async with asked(tmp_path, monkeypatch) as (here, transport):
        await here.put("revoked-credentials", "c1", "revocation", b"")
        transport.hides = True
        with pytest.raises(Unavailable):
            await here.ledger.ask(lambda ledger: ledger.lists.entry("revoked-credentials", "c1"))


async def test_old_state_is_not_believed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A state that is minutes old may be what a gateway likes to show; it says nothing."""
    async with asked(tmp_path, monkeypatch) as (here, _):
        reading = await here.client.trust.entry("issuers", ISSUER)
        here.now_ms = reading.time_ms + TMF_LEDGER_STALE_MS_MAX
        assert await here.ledger.ask(lambda ledger: ledger.lists.entry("issuers", ISSUER)) is None
        here.now_ms += 1
        with pytest.raises(Unavailable):
            await here.ledger.ask(lambda ledger: ledger.lists.entry("issuers", "another"))


async def test_questions_and_memory_are_bounded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A question that asks for more and more ends; the oldest values are forgotten."""
    monkeypatch.setattr("adapters.tmf.trust.ledger.TMF_LEDGER_READS_MAX", 5)
    monkeypatch.setattr("adapters.tmf.trust.ledger.TMF_LEDGER_REMEMBERED_MAX", 3)
    monkeypatch.setattr("adapters.tmf.trust.ledger.TMF_LEDGER_CHILDREN_MAX", 1)
    async with asked(tmp_path, monkeypatch) as (here, _):
        with pytest.raises(Unavailable):
            await here.ledger.ask(
                lambda ledger: [ledger.lists.entry("issuers", f"i{number}") for number in range(6)]
            )
        assert len(here.ledger._values) == 3
        await here.put("issuers", ISSUER, "issuer", b"")
        await here.put("issuers", f"{ISSUER}/a", "credential", ATTRIBUTE)
        assert (
            await here.ledger.ask(lambda ledger: len(ledger.lists.children("issuers", ISSUER))) == 1
        )
        await here.put("issuers", f"{ISSUER}/b", "credential", ATTRIBUTE)
        here.now_ms += STATUS_FRESH_MS
        with pytest.raises(Unavailable):
            await here.ledger.ask(lambda ledger: ledger.lists.children("issuers", ISSUER))
