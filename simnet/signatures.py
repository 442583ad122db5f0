"""Signatures for runs that need many cores and no cryptography: keyed hashes.

Within a run nobody can forge them, because an actor gets its own signers only; outside they are
worth nothing. They take the place of Ed25519 at the one seam through which every verdict goes.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from blake3 import blake3

import ledger.core.signing as seam
from ledger.core.ids import PublicKey

__all__ = ["CheapSigner", "cheap_signatures", "is_signed"]

_SECRETS: dict[bytes, bytes] = {}  # public key -> secret; grows by one for each distinct signer
_made: set[tuple[bytes, bytes, bytes]] = set()  # (key, message, signature) of the present run


class CheapSigner:
    """A signer from a 32-byte seed, like ``SeedSigner``."""

    __slots__ = ("_secret", "public_key")

    def __init__(self, seed: bytes) -> None:
        self._secret = blake3(seed, derive_key_context="simnet secret").digest()
        # A true key, because a genesis file takes nothing else.
        self.public_key: PublicKey = seam.SeedSigner(seed).public_key
        _SECRETS[self.public_key] = self._secret

    def sign(self, message: bytes) -> bytes:
        """Give 64 bytes that only this signer can make."""
        signature = _signature(self._secret, message)
        _made.add((self.public_key, message, signature))
        return signature


def _signature(secret: bytes, message: bytes) -> bytes:
    return blake3(message, key=secret).digest(length=64)


def is_signed(key: bytes, message: bytes, signature: bytes) -> bool:
    """Say whether the owner of ``key`` made this signature of ``message``, of either sort."""
    if key in _SECRETS:
        return _is_cheap((key, message, signature))
    return seam.verify_many([(PublicKey(key), message, signature)])[0]


def _is_cheap(check: tuple[bytes, bytes, bytes]) -> bool:
    """Say whether (key, message, signature) is right: of what was made here that is known."""
    if check in _made:
        return True
    key, message, signature = check
    return key in _SECRETS and _signature(_SECRETS[key], message) == signature


def _verify(checks: Sequence[tuple[bytes, bytes, bytes]]) -> list[bool]:
    return [check in _made or _is_cheap(check) for check in checks]


@contextmanager
def cheap_signatures() -> Iterator[None]:
    """Verify cheap signatures, and only those, within the context."""
    names = vars(seam)
    true_verifier = names["_verify_many"]
    names["_verify_many"] = _verify
    try:
        yield
    finally:
        names["_verify_many"] = true_verifier
        _made.clear()
