"""The log's Merkle tree: RFC 6962 / RFC 9162 hashes, kept in tiles as C2SP tlog-tiles lays down.

Owns how a log grows, its root at any size, and the making of inclusion and consistency proofs.
Checking proofs is ``merkle_proof``'s concern: it needs no tiles and is all that a client runs.

A tile (level L, index N) holds, in order, the hashes of the complete subtrees of height 8L that
start at position 256N of that level: at most 256 hashes of 32 bytes. Invariants:

- A hash in a tile never changes; tiles only grow. So a tile that holds more than an older size
  needs still answers for that size, and every root ever published can be proved again.
- Level L holds exactly ``size >> 8L`` hashes; heights between the levels are recomputed.

A tile that lacks a hash which its log's size promises is a broken store: ``InvariantError``.
"""

from collections.abc import Callable, Iterable, Mapping
from hashlib import sha256
from typing import Final

from ledger.core.errors import InvariantError, ProofError
from ledger.core.limits import HASH_BYTES, INT_MAX
from ledger.native import merkle as kernel
from ledger.native.scan import Scan

__all__ = [
    "EMPTY_ROOT",
    "TILE_BYTES",
    "TILE_HEIGHT",
    "TILE_WIDTH",
    "TileReader",
    "append",
    "consistency_proof",
    "inclusion_proof",
    "leaf_hash",
    "leaf_hashes",
    "node_hash",
    "root",
    "scanned_leaf_hashes",
    "separate",
    "with_tiles",
]

TileReader = Callable[[int, int], bytes]
"""(level, index) -> the hashes that the tile holds so far, 32 bytes each; ``b""`` if none."""

EMPTY_ROOT: Final = sha256(b"").digest()

# Fixed by C2SP tlog-tiles.
TILE_HEIGHT: Final = 8
TILE_WIDTH: Final = 1 << TILE_HEIGHT  # hashes
TILE_BYTES: Final = TILE_WIDTH * HASH_BYTES


def leaf_hash(entry: bytes) -> bytes:
    """Hash one entry as a leaf (RFC 9162, 2.1.1)."""
    return sha256(b"\x00" + entry).digest()


def leaf_hashes(entries: Iterable[bytes]) -> list[bytes]:
    """Hash many entries as leaves, in order."""
    return separate(kernel.leaf_hashes(tuple(entries)))


def scanned_leaf_hashes(scan: Scan) -> bytes:
    """Hash the open entries of a scan as leaves, in order, side by side."""
    return kernel.scanned_leaf_hashes(scan)


def separate(hashes: bytes) -> list[bytes]:
    """Cut hashes that stand side by side."""
    return [hashes[offset : offset + HASH_BYTES] for offset in range(0, len(hashes), HASH_BYTES)]


def node_hash(left: bytes, right: bytes) -> bytes:
    """Hash two subtrees into their parent (RFC 9162, 2.1.1)."""
    return sha256(b"\x01" + left + right).digest()


def append(read_tile: TileReader, size: int, leaf_hashes: bytes) -> dict[tuple[int, int], bytes]:
    """Append leaves to a log of ``size`` entries.

    Args:
        leaf_hashes: 32 bytes each, side by side, in order.

    Returns:
        (level, index) -> the whole new content of each tile that changed, lowest level first.
    """
    tiles: dict[tuple[int, int], bytes] = {}
    count, rest = divmod(len(leaf_hashes), HASH_BYTES)
    if rest or not 0 <= size <= INT_MAX - count:
        raise InvariantError(f"cannot append {count} leaves and {rest} bytes to a log of {size}")
    added, level, start = leaf_hashes, 0, size
    while added:
        index, held = divmod(start, TILE_WIDTH)
        content = (_read(read_tile, level, index, 0, held) if held else b"") + added
        complete: list[bytes] = []
        for offset in range(0, len(content), TILE_BYTES):
            tile = content[offset : offset + TILE_BYTES]
            tiles[level, index + offset // TILE_BYTES] = tile
            if len(tile) == TILE_BYTES:
                complete.append(kernel.subtree_root(tile))
        added = b"".join(complete)
        level, start = level + 1, index
    return tiles


def with_tiles(read_tile: TileReader, tiles: Mapping[tuple[int, int], bytes]) -> TileReader:
    """Read ``tiles`` (the result of :func:`append`) before the store holds them."""

    def read(level: int, index: int) -> bytes:
        tile = tiles.get((level, index))
        return read_tile(level, index) if tile is None else tile

    return read


def root(read_tile: TileReader, size: int) -> bytes:
    """Give the root of the log's first ``size`` entries (RFC 9162, 2.1.1)."""
    if not 0 <= size <= INT_MAX:
        raise InvariantError(f"a log cannot have {size} entries")
    return _range_root(read_tile, 0, size) if size else EMPTY_ROOT


def inclusion_proof(read_tile: TileReader, index: int, size: int) -> list[bytes]:
    """Prove that entry ``index`` is in the log of ``size`` entries (RFC 9162, 2.1.3.1).

    Returns:
        Siblings of 32 bytes each, from the leaf to the root.

    Raises:
        ProofError: there is no such entry.
    """
    if not 0 <= index < size <= INT_MAX:
        raise ProofError(f"a log of {size} entries has no entry {index}")
    path: list[bytes] = []
    start, end = 0, size
    while end - start > 1:
        middle = start + _left_width(end - start)
        if index < middle:
            path.append(_range_root(read_tile, middle, end))
            end = middle
        else:
            path.append(_range_root(read_tile, start, middle))
            start = middle
    path.reverse()
    return path


def consistency_proof(read_tile: TileReader, old_size: int, new_size: int) -> list[bytes]:
    """Prove that the log of ``new_size`` entries extends that of ``old_size`` (RFC 9162, 2.1.4.1).

    Returns:
        Subtree hashes of 32 bytes each; none when ``old_size`` is 0 or equals ``new_size``.

    Raises:
        ProofError: the old size is greater than the new one.
    """
    if not 0 <= old_size <= new_size <= INT_MAX:
        raise ProofError(f"a log of {new_size} entries does not extend one of {old_size}")
    if old_size == 0:
        return []
    path: list[bytes] = []
    start, end = 0, new_size
    while end != old_size:
        middle = start + _left_width(end - start)
        if old_size <= middle:
            path.append(_range_root(read_tile, middle, end))
            end = middle
        else:
            path.append(_range_root(read_tile, start, middle))
            start = middle
    if start:  # The verifier knows the subtree [0, old_size) already: it is the old root.
        path.append(_range_root(read_tile, start, end))
    path.reverse()
    return path


def _left_width(width: int) -> int:
    """Give the largest power of two below ``width`` (> 1): the size of the left subtree."""
    return 1 << ((width - 1).bit_length() - 1)


def _range_root(read_tile: TileReader, start: int, end: int) -> bytes:
    """Give the root over the leaves [start, end), not empty.

    ``start`` must be where a subtree of that many leaves may begin: a multiple of the smallest
    power of two that is not less than ``end - start``.
    """
    peaks: list[bytes] = []
    while start < end:
        height = (end - start).bit_length() - 1
        peaks.append(_subtree(read_tile, height, start >> height))
        start += 1 << height
    total = peaks.pop()
    while peaks:
        total = node_hash(peaks.pop(), total)
    return total


def _subtree(read_tile: TileReader, height: int, position: int) -> bytes:
    """Give the hash of the complete subtree at ``position`` among those of its ``height``."""
    level, above = divmod(height, TILE_HEIGHT)
    index, offset = divmod(position << above, TILE_WIDTH)
    return kernel.subtree_root(_read(read_tile, level, index, offset, offset + (1 << above)))


def _read(read_tile: TileReader, level: int, index: int, start: int, end: int) -> bytes:
    """Read the hashes [start, end) of a tile, which must hold them."""
    tile = read_tile(level, index)
    if len(tile) < end * HASH_BYTES:
        raise InvariantError(f"tile {level}/{index} holds {len(tile)} bytes, not {end} hashes")
    return tile[start * HASH_BYTES : end * HASH_BYTES]
