"""Proofs that the state holds a value for a key, or none: their form and how they are checked.

All that a client runs: it needs no nodes. Proofs come from strangers, so the only exceptions
are ``DecodeError`` and ``ProofError``.

A proof leads from the root to where the key's leaf belongs. What stands there follows from the
claim and is not repeated in the proof: the key's own leaf when a value is claimed; nothing, or
another key's leaf on the same path, when absence is. One claim under one root has one proof.
"""

from typing import Annotated

from msgspec import Meta

from ledger.core.codec import Codec, Hash32, Record, encode
from ledger.core.errors import ProofError
from ledger.core.limits import HASH_BYTES
from ledger.core.statemap_node import (
    EMPTY_HASH,
    KEY_BITS,
    bit,
    hash_inner,
    hash_key,
    hash_leaf,
    hash_value,
)

__all__ = ["OtherLeaf", "StateProof", "decode_proof", "encode_proof", "verify"]


class OtherLeaf(Record, frozen=True):
    """The leaf of another key that stands where the absent key's would."""

    key_hash: Hash32
    value_hash: Hash32


class StateProof(Record, frozen=True):
    """The path to a key.

    Attributes:
        siblings: hashes beside the path, from the root downwards.
        terminal: the other leaf found at the end of the path; None when the path ends at the
            key's own leaf or at nothing.
    """

    siblings: Annotated[tuple[Hash32, ...], Meta(max_length=KEY_BITS)]
    terminal: OtherLeaf | None


_codec = Codec(StateProof)


def encode_proof(proof: StateProof) -> bytes:
    """Encode a proof; the inverse of :func:`decode_proof`."""
    return encode(proof)


def decode_proof(data: bytes) -> StateProof:
    """Decode a proof.

    Raises:
        DecodeError: the bytes are anything but the canonical encoding of a proof.
    """
    return _codec.decode(data)


def verify(root: bytes, key: bytes, value: bytes | None, proof: StateProof) -> None:
    """Check that the state with this root holds ``value`` for ``key``; None: that it holds none.

    Raises:
        ProofError: it is not shown.
    """
    _require_shape(proof)
    key_hash = hash_key(key)
    total = _terminal_hash(key_hash, value, proof)
    for depth in range(len(proof.siblings) - 1, -1, -1):
        pair = (total, proof.siblings[depth])
        total = hash_inner(*(reversed(pair) if bit(key_hash, depth) else pair))
    if total != root:
        raise ProofError("the proof leads to another root")


def _terminal_hash(key_hash: bytes, value: bytes | None, proof: StateProof) -> bytes:
    """Give the hash of what must stand at the end of the path if the claim is true."""
    other = proof.terminal
    if value is not None:
        if other is not None:
            raise ProofError("a value is claimed and another key's leaf is shown")
        return hash_leaf(key_hash, hash_value(value))
    if other is None:
        return EMPTY_HASH
    if other.key_hash == key_hash:
        raise ProofError("absence is claimed and the key's own leaf is shown")
    depth = len(proof.siblings)
    if any(bit(other.key_hash, above) != bit(key_hash, above) for above in range(depth)):
        raise ProofError("the other leaf stands on another path")
    return hash_leaf(other.key_hash, other.value_hash)


def _require_shape(proof: StateProof) -> None:
    """Refuse what decoding would: a proof may have been built in memory.

    Were parts of other lengths let through, a present key's leaf could be cut differently into
    key and value hash and be shown as another key's.
    """
    hashes = list(proof.siblings)
    if proof.terminal is not None:
        hashes += [proof.terminal.key_hash, proof.terminal.value_hash]
    if len(proof.siblings) > KEY_BITS or any(len(value) != HASH_BYTES for value in hashes):
        raise ProofError("the proof is malformed")
