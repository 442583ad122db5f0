"""The identifiers that stand in EBSI's paths: DIDs, schema ids, hashes, timestamp ids.

DIDs of every method are taken, other than in EBSI, which knows did:ebsi alone. A did:ebsi must be
one of a legal entity: version 1 and 16 bytes.
"""

import binascii
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from hashlib import sha256
from typing import Final

from adapters.ebsi.problems import bad_request
from ledger.core.event import DID_REGEX
from ledger.core.limits import DID_CHARS_MAX

__all__ = [
    "base58_decode",
    "base58_encode",
    "hex_bytes",
    "is_did",
    "multihash_id",
    "read_hash",
    "require_did",
    "schema_id",
    "timestamp_id",
    "timestamp_id_digest",
]

_ALPHABET: Final = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_VALUES: Final = {letter: value for value, letter in enumerate(_ALPHABET)}
_DID: Final = re.compile(DID_REGEX)
_EBSI: Final = "did:ebsi:"
_EBSI_BYTES: Final = 17
_HEX: Final = re.compile(r"0x([0-9a-fA-F]{2})*\Z")
_HASH: Final = re.compile(r"(0x)?[0-9a-fA-F]{64}\Z")
_HASH_BYTES: Final = 32
_SHA256_MULTIHASH: Final = b"\x12\x20"
_TEXT_CHARS_MAX: Final = DID_CHARS_MAX


def base58_encode(data: bytes) -> str:
    """Encode bytes in base58btc."""
    number, text = int.from_bytes(data), ""
    while number:
        number, digit = divmod(number, 58)
        text = _ALPHABET[digit] + text
    return "1" * (len(data) - len(data.lstrip(b"\0"))) + text


def base58_decode(text: str) -> bytes | None:
    """Decode base58btc, or give None for any other text or a very long one."""
    if len(text) > _TEXT_CHARS_MAX or any(letter not in _VALUES for letter in text):
        return None
    number = 0
    for letter in text:
        number = number * 58 + _VALUES[letter]
    zeros = len(text) - len(text.lstrip("1"))
    return bytes(zeros) + number.to_bytes((number.bit_length() + 7) // 8)


def is_did(text: str) -> bool:
    """Say whether a text is a DID that can be in a list."""
    if len(text) > DID_CHARS_MAX or not _DID.match(text):
        return False
    if not text.startswith(_EBSI):
        return True
    decoded = base58_decode(text.removeprefix(_EBSI + "z"))
    is_multibase = text.startswith(_EBSI + "z")
    return (
        is_multibase
        and bool(decoded)
        and (len(decoded or b""), (decoded or b"")[0])
        == (
            _EBSI_BYTES,
            1,
        )
    )


def require_did(text: str, name: str = "did") -> str:
    """Give a DID, or refuse it with EBSI's text."""
    if not is_did(text):
        raise bad_request(f"{name} must be a valid DID v1")
    return text


def hex_bytes(text: str) -> bytes | None:
    """Give the bytes of ``0x`` and an even number of hexadecimal digits, or None."""
    return bytes.fromhex(text[2:]) if _HEX.match(text) else None


def read_hash(text: str) -> str | None:
    """Give the 64 lower-case digits of a hash with or without ``0x``, or None."""
    return text.removeprefix("0x").lower() if _HASH.match(text) else None


def schema_id(text: str) -> str | None:
    """Give the form in which the list keeps a schema's id: ``z`` and base58btc of 32 bytes.

    Gives None for what is neither that nor ``0x`` and 64 hexadecimal digits.
    """
    raw = hex_bytes(text) if text.startswith("0x") else None
    if text.startswith("z"):
        raw = base58_decode(text[1:])
    return f"z{base58_encode(raw)}" if raw is not None and len(raw) == _HASH_BYTES else None


def timestamp_id(hash_value: bytes) -> str:
    """Give the id of the timestamp of a hash: multibase, multihash, SHA-256 of the hash."""
    return multihash_id(sha256(hash_value).digest())


def multihash_id(digest: bytes) -> str:
    """Give the id that names a SHA-256 digest: multibase of its multihash."""
    return "u" + urlsafe_b64encode(_SHA256_MULTIHASH + digest).decode().rstrip("=")


def timestamp_id_digest(text: str) -> bytes | None:
    """Give the digest inside a timestamp's or record's id, or None for any other text."""
    if len(text) != len(multihash_id(bytes(_HASH_BYTES))) or not text.startswith("u"):
        return None
    try:
        raw = urlsafe_b64decode(text[1:] + "=" * (-len(text[1:]) % 4))
    except (binascii.Error, ValueError):
        return None
    digest = raw.removeprefix(_SHA256_MULTIHASH)
    return digest if multihash_id(digest) == text else None
