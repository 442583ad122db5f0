"""Checking of Merkle proofs: what a client runs, with neither a log nor its tiles.

Owns the verification algorithms of RFC 9162 (2.1.3.2 and 2.1.4.2). Proofs come from strangers:
every size, index and length is checked first, and the only exception is ``ProofError``.

Invariant: for given sizes exactly one length of proof is accepted, and each hash of the proof
goes into each root that it must reproduce.
"""

from collections.abc import Sequence

from ledger.core.errors import ProofError
from ledger.core.limits import HASH_BYTES, INT_MAX
from ledger.core.merkle import EMPTY_ROOT, node_hash

__all__ = ["root_from_inclusion", "verify_consistency", "verify_inclusion"]


def root_from_inclusion(index: int, size: int, leaf_hash: bytes, proof: Sequence[bytes]) -> bytes:
    """Give the root of the log of ``size`` entries that holds ``leaf_hash`` at ``index``.

    Args:
        proof: siblings from the leaf to the root.

    Raises:
        ProofError: no log of that size can give such a proof.
    """
    if not 0 <= index < size <= INT_MAX:
        raise ProofError(f"a log of {size} entries has no entry {index}")
    _require_hashes([leaf_hash, *proof])
    total = leaf_hash
    for sibling, is_left in zip(proof, _sides(index, size - 1, len(proof)), strict=True):
        total = node_hash(sibling, total) if is_left else node_hash(total, sibling)
    return total


def verify_inclusion(
    index: int, size: int, leaf_hash: bytes, root: bytes, proof: Sequence[bytes]
) -> None:
    """Check that the log of ``size`` entries and this root holds ``leaf_hash`` at ``index``.

    ``size`` and ``root`` must be vouched for together: a root alone does not fix its log's size.

    Raises:
        ProofError: it is not shown.
    """
    if root_from_inclusion(index, size, leaf_hash, proof) != root:
        raise ProofError("the proof leads to another root")


def verify_consistency(
    old_size: int, new_size: int, old_root: bytes, new_root: bytes, proof: Sequence[bytes]
) -> None:
    """Check that the log with the new root extends, unchanged, the one with the old root.

    Raises:
        ProofError: it is not shown.
    """
    if not 0 <= old_size <= new_size <= INT_MAX:
        raise ProofError(f"a log of {new_size} entries does not extend one of {old_size}")
    _require_hashes([old_root, new_root, *proof])
    if old_size in (0, new_size):
        _verify_trivial(old_size, new_size, old_root, new_root, proof)
        return
    if old_size & (old_size - 1) == 0:
        proof = [old_root, *proof]  # The old log is one complete subtree: its root is implied.
    elif not proof:
        raise ProofError("the proof is too short")
    # Begin at the last complete subtree of the old log.
    position, last = old_size - 1, new_size - 1
    while position & 1:
        position >>= 1
        last >>= 1
    old_total = new_total = proof[0]
    path = proof[1:]
    for sibling, is_left in zip(path, _sides(position, last, len(path)), strict=True):
        if is_left:
            old_total = node_hash(sibling, old_total)
            new_total = node_hash(sibling, new_total)
        else:
            new_total = node_hash(new_total, sibling)
    if old_total != old_root:
        raise ProofError("the proof leads to another old root")
    if new_total != new_root:
        raise ProofError("the proof leads to another new root")


def _sides(position: int, last: int, count: int) -> list[bool]:
    """Tell for each sibling of a path, from below, whether it stands on the left.

    Args:
        position: where the path begins among the nodes of its height (RFC 9162: fn).
        last: the last node of that height (RFC 9162: sn).
        count: how many siblings the proof has; the sizes allow exactly one number.
    """
    sides: list[bool] = []
    while last and len(sides) < count:
        is_left = bool(position & 1) or position == last
        sides.append(is_left)
        if is_left:
            # On the right edge the levels without a right sibling add nothing to the path.
            while not position & 1:
                position >>= 1
                last >>= 1
        position >>= 1
        last >>= 1
    if last or len(sides) != count:
        raise ProofError(f"a proof of {count} hashes is too {'short' if last else 'long'}")
    return sides


def _verify_trivial(
    old_size: int, new_size: int, old_root: bytes, new_root: bytes, proof: Sequence[bytes]
) -> None:
    """Check the cases that need no proof: nothing was there, or nothing was added."""
    if proof:
        raise ProofError("the proof is too long")
    if old_size == 0 and old_root != EMPTY_ROOT:
        raise ProofError("the old root is not that of an empty log")
    if old_size == new_size and old_root != new_root:
        raise ProofError("two logs of one size have different roots")


def _require_hashes(values: Sequence[bytes]) -> None:
    """Refuse anything but digests before any of it is hashed."""
    for value in values:
        if len(value) != HASH_BYTES:
            raise ProofError(f"a hash of {len(value)} bytes")
