"""One thing wrong at a time: each is refused, with its own code."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from adapters.credentials.access import AccessRefused, Refusal
from adapters.credentials.checker import Expected
from adapters.credentials.replay import ReplayMemory
from adapters.credentials.verifier import access_of
from tests.adapters.credentials.credential_world import (
    BASE,
    CREDENTIAL_ID,
    ISSUER,
    NOW_MS,
    NOW_S,
    OTHER,
    Authority,
    World,
    day,
    did_key,
    employee_v1,
    new_key,
    presentation,
    sign,
    x5c,
)

EXPECTED = Expected(frozenset({f"{BASE}/authorisation/v4"}))
TYPE = "LEARCredentialEmployee"
Spoil = Callable[[World, dict[str, Any]], str]


async def refusal_of(attempt: Awaitable[object]) -> Refusal:
    """Give the code that an attempt is refused with."""
    with pytest.raises(AccessRefused) as caught:
        await attempt
    return caught.value.code


def flipped(token: str) -> str:
    """Change one bit of a token's signature."""
    head, _, tail = token.rpartition(".")
    return f"{head}.{'A' if tail[0] != 'A' else 'B'}{tail[1:]}"


# --- credentials ----------------------------------------------------------------------------


def _bad_signature(world: World, payload: dict[str, Any]) -> str:
    return flipped(world.credential(payload))


def _other_algorithm(world: World, payload: dict[str, Any]) -> str:
    return world.credential(payload, new_key("RSA"), "RS256", x5c=_chain(world, world.issuer_key))


def _unknown_kid(world: World, payload: dict[str, Any]) -> str:
    method = {"id": f"{ISSUER}#1", "publicKeyJwk": world.issuer_key.as_dict(private=False)}
    document = {"id": ISSUER, "verificationMethod": [method], "assertionMethod": [f"{ISSUER}#1"]}
    world.put("did-documents", (ISSUER, "document", document))
    return sign(payload, world.issuer_key, kid=f"{ISSUER}#2")


def _key_of_another_purpose(world: World, payload: dict[str, Any]) -> str:
    method = {"id": f"{ISSUER}#1", "publicKeyJwk": world.issuer_key.as_dict(private=False)}
    document = {"id": ISSUER, "verificationMethod": [method], "authentication": [f"{ISSUER}#1"]}
    world.put("did-documents", (ISSUER, "document", document))
    return sign(payload, world.issuer_key, kid=f"{ISSUER}#1")


def _key_only_in_header(world: World, payload: dict[str, Any]) -> str:
    return sign(payload, world.issuer_key, jwk=world.issuer_key.as_dict(private=False))


def _leaf_of_another(world: World, payload: dict[str, Any]) -> str:
    leaf = world.middle.leaf(OTHER.removeprefix("did:elsi:"), world.issuer_key)
    return world.credential(payload, x5c=x5c(leaf, world.middle.certificate))


def _chain_without_its_middle(world: World, payload: dict[str, Any]) -> str:
    leaf = world.middle.leaf(ISSUER.removeprefix("did:elsi:"), world.issuer_key)
    return world.credential(payload, x5c=x5c(leaf))


def _chain_to_a_strange_root(world: World, payload: dict[str, Any]) -> str:
    strange = Authority("Root")
    leaf = strange.leaf(ISSUER.removeprefix("did:elsi:"), world.issuer_key)
    return world.credential(payload, x5c=x5c(leaf, strange.certificate))


def _chain_through_a_leaf(world: World, payload: dict[str, Any]) -> str:
    """A certified organisation plays authority."""
    fake = Authority("Fake", world.middle)
    fake.certificate = world.middle.leaf("VATES-X", _private_as_key(fake))
    fake.subject = fake.certificate.subject
    leaf = fake.leaf(ISSUER.removeprefix("did:elsi:"), world.issuer_key)
    chain = x5c(leaf, fake.certificate, world.middle.certificate)
    return world.credential(payload, x5c=chain)


def _old_certificate(world: World, payload: dict[str, Any]) -> str:
    identifier = ISSUER.removeprefix("did:elsi:")
    leaf = world.middle.leaf(identifier, world.issuer_key, days=(-10, -1))
    return world.credential(payload, x5c=x5c(leaf, world.middle.certificate))


def _certificate_for_encryption(world: World, payload: dict[str, Any]) -> str:
    identifier = ISSUER.removeprefix("did:elsi:")
    leaf = world.middle.leaf(identifier, world.issuer_key, use="encrypt")
    return world.credential(payload, x5c=x5c(leaf, world.middle.certificate))


def _expired_token(world: World, payload: dict[str, Any]) -> str:
    return world.credential(payload | {"exp": NOW_S})


def _expired_credential(world: World, payload: dict[str, Any]) -> str:
    payload["vc"]["expirationDate"] = day(-1)
    return world.credential(payload)


def _expired_mandate(world: World, payload: dict[str, Any]) -> str:
    payload["vc"]["credentialSubject"]["mandate"]["life_span"]["end_date_time"] = day(-1)
    return world.credential(payload)


def _not_yet_valid(world: World, payload: dict[str, Any]) -> str:
    payload["vc"]["validFrom"] = day(1)
    return world.credential(payload)


def _mandate_in_future(world: World, payload: dict[str, Any]) -> str:
    payload["vc"]["credentialSubject"]["mandate"]["life_span"]["start_date_time"] = day(1)
    return world.credential(payload)


def _revoked(world: World, payload: dict[str, Any]) -> str:
    world.put("revoked-credentials", (CREDENTIAL_ID, "revocation", b""))
    return world.credential(payload)


def _revoked_by_bare_id(world: World, payload: dict[str, Any]) -> str:
    bare = CREDENTIAL_ID.removeprefix("urn:uuid:")
    world.put("revoked-credentials", (bare, "revocation", b""))
    return world.credential(payload)


def _issuer_not_listed(world: World, payload: dict[str, Any]) -> str:
    world.revoke("issuers", ISSUER)
    return world.credential(payload)


def _issuer_for_another_type(world: World, payload: dict[str, Any]) -> str:
    world.revoke("issuers", f"{ISSUER}/{TYPE}")
    return world.credential(payload)


def _type_behind_another(world: World, payload: dict[str, Any]) -> str:
    """The issuer is listed for one type and claims another one besides."""
    world.put("issuers", (f"{ISSUER}/other", "credential", {"credentialsType": "Other"}))
    payload["vc"]["type"] = ["VerifiableCredential", "Other", TYPE]
    world.revoke("issuers", f"{ISSUER}/{TYPE}")
    return world.credential(payload)


def _type_before_another(world: World, payload: dict[str, Any]) -> str:
    _type_behind_another(world, payload)
    payload["vc"]["type"].reverse()
    return world.credential(payload)


def _issuer_before_its_time(world: World, payload: dict[str, Any]) -> str:
    body = {"credentialsType": TYPE, "validFor": {"from": day(1), "to": day(2)}}
    world.put("issuers", (f"{ISSUER}/{TYPE}", "credential", body))
    return world.credential(payload)


def _issuer_after_its_time(world: World, payload: dict[str, Any]) -> str:
    world.put_for("issuers", (ISSUER, "issuer", b""), (1, NOW_MS))
    return world.credential(payload)


def _attribute_after_its_time(world: World, payload: dict[str, Any]) -> str:
    item = (f"{ISSUER}/{TYPE}", "credential", {"credentialsType": TYPE})
    world.put_for("issuers", item, (1, NOW_MS))
    return world.credential(payload)


def _claim_with_another_value(world: World, payload: dict[str, Any]) -> str:
    claim = {"name": "c", "path": "$.mandate.mandator.country", "allowedValues": ["FR"]}
    body = {"credentialsType": TYPE, "claims": [claim]}
    world.put("issuers", (f"{ISSUER}/{TYPE}", "credential", body))
    return world.credential(payload)


def _powers_that_disagree(world: World, payload: dict[str, Any]) -> str:
    power = payload["vc"]["credentialSubject"]["mandate"]["power"][0]
    power["function"] = "ProductOffering"
    return world.credential(payload)


def _issuer_that_did_not_sign(world: World, payload: dict[str, Any]) -> str:
    return world.credential(payload | {"iss": OTHER})


def _without_an_end(world: World, payload: dict[str, Any]) -> str:
    del payload["exp"], payload["vc"]["expirationDate"]
    del payload["vc"]["credentialSubject"]["mandate"]["life_span"]["end_date_time"]
    return world.credential(payload)


def _unknown_status(world: World, payload: dict[str, Any]) -> str:
    payload["vc"]["credentialStatus"] = {"type": "Telephone"}
    return world.credential(payload)


def _chain(world: World, key: Any) -> list[str]:  # noqa: ANN401 - any key
    leaf = world.middle.leaf(ISSUER.removeprefix("did:elsi:"), key)
    return x5c(leaf, world.middle.certificate)


def _private_as_key(authority: Authority) -> Any:  # noqa: ANN401 - has a public key is enough
    class Holder:
        public_key = authority.private.public_key()

    return Holder()


SPOILED: list[tuple[Spoil, Refusal]] = [
    (_bad_signature, Refusal.BAD_SIGNATURE),
    (_other_algorithm, Refusal.ALGORITHM),
    (_unknown_kid, Refusal.UNKNOWN_KEY),
    (_key_of_another_purpose, Refusal.UNKNOWN_KEY),
    (_key_only_in_header, Refusal.UNKNOWN_KEY),
    (_leaf_of_another, Refusal.CERTIFICATE_SUBJECT),
    (_chain_without_its_middle, Refusal.CERTIFICATE),
    (_chain_to_a_strange_root, Refusal.CERTIFICATE),
    (_chain_through_a_leaf, Refusal.CERTIFICATE),
    (_old_certificate, Refusal.CERTIFICATE),
    (_certificate_for_encryption, Refusal.CERTIFICATE),
    (_expired_token, Refusal.EXPIRED),
    (_expired_credential, Refusal.EXPIRED),
    (_expired_mandate, Refusal.EXPIRED),
    (_not_yet_valid, Refusal.NOT_YET_VALID),
    (_mandate_in_future, Refusal.NOT_YET_VALID),
    (_revoked, Refusal.REVOKED),
    (_revoked_by_bare_id, Refusal.REVOKED),
    (_issuer_not_listed, Refusal.ISSUER_NOT_TRUSTED),
    (_issuer_for_another_type, Refusal.ISSUER_NOT_FOR_TYPE),
    (_type_behind_another, Refusal.ISSUER_NOT_FOR_TYPE),
    (_type_before_another, Refusal.ISSUER_NOT_FOR_TYPE),
    (_issuer_before_its_time, Refusal.ISSUER_OUT_OF_TIME),
    (_issuer_after_its_time, Refusal.ISSUER_OUT_OF_TIME),
    (_attribute_after_its_time, Refusal.ISSUER_OUT_OF_TIME),
    (_claim_with_another_value, Refusal.CLAIM_NOT_ALLOWED),
    (_powers_that_disagree, Refusal.MALFORMED),
    (_issuer_that_did_not_sign, Refusal.MALFORMED),
    (_without_an_end, Refusal.MALFORMED),
    (_unknown_status, Refusal.STATUS_UNKNOWN),
]


@pytest.mark.parametrize("spoil, code", SPOILED, ids=lambda value: getattr(value, "__name__", None))
async def test_a_credential_with_one_fault_is_refused(
    world: World, spoil: Spoil, code: Refusal
) -> None:
    """The same credential without the fault is accepted; with it, its code says which it was."""
    payload = employee_v1(did_key(world.holder))
    await world.checker().credential(world.credential(payload))
    assert await refusal_of(world.checker().credential(spoil(world, payload))) is code


async def test_a_credential_of_a_type_that_is_not_asked_for_is_refused(world: World) -> None:
    """Only the types that were asked for count."""
    token = world.credential(employee_v1(did_key(world.holder)))
    attempt = world.checker().credential(token, frozenset({"LEARCredentialMachine"}))
    assert await refusal_of(attempt) is Refusal.CREDENTIAL_TYPE


# --- presentations --------------------------------------------------------------------------

PRESENTED: list[tuple[dict[str, Any], Refusal]] = [
    ({"aud": "https://other.example"}, Refusal.AUDIENCE),
    ({"aud": None}, Refusal.AUDIENCE),
    ({"exp": NOW_S}, Refusal.EXPIRED),
    ({"iat": NOW_S - 300, "exp": NOW_S + 9_000}, Refusal.EXPIRED),
    ({"iat": NOW_S + 31}, Refusal.NOT_YET_VALID),
    ({"nbf": NOW_S + 31}, Refusal.NOT_YET_VALID),
    ({"iat": None, "exp": None}, Refusal.MALFORMED),
    ({"iat": None, "exp": NOW_S + 301}, Refusal.MALFORMED),
    ({"nonce": None, "jti": None}, Refusal.NONCE),
    ({"iss": OTHER}, Refusal.MALFORMED),
]


@pytest.mark.parametrize("claims, code", PRESENTED)
async def test_a_presentation_with_one_fault_is_refused(
    world: World, claims: dict[str, Any], code: Refusal
) -> None:
    """Audience, life and nonce are each refused with their own code."""
    token = world.credential(employee_v1(did_key(world.holder)))
    spoiled = presentation(world.holder, token, **claims)
    assert await refusal_of(world.checker().presentation(spoiled, EXPECTED)) is code


async def test_a_presentation_lives_to_the_second_before_its_end(world: World) -> None:
    """At its limits of time it is still accepted."""
    token = world.credential(employee_v1(did_key(world.holder)))
    at_limits = presentation(world.holder, token, iat=NOW_S - 299, exp=NOW_S + 1, nbf=NOW_S + 30)
    await world.checker().presentation(at_limits, EXPECTED)


async def test_a_stolen_credential_cannot_be_presented(world: World) -> None:
    """Who presents must be whom the credential was given to."""
    thief = new_key()
    token = world.credential(employee_v1(did_key(world.holder)))
    attempt = world.checker().presentation(presentation(thief, token), EXPECTED)
    assert await refusal_of(attempt) is Refusal.HOLDER


async def test_a_presentation_in_anothers_name_is_refused(world: World) -> None:
    """A thief who names the holder has not the holder's key."""
    token = world.credential(employee_v1(did_key(world.holder)))
    forged = presentation(new_key(), token, did=did_key(world.holder))
    code = await refusal_of(world.checker().presentation(forged, EXPECTED))
    assert code is Refusal.BAD_SIGNATURE


async def test_a_bound_key_does_not_speak_for_another_did(world: World) -> None:
    """`cnf.jwk` never makes its owner somebody else: the named DID's own key is needed."""
    thief, victim = new_key(), new_key()
    payload = employee_v1("anybody") | {"cnf": {"jwk": thief.as_dict(private=False)}}
    token = world.credential(payload | {"sub": "anybody"})
    forged = presentation(thief, token, did=did_key(victim))
    code = await refusal_of(world.checker().presentation(forged, EXPECTED))
    assert code is Refusal.HOLDER


async def test_a_presentation_without_credentials_is_refused_where_one_is_needed(
    world: World,
) -> None:
    """An empty presentation proves a DID, but no mandate."""
    empty = presentation(world.holder)
    assert (
        await refusal_of(world.checker().presentation(empty, EXPECTED)) is Refusal.CREDENTIAL_TYPE
    )


async def test_a_nonce_that_was_given_out_must_come_back(world: World) -> None:
    """Another nonce than ours is refused."""
    token = world.credential(employee_v1(did_key(world.holder)))
    expected = EXPECTED._replace(nonce="ours")
    attempt = world.checker().presentation(presentation(world.holder, token), expected)
    assert await refusal_of(attempt) is Refusal.NONCE


async def test_replays_are_refused_for_as_long_as_they_could_live(world: World) -> None:
    """The same presentation, and another one with the same nonce, are refused for five minutes."""
    checker = world.checker()
    token = world.credential(employee_v1(did_key(world.holder)))
    first = presentation(world.holder, token)
    await checker.presentation(first, EXPECTED)
    assert await refusal_of(checker.presentation(first, EXPECTED)) is Refusal.REPLAYED
    again = presentation(world.holder, token, jti="p-2")
    assert await refusal_of(checker.presentation(again, EXPECTED)) is Refusal.REPLAYED
    await checker.presentation(presentation(world.holder, token, nonce="n-2"), EXPECTED)
    world.now_ms += 330_000
    late = presentation(world.holder, token, iat=world.now_ms // 1000, exp=world.now_ms + 1)
    await checker.presentation(late, EXPECTED)


async def test_a_refused_presentation_is_not_remembered(world: World) -> None:
    """What was refused for its signature does not burn the nonce of the honest holder."""
    checker = world.checker()
    token = world.credential(employee_v1(did_key(world.holder)))
    forged = presentation(new_key(), token, did=did_key(world.holder))
    assert await refusal_of(checker.presentation(forged, EXPECTED)) is Refusal.BAD_SIGNATURE
    await checker.presentation(presentation(world.holder, token), EXPECTED)


def test_the_memory_of_replays_is_bounded() -> None:
    """A full memory refuses new ones until the oldest can be forgotten, and forgets none before."""
    memory = ReplayMemory(count_max=2)
    memory.use(b"a", now_ms=0)
    memory.use(b"b", now_ms=10)
    with pytest.raises(AccessRefused) as caught:
        memory.use(b"c", now_ms=329_999)
    assert (caught.value.code, caught.value.status) == (Refusal.BUSY, 503)
    memory.use(b"c", now_ms=330_000)
    with pytest.raises(AccessRefused, match="used before"):
        memory.use(b"b", now_ms=330_009)


async def test_a_missing_power_is_refused_by_name(world: World) -> None:
    """A facade asks for a power; the letters' case is no matter, everything else is."""
    credential = await world.checker().credential(
        world.credential(employee_v1(did_key(world.holder)))
    )
    access = access_of(credential, "s")
    access.need_power("onboarding", "EXECUTE")
    for wanted in (("ProductOffering", "Delete"), ("Onboarding", "Execute", "OTHER")):
        with pytest.raises(AccessRefused) as caught:
            access.need_power(*wanted)
        assert (caught.value.code, caught.value.status) == (Refusal.POWER, 403)


async def test_nothing_goes_outside_for_an_issuer_that_is_not_listed(world: World) -> None:
    """An unlisted did:web makes us fetch nothing."""
    payload = employee_v1(did_key(world.holder))
    payload["iss"] = payload["vc"]["issuer"] = "did:web:evil.example"
    token = sign(payload, world.issuer_key, kid="did:web:evil.example#1")
    code = await refusal_of(world.checker().credential(token))
    assert (code, world.fetched) == (Refusal.ISSUER_NOT_TRUSTED, [])


async def test_an_accreditation_of_ebsi_lets_its_issuer_issue(world: World) -> None:
    """An accreditation counts for its types only while its metadata says trusted issuer or more."""
    world.revoke("issuers", f"{ISSUER}/{TYPE}")
    subject = {"id": ISSUER, "accreditedFor": [{"types": ["VerifiableCredential", TYPE]}]}
    accreditation = sign({"vc": {"credentialSubject": subject}}, new_key(), kid="k").encode()
    world.put("issuers", (f"{ISSUER}/a1", "accreditation", accreditation))
    token = world.credential(employee_v1(did_key(world.holder)))
    assert await refusal_of(world.checker().credential(token)) is Refusal.ISSUER_NOT_FOR_TYPE
    for kind, accepted in (("TI", True), ("Revoked", False), ("TAO", True)):
        world.put("issuers", (f"{ISSUER}/a1/metadata", "metadata", {"issuerType": kind}))
        if accepted:
            await world.checker().credential(token)
        else:
            code = await refusal_of(world.checker().credential(token))
            assert code is Refusal.ISSUER_NOT_FOR_TYPE
