"""Compact JWS and base64url, read strictly: one text for each value, nothing twice, all bounded.

Owns the form alone. Nothing that it gives is verified yet.
"""

import binascii
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping
from hashlib import sha256
from typing import Final, NamedTuple

import msgspec

from ledger.core.errors import DecodeError
from pubsub.core.strict_json import require_strict_json

__all__ = [
    "CompactJws",
    "Json",
    "decode_base64url",
    "encode_base64url",
    "read_compact_jws",
    "read_json_object",
]

Json = Mapping[str, object]

_PARTS: Final = 3


class CompactJws(NamedTuple):
    """A token that was taken apart.

    Attributes:
        signed: the bytes that are signed. They name the token: signatures can be varied.
    """

    header: Json
    payload: Json
    signed: bytes
    signature: bytes

    @property
    def digest(self) -> bytes:
        """SHA-256 of what is signed."""
        return sha256(self.signed).digest()


def read_compact_jws(token: str, chars_max: int, header_chars_max: int) -> CompactJws:
    """Take a compact JWS apart whose header and payload are JSON objects. Raises DecodeError."""
    if len(token) > chars_max:
        raise DecodeError(f"longer than {chars_max}")
    parts = token.split(".")
    if len(parts) != _PARTS or not token.isascii() or len(parts[0]) > header_chars_max:
        raise DecodeError("no compact JWS")
    header = read_json_object(decode_base64url(parts[0]))
    payload = read_json_object(decode_base64url(parts[1]))
    signature = decode_base64url(parts[2])
    return CompactJws(header, payload, f"{parts[0]}.{parts[1]}".encode(), signature)


def read_json_object(data: bytes) -> dict[str, object]:
    """Decode a JSON object strictly. Raises DecodeError."""
    require_strict_json(data)
    try:
        value: object = msgspec.json.decode(data)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise DecodeError(str(error)) from None
    if not isinstance(value, dict):
        raise DecodeError("no JSON object")
    return value


def encode_base64url(data: bytes) -> str:
    """Encode without padding."""
    return urlsafe_b64encode(data).decode().rstrip("=")


def decode_base64url(text: str) -> bytes:
    """Decode the one encoding of some bytes. Raises DecodeError."""
    try:
        data = urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except (binascii.Error, ValueError):
        data = b""
    if encode_base64url(data) != text:
        raise DecodeError("not base64url")
    return data
