"""The log's Merkle tree against RFC 9162's own definitions, written down again here."""

from collections.abc import Sequence
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.core.errors import InvariantError, ProofError
from ledger.core.limits import INT_MAX
from ledger.core.merkle import (
    EMPTY_ROOT,
    TILE_BYTES,
    append,
    consistency_proof,
    inclusion_proof,
    leaf_hash,
    leaf_hashes,
    node_hash,
    root,
    with_tiles,
)

BOUNDARIES = [255, 256, 257, 65_535, 65_536, 65_537]

# The example log of the first Certificate Transparency implementation and its roots.
CT_ENTRIES = [
    bytes.fromhex(text) for text in ("", "00", "10", "2021", "3031", "40414243", "5051525354555657")
] + [bytes(range(0x60, 0x70))]
CT_ROOTS = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]


class Log:
    """A store of tiles in memory."""

    def __init__(self, leaves: Sequence[bytes] = ()) -> None:
        self.tiles: dict[tuple[int, int], bytes] = {}
        self.size = 0
        self.append(leaves)

    def read(self, level: int, index: int) -> bytes:
        """Read a tile; ``b""`` when absent."""
        return self.tiles.get((level, index), b"")

    def append(self, leaves: Sequence[bytes]) -> None:
        """Append leaves and keep the changed tiles."""
        self.tiles.update(append(self.read, self.size, b"".join(leaves)))
        self.size += len(leaves)


def naive_root(leaves: Sequence[bytes]) -> bytes:
    """MTH of RFC 9162, 2.1.1, over leaf hashes."""
    if not leaves:
        return sha256(b"").digest()
    if len(leaves) == 1:
        return leaves[0]
    k = naive_split(len(leaves))
    return sha256(b"\x01" + naive_root(leaves[:k]) + naive_root(leaves[k:])).digest()


def naive_split(n: int) -> int:
    """Give the largest power of two smaller than ``n``."""
    k = 1
    while 2 * k < n:
        k *= 2
    return k


def naive_path(m: int, leaves: Sequence[bytes]) -> list[bytes]:
    """PATH of RFC 9162, 2.1.3.1."""
    if len(leaves) == 1:
        return []
    k = naive_split(len(leaves))
    if m < k:
        return [*naive_path(m, leaves[:k]), naive_root(leaves[k:])]
    return [*naive_path(m - k, leaves[k:]), naive_root(leaves[:k])]


def naive_subproof(m: int, leaves: Sequence[bytes], *, complete: bool) -> list[bytes]:
    """SUBPROOF of RFC 9162, 2.1.4.1."""
    if m == len(leaves):
        return [] if complete else [naive_root(leaves)]
    k = naive_split(len(leaves))
    if m <= k:
        return [*naive_subproof(m, leaves[:k], complete=complete), naive_root(leaves[k:])]
    return [*naive_subproof(m - k, leaves[k:], complete=False), naive_root(leaves[:k])]


def make_leaves(count: int) -> list[bytes]:
    """Give ``count`` different leaf hashes."""
    return [sha256(number.to_bytes(8, "big")).digest() for number in range(count)]


LEAVES = make_leaves(66_000)
GROWN = Log(LEAVES)  # Larger than every size asked of it: tiles hold more than is needed.


def test_leaf_and_node_hashes_are_domain_separated() -> None:
    """A leaf is SHA-256 of 0x00 and the entry, a node of 0x01 and both children."""
    assert leaf_hash(b"entry") == sha256(b"\x00entry").digest()
    assert leaf_hashes([b"a", b"", b"c"]) == [leaf_hash(b"a"), leaf_hash(b""), leaf_hash(b"c")]
    left, right = LEAVES[:2]
    assert node_hash(left, right) == sha256(b"\x01" + left + right).digest()
    assert sha256(b"").digest() == EMPTY_ROOT


@pytest.mark.parametrize("size", range(9))
def test_certificate_transparency_example_roots(size: int) -> None:
    """The well-known example log has its well-known roots, also when seen from a larger log."""
    expected = bytes.fromhex(CT_ROOTS[size])
    leaves = leaf_hashes(CT_ENTRIES)
    assert root(Log(leaves[:size]).read, size) == expected
    assert root(Log(leaves).read, size) == expected


def test_rfc_9162_example_proofs() -> None:
    """The seven-leaf tree of RFC 9162, 2.1.5, gives the proofs listed there."""
    a, b, c, d, e, f, j = LEAVES[:7]
    g, h, i = node_hash(a, b), node_hash(c, d), node_hash(e, f)
    k, left = node_hash(i, j), node_hash(g, h)
    log = Log(LEAVES[:7])
    assert root(log.read, 7) == node_hash(left, k)
    assert inclusion_proof(log.read, 0, 7) == [b, h, k]
    assert inclusion_proof(log.read, 3, 7) == [c, g, k]
    assert inclusion_proof(log.read, 4, 7) == [f, j, left]
    assert inclusion_proof(log.read, 6, 7) == [i, left]
    assert consistency_proof(log.read, 3, 7) == [c, d, g, k]
    assert consistency_proof(log.read, 4, 7) == [k]
    assert consistency_proof(log.read, 6, 7) == [i, j, left]


@given(st.lists(st.integers(0, 700), max_size=5))
def test_appending_in_pieces_equals_the_definition(pieces: list[int]) -> None:
    """However a log is cut into appends, each root is that of the definition."""
    log = Log()
    for piece in pieces:
        log.append(LEAVES[log.size : log.size + piece])
        assert root(log.read, log.size) == naive_root(LEAVES[: log.size])
    assert log.tiles == Log(LEAVES[: log.size]).tiles


@given(st.integers(1, 1_200).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n - 1))))
def test_inclusion_proofs_equal_the_definition(case: tuple[int, int]) -> None:
    """Proofs of any size up to the log's own follow PATH of the RFC."""
    size, index = case
    assert inclusion_proof(GROWN.read, index, size) == naive_path(index, LEAVES[:size])


@given(st.integers(1, 1_200).flatmap(lambda n: st.tuples(st.just(n), st.integers(1, n))))
def test_consistency_proofs_equal_the_definition(case: tuple[int, int]) -> None:
    """Proofs between any two sizes up to the log's own follow SUBPROOF of the RFC."""
    size, old_size = case
    proof = consistency_proof(GROWN.read, old_size, size)
    assert proof == naive_subproof(old_size, LEAVES[:size], complete=True)


@pytest.mark.parametrize("size", BOUNDARIES)
def test_tile_boundaries(size: int) -> None:
    """Around full tiles of both levels, roots and proofs follow the definition."""
    leaves = LEAVES[:size]
    log = Log(leaves[: size - 1])
    log.append(leaves[size - 1 :])
    expected = naive_root(leaves)
    for read in (log.read, GROWN.read):
        assert root(read, size) == expected
        assert inclusion_proof(read, size - 1, size) == naive_path(size - 1, leaves)
        assert consistency_proof(read, 255, size) == naive_subproof(255, leaves, complete=True)


@pytest.mark.parametrize("size", BOUNDARIES)
def test_tiles_hold_complete_subtrees_only(size: int) -> None:
    """Level L holds size >> 8L hashes, in full tiles and one partial tile, never an empty one."""
    tiles = Log(LEAVES[:size]).tiles
    for level in range(4):
        indexes = sorted(index for found, index in tiles if found == level)
        assert indexes == list(range(len(indexes)))
        assert all(len(tiles[level, index]) == TILE_BYTES for index in indexes[:-1])
        hashes = b"".join(tiles[level, index] for index in indexes)
        assert len(hashes) == 32 * (size >> 8 * level)
        assert all(tiles.values())


def test_append_returns_changed_tiles_only() -> None:
    """An append within one tile changes that tile alone and gives its whole content."""
    log = Log(LEAVES[:300])
    assert append(log.read, 300, b"".join(LEAVES[300:302])) == {(0, 1): b"".join(LEAVES[256:302])}
    assert append(log.read, 300, b"") == {}


def test_append_ignores_what_a_tile_holds_beyond_the_size() -> None:
    """Appending to an older size gives the same tiles as if the log had never grown."""
    leaves = b"".join(LEAVES[:5])
    assert append(GROWN.read, 300, leaves) == append(Log(LEAVES[:300]).read, 300, leaves)


def test_with_tiles_shows_an_append_before_it_is_stored() -> None:
    """The root after an append can be had while the store still holds the log before it."""
    log = Log(LEAVES[:250])
    read = with_tiles(log.read, append(log.read, 250, b"".join(LEAVES[250:600])))
    assert root(read, 600) == naive_root(LEAVES[:600])
    assert root(log.read, 250) == naive_root(LEAVES[:250])


def test_a_missing_or_short_tile_is_a_broken_store() -> None:
    """A tile without a hash that the size promises stops the process."""
    log = Log(LEAVES[:600])
    log.tiles[0, 2] = log.tiles[0, 2][:-1]
    del log.tiles[0, 1]
    with pytest.raises(InvariantError):
        root(log.read, 600)
    with pytest.raises(InvariantError):
        inclusion_proof(log.read, 3, 300)
    with pytest.raises(InvariantError):
        append(log.read, 600, LEAVES[0])


@pytest.mark.parametrize(
    ("index", "size"), [(0, 0), (-1, 5), (5, 5), (6, 5), (0, INT_MAX + 1), (INT_MAX, INT_MAX)]
)
def test_no_inclusion_proof_outside_the_log(index: int, size: int) -> None:
    """An entry that a log of that size does not have has no proof."""
    with pytest.raises(ProofError, match="no entry"):
        inclusion_proof(GROWN.read, index, size)


@pytest.mark.parametrize(("old_size", "new_size"), [(-1, 5), (6, 5), (1, INT_MAX + 1)])
def test_no_consistency_proof_outside_the_log(old_size: int, new_size: int) -> None:
    """A log does not extend a larger one."""
    with pytest.raises(ProofError):
        consistency_proof(GROWN.read, old_size, new_size)


def test_trivial_consistency_proofs_are_empty() -> None:
    """Nothing extends an empty log, and a log extends itself, without a proof."""
    assert consistency_proof(GROWN.read, 0, 0) == []
    assert consistency_proof(GROWN.read, 0, 300) == []
    assert consistency_proof(GROWN.read, 300, 300) == []


def test_sizes_and_hashes_out_of_range_are_our_bug() -> None:
    """Sizes outside 0..2**63-1 and leaves that are no digests are refused loudly."""
    with pytest.raises(InvariantError, match="cannot have"):
        root(GROWN.read, -1)
    with pytest.raises(InvariantError, match="cannot have"):
        root(GROWN.read, INT_MAX + 1)
    with pytest.raises(InvariantError, match="cannot append"):
        append(GROWN.read, -1, LEAVES[0])
    with pytest.raises(InvariantError, match="cannot append"):
        append(GROWN.read, INT_MAX, LEAVES[0])
    with pytest.raises(InvariantError, match="cannot append"):
        append(GROWN.read, 0, LEAVES[0][:31])
