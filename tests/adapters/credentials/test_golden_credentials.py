"""Credentials and presentations that are right: every shape, every algorithm, every kind of key."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from joserfc.jwk import OKPKey

from adapters.credentials.access import Power
from adapters.credentials.checker import Expected
from adapters.credentials.verifier import access_of
from tests.adapters.credentials.credential_world import (
    BASE,
    CREDENTIAL_ID,
    ISSUER,
    MANDATOR,
    NOW_MS,
    Key,
    World,
    did_key,
    employee_v1,
    employee_v2,
    machine_v1,
    machine_v2,
    new_key,
    presentation,
    sign,
)
from tests.ledger.sample_network import ALICE, ALICE_DID

EXPECTED = Expected(frozenset({f"{BASE}/authorisation/v4"}))
POWERS = {
    Power("Onboarding", "Execute", "DOME"),
    Power("ProductOffering", "Create", "DOME"),
    Power("ProductOffering", "Update", "DOME"),
}
SHAPES = [
    (employee_v1, "LEARCredentialEmployee"),
    (employee_v2, "LEARCredentialEmployee"),
    (machine_v1, "LEARCredentialMachine"),
    (machine_v2, "LEARCredentialMachine"),
]
EC_AND_OKP = [
    ("P-256", "ES256"),
    ("secp256k1", "ES256K"),
    ("Ed25519", "EdDSA"),
    ("Ed25519", "Ed25519"),
]
Shape = Callable[[str], dict[str, Any]]


def document(did: str, key: Key, purpose: str = "assertionMethod") -> dict[str, Any]:
    """Give a DID document with one key."""
    method = {
        "id": f"{did}#{key.thumbprint()}",
        "type": "JsonWebKey2020",
        "controller": did,
        "publicKeyJwk": key.as_dict(private=False),
    }
    return {"id": did, "verificationMethod": [method], purpose: [method["id"]]}


@pytest.mark.parametrize("shape, type_", SHAPES)
async def test_every_shape_gives_organisation_powers_type_and_expiry(
    world: World, shape: Shape, type_: str
) -> None:
    """Both generations of both credentials say the same in their own words."""
    token = world.credential(shape(did_key(world.holder)))
    presented = await world.checker().presentation(presentation(world.holder, token), EXPECTED)
    access = access_of(presented.credentials[0], presented.holder)
    assert access.organisation == f"did:elsi:{MANDATOR}"
    assert access.subject == did_key(world.holder)
    assert access.credential_type == type_
    assert access.powers == POWERS
    assert access.expires_ms == NOW_MS + 86_400_000
    assert presented.credentials[0].id == CREDENTIAL_ID
    assert world.fetched == []


@pytest.mark.parametrize(
    "kind, alg",
    [("P-256", "ES256"), ("secp256k1", "ES256K"), ("RSA", "RS256"), ("Ed25519", "EdDSA")],
)
async def test_every_algorithm_of_an_issuer_on_the_ledger(
    world: World, kind: str, alg: str
) -> None:
    """A key in the issuer's DID document on the ledger verifies, whatever its kind."""
    key = new_key(kind)
    world.put("did-documents", (ISSUER, "document", document(ISSUER, key)))
    token = sign(employee_v1(did_key(world.holder)), key, alg, kid=f"{ISSUER}#{key.thumbprint()}")
    assert (await world.checker().credential(token)).issuer == ISSUER


@pytest.mark.parametrize(
    "kind, alg", [("P-256", "ES256"), ("secp256k1", "ES256K"), ("Ed25519", "EdDSA")]
)
async def test_every_kind_of_did_key_holds(world: World, kind: str, alg: str) -> None:
    """A holder is a did:key of any kind that can be written as one."""
    holder = new_key(kind)
    token = world.credential(employee_v1(did_key(holder)))
    presented = await world.checker().presentation(presentation(holder, token, alg=alg), EXPECTED)
    assert presented.key.alg == alg.replace("Ed25519", "EdDSA")


async def test_an_rsa_seal_with_its_chain_verifies(world: World) -> None:
    """RS256 by a certified key, as DOME's seals sign."""
    key = new_key("RSA")
    token = world.credential(employee_v1(did_key(world.holder)), key, "RS256")
    assert (await world.checker().credential(token)).issuer == ISSUER


async def test_a_did_web_issuer_is_fetched_from_its_host(world: World) -> None:
    """The document of a listed did:web is fetched where the method says."""
    did, key = "did:web:issuer.example:dome", new_key()
    world.list_issuer(did, "LEARCredentialEmployee")
    url = "https://issuer.example/dome/did.json"

    world.documents[url] = json.dumps(document(did, key)).encode()
    payload = employee_v1(did_key(world.holder))
    payload["iss"] = payload["vc"]["issuer"] = did
    await world.checker().credential(sign(payload, key, kid=f"{did}#{key.thumbprint()}"))
    assert world.fetched == [url]


async def test_a_credential_bound_to_a_key_needs_that_key(world: World) -> None:
    """`cnf.jwk` binds to the key, also where the mandatee has no DID."""
    payload = employee_v1("employee-1") | {"cnf": {"jwk": world.holder.as_dict(private=False)}}
    payload["sub"] = "employee-1"
    token = world.credential(payload)
    presented = await world.checker().presentation(presentation(world.holder, token), EXPECTED)
    assert presented.holder == did_key(world.holder)


async def test_a_participants_publisher_key_signs_for_it(world: World) -> None:
    """A participant of the ledger presents with the key that it publishes with."""
    private = Ed25519PrivateKey.from_private_bytes(bytes([3, 0]) + bytes(30))
    assert private.public_key().public_bytes_raw() == ALICE.public_key
    key = OKPKey(private, private)
    token = presentation(key, alg="EdDSA", did=ALICE_DID)
    presented = await world.checker().presentation(token, EXPECTED._replace(needs_credential=False))
    assert presented.holder == ALICE_DID
