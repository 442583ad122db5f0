"""Leaves, salts and references: what hides the records and still commits to them.

Owns every hash of the format but the Merkle tree's own. All salts of a block come from one secret
that the seller draws for it, so a seller reveals one record by its salt, a whole block by the
secret, and nothing by the block: without its salt a record cannot be guessed from its leaf, nor a
product from its reference.
"""

from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from ledger.core.codec import encode
from ledger.core.hashing import derivation_context, derived_digest
from ledger.core.limits import HASH_BYTES
from ledger.core.merkle import leaf_hash
from ledger.core.merkle import leaf_hashes as merkle_leaf_hashes
from ledger.native import blake3

__all__ = [
    "Entry",
    "Opening",
    "TotalKey",
    "entry_leaf",
    "leaf_hashes",
    "opening_of",
    "reference_of",
    "salts_of",
    "secret_commitment",
]

_LEAF_PREFIX: Final = b"concordat usage record v1\n"
_NUMBER_BYTES: Final = 8
_SALT_CONTEXT: Final = derivation_context("usage record salt")
_total_salt = derived_digest("usage total salt")
_reference = derived_digest("usage total reference")

secret_commitment = derived_digest("usage secret commitment")
"""Give the commitment to a block's secret (32 bytes)."""


class Entry(NamedTuple):
    """One record in the log.

    Attributes:
        supersedes: number of the record that this one corrects; 0 for none.
        body: the document, canonical.
    """

    supersedes: int
    body: bytes


class TotalKey(NamedTuple):
    """What one total sums up; ``metric`` is empty for records that measure nothing."""

    buyer: str
    product: str
    metric: str
    unit: str


class Opening(NamedTuple):
    """Shows whose and of what one total is."""

    key: TotalKey
    salt: bytes


def salts_of(secret: bytes, indices: Iterable[int]) -> bytes:
    """Give the salts of the records at these places of a block, 32 bytes each."""
    material = b"".join(secret + index.to_bytes(_NUMBER_BYTES, "big") for index in indices)
    return blake3.hash_records(material, HASH_BYTES + _NUMBER_BYTES, _SALT_CONTEXT)


def entry_leaf(salt: bytes, entry: Entry) -> bytes:
    """Give the leaf hash of one record."""
    return leaf_hash(_leaf_data(salt, entry))


def leaf_hashes(secret: bytes, entries: Sequence[Entry]) -> list[bytes]:
    """Give the leaf hashes of all records of a block, in order."""
    salts = salts_of(secret, range(len(entries)))
    pieces = range(0, len(salts), HASH_BYTES)
    return merkle_leaf_hashes(
        [
            _leaf_data(salts[offset : offset + HASH_BYTES], entry)
            for offset, entry in zip(pieces, entries, strict=True)
        ]
    )


def opening_of(secret: bytes, key: TotalKey) -> Opening:
    """Give what opens the total of ``key`` in the block of this secret."""
    return Opening(key, _total_salt(secret + encode(key)))


def reference_of(opening: Opening) -> bytes:
    """Give the reference that an opening opens."""
    return _reference(opening.salt + encode(opening.key))


def _leaf_data(salt: bytes, entry: Entry) -> bytes:
    number = entry.supersedes.to_bytes(_NUMBER_BYTES, "big")
    return b"".join((_LEAF_PREFIX, salt, number, entry.body))
