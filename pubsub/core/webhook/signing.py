"""Standard Webhooks 1.0: the keys of an endpoint, the three headers, and how they are verified.

Owns the form of keys and signatures. What is signed is ``id.timestamp.body``. ``v1`` is
HMAC-SHA256 with a secret that both sides know (``whsec_``); ``v1a`` is Ed25519, whose private key
(``whsk_``) never leaves the gateway while everybody may know the public one (``whpk_``). While a
key is being replaced, the old and the new one both sign.

Randomness and clock are handed in.
"""

import binascii
import hmac
from base64 import b64decode, b64encode
from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from typing import Annotated, Final, NamedTuple

from msgspec import Meta, Struct

from ledger.core.errors import DecodeError
from ledger.core.ids import PublicKey
from ledger.core.signing import SeedSigner, verify_many
from pubsub.core.limits import WEBHOOK_KEY_BYTES, WEBHOOK_SIGNATURES_MAX, WEBHOOK_TOLERANCE_S

__all__ = [
    "KeyRing",
    "SignatureKind",
    "SigningKey",
    "VerifyingKey",
    "read_verifying_key",
    "signed_headers",
    "verify_headers",
]

_SECRET: Final = "whsec_"  # noqa: S105 - a prefix
_PUBLIC: Final = "whpk_"
_PUBLIC_BYTES: Final = 32
_SECRET_BYTES: Final = (24, 64)
_DIGITS_MAX: Final = 12  # of a time in seconds: until the year 33658


class SignatureKind(StrEnum):
    """How deliveries are signed."""

    HMAC = "v1"
    ED25519 = "v1a"


class SigningKey(Struct, frozen=True):
    """A key that signs deliveries.

    Attributes:
        secret: the HMAC key, or the seed of the Ed25519 key.
        created_ms: when it began to sign.
        expires_ms: when it ends to sign, if it was replaced.
    """

    kind: SignatureKind
    secret: Annotated[bytes, Meta(min_length=WEBHOOK_KEY_BYTES, max_length=WEBHOOK_KEY_BYTES)]
    created_ms: int
    expires_ms: int | None = None

    def signs_at(self, now_ms: int) -> bool:
        """Say whether it signs at a time."""
        return self.expires_ms is None or now_ms < self.expires_ms

    def text(self) -> str:
        """Give what the receiver verifies with: the secret, or the public key."""
        if self.kind is SignatureKind.HMAC:
            return _SECRET + b64encode(self.secret).decode("ascii")
        return _PUBLIC + b64encode(SeedSigner(self.secret).public_key).decode("ascii")


class VerifyingKey(NamedTuple):
    """What a receiver verifies with."""

    kind: SignatureKind
    key: bytes


class KeyRing:
    """The keys of one endpoint, prepared to sign many deliveries."""

    def __init__(self, keys: Sequence[SigningKey]) -> None:
        """Prepare the keys; the newest of a kind stands last."""
        self._keys = [
            (key, SeedSigner(key.secret) if key.kind is SignatureKind.ED25519 else None)
            for key in keys
        ]

    def signatures(self, content: bytes, now_ms: int) -> str:
        """Give the header's value: one signature of each key that signs now, the newest first."""
        signed = [
            f"{key.kind},{_base64(signer.sign(content) if signer else _mac(key.secret, content))}"
            for key, signer in reversed(self._keys)
            if key.signs_at(now_ms)
        ]
        return " ".join(signed)


def signed_headers(ring: KeyRing, id_: str, body: bytes, now_ms: int) -> dict[str, str]:
    """Give the three headers of one attempt; ``id_`` is the same in each attempt."""
    timestamp = str(now_ms // 1000)
    return {
        "webhook-id": id_,
        "webhook-timestamp": timestamp,
        "webhook-signature": ring.signatures(_content(id_, timestamp, body), now_ms),
    }


def read_verifying_key(text: str) -> VerifyingKey:
    """Read a ``whsec_`` secret or a ``whpk_`` public key. Raises DecodeError."""
    for prefix, kind in ((_SECRET, SignatureKind.HMAC), (_PUBLIC, SignatureKind.ED25519)):
        if text.startswith(prefix):
            key = _read_base64(text[len(prefix) :])
            if kind is SignatureKind.ED25519 and len(key) != _PUBLIC_BYTES:
                raise DecodeError("a whpk_ key has 32 bytes")
            if not _SECRET_BYTES[0] <= len(key) <= _SECRET_BYTES[1]:
                raise DecodeError("a webhook secret has 24 to 64 bytes")
            return VerifyingKey(kind, key)
    raise DecodeError("a key begins with whsec_ or whpk_")


def verify_headers(
    keys: Iterable[VerifyingKey], headers: Mapping[str, str], body: bytes, now_s: int
) -> str:
    """Verify a delivery and give its id, by which repetitions are recognised.

    Args:
        headers: of the request, with lower-case names.

    Raises:
        DecodeError: a header is missing or malformed, the delivery too old or too new, or no
            signature is one of a key.
    """
    try:
        id_, timestamp = headers["webhook-id"], headers["webhook-timestamp"]
        parts = headers["webhook-signature"].split(" ")
    except KeyError as error:
        raise DecodeError(f"the header {error} is missing") from None
    if not (timestamp.isascii() and timestamp.isdigit() and len(timestamp) <= _DIGITS_MAX):
        raise DecodeError("webhook-timestamp is not a time in seconds")
    if abs(now_s - int(timestamp)) > WEBHOOK_TOLERANCE_S:
        raise DecodeError("the delivery is too old or too new")
    if len(parts) > WEBHOOK_SIGNATURES_MAX:
        raise DecodeError("too many signatures")
    content = _content(id_, timestamp, body)
    signatures = [_read_signature(part) for part in parts]
    if not any(_verifies(key, content, signatures) for key in keys):
        raise DecodeError("no signature is one of a key that was given")
    return id_


def _verifies(key: VerifyingKey, content: bytes, signatures: list[tuple[str, bytes]]) -> bool:
    fitting = [signature for version, signature in signatures if version == key.kind]
    if key.kind is SignatureKind.HMAC:
        expected = _mac(key.key, content)
        return any(hmac.compare_digest(expected, signature) for signature in fitting)
    checks = [(PublicKey(key.key), content, signature) for signature in fitting]
    return any(verify_many([check for check in checks if len(check[2]) == 2 * _PUBLIC_BYTES]))


def _read_signature(text: str) -> tuple[str, bytes]:
    version, _, signature = text.partition(",")
    return version, _read_base64(signature)


def _content(id_: str, timestamp: str, body: bytes) -> bytes:
    return f"{id_}.{timestamp}.".encode() + body


def _mac(secret: bytes, content: bytes) -> bytes:
    return hmac.digest(secret, content, "sha256")


def _base64(data: bytes) -> str:
    return b64encode(data).decode("ascii")


def _read_base64(text: str) -> bytes:
    try:
        return b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise DecodeError("not base64") from None
