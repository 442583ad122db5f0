"""The Merkle tree of one block: RFC 6962 over its leaves, as the ledger's own log.

Owns the choice that a block's tree is built whole, in memory, from its records: stored are the
records alone.
"""

from collections.abc import Sequence

from ledger.core import merkle

__all__ = ["Tree"]


class Tree:
    """A finished tree."""

    __slots__ = ("_read", "root", "size")

    def __init__(self, leaves: Sequence[bytes]) -> None:
        """Build the tree over leaf hashes, in order."""
        tiles = merkle.append(_no_tile, 0, b"".join(leaves))
        self._read = merkle.with_tiles(_no_tile, tiles)
        self.size = len(leaves)
        self.root = merkle.root(self._read, self.size)

    def path(self, index: int) -> tuple[bytes, ...]:
        """Give the inclusion proof of one leaf, siblings from below.

        Raises:
            ProofError: there is no such leaf.
        """
        return tuple(merkle.inclusion_proof(self._read, index, self.size))


def _no_tile(_level: int, _index: int) -> bytes:
    return b""
