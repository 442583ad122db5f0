"""Signatures: one way to sign and one rule to verify, everywhere.

Every verdict in the system (client events, batches, votes, certificates) comes from
``verify_many`` or ``verify_rows``, its form for one buffer. They follow ZIP-215: nodes that
disagreed on one signature could be forked.
Signing is libsodium's; a verdict never is, because its rule differs. The one exception decides
nothing that nodes must agree on: ``is_strictly_valid``, for what strangers verify by other rules.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import Protocol

from nacl.exceptions import BadSignatureError
from nacl.signing import SigningKey, VerifyKey

from ledger.core.ids import PublicKey
from ledger.native.ed25519 import is_small_order, is_valid_point, verify_rows
from ledger.native.ed25519 import verify_many as _verify_many

__all__ = [
    "SeedSigner",
    "SignatureCheck",
    "Signer",
    "is_acceptable_key",
    "is_strictly_valid",
    "signable",
    "verify_many",
    "verify_rows",
]

SignatureCheck = tuple[PublicKey, bytes, bytes]
"""(public key, message, signature)."""


class Signer(Protocol):
    """Something that holds a private key."""

    @property
    def public_key(self) -> PublicKey:
        """The Ed25519 public key, 32 bytes."""
        ...

    def sign(self, message: bytes) -> bytes:
        """Give the 64-byte Ed25519 signature of ``message``."""
        ...


class SeedSigner:
    """A signer from a 32-byte seed held in memory."""

    __slots__ = ("_key", "public_key")

    def __init__(self, seed: bytes) -> None:
        """Derive the key pair of ``seed`` (32 bytes)."""
        self._key = SigningKey(seed)
        self.public_key = PublicKey(bytes(self._key.verify_key))

    def sign(self, message: bytes) -> bytes:
        """Give the 64-byte Ed25519 signature of ``message``."""
        return self._key.sign(message).signature


def signable(domain: str, digest: bytes) -> bytes:
    """Give the message that is signed for ``digest``: no two domains share a message."""
    return b"concordat/v1/" + domain.encode() + b"\0" + digest


def verify_many(checks: Sequence[SignatureCheck]) -> list[bool]:
    """Give the ZIP-215 verdict of each (public key, message, signature)."""
    return _verify_many(checks)


def is_strictly_valid(key: bytes, message: bytes, signature: bytes) -> bool:
    """Give the verdict of the strictest rule in use, which is libsodium's.

    RFC 8032 without the cofactor, and neither the key nor a point of the signature of small order
    or in an encoding that is not canonical: what holds here holds for every other verifier.
    """
    try:
        VerifyKey(key).verify(message, signature)
    except (BadSignatureError, ValueError):
        return False
    return True


@lru_cache(maxsize=16_384)
def is_acceptable_key(key: bytes) -> bool:
    """Say whether ``key`` may be registered: a curve point, and not of small order.

    Remembered, because it is asked for every key of a participant whenever one is decoded.
    """
    return is_valid_point(key) and not is_small_order(key)
