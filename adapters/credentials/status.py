"""Status lists that issuers publish: the bit lists of the W3C and the plain list of DOME.

A purpose other than revocation or suspension says nothing about access and is passed over. A list
that cannot be understood refuses the credential: who revokes must be heard.
"""

import zlib
from typing import Final

import msgspec

from adapters.credentials.access import AccessRefused, Refusal
from adapters.credentials.credential import StatusEntry
from adapters.credentials.jose import decode_base64url, parse_jws
from adapters.credentials.members import Reader, malformed
from ledger.core.errors import DecodeError
from ledger.core.limits import STATUS_LIST_BYTES_MAX
from pubsub.core.compact_jws import CompactJws
from pubsub.core.strict_json import require_strict_json

__all__ = [
    "BIT_LISTS",
    "PLAIN_LIST",
    "is_in_plain_list",
    "is_set",
    "list_issuer",
    "parse_status_list",
    "unpack",
]

BIT_LISTS: Final = frozenset(
    {"BitstringStatusListEntry", "StatusList2021Entry", "RevocationList2020Status"}
)
PLAIN_LIST: Final = "PlainListEntity"
_GZIP: Final = 16 + zlib.MAX_WBITS
_BITS: Final = 8


def parse_status_list(document: bytes) -> CompactJws:
    """Parse a fetched status list credential, which is a compact JWS."""
    try:
        return parse_jws(document.decode("ascii").strip(), "status list")
    except UnicodeDecodeError:
        raise malformed("the status list is no compact JWS") from None


def list_issuer(jws: CompactJws) -> str | None:
    """Give who says that he issued a status list."""
    claims = Reader(jws.payload, "status list")
    body = claims.inner("vc") or claims
    stated = body.members.get("issuer")
    named = Reader(stated, "issuer").text("id") if isinstance(stated, dict) else body.text("issuer")
    return named or claims.text("iss")


def unpack(jws: CompactJws, entry: StatusEntry, now_ms: int) -> bytes:
    """Give the bits of a status list whose signature was verified.

    Raises:
        AccessRefused: STATUS_UNKNOWN or MALFORMED.
    """
    claims = Reader(jws.payload, "status list")
    body = claims.inner("vc") or claims
    subject = body.inner("credentialSubject")
    if subject is None or entry.purpose not in subject.texts("statusPurpose"):
        raise AccessRefused(Refusal.STATUS_UNKNOWN, "the list is for another purpose")
    ends = body.moments("validUntil", "expirationDate")
    if any(now_ms >= end for end in (*ends, claims.seconds("exp") or now_ms + 1)):
        raise AccessRefused(Refusal.STATUS_UNKNOWN, "the list is out of date")
    encoded = subject.need_text("encodedList").removeprefix("u").rstrip("=")
    packed = decode_base64url(encoded, "status list")
    unpacker = zlib.decompressobj(_GZIP)
    try:
        bits = unpacker.decompress(packed, STATUS_LIST_BYTES_MAX)
    except zlib.error:
        raise malformed("the status list is not packed with gzip") from None
    if unpacker.unconsumed_tail or not unpacker.eof:
        raise malformed(f"the status list unpacks to more than {STATUS_LIST_BYTES_MAX} bytes")
    return bits


def is_set(bits: bytes, entry: StatusEntry) -> bool:
    """Give the bit of a credential, the first one being the leftmost of the first byte."""
    is_number = entry.position.isascii() and entry.position.isdigit()
    number = int(entry.position) if is_number and len(entry.position) <= len(str(2**32)) else -1
    if not 0 <= number < len(bits) * _BITS:
        raise AccessRefused(Refusal.STATUS_UNKNOWN, "the status list has no such position")
    byte, bit = divmod(number, _BITS)
    return bool(bits[byte] >> (_BITS - 1 - bit) & 1)


def is_in_plain_list(document: bytes, entry: StatusEntry) -> bool:
    """Say whether DOME's list of revoked nonces holds a credential's. The list is not signed."""
    try:
        require_strict_json(document)
        rows: object = msgspec.json.decode(document)
    except (DecodeError, msgspec.MsgspecError, RecursionError):
        raise malformed("the status list is no JSON") from None
    if not isinstance(rows, list):
        raise malformed("the status list is no list")
    nonces = [row.get("nonce") if isinstance(row, dict) else row for row in rows]
    if not all(isinstance(nonce, str) for nonce in nonces):
        raise malformed("the status list holds something that is no nonce")
    return entry.position in nonces
