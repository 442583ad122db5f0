"""Signed notes: a text, lines that sign it, and the keys that they name (C2SP signed-note).

Owns the two textual forms, of a note and of a verifier key. It verifies nothing: what a signature
is over depends on its type, and who is trusted is a policy's business.

Any bytes are a note or ``DecodeError``, and a note has one form only: base64 is canonical, so that
changing any bit of an accepted note changes what it says.
"""

import re
from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from enum import IntEnum
from hashlib import sha256
from typing import Final, NamedTuple

from ledger.core.errors import DecodeError
from ledger.core.limits import HASH_BYTES, NOTE_BYTES_MAX, NOTE_SIGNATURES_MAX

__all__ = [
    "NoteSignature",
    "SignatureType",
    "SignedNote",
    "VerifierKey",
    "base64_text",
    "parse_note",
    "parse_verifier_key",
    "read_base64",
    "write_note",
]

_KEY_ID_BYTES: Final = 4
_DASH: Final = "\N{EM DASH} "
_CONTROL: Final = re.compile(r"[\x00-\x09\x0b-\x1f]")
_KEY_ID_HEX: Final = re.compile(r"[0-9a-f]{8}\Z")


class SignatureType(IntEnum):
    """What a key signs with; the first byte of its encoding."""

    ED25519 = 0x01
    COSIGNATURE = 0x04


class NoteSignature(NamedTuple):
    """One signature line: the name and the 4-byte id of a key, and what it signed with."""

    name: str
    key_id: bytes
    signature: bytes


class SignedNote(NamedTuple):
    """A text that ends in a newline, and its signatures."""

    text: str
    signatures: tuple[NoteSignature, ...]


class VerifierKey(NamedTuple):
    """An Ed25519 key that signs notes, under a name."""

    name: str
    type: SignatureType
    key: bytes

    @property
    def id(self) -> bytes:
        """The 4 bytes by which signature lines name it beside its name."""
        return sha256(self.name.encode() + b"\n" + self._encoded).digest()[:_KEY_ID_BYTES]

    @property
    def text(self) -> str:
        """Its textual form, a *vkey*."""
        return f"{self.name}+{self.id.hex()}+{base64_text(self._encoded)}"

    @property
    def _encoded(self) -> bytes:
        return bytes([self.type]) + self.key


def write_note(note: SignedNote) -> bytes:
    """Write a note; the inverse of :func:`parse_note`."""
    lines = (f"{_DASH}{s.name} {base64_text(s.key_id + s.signature)}\n" for s in note.signatures)
    return f"{note.text}\n{''.join(lines)}".encode()


def parse_note(data: bytes) -> SignedNote:
    """Read a note.

    Raises:
        DecodeError: it is none, is too long or has too many signatures.
    """
    if len(data) > NOTE_BYTES_MAX:
        raise DecodeError(f"a note may have {NOTE_BYTES_MAX} bytes, not {len(data)}")
    try:
        content = data.decode()
    except UnicodeDecodeError as error:
        raise DecodeError(f"a note is UTF-8: {error.reason}") from None
    if _CONTROL.search(content):
        raise DecodeError("a note has no control characters")
    text, blank, lines = content.rpartition("\n\n")
    if not blank or not lines.endswith("\n"):
        raise DecodeError("a note is a text, an empty line and lines that sign it")
    rows = lines[:-1].split("\n")
    if len(rows) > NOTE_SIGNATURES_MAX:
        raise DecodeError(f"a note may have {NOTE_SIGNATURES_MAX} signatures, not {len(rows)}")
    return SignedNote(text + "\n", tuple(map(_parse_signature, rows)))


def parse_verifier_key(text: str) -> VerifierKey:
    """Read the textual form of a key.

    Raises:
        DecodeError: it is none, its id is not its own, or it is of a type that is not known here.
    """
    name, _, rest = text.partition("+")
    key_id, _, encoded = rest.partition("+")
    _require_name(name)
    content = read_base64(encoded)
    if not _KEY_ID_HEX.match(key_id) or len(content) != 1 + HASH_BYTES:
        raise DecodeError("a key is a name, 8 hexadecimal digits and 33 bytes in base64")
    try:
        key = VerifierKey(name, SignatureType(content[0]), content[1:])
    except ValueError:
        raise DecodeError(f"signatures of type {content[0]} are not known here") from None
    if key.id.hex() != key_id:
        raise DecodeError(f"the key {name} has the id {key.id.hex()}, not {key_id}")
    return key


def base64_text(data: bytes) -> str:
    """Write bytes in base64."""
    return b64encode(data).decode()


def read_base64(text: str) -> bytes:
    """Read canonical base64. Raises DecodeError."""
    try:
        data = b64decode(text, validate=True)
    except (Base64Error, ValueError) as error:
        raise DecodeError(f"not base64: {error}") from None
    if base64_text(data) != text:
        raise DecodeError("not canonical base64")
    return data


def _parse_signature(line: str) -> NoteSignature:
    name, space, encoded = line.removeprefix(_DASH).partition(" ")
    if not line.startswith(_DASH) or not space:
        raise DecodeError("a signature line is a dash, a name and base64")
    _require_name(name)
    content = read_base64(encoded)
    if len(content) <= _KEY_ID_BYTES:
        raise DecodeError("a signature is longer than the id of its key")
    return NoteSignature(name, content[:_KEY_ID_BYTES], content[_KEY_ID_BYTES:])


def _require_name(name: str) -> None:
    if not name or any(char.isspace() or char == "+" for char in name):
        raise DecodeError("the name of a key has a character, and neither spaces nor a plus")
