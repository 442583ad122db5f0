"""The audit package: all that an auditor needs of one block, as one file.

Owns its form, lines of JSON (docs/adapters/usage.md): a head, one line for each record in order,
one line for the proof of each earlier record that these correct. The seller gives it to whom it
wants; nothing in it is believed.
"""

from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from collections.abc import Iterator
from typing import Final, NamedTuple

import msgspec

from adapters.tmf.usage.audit import AuditReport, audit_block
from adapters.tmf.usage.canonical import canonical_bytes
from adapters.tmf.usage.leaves import Entry
from adapters.tmf.usage.proof import UsageProof, decode_proof, encode_proof, verify_on_ledger
from ledger.core.errors import DecodeError, ProofError
from ledger.core.genesis import Genesis
from ledger.core.limits import HASH_BYTES
from ledger.core.proof import decode_bundle, verify_bundle

__all__ = ["AuditPackage", "audit_package", "decode_package", "encode_package"]

_FORMAT: Final = "concordat-usage-audit/1"


class AuditPackage(NamedTuple):
    """One block with everything that its seller knows.

    Attributes:
        secret: from which all salts of the block come.
        bundle: the encoded proof bundle of its event; empty when it is not final yet.
        earlier: proofs of the records of earlier blocks that these records correct.
    """

    secret: bytes
    bundle: bytes
    entries: tuple[Entry, ...]
    earlier: tuple[UsageProof, ...]


class _Head(msgspec.Struct, forbid_unknown_fields=True):
    format: str
    secret: str
    bundle: str
    records: int


class _Line(msgspec.Struct, forbid_unknown_fields=True):
    supersedes: int
    record: dict[str, object]


_read_head = msgspec.json.Decoder(_Head).decode
_read_line = msgspec.json.Decoder(_Line).decode
_write = msgspec.json.Encoder().encode


def encode_package(package: AuditPackage) -> Iterator[bytes]:
    """Write the lines of a package."""
    bundle = b64encode(package.bundle).decode()
    yield _write(_Head(_FORMAT, package.secret.hex(), bundle, len(package.entries))) + b"\n"
    for entry in package.entries:
        yield b'{"supersedes":%d,"record":%b}\n' % entry
    for proof in package.earlier:
        yield encode_proof(proof) + b"\n"


def decode_package(data: bytes) -> AuditPackage:
    """Read a package.

    Raises:
        DecodeError: it is none.
    """
    head_line, *lines = data.removesuffix(b"\n").split(b"\n")
    try:
        head = _read_head(head_line)
        if head.format != _FORMAT or not 0 <= head.records <= len(lines):
            raise DecodeError(f"not a whole package of the format {_FORMAT}")
        secret = bytes.fromhex(head.secret)
        if len(secret) != HASH_BYTES:
            raise DecodeError(f"a secret of {len(secret)} bytes")
        return AuditPackage(
            secret,
            b64decode(head.bundle, validate=True),
            tuple(_entry(line) for line in lines[: head.records]),
            tuple(decode_proof(line) for line in lines[head.records :]),
        )
    except (msgspec.MsgspecError, Base64Error, ValueError, RecursionError) as error:
        raise DecodeError(f"not an audit package: {error}") from None


def audit_package(package: AuditPackage, genesis: Genesis) -> AuditReport:
    """Audit a package with the genesis file alone.

    Raises:
        ProofError: the ledger does not show the block, or an earlier record.
    """
    if not package.bundle:
        raise ProofError("the package does not carry the bundle of its block")
    try:
        bundle = decode_bundle(package.bundle)
    except DecodeError as error:
        raise ProofError(f"the bundle cannot be read: {error}") from None
    event = verify_bundle(bundle, genesis).event
    earlier = {}
    for proof in package.earlier:
        verified = verify_on_ledger(proof, genesis)
        if verified.block.seller != event.publisher:
            raise ProofError(f"record {verified.number} is of another seller")
        earlier[verified.number] = verified.record
    return audit_block(event, package.secret, package.entries, earlier)


def _entry(text: bytes) -> Entry:
    line = _read_line(text)
    if not 0 <= line.supersedes <= 2**53:
        raise DecodeError(f"not a number of a record: {line.supersedes}")
    return Entry(line.supersedes, canonical_bytes(line.record))
