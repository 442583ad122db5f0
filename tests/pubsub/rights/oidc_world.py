"""An OIDC issuer of the tests: keys and tokens made with the primitives alone, no JOSE library.

The code under test verifies with one, so that neither vouches for the other.
"""

import hmac
import json
from hashlib import sha256
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from ledger.core.errors import Unavailable
from pubsub.core.compact_jws import encode_base64url
from pubsub.core.oidc import Grant, Issuer
from pubsub.core.rights import Scope

Private = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey
URL = "https://issuer.example/realms/market"
JWKS_URL = "https://issuer.example/keys"
AUDIENCE = "concordat"
NOW_S = 1_790_000_000
RSA_KEY = rsa.generate_private_key(65_537, 2_048)
ISSUER = Issuer(
    name="market",
    url=URL,
    audiences=(AUDIENCE, "other-name"),
    jwks_url=JWKS_URL,
    algorithms=("RS256", "PS256", "ES256", "EdDSA"),
    claim=("realm_access", "roles"),
    grants={
        "reader": Grant(frozenset({Scope.READ})),
        "partner": Grant(frozenset({Scope.READ, Scope.CONSUME}), ("dome.private.>",)),
        "operator": Grant(frozenset({Scope.OPERATE}), None),
    },
    leeway_ms=30_000,
    is_private=False,
)


def jwk_of(private: Private, key_id: str, **members: object) -> dict[str, Any]:
    """Give the public JWK of a key."""
    jwk: dict[str, Any]
    if isinstance(private, ed25519.Ed25519PrivateKey):
        raw = private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        jwk = {"kty": "OKP", "crv": "Ed25519", "x": encode_base64url(raw)}
    elif isinstance(private, rsa.RSAPrivateKey):
        public = private.public_key().public_numbers()
        jwk = {"kty": "RSA", "n": _number(public.n), "e": _number(public.e)}
    else:
        point = private.public_key().public_numbers()
        size = (private.key_size + 7) // 8
        names = {256: "P-256", 384: "P-384", 521: "P-521"}
        jwk = {
            "kty": "EC",
            "crv": names[private.key_size],
            "x": encode_base64url(point.x.to_bytes(size)),
            "y": encode_base64url(point.y.to_bytes(size)),
        }
    return {**jwk, "kid": key_id, **members}


def signature_of(private: Private | bytes | None, alg: str, signed: bytes) -> bytes:
    """Sign as ``alg`` says; bytes are the secret of an HMAC, None signs nothing."""
    if private is None:
        return b""
    if isinstance(private, bytes):
        return hmac.digest(private, signed, sha256)
    if isinstance(private, ed25519.Ed25519PrivateKey):
        return private.sign(signed)
    if isinstance(private, rsa.RSAPrivateKey):
        scheme: padding.AsymmetricPadding = padding.PKCS1v15()
        if alg.startswith("PS"):
            scheme = padding.PSS(padding.MGF1(SHA256()), SHA256.digest_size)
        return private.sign(signed, scheme, SHA256())
    r, s = decode_dss_signature(private.sign(signed, ec.ECDSA(SHA256())))
    size = (private.key_size + 7) // 8
    return r.to_bytes(size) + s.to_bytes(size)


def claims(**changes: object) -> dict[str, object]:
    """Give good claims, changed; a claim that is changed to None is left out."""
    good: dict[str, object] = {
        "iss": URL,
        "aud": AUDIENCE,
        "sub": "alice",
        "iat": NOW_S - 10,
        "exp": NOW_S + 300,
        "realm_access": {"roles": ["reader", "unheard-of"]},
    }
    return {name: value for name, value in (good | changes).items() if value is not None}


def token(
    private: Private | bytes | None = RSA_KEY,
    payload: object = None,
    *,
    alg: str = "RS256",
    kid: str | None = "rsa",
    header: dict[str, object] | None = None,
) -> str:
    """Make a token; everything about it can be wrong."""
    protected: dict[str, object] = {"alg": alg, "typ": "JWT"}
    if kid is not None:
        protected["kid"] = kid
    protected |= header or {}
    body = claims() if payload is None else payload
    signed = f"{_part(protected)}.{_part(body)}"
    return f"{signed}.{encode_base64url(signature_of(private, alg, signed.encode()))}"


class Site:
    """What the issuer serves, by URL; it may be down."""

    def __init__(self) -> None:
        self.keys: list[dict[str, Any]] = [jwk_of(RSA_KEY, "rsa", use="sig", alg="RS256")]
        self.documents: dict[str, bytes] = {}
        self.asked: list[str] = []
        self.is_down = False

    async def fetch(self, url: str) -> bytes:
        """Answer a request, and count it."""
        self.asked.append(url)
        if self.is_down:
            raise Unavailable("the issuer is down")
        if url in self.documents:
            return self.documents[url]
        if url != JWKS_URL:
            raise Unavailable("status 404")
        return json.dumps({"keys": self.keys}).encode()


def _part(value: object) -> str:
    data = value if isinstance(value, bytes) else json.dumps(value).encode()
    return encode_base64url(data)


def _number(number: int) -> str:
    return encode_base64url(number.to_bytes((number.bit_length() + 7) // 8))
