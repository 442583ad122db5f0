"""The proof of one usage record: what a buyer or a seller shows to anybody else.

Owns the proof document (canonical JSON, docs/adapters/usage.md) and its check. A proof shows that
the record is in a block; that the block is on the ledger shows the event, whose own proof
(docs/proofs.md) may travel inside.

Proofs come from strangers: bytes give a proof or ``DecodeError``, a proof gives a verdict or
``ProofError``. Each bit of an accepted proof is checked.
"""

from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from typing import Final, NamedTuple

import msgspec

from adapters.tmf.usage.block import UsageBlock, block_hash, open_block
from adapters.tmf.usage.canonical import canonical_bytes
from adapters.tmf.usage.leaves import Entry, entry_leaf, salts_of
from adapters.tmf.usage.record import RecordRefused, UsageRecord, read_body
from adapters.tmf.usage.tree import Tree
from ledger.core.errors import DecodeError, ProofError
from ledger.core.event import Event, event_id
from ledger.core.genesis import Genesis
from ledger.core.limits import HASH_BYTES, PROOF_FILE_BYTES_MAX
from ledger.core.merkle_proof import verify_inclusion
from ledger.core.proof import decode_bundle, verify_bundle
from pubsub.core.strict_json import require_strict_json

__all__ = [
    "UsageProof",
    "VerifiedUsage",
    "decode_proof",
    "encode_proof",
    "prove",
    "verify_on_ledger",
    "verify_usage",
]

_FORMAT: Final = "concordat-usage-proof/1"


class UsageProof(NamedTuple):
    """Everything that shows one record to be in a block.

    Attributes:
        event_id: of the event that carries the block.
        block: hash of the encoded block.
        leaf: place of the record in its block, from 0.
        salt: of this record alone, 32 bytes.
        path: siblings from the leaf to the root.
        bundle: the encoded proof bundle of the event; empty when it is not at hand.
    """

    event_id: bytes
    block: bytes
    leaf: int
    salt: bytes
    path: tuple[bytes, ...]
    entry: Entry
    bundle: bytes = b""


class VerifiedUsage(NamedTuple):
    """A record that its seller has put into the block.

    Attributes:
        number: of the record in the seller's log.
        supersedes: number of the record that it corrects; 0 for none.
    """

    record: UsageRecord
    number: int
    supersedes: int
    block: UsageBlock


class _Document(msgspec.Struct, forbid_unknown_fields=True):
    """The members of a proof document; their order is that of RFC 8785."""

    block: str
    bundle: str
    event: str
    format: str
    leaf: int
    path: list[str]
    record: dict[str, object]
    salt: str
    supersedes: int


_read = msgspec.json.Decoder(_Document).decode


def prove(
    tree: Tree, leaf: int, entry: Entry, secret: bytes, place: tuple[bytes, bytes, bytes]
) -> UsageProof:
    """Make the proof of one record.

    Args:
        place: of the block: its event's id, its hash, and the event's bundle or empty.

    Raises:
        ProofError: the block has no such leaf.
    """
    event, block, bundle = place
    path = tree.path(leaf)
    return UsageProof(event, block, leaf, salts_of(secret, [leaf]), path, entry, bundle)


def encode_proof(proof: UsageProof) -> bytes:
    """Write the proof document."""
    return canonical_bytes(
        {
            "block": proof.block.hex(),
            "bundle": b64encode(proof.bundle).decode(),
            "event": proof.event_id.hex(),
            "format": _FORMAT,
            "leaf": proof.leaf,
            "path": [sibling.hex() for sibling in proof.path],
            "record": msgspec.json.decode(proof.entry.body),
            "salt": proof.salt.hex(),
            "supersedes": proof.entry.supersedes,
        }
    )


def decode_proof(data: bytes) -> UsageProof:
    """Read a proof document; nothing in it is believed yet.

    Raises:
        DecodeError: not the canonical document of a proof.
    """
    if len(data) > PROOF_FILE_BYTES_MAX:
        raise DecodeError(f"a proof may have {PROOF_FILE_BYTES_MAX} bytes, not {len(data)}")
    require_strict_json(data)
    try:
        document = _read(data)
        if document.format != _FORMAT:
            raise DecodeError(f"not a proof of the format {_FORMAT}")
        proof = UsageProof(
            event_id=_digest(document.event),
            block=_digest(document.block),
            leaf=_number(document.leaf),
            salt=_digest(document.salt),
            path=tuple(map(_digest, document.path)),
            entry=Entry(_number(document.supersedes), canonical_bytes(document.record)),
            bundle=b64decode(document.bundle, validate=True),
        )
    except (msgspec.MsgspecError, Base64Error, ValueError, RecursionError) as error:
        raise DecodeError(str(error)) from None
    if encode_proof(proof) != data:
        raise DecodeError("not the canonical form (RFC 8785) of the proof")
    return proof


def verify_usage(proof: UsageProof, event: Event) -> VerifiedUsage:
    """Check that a record is in the block of an event, which must be known to be on the ledger.

    Raises:
        ProofError: it is not shown.
    """
    block = open_block(event)
    if proof.event_id != event_id(event) or proof.block != block_hash(event.data):
        raise ProofError("the proof is for another block")
    leaf = entry_leaf(proof.salt, proof.entry)
    verify_inclusion(proof.leaf, block.count, leaf, block.root, proof.path)
    number = block.first + proof.leaf
    if proof.entry.supersedes >= number:
        raise ProofError("a record cannot correct a later one")
    try:
        record = read_body(proof.entry.body)
    except RecordRefused as error:
        raise ProofError(f"the block holds what is no usage record: {error}") from None
    return VerifiedUsage(record, number, proof.entry.supersedes, block)


def verify_on_ledger(proof: UsageProof, genesis: Genesis) -> VerifiedUsage:
    """Check a proof that carries its event's bundle, with the genesis file alone.

    Raises:
        ProofError: it does not hold, or carries no bundle.
    """
    if not proof.bundle:
        raise ProofError("the proof does not carry the bundle of its event")
    try:
        bundle = decode_bundle(proof.bundle)
    except DecodeError as error:
        raise ProofError(f"the bundle cannot be read: {error}") from None
    return verify_usage(proof, verify_bundle(bundle, genesis).event)


def _digest(text: str) -> bytes:
    value = bytes.fromhex(text)
    if len(value) != HASH_BYTES:
        raise DecodeError(f"a hash of {len(value)} bytes")
    return value


def _number(value: int) -> int:
    if not 0 <= value <= 2**53:
        raise DecodeError(f"not a number of a record: {value}")
    return value
