"""Every limit of credentials: at it something is still read, one more is refused."""

from typing import Any

import pytest

from adapters.credentials.access import AccessRefused, Refusal
from adapters.credentials.certificates import TrustAnchors
from adapters.credentials.credential import read_credential
from adapters.credentials.did_keys import document_keys
from adapters.credentials.jose import parse_jws
from adapters.credentials.presentation import read_presentation
from adapters.credentials.verifier import _key_set
from ledger.core.errors import Unavailable
from ledger.core.limits import (
    CERTIFICATES_COUNT_MAX,
    JWKS_KEYS_MAX,
    LIST_ID_CHARS_MAX,
    MANDATE_POWERS_MAX,
    PRESENTATION_CREDENTIALS_MAX,
)
from tests.adapters.credentials.credential_world import (
    ISSUER,
    NOW_MS,
    World,
    did_key,
    employee_v1,
    new_key,
    presentation,
    x5c,
)


def test_powers_are_counted_one_by_one() -> None:
    """A list of actions counts as many powers."""
    payload = employee_v1(did_key(new_key()))
    mandate: dict[str, Any] = payload["vc"]["credentialSubject"]["mandate"]
    actions = [str(number) for number in range(MANDATE_POWERS_MAX + 1)]
    mandate["power"] = [{"function": "F", "action": actions[:-1], "domain": "DOME"}]
    assert len(read_credential(payload).powers) == MANDATE_POWERS_MAX
    mandate["power"] = [{"function": "F", "action": actions, "domain": "DOME"}]
    with pytest.raises(AccessRefused, match="powers"):
        read_credential(payload)


def test_a_credentials_id_must_fit_the_list_of_the_revoked() -> None:
    """What could not be revoked is not accepted: neither a long id nor one with a space."""
    payload = employee_v1(did_key(new_key()))
    longest = "i" * (LIST_ID_CHARS_MAX - len("urn:uuid:"))
    payload["vc"]["id"] = longest
    assert read_credential(payload).ids == (longest, f"urn:uuid:{longest}")
    for id_ in (longest + "i", "a b", "ü", "a\n"):
        payload["vc"]["id"] = id_
        with pytest.raises(AccessRefused, match="revoked"):
            read_credential(payload)


def test_a_presentation_holds_few_credentials() -> None:
    """One more than permitted is refused before any is looked at."""
    key = new_key()
    tokens = ["e30.e30.e30"] * PRESENTATION_CREDENTIALS_MAX
    assert len(read_presentation(parse_jws(presentation(key, *tokens))).credentials) == len(tokens)
    with pytest.raises(AccessRefused, match="at most"):
        read_presentation(parse_jws(presentation(key, *tokens, "e30.e30.e30")))


def test_a_chain_is_short(world: World) -> None:
    """Certificates that the chain does not need are tolerated up to the limit."""
    leaf = world.middle.leaf(ISSUER.removeprefix("did:elsi:"), world.issuer_key)
    more = [world.middle.certificate] * CERTIFICATES_COUNT_MAX
    anchors = TrustAnchors(world.root.pem)
    anchors.key_of(ISSUER, x5c(leaf, *more[:-1]), NOW_MS)
    broken: list[object] = [x5c(leaf, *more), [], "x", [1], ["AA=="], ["%"], {}]
    for chain in broken:
        with pytest.raises(AccessRefused) as caught:
            anchors.key_of(ISSUER, chain, NOW_MS)
        assert caught.value.code is Refusal.MALFORMED
    with pytest.raises(AccessRefused) as caught:
        TrustAnchors().key_of(ISSUER, x5c(leaf, world.middle.certificate), NOW_MS)
    assert caught.value.code is Refusal.CERTIFICATE


def test_documents_and_key_sets_hold_few_keys() -> None:
    """A document and a key set are refused whole when they hold too many."""
    key = new_key().as_dict(private=False)
    did = "did:web:a.example"
    methods = [{"id": f"{did}#{number}", "publicKeyJwk": key} for number in range(JWKS_KEYS_MAX)]
    ids = [method["id"] for method in methods]
    document = {"id": did, "verificationMethod": methods, "assertionMethod": ids}
    assert len(document_keys(document, did, "assertionMethod")) == JWKS_KEYS_MAX
    document["verificationMethod"] = [*methods, {"id": f"{did}#x", "publicKeyJwk": key}]
    with pytest.raises(AccessRefused, match="at most"):
        document_keys(document, did, "assertionMethod")
    assert len(_key_set(b'{"keys":[' + b",".join([b"{}"] * JWKS_KEYS_MAX) + b"]}")) == JWKS_KEYS_MAX
    with pytest.raises(Unavailable, match="more than"):
        _key_set(b'{"keys":[' + b",".join([b"{}"] * (JWKS_KEYS_MAX + 1)) + b"]}")
