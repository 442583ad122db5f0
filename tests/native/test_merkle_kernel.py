"""The Merkle kernels give the SHA-256 of hashlib over RFC 6962's leaves and nodes."""

import random
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.core.errors import RejectCode
from ledger.core.scanning import scan_entries, verdict
from ledger.native import merkle
from tests.ledger.sample_network import entry

every_path = pytest.mark.parametrize("path", merkle.implementations())


def leaves(entries: list[bytes]) -> bytes:
    """Hash one by one."""
    return b"".join(sha256(b"\0" + entry).digest() for entry in entries)


def nodes(level: bytes) -> bytes:
    """Hash one by one."""
    pairs = (level[i : i + 64] for i in range(0, len(level), 64))
    return b"".join(sha256(b"\1" + pair).digest() for pair in pairs)


@every_path
def test_leaf_of_every_length(path: str) -> None:
    """Every length to five blocks agrees, alone and beside a leaf of another length."""
    entries = [random.Random(length).randbytes(length) for length in range(321)]
    for leaf in entries:
        assert merkle.leaf_hashes([leaf], implementation=path) == leaves([leaf])
    for step in range(1, 130, 7):
        pair = [entries[step], entries[-step]]
        assert merkle.leaf_hashes(pair, implementation=path) == leaves(pair)
    assert merkle.leaf_hashes(entries, implementation=path) == leaves(entries)


@every_path
@given(entries=st.lists(st.binary(max_size=300), max_size=40))
def test_leaves_of_any_lengths(path: str, entries: list[bytes]) -> None:
    """Any list of leaves agrees."""
    assert merkle.leaf_hashes(entries, implementation=path) == leaves(entries)


@every_path
def test_leaves_of_a_scan(path: str) -> None:
    """The leaves of a scan are those of its open entries, none of the refused ones."""
    entries = [entry(number) for number in range(40)]
    scanned = scan_entries([b"none", *entries[:20], b"", *entries[20:], entries[5]])
    assert merkle.scanned_leaf_hashes(scanned, implementation=path) == leaves(
        [*entries, entries[5]]
    )
    scanned.refuse_repeats(verdict(RejectCode.DUPLICATE))
    assert merkle.scanned_leaf_hashes(scanned, implementation=path) == leaves(entries)
    assert merkle.scanned_leaf_hashes(scan_entries([b"none"]), implementation=path) == b""


@every_path
@pytest.mark.parametrize("length", [65_535, 10**6])
def test_long_leaves(path: str, length: int) -> None:
    """A leaf of the largest entry, and a far longer one, agree."""
    entries = [bytes(length), b"x" * length, b"short"]
    assert merkle.leaf_hashes(entries, implementation=path) == leaves(entries)


@every_path
def test_long_leaves_among_short_ones(path: str) -> None:
    """Sixteen side by side do not wait for one: such leaves go by twos, and all agree."""
    for place in range(16):
        entries = [bytes([number]) * number for number in range(35)]
        entries[place] = b"x" * 5_000
        assert merkle.leaf_hashes(entries, implementation=path) == leaves(entries)


@every_path
def test_nodes(path: str) -> None:
    """Any number of pairs agrees."""
    for count in range(9):
        level = random.Random(count).randbytes(64 * count)
        assert merkle.node_hashes(level, implementation=path) == nodes(level)


@every_path
@pytest.mark.parametrize("height", range(10))
def test_root_of_a_complete_tree(path: str, height: int) -> None:
    """A power of two of hashes gives what hashing level by level gives."""
    hashes = level = random.Random(height).randbytes(32 << height)
    while len(level) > 32:
        level = nodes(level)
    assert merkle.subtree_root(hashes, implementation=path) == level


@pytest.mark.parametrize("size", [0, 31, 33, 96, 32 * 255])
def test_other_numbers_of_hashes_have_no_root(size: int) -> None:
    """Only a power of two of whole hashes is a complete tree."""
    with pytest.raises(ValueError, match="power of two"):
        merkle.subtree_root(bytes(size))


def test_wrong_input_is_refused() -> None:
    """Half a pair, what is not bytes and an unknown kernel are the caller's bugs."""
    assert merkle.leaf_hashes([]) == b""
    assert merkle.implementation() in merkle.implementations()
    with pytest.raises(ValueError, match="64 bytes"):
        merkle.node_hashes(bytes(96))
    with pytest.raises(TypeError):
        merkle.leaf_hashes(["text"])  # type: ignore[list-item]
    with pytest.raises(ValueError, match="no such implementation"):
        merkle.leaf_hashes([], implementation="abacus")
