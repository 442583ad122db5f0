"""The key that made an ECDSA signature, found by its thumbprint.

Needed for one case only: a DID that is not registered yet asks to be onboarded, and its token
names the key by a thumbprint in `kid` without showing it. The signature yields a few candidate
keys; the one with that thumbprint verifies the token, or none does.
"""

from collections.abc import Iterator
from hashlib import sha256
from typing import Final

import coincurve
from Crypto.PublicKey import ECC
from cryptography.hazmat.primitives.asymmetric import ec

from adapters.credentials.access import AccessRefused, Refusal
from adapters.credentials.jose import VerifyingKey, key_of_public
from pubsub.core.compact_jws import CompactJws

__all__ = ["recovered_key"]

_ORDER: Final = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551  # of P-256
_BYTES: Final = 32


def recovered_key(jws: CompactJws, thumbprint: str) -> VerifyingKey:
    """Give the key with this thumbprint, if it signed the token. Raises UNKNOWN_KEY."""
    if len(jws.signature) == 2 * _BYTES:
        for point in _candidates(jws):
            try:
                key = key_of_public(point)
            except AccessRefused:
                continue
            if key.thumbprint == thumbprint:
                return key
    raise AccessRefused(Refusal.UNKNOWN_KEY, "no key with the thumbprint in kid signed this")


def _candidates(jws: CompactJws) -> Iterator[ec.EllipticCurvePublicKey]:
    curves: dict[object, ec.EllipticCurve] = {"ES256": ec.SECP256R1(), "ES256K": ec.SECP256K1()}
    curve = curves.get(jws.header.get("alg"))
    if curve is None:
        return
    make = _p256_points if isinstance(curve, ec.SECP256R1) else _secp256k1_points
    for encoded in make(jws):
        try:
            yield ec.EllipticCurvePublicKey.from_encoded_point(curve, encoded)
        except ValueError:
            continue


def _secp256k1_points(jws: CompactJws) -> Iterator[bytes]:
    for recovery in range(4):
        signature = jws.signature + bytes([recovery])
        try:
            found = coincurve.PublicKey.from_signature_and_message(signature, jws.signed)
        except ValueError:
            continue
        yield found.format(compressed=False)


def _p256_points(jws: CompactJws) -> Iterator[bytes]:
    """Give (s*R - z*G) / r for both points R whose abscissa is r (SEC 1, 4.1.6)."""
    r, s = (int.from_bytes(jws.signature[at : at + _BYTES]) for at in (0, _BYTES))
    if not (0 < r < _ORDER and 0 < s < _ORDER):
        return
    digest = int.from_bytes(sha256(jws.signed).digest())
    inverse = pow(r, -1, _ORDER)
    generator = ECC.construct(curve="P-256", d=1).pointQ
    for parity in (b"\x02", b"\x03"):
        try:
            compressed = parity + r.to_bytes(_BYTES)
            numbers = ec.EllipticCurvePublicKey.from_encoded_point(
                ec.SECP256R1(), compressed
            ).public_numbers()
            nonce_point = ECC.EccPoint(numbers.x, numbers.y, "p256")
        except ValueError:
            continue
        point = nonce_point * (s * inverse % _ORDER) + generator * (-digest * inverse % _ORDER)
        if not point.is_point_at_infinity():
            yield b"\x04" + int(point.x).to_bytes(_BYTES) + int(point.y).to_bytes(_BYTES)
