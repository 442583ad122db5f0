"""Today's components over our registries: they trust exactly whom the lists name."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from adapters.access import WriteAccess
from adapters.dome.trust.facade import DomeTrustFacade, DomeTrustSettings
from adapters.fiware.facade import FiwareFacade, FiwareSettings
from ledger.core.trust.operations import RevokeEntry
from tests.adapters.consumers import Desmos, In2Issuer, In2Verifier, VcVerifier
from tests.adapters.registry_world import NOW_MS, RegistryWorld, alice, put, registry_world

ISSUER, TYPE = "VATES-11111111", "LEARCredentialEmployee"
DID = f"did:elsi:{ISSUER}"
ADDRESS = "0x00000000000000000000000000000000000000aA"


@pytest.fixture
async def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[RegistryWorld]:
    """Give a private network: components write without tokens, as they do today."""
    access = WriteAccess(is_open=True)
    facades = (
        FiwareFacade(FiwareSettings(), alice, access),
        DomeTrustFacade(DomeTrustSettings(), alice, access),
    )
    async with registry_world(tmp_path, monkeypatch, *facades) as running:
        yield running


async def test_the_verifier_trusts_listed_types_alone(world: RegistryWorld) -> None:
    """Issuer and mandator must both be listed for the type, until one is revoked."""
    verifier = In2Verifier(world.http, "/v4/issuers/")
    assert not await verifier.trusts(DID, "VATES-2", [TYPE])
    credentials = [{"credentialsType": TYPE}]
    for did in (DID, "did:elsi:VATES-2"):
        answer = await world.http.post("/issuer", json={"did": did, "credentials": credentials})
        assert answer.status_code == 201
    assert await verifier.trusts(DID, "VATES-2", ["VerifiableCredential", TYPE])
    assert not await verifier.trusts(DID, "VATES-2", ["VerifiableCredential"])
    assert not await verifier.trusts(DID, "VATES-3", [TYPE])
    await world.change("issuers", RevokeEntry("did:elsi:VATES-2", None))
    assert not await verifier.trusts(DID, "VATES-2", [TYPE])


async def test_the_verifier_does_not_trust_what_is_over(world: RegistryWorld) -> None:
    """It looks at no dates itself, so what is out of its time must not be served to it."""
    verifier = In2Verifier(world.http, "/v4/issuers/")
    body = b'{"credentialsType":"%s"}' % TYPE.encode()
    for valid, expected in (
        ((0, NOW_MS + 1), True),
        ((0, NOW_MS), False),
        ((NOW_MS + 1, 0), False),
    ):
        credential = put(f"{DID}/a", "credential", body, valid)
        await world.change("issuers", put(DID, "issuer"), credential)
        assert await verifier.trusts(DID, ISSUER, [TYPE]) == expected


async def test_fiwares_verifier_checks_values_and_participants(world: RegistryWorld) -> None:
    """It reads version 4 when the DID is there, asks for 3 in vain when not, and checks values."""
    claims = [{"name": "role", "path": "$.role", "allowedValues": ["GOLD", 12]}]
    credentials = [{"credentialsType": TYPE, "claims": claims}]
    await world.http.post("/issuer", json={"did": DID, "credentials": credentials})
    issuers = VcVerifier(world.http, "")
    for claim, value, expected in (
        ("role", "GOLD", True),
        ("role", 12, True),
        ("role", "LEAD", False),
        ("other", "x", True),
    ):
        assert await issuers.may_issue(DID, TYPE, claim, value) == expected
    assert not await issuers.may_issue(DID, "Other", "role", "GOLD")
    assert {path[:4] for path in issuers.asked} == {"/v4/"}
    assert not await issuers.may_issue("did:elsi:X", TYPE, "role", "GOLD")
    assert issuers.asked[-2:] == ["/v4/issuers/did:elsi:X", "/v3/issuers/did:elsi:X"]
    participants = VcVerifier(world.http, "/trusted-participants")
    assert not await participants.is_participant(DID)
    registry = "/dome-trust-registry/v4/participants"
    assert (await world.http.post(registry, json={"did": DID})).status_code == 200
    assert await participants.is_participant(DID)
    assert (await world.http.delete(f"{registry}/{DID}")).status_code == 200
    assert not await participants.is_participant(DID)


async def test_the_issuer_component_registers_once(world: RegistryWorld) -> None:
    """The first registration is 201, the second 409, and the component is content with both."""
    component = In2Issuer(world.http, "")
    assert [await component.register(ISSUER) for _ in range(3)] == [201, 409, 409]
    assert (await world.http.get("/issuer")).json()["items"] == [DID]


async def test_desmos_knows_registered_addresses(world: RegistryWorld) -> None:
    """It knows an address whatever its letters, with its zeros, and no other."""
    desmos = Desmos(world.http, "/trust-framework/trusted_access_nodes_list.yaml")
    assert not await desmos.is_known(ADDRESS)
    document = {"dlt_address": ADDRESS, "name": "IN2"}
    registered = await world.http.post("/dome-trust-registry/v4/accessNodes", json=document)
    assert registered.status_code == 200
    assert await desmos.is_known(ADDRESS)
    assert await desmos.is_known(ADDRESS.lower())
    assert not await desmos.is_known("0x" + "0" * 40)
