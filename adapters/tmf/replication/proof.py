"""Proof of identity: who fetches from a peer shows that it is the member that it says it is.

A proof is a compact JWS (EdDSA) by a key that the ledger lists for the member. It names who asks,
whom, for which version of which entity, lives for a minute and is good for one request: caught on
its way it opens nothing else, and that but once.
"""

import secrets
from collections.abc import Sequence
from typing import Final, NamedTuple

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from adapters.credentials.access import AccessRefused, Refusal
from adapters.credentials.jose import encode_base64url, key_of_public, parse_jws, verify_jws
from adapters.credentials.replay import ReplayMemory
from ledger.core.limits import (
    REPLICATION_PROOF_LIFE_MS,
    REPLICATION_PROOFS_REMEMBERED_MAX,
    TOKEN_SKEW_MS,
)
from ledger.core.signing import Signer
from pubsub.core.compact_jws import CompactJws

__all__ = ["Claims", "Keys", "Proof", "ProofChecker", "prove", "read_proof"]

Keys = Sequence[bytes]
"""Public keys that the ledger lists for a member, without revoked ones."""

_TYPE: Final = "concordat-fetch+jwt"
_JTI_BYTES: Final = 16


class Claims(msgspec.Struct, frozen=True):
    """What a proof says.

    Attributes:
        iss: DID of the member that asks; ``aud``: of the one that is asked.
        iat, exp: Unix times in seconds.
        jti: random, never used again.
        sub: what is asked for ("product-offering/<subject>").
        version: hash of the version, in hexadecimal; empty when none is meant.
    """

    iss: str
    aud: str
    iat: int
    exp: int
    jti: str
    sub: str
    version: str


def prove(signer: Signer, claims: tuple[str, str, str, str], now_ms: int) -> str:
    """Make a proof for one request.

    Args:
        claims: (own DID, DID of the member that is asked, what is asked for, version).
    """
    own, asked, subject, version = claims
    header = {"alg": "EdDSA", "typ": _TYPE, "kid": signer.public_key.hex()}
    now_s = now_ms // 1000
    payload = Claims(
        own,
        asked,
        now_s,
        now_s + REPLICATION_PROOF_LIFE_MS // 1000,
        secrets.token_urlsafe(_JTI_BYTES),
        subject,
        version,
    )
    parts = (encode_base64url(msgspec.json.encode(part)) for part in (header, payload))
    signed = ".".join(parts)
    return f"{signed}.{encode_base64url(signer.sign(signed.encode()))}"


class Proof(NamedTuple):
    """A proof that was read; nothing of it is checked yet."""

    claims: Claims
    jws: CompactJws


def read_proof(token: str) -> Proof:
    """Read what a proof says, to find the keys that it must be checked with.

    Raises:
        AccessRefused: MALFORMED, ALGORITHM.
    """
    jws = parse_jws(token, "proof")
    if jws.header.get("typ") != _TYPE:
        raise AccessRefused(Refusal.MALFORMED, "this is no proof of identity")
    try:
        return Proof(msgspec.convert(jws.payload, Claims), jws)
    except msgspec.ValidationError as error:
        raise AccessRefused(Refusal.MALFORMED, f"proof: {error}") from None


class ProofChecker:
    """Checks proofs for one member, and remembers those of the last minutes."""

    def __init__(self, own: str) -> None:
        """Take proofs that are made for ``own``, the member's DID."""
        self._own = own
        self._used: dict[str, ReplayMemory] = {}  # by member, so that none uses up another's

    def check(self, proof: Proof, keys: Keys, asked: tuple[str, str], now_ms: int) -> Claims:
        """Check a proof with the keys of the member that it names.

        Args:
            asked: what the request asks for, and which version of it.

        Raises:
            AccessRefused: AUDIENCE, EXPIRED, NOT_YET_VALID, UNKNOWN_KEY, BAD_SIGNATURE, REPLAYED,
                BUSY.
        """
        claims, jws = proof
        if claims.aud != self._own:
            raise AccessRefused(Refusal.AUDIENCE, "the proof is made for another member")
        if (claims.sub, claims.version) != asked:
            raise AccessRefused(Refusal.AUDIENCE, "the proof is made for another request")
        life_ms = 1000 * (claims.exp - claims.iat)
        if 1000 * claims.exp <= now_ms or not 0 < life_ms <= REPLICATION_PROOF_LIFE_MS:
            raise AccessRefused(Refusal.EXPIRED, "the proof is too old, or meant to last too long")
        if 1000 * claims.iat > now_ms + TOKEN_SKEW_MS:
            raise AccessRefused(Refusal.NOT_YET_VALID, "the proof is not valid yet")
        key = next((key for key in keys if key.hex() == jws.header.get("kid")), None)
        if key is None:
            raise AccessRefused(Refusal.UNKNOWN_KEY, "the ledger lists no such key of the member")
        verify_jws(jws, key_of_public(Ed25519PublicKey.from_public_bytes(key)), "proof")
        used = self._used.setdefault(claims.iss, ReplayMemory(REPLICATION_PROOFS_REMEMBERED_MAX))
        used.use(claims.jti.encode(), now_ms=now_ms)
        return claims
