"""Compact JWS: strict parsing, keys, and one algorithm for each kind of key.

Owns the decision which algorithm verifies which key. A key names its algorithm, never the token:
a token whose `alg` is another one is refused before any signature is computed. `none` and all
symmetric algorithms are no algorithms here. Keys inside a token's header are never trusted.
"""

import binascii
from base64 import b64decode
from collections.abc import Callable
from hashlib import sha256
from typing import Final, NamedTuple

import msgspec
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

from adapters.credentials.access import AccessRefused, Refusal
from adapters.credentials.members import Reader, malformed
from ledger.core.errors import DecodeError
from ledger.core.limits import RSA_BITS_MAX, RSA_BITS_MIN, TOKEN_CHARS_MAX, TOKEN_HEADER_CHARS_MAX
from ledger.core.signing import is_acceptable_key
from pubsub.core.compact_jws import CompactJws, encode_base64url, read_compact_jws
from pubsub.core.compact_jws import decode_base64url as strict_base64url

__all__ = [
    "ALGORITHMS",
    "VerifyingKey",
    "decode_base64",
    "decode_base64url",
    "encode_base64url",
    "jwk_of",
    "key_of_jwk",
    "key_of_public",
    "parse_jws",
    "verify_jws",
]

ALGORITHMS: Final = ("ES256", "ES256K", "EdDSA", "Ed25519", "RS256")
Public = ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey | rsa.RSAPublicKey

_ALIASES: Final = {"Ed25519": "EdDSA"}  # its new name, RFC 9864
_COORDINATE_BYTES: Final = 32
_EXPONENT_MAX: Final = 2**32
_CURVES: Final[dict[str, tuple[str, type[ec.EllipticCurve]]]] = {
    "P-256": ("ES256", ec.SECP256R1),
    "secp256k1": ("ES256K", ec.SECP256K1),
}
_PRIVATE: Final = frozenset({"d", "p", "q", "dp", "dq", "qi", "k"})
_THUMBPRINT_MEMBERS: Final = {"EC": "crv kty x y", "OKP": "crv kty x", "RSA": "e kty n"}


class VerifyingKey(NamedTuple):
    """A public key and its only algorithm.

    Attributes:
        thumbprint: RFC 7638, base64url.
    """

    alg: str
    public: Public
    thumbprint: str


# --- encodings ------------------------------------------------------------------------------


def decode_base64url(text: str, what: str) -> bytes:
    """Decode the one encoding of some bytes. Raises AccessRefused(MALFORMED)."""
    try:
        return strict_base64url(text)
    except DecodeError as error:
        raise malformed(f"{what}: {error}") from None


def decode_base64(text: str, what: str) -> bytes:
    """Decode standard base64 with its padding. Raises AccessRefused(MALFORMED)."""
    try:
        return b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise malformed(f"{what} is not base64") from None


# --- tokens ---------------------------------------------------------------------------------


def parse_jws(token: str, what: str = "token") -> CompactJws:
    """Take a compact JWS apart.

    Raises:
        AccessRefused: MALFORMED, or ALGORITHM when it names none of ours.
    """
    try:
        jws = read_compact_jws(token, TOKEN_CHARS_MAX, TOKEN_HEADER_CHARS_MAX)
    except DecodeError as error:
        raise malformed(f"{what}: {error}") from None
    if jws.header.get("alg") not in ALGORITHMS:
        raise AccessRefused(Refusal.ALGORITHM, f"{what}: allowed are {', '.join(ALGORITHMS)}")
    if "crit" in jws.header or "b64" in jws.header:
        raise malformed(f"{what}: critical header parameters are not understood")
    return jws


def verify_jws(jws: CompactJws, key: VerifyingKey, what: str = "token") -> None:
    """Verify the signature with the key's own algorithm.

    Raises:
        AccessRefused: ALGORITHM when the token names another one, BAD_SIGNATURE.
    """
    if _ALIASES.get(str(jws.header.get("alg")), jws.header.get("alg")) != key.alg:
        raise AccessRefused(Refusal.ALGORITHM, f"{what}: its key is one for {key.alg}")
    stated = jws.header.get("jwk")
    if stated is not None and key_of_jwk(stated).thumbprint != key.thumbprint:
        raise AccessRefused(Refusal.UNKNOWN_KEY, f"{what}: its header holds another key")
    try:
        _verify(key.public, jws.signature, jws.signed)
    except (InvalidSignature, UnsupportedAlgorithm, ValueError):
        raise AccessRefused(Refusal.BAD_SIGNATURE, f"{what}: its signature is wrong") from None


def _verify(public: Public, signature: bytes, signed: bytes) -> None:
    if isinstance(public, ed25519.Ed25519PublicKey):
        public.verify(signature, signed)
    elif isinstance(public, rsa.RSAPublicKey):
        public.verify(signature, signed, padding.PKCS1v15(), SHA256())
    else:
        if len(signature) != 2 * _COORDINATE_BYTES:
            raise InvalidSignature
        r, s = signature[:_COORDINATE_BYTES], signature[_COORDINATE_BYTES:]
        encoded = encode_dss_signature(int.from_bytes(r), int.from_bytes(s))
        public.verify(encoded, signed, ec.ECDSA(SHA256()))


# --- keys -----------------------------------------------------------------------------------


def key_of_jwk(value: object) -> VerifyingKey:
    """Read a public JWK.

    Raises:
        AccessRefused: MALFORMED, or ALGORITHM when it is of a kind that we do not use.
    """
    jwk = Reader(value, "JWK")
    if _PRIVATE & jwk.members.keys():
        raise malformed("JWK holds a private key")
    make = _MAKERS.get(jwk.need_text("kty"))
    if make is None:
        raise AccessRefused(Refusal.ALGORITHM, "JWK: neither EC, OKP nor RSA")
    try:
        key = key_of_public(make(jwk))
    except (ValueError, UnsupportedAlgorithm):
        raise malformed("JWK is no key") from None
    stated = jwk.text("alg")
    if _ALIASES.get(stated or "", stated) not in (None, key.alg) or jwk.text("use") not in (
        None,
        "sig",
    ):
        raise AccessRefused(Refusal.ALGORITHM, f"JWK: not meant for {key.alg}")
    return key


def key_of_public(public: object) -> VerifyingKey:
    """Give a key its algorithm. Raises AccessRefused(ALGORITHM) for keys that have none."""
    alg = None
    if isinstance(public, ec.EllipticCurvePublicKey):
        alg = {ec.SECP256R1: "ES256", ec.SECP256K1: "ES256K"}.get(type(public.curve))
    elif isinstance(public, ed25519.Ed25519PublicKey):
        alg = "EdDSA" if is_acceptable_key(public.public_bytes_raw()) else None
    elif isinstance(public, rsa.RSAPublicKey):
        numbers = public.public_numbers()
        is_sound = RSA_BITS_MIN <= public.key_size <= RSA_BITS_MAX and numbers.e < _EXPONENT_MAX
        alg = "RS256" if is_sound else None
    if alg is None or not isinstance(public, Public):
        raise AccessRefused(Refusal.ALGORITHM, "a key of a kind or size that is not used here")
    return VerifyingKey(alg, public, _thumbprint(jwk_of(public)))


def jwk_of(public: Public) -> dict[str, str]:
    """Give the members of a public JWK that make the key."""
    if isinstance(public, ed25519.Ed25519PublicKey):
        raw = public.public_bytes_raw()
        return {"kty": "OKP", "crv": "Ed25519", "x": encode_base64url(raw)}
    if isinstance(public, rsa.RSAPublicKey):
        numbers = public.public_numbers()
        return {"kty": "RSA", "n": _encode_number(numbers.n), "e": _encode_number(numbers.e)}
    point = public.public_numbers()
    curve = next(name for name, (_, kind) in _CURVES.items() if isinstance(public.curve, kind))
    x, y = (encode_base64url(part.to_bytes(_COORDINATE_BYTES)) for part in (point.x, point.y))
    return {"kty": "EC", "crv": curve, "x": x, "y": y}


def _thumbprint(jwk: dict[str, str]) -> str:
    members = {name: jwk[name] for name in _THUMBPRINT_MEMBERS[jwk["kty"]].split()}
    return encode_base64url(sha256(msgspec.json.encode(members)).digest())


def _encode_number(number: int) -> str:
    return encode_base64url(number.to_bytes((number.bit_length() + 7) // 8))


def _ec_key(jwk: Reader) -> Public:
    _, curve = _CURVES.get(jwk.need_text("crv"), ("", None))
    if curve is None:
        raise AccessRefused(Refusal.ALGORITHM, f"JWK: allowed curves are {', '.join(_CURVES)}")
    x, y = (decode_base64url(jwk.need_text(name), "JWK") for name in "xy")
    if len(x) != _COORDINATE_BYTES or len(y) != _COORDINATE_BYTES:
        raise malformed("JWK: a coordinate has another length")
    point = ec.EllipticCurvePublicNumbers(int.from_bytes(x), int.from_bytes(y), curve())
    return point.public_key()


def _okp_key(jwk: Reader) -> Public:
    if jwk.need_text("crv") != "Ed25519":
        raise AccessRefused(Refusal.ALGORITHM, "JWK: the allowed curve is Ed25519")
    raw = decode_base64url(jwk.need_text("x"), "JWK")
    return ed25519.Ed25519PublicKey.from_public_bytes(raw)


def _rsa_key(jwk: Reader) -> Public:
    modulus, exponent = (decode_base64url(jwk.need_text(name), "JWK") for name in "ne")
    if len(modulus) * 8 > RSA_BITS_MAX + 8:
        raise AccessRefused(Refusal.ALGORITHM, f"JWK: at most {RSA_BITS_MAX} bits")
    return rsa.RSAPublicNumbers(int.from_bytes(exponent), int.from_bytes(modulus)).public_key()


_MAKERS: Final[dict[str, Callable[[Reader], Public]]] = {
    "EC": _ec_key,
    "OKP": _okp_key,
    "RSA": _rsa_key,
}
