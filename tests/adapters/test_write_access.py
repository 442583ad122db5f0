"""Who may write to the registries: every write path against every role that lacks something."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from adapters.access import WriteAccess
from adapters.credentials.access import Access, AccessVerifier, Power
from adapters.dome.trust.facade import DomeTrustFacade, DomeTrustSettings
from adapters.fiware.facade import FiwareFacade, FiwareSettings
from adapters.writing import WriterFactory
from ledger.core.errors import Unavailable
from ledger.core.genesis import Participant, ParticipantKey
from ledger.core.trust.operations import ChangeList, Propose, SetParticipant
from tests.adapters.registry_world import (
    NOW_MS,
    ORGANISATION,
    RegistryWorld,
    Tokens,
    alice,
    bob,
    granted,
    put,
    registry_world,
)
from tests.ledger.sample_network import BOB, BOB_DID

DOME = "/dome-trust-registry/v4"
DID, NEW, NEWER = (f"did:elsi:VATES-{name}" for name in ("OLD", "NEW", "NEWER"))
ADDRESS = "0x" + "a" * 40
SERVICE: dict[str, Any] = {
    "client_id": "portal",
    "redirectUris": [],
    "scopes": [],
    "clientAuthenticationMethods": [],
    "postLogoutRedirectUris": [],
    "requireAuthorizationConsent": False,
    "requireProofKey": False,
    "jwkSetUrl": "",
    "tokenEndpointAuthenticationSigningAlgorithm": "ES256",
    "authorizationGrantTypes": "authorization_code",
}


class Write(NamedTuple):
    """One write path, with a document that it takes."""

    method: str
    path: str
    document: dict[str, Any] | None = None


FIWARE_WRITES = [
    Write("POST", "/issuer", {"did": NEW}),
    Write("PUT", f"/issuer/{DID}", {"did": DID, "credentials": [{"credentialsType": "A"}]}),
    Write("DELETE", f"/issuer/{DID}"),
]
DOME_WRITES = [
    Write("POST", f"{DOME}/participants", {"did": NEW}),
    Write("PUT", f"{DOME}/participants/{DID}", {"did": DID}),
    Write("DELETE", f"{DOME}/participants/{DID}"),
    Write("POST", f"{DOME}/issuers", {"did": NEWER}),
    Write("PUT", f"{DOME}/issuers/{DID}", {"did": DID}),
    Write("POST", f"{DOME}/schemas", {"id": "new", "schemaData": "{}"}),
    Write("PUT", f"{DOME}/schemas/old", {"id": "old", "schemaData": "{}"}),
    Write("DELETE", f"{DOME}/schemas/old"),
    Write("POST", f"{DOME}/services", SERVICE | {"client_id": "new"}),
    Write("PUT", f"{DOME}/services/portal", SERVICE),
    Write("POST", f"{DOME}/accessNodes", {"dlt_address": "0x" + "b" * 40, "name": "n"}),
    Write("PUT", f"{DOME}/accessNodes/{ADDRESS}", {"dlt_address": ADDRESS, "name": "n"}),
]
ORDER = ("POST", "PUT", "DELETE")  # what is there is changed before it is ended
WRITES = sorted(FIWARE_WRITES + DOME_WRITES, key=lambda write: ORDER.index(write.method))

TOKENS = {
    "right": granted(),
    "bare": granted(ORGANISATION),
    "machine": granted(credential_type="LEARCredentialMachine"),
    "other-organisation": granted("did:elsi:VATES-22222222"),
    "other-member": granted("did:web:bob.example"),
    "longer-organisation": granted(f"did:elsi:{ORGANISATION}0"),
    "other-method": granted(f"did:web:{ORGANISATION}"),
    "no-power": granted(powers=()),
    "other-power": granted(powers=[Power("ProductOffering", "Create", "DOME")]),
    "other-action": granted(powers=[Power("Onboarding", "Read", "DOME")]),
    "other-domain": granted(powers=[Power("Onboarding", "Execute", "ELSEWHERE")]),
    "no-credential": granted(credential_type=""),
    "other-credential": granted(credential_type="gx:LabelCredential"),
}
FORBIDDEN = set(TOKENS) - {"right", "bare", "machine"}


TARGETS = {
    "participants": put(DID, "participant", b'{"organizationIdentifier":"x"}'),
    "issuers": put(DID, "issuer"),
    "schemas": put("old", "schema", b"{}"),
    "services": put("portal", "service", b'{"clientId":"portal"}'),
    "access-nodes": put(
        ADDRESS, "access-node", b'{"name":"n","dlt_address":"%s"}' % ADDRESS.encode()
    ),
}
"""One entry for each list, which the writes that replace or end something name."""


class Roles(NamedTuple):
    """How a network's gateway is set up."""

    writer: WriterFactory | None = alice
    verifier: AccessVerifier | None = Tokens(TOKENS)
    organisations: tuple[str, ...] = (ORGANISATION,)
    is_open: bool = False


@pytest.fixture
async def world(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> AsyncIterator[RegistryWorld]:
    """Give a network with the roles that the test names, and one entry of the writer's a list."""
    roles: Roles = getattr(request, "param", Roles())
    access = WriteAccess(roles.verifier, roles.organisations, is_open=roles.is_open)
    facades = (
        FiwareFacade(FiwareSettings(), roles.writer, access),
        DomeTrustFacade(DomeTrustSettings(), roles.writer, access),
    )
    async with registry_world(tmp_path, monkeypatch, *facades) as running:
        await let_bob(running, "ledger.lists.>")
        founder = bob if roles.writer is bob else alice
        for name, entry in TARGETS.items():
            await founder(running.world.gateway).carry_out(ChangeList(name, (entry,)))
        await let_bob(running, "news")
        yield running


async def let_bob(world: RegistryWorld, topic: str) -> None:
    """Have the governor give Bob the right to one topic and to no other."""
    keys = (ParticipantKey(BOB.public_key, revoked=False),)
    action = SetParticipant(Participant(BOB_DID, "Bob", keys, (topic,)))
    await alice(world.world.gateway).carry_out(Propose(action, NOW_MS + 60_000))


async def send(world: RegistryWorld, write: Write, authorization: str | None) -> int:
    """Ask for a write; give the status. What is refused has the form of its world."""
    headers = {} if authorization is None else {"authorization": authorization}
    answer = await world.http.request(
        write.method, write.path, json=write.document, headers=headers
    )
    if answer.status_code >= 400:
        member = "errCode" if write.path.startswith(DOME) else "status"
        assert answer.json()[member] == answer.status_code
        assert (answer.status_code == 401) == ("www-authenticate" in answer.headers)
    return answer.status_code


async def test_who_may_not_changes_nothing(world: RegistryWorld) -> None:
    """Without a token or with a false one it is 401, with the wrong rights 403; nothing is sent."""
    before = world.state_root(), world.submissions()
    for write in WRITES:
        for header in (None, "", "Bearer", "Bearer  ", "Basic right", "right", "Bearer unknown"):
            assert await send(world, write, header) == 401, (write, header)
        for token in sorted(FORBIDDEN):
            assert await send(world, write, f"Bearer {token}") == 403, (write, token)
        assert (world.state_root(), world.submissions()) == before, write


@pytest.mark.parametrize("token", ["right", "bare", "machine"])
async def test_who_may_changes_the_state(world: RegistryWorld, token: str) -> None:
    """The member's own organisation with the power writes; DOME wants a person's mandate."""
    for write in WRITES:
        before = world.state_root()
        is_allowed = token != "machine" or write in FIWARE_WRITES
        status = await send(world, write, f"bearer {token}")
        assert status in ((200, 201, 204) if is_allowed else (403,)), write
        assert (world.state_root() != before) == is_allowed, write


@pytest.mark.parametrize("world", [Roles(writer=bob), Roles(bob, is_open=True)], indirect=True)
async def test_the_ledger_judges_the_member(world: RegistryWorld) -> None:
    """A member without the right to the list is refused, whoever asks, by the ledger itself."""
    for write in WRITES:
        before, submissions = world.state_root(), world.submissions()
        assert await send(world, write, "Bearer right") == 403, write
        assert world.state_root() == before, write
        assert world.submissions() == submissions + 1, "it was the ledger that refused"


@pytest.mark.parametrize(
    "world",
    [Roles(verifier=None), Roles(organisations=()), Roles(None), Roles(None, is_open=True)],
    indirect=True,
)
async def test_without_set_up_nobody_writes(world: RegistryWorld) -> None:
    """No verifier, no organisation or no key: every write is 403, and reading stays open."""
    before = world.state_root(), world.submissions()
    for write in WRITES:
        assert await send(world, write, "Bearer right") == 403, write
        assert (world.state_root(), world.submissions()) == before, write
    assert (await world.http.get("/v4/issuers/")).status_code == 200
    assert (await world.http.get(f"{DOME}/participants")).status_code == 200


@pytest.mark.parametrize("world", [Roles(verifier=None, is_open=True)], indirect=True)
async def test_the_operator_can_open_a_private_network(world: RegistryWorld) -> None:
    """With the switch everybody writes without a token, as the member may."""
    for write in WRITES:
        before = world.state_root()
        assert await send(world, write, None) in (200, 201, 204), write
        assert world.state_root() != before, write


@pytest.mark.parametrize("world", [Roles(), Roles(is_open=True)], indirect=True)
async def test_what_another_member_registered_is_left_alone(world: RegistryWorld) -> None:
    """Bob's entries stay as they are though Alice's rights would do, and her own do not."""
    gateway = world.world.gateway
    await let_bob(world, "ledger.lists.>")
    ids = {DID: "did:elsi:VATES-BOB", "old": "bobs", "portal": "bobs", ADDRESS: "0x" + "c" * 40}
    for name, entry in TARGETS.items():
        body = entry.body.replace(b"portal", b"bobs").replace(b"a" * 40, b"c" * 40)
        changes = (put(ids[entry.id], entry.kind, body),)
        await bob(gateway).carry_out(ChangeList(name, changes))
    before = world.state_root(), world.submissions()
    changing = [write for write in WRITES if write.method != "POST"]
    for write in changing:
        text = f"{write.path} {json.dumps(write.document)}"
        for own, foreign in ids.items():
            text = text.replace(own, foreign) if own in write.path else text
        path, _, document = text.partition(" ")
        foreign_write = write._replace(path=path, document=json.loads(document))
        answer = await send(world, foreign_write, "Bearer right")
        assert answer == 403, foreign_write
    assert (world.state_root(), world.submissions()) == before
    # Of an issuer of her own she leaves what Bob put below it.
    accreditation = put(f"{DID}/jws", "accreditation", b"a.b.c")
    await bob(gateway).carry_out(ChangeList("issuers", (accreditation,)))
    assert await send(world, Write("DELETE", f"/issuer/{DID}"), "Bearer right") == 204
    assert len(world.revisions("issuers", accreditation.id)) == 1


class _Unreachable(Tokens):
    async def access(self, token: str) -> Access:
        """Fail as a verifier does whose keys cannot be fetched."""
        raise Unavailable(f"no keys for {len(token)} characters")


@pytest.mark.parametrize("world", [Roles(verifier=_Unreachable({}))], indirect=True)
async def test_what_cannot_be_checked_now_is_not_done(world: RegistryWorld) -> None:
    """When the token cannot be judged the answer is 503, and nothing is written."""
    before = world.state_root()
    for write in WRITES:
        assert await send(world, write, "Bearer right") == 503
    assert world.state_root() == before


def test_default_facades_refuse_writes() -> None:
    """Nobody has to remember to close what is open by default."""
    for facade in (FiwareFacade(FiwareSettings()), DomeTrustFacade(DomeTrustSettings())):
        access = facade._access
        assert (access._verifier, access._is_open) == (None, False)
