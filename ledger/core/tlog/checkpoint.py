"""Checkpoints of the log and how validators sign them (C2SP tlog-checkpoint, tlog-cosignature).

Owns what is signed. A checkpoint says of a log, which its origin names, how long it is and what its
root is. A validator signs it twice with its validator key: as the log itself (a plain signature of
the text, which readers of the format expect), and as a cosigner, with a time.

What is signed for consensus begins with ``concordat/v1/``. Neither of these texts can: one begins
with ``cosignature/v1`` and a newline, the other with the id of the chain and a newline, and no id
of a chain holds a slash. So no signature serves for another purpose.

Signatures are judged by the strictest rule there is (RFC 8032 without the cofactor, no key or point
of small order): other verifiers of these formats are strict, and refuse a whole note for the sake
of one signature of a known key. A lax rule here would let one validator make such notes.
"""

import re
from typing import Annotated, Final, NamedTuple

from msgspec import Meta

from ledger.core.codec import Codec, Record, UInt
from ledger.core.errors import DecodeError
from ledger.core.ids import Epoch
from ledger.core.limits import HASH_BYTES, INT_MAX, NOTE_BYTES_MAX, SIGNATURE_BYTES
from ledger.core.signing import Signer, is_strictly_valid
from ledger.core.tlog.note import SignatureType, VerifierKey, base64_text, read_base64
from ledger.core.validators import Validator

__all__ = [
    "Checkpoint",
    "CheckpointSignatures",
    "StoredCheckpoint",
    "checkpoints_codec",
    "cosigner_key",
    "holds",
    "log_key",
    "parse_checkpoint_text",
    "sign_checkpoint",
    "timestamped",
    "verify_signature",
]

_SIZE: Final = re.compile(r"(0|[1-9][0-9]{0,18})\Z", re.ASCII)
_LINES_COUNT: Final = 3
_TIME_BYTES: Final = 8


class Checkpoint(NamedTuple):
    """What a log is at one size.

    Attributes:
        origin: the chain id.
        size: number of entries; root: 32 bytes (RFC 6962).
    """

    origin: str
    size: int
    root: bytes

    @property
    def text(self) -> str:
        """The text of the note."""
        return f"{self.origin}\n{self.size}\n{base64_text(self.root)}\n"


class StoredCheckpoint(Record, frozen=True):
    """A checkpoint that a quorum has cosigned, as nodes keep and gateways serve it.

    Attributes:
        epoch: whose validators cosigned it; time_s: as of when.
        log_size: its size.
        note: the signed note.
    """

    epoch: Annotated[Epoch, Meta(ge=0, le=INT_MAX)]
    time_s: UInt
    log_size: UInt
    note: Annotated[bytes, Meta(max_length=NOTE_BYTES_MAX)]


class CheckpointSignatures(NamedTuple):
    """What one validator signed: 64 bytes each."""

    as_log: bytes
    as_cosigner: bytes


checkpoints_codec = Codec(StoredCheckpoint)


def parse_checkpoint_text(text: str) -> Checkpoint:
    """Read the text of a checkpoint.

    Raises:
        DecodeError: it is none, or has extension lines, which this log never makes.
    """
    lines = text.split("\n")
    if len(lines) != _LINES_COUNT + 1 or lines[-1] or not lines[0]:
        raise DecodeError("a checkpoint has three lines: origin, size and root")
    origin, size, encoded = lines[:_LINES_COUNT]
    if not _SIZE.match(size) or int(size) > INT_MAX:
        raise DecodeError("the size of a log is a decimal number")
    root = read_base64(encoded)
    if len(root) != HASH_BYTES:
        raise DecodeError(f"a root has {HASH_BYTES} bytes")
    return Checkpoint(origin, int(size), root)


def log_key(origin: str, validator: Validator) -> VerifierKey:
    """Give the key with which a validator signs as the log."""
    return VerifierKey(origin, SignatureType.ED25519, validator.key)


def cosigner_key(origin: str, validator: Validator) -> VerifierKey:
    """Give the key with which a validator cosigns."""
    return VerifierKey(f"{origin}/{validator.name}", SignatureType.COSIGNATURE, validator.key)


def sign_checkpoint(signer: Signer, checkpoint: Checkpoint, time_s: int) -> CheckpointSignatures:
    """Sign a checkpoint as of a time, in seconds since 1970."""
    text = checkpoint.text.encode()
    return CheckpointSignatures(signer.sign(text), signer.sign(_cosigned(text, time_s)))


def holds(
    checkpoint: Checkpoint, time_s: int, key: bytes, signatures: CheckpointSignatures
) -> bool:
    """Say whether both signatures are the key's."""
    text = checkpoint.text.encode()
    return is_strictly_valid(key, text, signatures.as_log) and is_strictly_valid(
        key, _cosigned(text, time_s), signatures.as_cosigner
    )


def timestamped(time_s: int, cosignature: bytes) -> bytes:
    """Give a cosignature as it stands in a note: the time before it."""
    return time_s.to_bytes(_TIME_BYTES, "big") + cosignature


def verify_signature(key: VerifierKey, text: str, signature: bytes) -> int | None:
    """Verify what stands in a signature line of a checkpoint.

    Returns:
        The time in seconds of a cosignature, 0 for a signature of the log, None when it is wrong.
    """
    message, time_s = text.encode(), 0
    if key.type is SignatureType.COSIGNATURE:
        time_s = int.from_bytes(signature[:_TIME_BYTES], "big")
        message, signature = _cosigned(message, time_s), signature[_TIME_BYTES:]
    if len(signature) != SIGNATURE_BYTES or time_s > INT_MAX:
        return None
    return time_s if is_strictly_valid(key.key, message, signature) else None


def _cosigned(text: bytes, time_s: int) -> bytes:
    return b"cosignature/v1\ntime %d\n%b" % (time_s, text)
