"""Hostile bytes: whatever comes in, a refusal comes out and nothing else."""

import json
from base64 import urlsafe_b64encode
from contextlib import suppress
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st
from joserfc import jws as joserfc_jws
from joserfc.jwk import ECKey, OctKey

from adapters.credentials.access import AccessRefused, Refusal
from adapters.credentials.certificates import TrustAnchors
from adapters.credentials.credential import StatusEntry, read_credential
from adapters.credentials.did_keys import (
    choose_key,
    document_keys,
    key_of_did_key,
    key_of_multibase,
    web_location,
)
from adapters.credentials.jose import key_of_jwk, parse_jws, verify_jws
from adapters.credentials.presentation import need_time, read_presentation
from adapters.credentials.recovery import recovered_key
from adapters.credentials.status import is_in_plain_list, is_set, parse_status_list, unpack
from adapters.ebsi.identifiers import base58_encode
from ledger.core.limits import TOKEN_CHARS_MAX, TOKEN_HEADER_CHARS_MAX
from tests.adapters.credentials.credential_world import NOW_MS, did_key, new_key, sign

DID = "did:web:issuer.example"
ENTRY = StatusEntry("BitstringStatusListEntry", "revocation", "3", "https://issuer.example/s")


def part(value: object) -> str:
    """Encode one part of a JWS."""
    data = value if isinstance(value, bytes) else json.dumps(value).encode()
    return urlsafe_b64encode(data).decode().rstrip("=")


def token(header: object, payload: object = b"{}", signature: bytes = bytes(64)) -> str:
    """Put a token together."""
    return ".".join((part(header), part(payload), part(signature)))


ES256 = {"alg": "ES256"}
DEEP = b'{"a":' * 33 + b"1" + b"}" * 33
HOSTILE: list[tuple[str, str, Refusal]] = [
    ("empty", "", Refusal.MALFORMED),
    ("two parts", "e30.e30", Refusal.MALFORMED),
    ("five parts", "e30.e30.e30.e30.e30", Refusal.MALFORMED),
    ("none", token({"alg": "none"}, signature=b""), Refusal.ALGORITHM),
    ("None in capitals", token({"alg": "NONE"}), Refusal.ALGORITHM),
    ("symmetric", token({"alg": "HS256"}), Refusal.ALGORITHM),
    ("encryption", token({"alg": "dir"}), Refusal.ALGORITHM),
    ("no alg", token({}), Refusal.ALGORITHM),
    ("alg is a list", token({"alg": ["ES256"]}), Refusal.ALGORITHM),
    ("alg is an object", token({"alg": {}}), Refusal.ALGORITHM),
    ("critical", token({"alg": "ES256", "crit": ["exp"]}), Refusal.MALFORMED),
    ("unencoded payload", token({"alg": "ES256", "b64": False}), Refusal.MALFORMED),
    ("alg twice", token(b'{"alg":"ES256","alg":"ES256"}'), Refusal.MALFORMED),
    ("alg twice, escaped", token(b'{"alg":"ES256","\\u0061lg":"none"}'), Refusal.MALFORMED),
    ("claim twice", token(ES256, b'{"exp":1,"exp":2}'), Refusal.MALFORMED),
    ("claim twice inside", token(ES256, b'{"vc":{"id":"a","id":"b"}}'), Refusal.MALFORMED),
    ("too deep", token(ES256, DEEP), Refusal.MALFORMED),
    ("far too deep", token(ES256, b"[" * 20_000), Refusal.MALFORMED),
    ("no object", token(ES256, b"[]"), Refusal.MALFORMED),
    ("NaN", token(ES256, b'{"exp":NaN}'), Refusal.MALFORMED),
    ("trailing text", token(ES256, b"{} {}"), Refusal.MALFORMED),
    ("not UTF-8", token(ES256, b'{"a":"\xff"}'), Refusal.MALFORMED),
    ("lone surrogate", token(ES256, b'{"a":"\\ud800"}'), Refusal.MALFORMED),
    ("byte-order mark", token(ES256, b"\xef\xbb\xbf{}"), Refusal.MALFORMED),
    ("padding", token(ES256) + "=", Refusal.MALFORMED),
    ("second encoding of a signature", token(ES256)[:-1] + "B", Refusal.MALFORMED),
    ("white space", token(ES256).replace(".", ".\n"), Refusal.MALFORMED),
    ("not ASCII", token(ES256).replace(".", "．"), Refusal.MALFORMED),  # noqa: RUF001 - on purpose
    ("standard alphabet", token(ES256, b"{}", b"\xff" * 64).replace("_", "/"), Refusal.MALFORMED),
    ("huge header", token(ES256 | {"x": "a" * TOKEN_HEADER_CHARS_MAX}), Refusal.MALFORMED),
    ("huge", token(ES256, {"x": "a" * TOKEN_CHARS_MAX}), Refusal.MALFORMED),
]


@pytest.mark.parametrize("name, text, code", HOSTILE)
def test_hostile_tokens_are_refused(name: str, text: str, code: Refusal) -> None:
    """Each trick known from other implementations is refused, with its code."""
    with pytest.raises(AccessRefused) as caught:
        parse_jws(text)
    assert caught.value.code is code, name


def test_a_token_of_exactly_the_permitted_size_is_read() -> None:
    """One character more is refused."""
    room = TOKEN_CHARS_MAX - len(token(ES256, {"x": ""}))
    largest = token(ES256, {"x": "a" * (room * 3 // 4)})
    parse_jws(largest)
    assert TOKEN_CHARS_MAX - 4 < len(largest) <= TOKEN_CHARS_MAX
    with pytest.raises(AccessRefused):
        parse_jws(token(ES256, {"x": "a" * (room * 3 // 4 + 4)}))


def test_a_public_key_never_serves_as_a_symmetric_one() -> None:
    """The classic confusion: HMAC under the bytes of the issuer's public key."""
    key = new_key("RSA")
    secret = OctKey.import_key(json.dumps(key.as_dict(private=False)).encode())
    forged = parse_refusal(_hmac({"iss": DID}, secret))
    assert forged is Refusal.ALGORITHM


def _hmac(payload: dict[str, Any], secret: OctKey) -> str:
    return joserfc_jws.serialize_compact({"alg": "HS256"}, json.dumps(payload).encode(), secret)


def parse_refusal(text: str) -> Refusal:
    """Give the code with which parsing refuses."""
    with pytest.raises(AccessRefused) as caught:
        parse_jws(text)
    return caught.value.code


@pytest.mark.parametrize("kind, alg", [("P-256", "ES256"), ("RSA", "RS256"), ("Ed25519", "EdDSA")])
def test_a_key_verifies_under_its_own_algorithm_alone(kind: str, alg: str) -> None:
    """A header that names another algorithm than the key's is refused before verifying."""
    key = new_key(kind)
    verifying = key_of_jwk(key.as_dict(private=False))
    verify_jws(parse_jws(sign({}, key, alg)), verifying)
    other = "ES256K" if alg == "ES256" else "ES256"
    with pytest.raises(AccessRefused) as caught:
        verify_jws(parse_jws(token({"alg": other})), verifying)
    assert caught.value.code is Refusal.ALGORITHM


def test_a_header_cannot_bring_its_own_key() -> None:
    """A `jwk` that is not the signer's known key is refused even if it signed."""
    thief, known = new_key(), key_of_jwk(new_key().as_dict(private=False))
    forged = parse_jws(sign({}, thief, jwk=thief.as_dict(private=False)))
    with pytest.raises(AccessRefused) as caught:
        verify_jws(forged, known)
    assert caught.value.code is Refusal.UNKNOWN_KEY


BAD_SIGNATURES = [bytes(64), b"", bytes(63), bytes(65), b"\xff" * 64, b"0" * 70]


@pytest.mark.parametrize("signature", BAD_SIGNATURES)
def test_degenerate_signatures_are_refused(signature: bytes) -> None:
    """Zeros, a wrong length, DER and numbers beyond the order verify nothing."""
    key = key_of_jwk(new_key().as_dict(private=False))
    with pytest.raises(AccessRefused) as caught:
        verify_jws(parse_jws(token(ES256, signature=signature)), key)
    assert caught.value.code is Refusal.BAD_SIGNATURE


BAD_KEYS: list[tuple[dict[str, Any], Refusal]] = [
    ({"kty": "oct", "k": "AA"}, Refusal.MALFORMED),
    ({"kty": "EC", "crv": "P-384", "x": "AA", "y": "AA"}, Refusal.ALGORITHM),
    ({"kty": "EC", "crv": "P-256", "x": part(bytes(32)), "y": part(bytes(32))}, Refusal.MALFORMED),
    ({"kty": "EC", "crv": "P-256", "x": part(bytes(31)), "y": part(bytes(32))}, Refusal.MALFORMED),
    ({"kty": "OKP", "crv": "X25519", "x": part(bytes(32))}, Refusal.ALGORITHM),
    ({"kty": "OKP", "crv": "Ed25519", "x": part(bytes(32))}, Refusal.ALGORITHM),
    ({"kty": "OKP", "crv": "Ed25519", "x": part(b"\x01" + bytes(31))}, Refusal.ALGORITHM),
    ({"kty": "RSA", "n": part(b"\xff" * 128), "e": "AQAB"}, Refusal.ALGORITHM),
    ({"kty": "RSA", "n": part(b"\xff" * 1024), "e": "AQAB"}, Refusal.ALGORITHM),
    ({"kty": "RSA", "n": part(b"\xff" * 256), "e": "AQ"}, Refusal.MALFORMED),
    ({"kty": "RSA", "n": part(b"\xff" * 256), "e": part(b"\xff" * 200)}, Refusal.ALGORITHM),
]


@pytest.mark.parametrize("jwk, code", BAD_KEYS)
def test_weak_and_foreign_keys_are_refused(jwk: dict[str, Any], code: Refusal) -> None:
    """Keys of small order, short or huge keys and other kinds are no keys here."""
    with pytest.raises(AccessRefused) as caught:
        key_of_jwk(jwk)
    assert caught.value.code is code


def test_a_published_private_key_is_refused() -> None:
    """Whoever publishes the private part has no key any more."""
    with pytest.raises(AccessRefused, match="private"):
        key_of_jwk(new_key().as_dict(private=True))


@pytest.mark.parametrize(
    "did",
    [
        "did:web:localhost",
        "did:web:127.0.0.1",
        "did:web:[::1]",
        "did:web:issuer.example%3A8443",
        "did:web:issuer.example:..:secret",
        "did:web:user%40issuer.example",
        "did:web:issuer.example%2Fpath",
        "did:web:intranet",
    ],
)
def test_a_did_web_names_a_plain_public_host(did: str) -> None:
    """Addresses, ports, credentials and climbing paths make no URL."""
    with pytest.raises(AccessRefused):
        web_location(did)


@pytest.mark.parametrize("kind, alg", [("P-256", "ES256"), ("secp256k1", "ES256K")])
def test_the_signer_is_recovered_by_its_thumbprint(kind: str, alg: str) -> None:
    """The key that signed is found; another thumbprint or a changed payload finds none."""
    for _ in range(8):
        key = new_key(kind)
        jws = parse_jws(sign({"a": 1}, key, alg))
        assert recovered_key(jws, key.thumbprint()).thumbprint == key.thumbprint()
        with pytest.raises(AccessRefused):
            recovered_key(jws, new_key(kind).thumbprint())
        with pytest.raises(AccessRefused):
            recovered_key(jws._replace(signed=jws.signed + b"x"), key.thumbprint())


# --- nothing but refusals -------------------------------------------------------------------

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=20,
)
NAMES = st.sampled_from(
    """vc vp iss sub aud exp nbf iat jti cnf jwk kid type issuer holder id credentialSubject mandate
    mandatee mandator power life_span validFrom validUntil expirationDate kty crv x y n e x5c
    verifiableCredential organizationIdentifier function action domain tmf_function tmf_action
    credentialStatus verificationMethod assertionMethod publicKeyJwk publicKeyMultibase encodedList
    start_date_time statusPurpose""".split()  # noqa: SIM905 - a list of this length reads best so
)
TEXTS = st.sampled_from(
    (
        f"did:web:a.example {DID} {DID}#1 LEARCredentialEmployee VerifiablePresentation EC RSA OKP "
        "P-256 2026-01-01T00:00:00Z VATES-1 revocation AQAB"
    ).split()
)
SHAPED = st.recursive(
    TEXTS | JSON,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=8),
    max_leaves=30,
)


def read_everything(text: str) -> None:
    """Read a token in every way that we read tokens."""
    jws = parse_jws(text)
    for read in (
        lambda: read_credential(jws.payload),
        lambda: read_presentation(jws),
        lambda: need_time(jws, NOW_MS, "t"),
        lambda: key_of_jwk(dict(jws.payload)),
        lambda: document_keys(dict(jws.payload) | {"id": DID}, DID, "assertionMethod"),
        lambda: is_set(unpack(jws, ENTRY, NOW_MS), ENTRY),
        lambda: TrustAnchors().key_of("did:elsi:X", jws.payload.get("x5c"), NOW_MS),
        lambda: choose_key([], DID, jws.payload.get("kid")),
        lambda: recovered_key(jws, "x"),
    ):
        with suppress(AccessRefused):
            read()


@given(payload=st.dictionaries(NAMES, SHAPED, max_size=12), signature=st.binary(max_size=70))
def test_any_claims_give_a_value_or_a_refusal(payload: dict[str, Any], signature: bytes) -> None:
    """Whatever stands under the names that we read, nothing but a refusal is raised."""
    for alg in ("ES256", "ES256K"):
        with suppress(AccessRefused):
            read_everything(token({"alg": alg, "kid": payload.get("kid")}, payload, signature))


@given(data=st.binary(max_size=300))
def test_any_bytes_give_a_value_or_a_refusal(data: bytes) -> None:
    """Random bytes as token, as key, as status list, as DID: nothing else is raised."""
    text = data.decode("latin-1")
    for read in (
        lambda: parse_jws(text),
        lambda: parse_jws(token(ES256, data)),
        lambda: key_of_multibase(text),
        lambda: key_of_multibase("z" + text),
        lambda: key_of_did_key("did:key:" + text),
        lambda: web_location("did:web:" + text),
        lambda: parse_status_list(data),
        lambda: is_in_plain_list(data, ENTRY),
        lambda: is_set(data, ENTRY._replace(position=text)),
    ):
        with suppress(AccessRefused):
            read()


@given(
    point=st.binary(min_size=33, max_size=33), prefix=st.sampled_from([b"\x80\x24", b"\xe7\x01"])
)
def test_any_point_is_a_key_of_its_curve_or_refused(point: bytes, prefix: bytes) -> None:
    """A multibase text never gives a key that is not on its curve."""
    try:
        key = key_of_multibase("z" + base58_encode(prefix + point))
    except AccessRefused:
        return
    assert isinstance(key.public, ec.EllipticCurvePublicKey)
    assert key.alg == {b"\x80\x24": "ES256", b"\xe7\x01": "ES256K"}[prefix]


def test_a_did_key_is_its_key() -> None:
    """The key in a did:key is the one that joserfc made it of."""
    key = new_key()
    assert isinstance(key, ECKey)
    assert key_of_did_key(did_key(key)).key.thumbprint == key.thumbprint()
