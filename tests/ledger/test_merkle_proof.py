"""Checking Merkle proofs: honest ones hold, everything else is ``ProofError``."""

from collections.abc import Iterator
from hashlib import sha256

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from ledger.core.errors import ProofError
from ledger.core.limits import INT_MAX
from ledger.core.merkle import (
    EMPTY_ROOT,
    append,
    consistency_proof,
    inclusion_proof,
    node_hash,
    root,
)
from ledger.core.merkle_proof import root_from_inclusion, verify_consistency, verify_inclusion

COUNT = 66_000
LEAVES = [sha256(number.to_bytes(8, "big")).digest() for number in range(COUNT)]
TILES = append(lambda _level, _index: b"", 0, b"".join(LEAVES))
OTHER = sha256(b"another").digest()

# Sizes of every shape: powers of two and their neighbours, tile boundaries, and ragged ones.
SIZES = st.one_of(st.integers(1, 600), st.sampled_from([65_535, 65_536, 65_537, COUNT]))
INCLUSIONS = SIZES.flatmap(lambda n: st.tuples(st.integers(0, n - 1), st.just(n)))
EXTENSIONS = SIZES.flatmap(lambda n: st.tuples(st.integers(1, n), st.just(n)))


def read(level: int, index: int) -> bytes:
    """Read a tile of the example log."""
    return TILES.get((level, index), b"")


def flipped(proof: list[bytes]) -> Iterator[list[bytes]]:
    """Give the proof with each of its bits flipped in turn."""
    for place, value in enumerate(proof):
        for bit in range(8 * len(value)):
            number = int.from_bytes(value, "big") ^ (1 << bit)
            yield [*proof[:place], number.to_bytes(len(value), "big"), *proof[place + 1 :]]


def resized(proof: list[bytes]) -> Iterator[list[bytes]]:
    """Give the proof with a hash too many or too few, at each place."""
    for place in range(len(proof) + 1):
        yield [*proof[:place], OTHER, *proof[place:]]
        yield proof[:place] + proof[place + 1 :] if place < len(proof) else [*proof, *proof, OTHER]


@given(INCLUSIONS)
def test_honest_inclusion_proofs_hold(case: tuple[int, int]) -> None:
    """Every entry of every size is shown to be in the log."""
    index, size = case
    proof = inclusion_proof(read, index, size)
    verify_inclusion(index, size, LEAVES[index], root(read, size), proof)
    assert root_from_inclusion(index, size, LEAVES[index], proof) == root(read, size)


@given(EXTENSIONS)
def test_honest_consistency_proofs_hold(case: tuple[int, int]) -> None:
    """Every size is shown to extend every smaller one."""
    old, new = case
    proof = consistency_proof(read, old, new)
    verify_consistency(old, new, root(read, old), root(read, new), proof)


@pytest.mark.parametrize("size", range(1, 40))
def test_inclusion_proof_holds_for_one_index_and_leaf(size: int) -> None:
    """A proof holds for no other index, no other leaf and no other root."""
    total = root(read, size)
    for index in range(size):
        proof = inclusion_proof(read, index, size)
        for other in range(size):
            if other != index:
                with pytest.raises(ProofError):
                    verify_inclusion(other, size, LEAVES[index], total, proof)
        with pytest.raises(ProofError):
            verify_inclusion(index, size, OTHER, total, proof)
        with pytest.raises(ProofError):
            verify_inclusion(index, size, LEAVES[index], OTHER, proof)


@pytest.mark.parametrize("size", range(1, 40))
def test_inclusion_proof_of_another_size_does_not_hold(size: int) -> None:
    """A proof made for one size does not hold under another size's root, nor the reverse."""
    for index in range(size):
        proof = inclusion_proof(read, index, size)
        for other in range(size + 1, 45):
            with pytest.raises(ProofError):
                verify_inclusion(index, other, LEAVES[index], root(read, other), proof)
            with pytest.raises(ProofError):
                verify_inclusion(
                    index,
                    size,
                    LEAVES[index],
                    root(read, size),
                    inclusion_proof(read, index, other),
                )


@pytest.mark.parametrize(("index", "size"), [(0, 2), (6, 7), (255, 256), (256, 257), (3, 300)])
def test_any_flipped_bit_breaks_an_inclusion_proof(index: int, size: int) -> None:
    """Each bit of an inclusion proof and of its leaf counts."""
    proof = inclusion_proof(read, index, size)
    total = root(read, size)
    for bad in flipped([LEAVES[index], *proof]):
        with pytest.raises(ProofError):
            verify_inclusion(index, size, bad[0], total, bad[1:])


@pytest.mark.parametrize(
    ("old", "new"), [(1, 2), (3, 7), (4, 7), (6, 7), (128, 256), (255, 256), (256, 257), (257, 300)]
)
def test_any_flipped_bit_breaks_a_consistency_proof(old: int, new: int) -> None:
    """Each bit of a consistency proof and of both roots counts."""
    proof = consistency_proof(read, old, new)
    for bad in flipped([root(read, old), root(read, new), *proof]):
        with pytest.raises(ProofError):
            verify_consistency(old, new, bad[0], bad[1], bad[2:])


@given(INCLUSIONS)
def test_inclusion_proof_has_one_length(case: tuple[int, int]) -> None:
    """A proof with a hash added or left out anywhere is refused."""
    index, size = case
    for bad in resized(inclusion_proof(read, index, size)):
        with pytest.raises(ProofError):
            verify_inclusion(index, size, LEAVES[index], root(read, size), bad)


@given(EXTENSIONS)
def test_consistency_proof_has_one_length(case: tuple[int, int]) -> None:
    """A proof with a hash added or left out anywhere is refused, also an empty one."""
    old, new = case
    for bad in resized(consistency_proof(read, old, new)):
        with pytest.raises(ProofError):
            verify_consistency(old, new, root(read, old), root(read, new), bad)


@given(EXTENSIONS, st.integers(1, 600))
def test_consistency_proof_of_another_old_size_does_not_hold(
    case: tuple[int, int], other: int
) -> None:
    """A proof does not show that the new log extends a log of another size."""
    old, new = case
    proof = consistency_proof(read, old, new)
    assume(other < new and other != old)
    with pytest.raises(ProofError):
        verify_consistency(other, new, root(read, other), root(read, new), proof)


def test_a_rewritten_log_has_no_consistency_proof() -> None:
    """A log whose past was changed is not accepted as an extension."""
    forged = append(lambda _level, _index: b"", 0, b"".join([OTHER, *LEAVES[1:20]]))

    def read_forged(level: int, index: int) -> bytes:
        return forged.get((level, index), b"")

    for old in range(1, 20):
        proof = consistency_proof(read_forged, old, 20)
        with pytest.raises(ProofError):
            verify_consistency(old, 20, root(read, old), root(read_forged, 20), proof)


def test_an_inner_node_is_no_leaf() -> None:
    """The hash of an inner node is not accepted as an entry of the smaller tree above it."""
    inner = node_hash(LEAVES[0], LEAVES[1])
    total = root(read, 4)
    with pytest.raises(ProofError):
        verify_inclusion(0, 4, inner, total, [node_hash(LEAVES[2], LEAVES[3])])


@pytest.mark.parametrize("size", [1, 5, 8])
@pytest.mark.parametrize("length", [0, 31, 33])
def test_hashes_of_another_length_are_refused(size: int, length: int) -> None:
    """Whatever is not 32 bytes long is refused before it is hashed."""
    bad = bytes(length)
    with pytest.raises(ProofError):
        root_from_inclusion(0, size, bad, inclusion_proof(read, 0, size))
    with pytest.raises(ProofError):
        root_from_inclusion(0, size + 1, LEAVES[0], [bad] * len(inclusion_proof(read, 0, size + 1)))
    with pytest.raises(ProofError):
        verify_consistency(size, size, bad, bad, [])
    with pytest.raises(ProofError):
        verify_consistency(0, size, EMPTY_ROOT, bad, [])


@pytest.mark.parametrize(
    ("index", "size"), [(0, 0), (-1, 1), (1, 1), (-1, 4), (4, 4), (0, -1), (0, INT_MAX + 1)]
)
def test_index_and_size_must_be_in_range(index: int, size: int) -> None:
    """An index outside the log, or a size beyond 2**63-1, is refused."""
    with pytest.raises(ProofError, match="no entry"):
        root_from_inclusion(index, size, OTHER, [])


@pytest.mark.parametrize(("old", "new"), [(-1, 4), (5, 4), (-2, -1), (1, INT_MAX + 1)])
def test_sizes_must_be_in_order(old: int, new: int) -> None:
    """Sizes out of range or in the wrong order are refused."""
    with pytest.raises(ProofError, match="does not extend"):
        verify_consistency(old, new, OTHER, OTHER, [])


def test_the_largest_log() -> None:
    """A log of 2**63-1 entries takes 63 siblings for its first entry and 62 for its last."""
    for index in (0, INT_MAX - 1):
        lengths = []
        for length in range(70):
            try:
                root_from_inclusion(index, INT_MAX, OTHER, [OTHER] * length)
            except ProofError:
                continue
            lengths.append(length)
        assert lengths == [63 if index == 0 else 62]


def test_empty_and_equal_logs() -> None:
    """Every log extends the empty one, and itself, by an empty proof and the right roots alone."""
    verify_consistency(0, 0, EMPTY_ROOT, EMPTY_ROOT, [])
    verify_consistency(0, 5, EMPTY_ROOT, root(read, 5), [])
    verify_consistency(5, 5, root(read, 5), root(read, 5), [])
    for old, new, old_root, new_root, proof in [
        (0, 0, EMPTY_ROOT, OTHER, []),
        (0, 0, OTHER, OTHER, []),
        (0, 5, OTHER, root(read, 5), []),
        (0, 5, EMPTY_ROOT, root(read, 5), [OTHER]),
        (5, 5, root(read, 5), OTHER, []),
        (5, 5, root(read, 5), root(read, 5), [root(read, 5)]),
    ]:
        with pytest.raises(ProofError):
            verify_consistency(old, new, old_root, new_root, proof)
