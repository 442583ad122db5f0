"""Snapshots: a whole ledger handed over piece by piece, each piece verified when it arrives.

Owns the pieces that a member that joins is sent (docs/decisions/0005-snapshots.md), how a member
makes them from its chain, and how each is checked. All hang by digests on the certified ledger root
that the manifest shows (``ledger.core.snapshot_manifest``):

- blocks, from the header downwards, by the parent that each names;
- nodes of the state map, from the state root downwards, by the hashes that each inner node names;
- entries, from the first on, by a proof that the log so far is the beginning of the certified one.

So a liar is found out by his first wrong piece, a piece may come from any member, and nothing can
be longer than what the root fixes. Bytes from strangers give a value or ``DecodeError``; a value
gives its verdict or ``ProofError``.
"""

from collections.abc import Sequence
from typing import Annotated, NamedTuple, Protocol

from msgspec import Meta

from ledger.core.block import Block, LedgerRoot, block_id
from ledger.core.certificate import BlockIdField, HeightField
from ledger.core.codec import Codec, Hash32, Record, encode
from ledger.core.errors import DecodeError, InvariantError, ProofError
from ledger.core.genesis import Genesis
from ledger.core.ids import BlockId, Height
from ledger.core.ids import Sequence as SequenceNumber
from ledger.core.limits import (
    ENTRY_BYTES_MAX,
    PROOF_PATH_HASHES_MAX,
    SNAPSHOT_CHUNK_BYTES,
    SNAPSHOT_CHUNK_ITEMS,
)
from ledger.core.merkle import TileReader, append, consistency_proof, leaf_hashes, root, with_tiles
from ledger.core.merkle_proof import verify_consistency
from ledger.core.statemap_node import (
    EMPTY_HASH,
    KEY_BITS,
    Inner,
    Leaf,
    Node,
    NodeReader,
    decode_node,
    hash_node,
    load,
)

__all__ = [
    "BlockLink",
    "Blocks",
    "LogPart",
    "PendingNode",
    "StatePart",
    "blocks_codec",
    "log_codec",
    "read_blocks",
    "read_log",
    "read_state",
    "state_codec",
    "verify_blocks",
    "verify_log",
    "verify_state_part",
]

_Entry = Annotated[bytes, Meta(min_length=1, max_length=ENTRY_BYTES_MAX)]
_Items = Meta(min_length=1, max_length=SNAPSHOT_CHUNK_ITEMS)


class Blocks(Record, frozen=True):
    """Consecutive blocks, the highest first."""

    blocks: Annotated[tuple[Block, ...], _Items]


class StatePart(Record, frozen=True):
    """Encoded nodes of the state map, each before what is below it, the left before the right."""

    nodes: Annotated[tuple[bytes, ...], _Items]


class LogPart(Record, frozen=True):
    """Consecutive entries, and the proof that the log up to them is the certified one's beginning.

    Attributes:
        proof: RFC 9162, 2.1.4, from the log that ends with these entries to the certified one.
    """

    entries: Annotated[tuple[_Entry, ...], _Items]
    proof: Annotated[tuple[Hash32, ...], Meta(max_length=2 * PROOF_PATH_HASHES_MAX)]


class BlockLink(Record, frozen=True):
    """A block that is known by its id alone: the next one wanted."""

    height: HeightField
    id: BlockIdField


class PendingNode(Record, frozen=True):
    """A node of the state map that is known by its hash alone.

    Attributes:
        path: from the root to it, ``0`` for left and ``1`` for right.
    """

    path: Annotated[str, Meta(max_length=KEY_BITS, pattern="^[01]*$")]
    hash: Hash32


class VerifiedNode(NamedTuple):
    """A node that the certified state holds."""

    hash: bytes
    encoded: bytes
    node: Node


class LogSource(Protocol):
    """What reading entries needs from a chain."""

    def entries(self, first: SequenceNumber, count_max: int, bytes_max: int) -> list[bytes]:
        """Give consecutive entries, at least one if there is one."""
        ...

    def read_tile(self, level: int, index: int) -> bytes:
        """Give the hashes of one tile of the log."""
        ...


class BlockSource(Protocol):
    """What reading blocks needs from a chain."""

    def block(self, height: Height) -> Block | None:
        """Give the final block at ``height``."""
        ...


blocks_codec = Codec(Blocks)
state_codec = Codec(StatePart)
log_codec = Codec(LogPart)


# --- making -------------------------------------------------------------------------------


def read_blocks(source: BlockSource, highest: Height) -> Blocks | None:
    """Give the block at ``highest`` and those below it; None when it is not here."""
    blocks: list[Block] = []
    size = 0
    for height in range(highest, 0, -1):
        block = source.block(Height(height))
        if block is None or size >= SNAPSHOT_CHUNK_BYTES or len(blocks) == SNAPSHOT_CHUNK_ITEMS:
            break
        blocks.append(block)
        size += len(encode(block))
    return Blocks(tuple(blocks)) if blocks else None


def read_state(read_node: NodeReader, state_root: bytes, path: str) -> StatePart | None:
    """Give the node at ``path`` and those that follow it; None when there is no such node.

    Raises:
        InvariantError: the chain lacks a node below one that it has.
    """
    if not read_node(state_root):
        return None
    pending = _pending_at(read_node, state_root, path)
    nodes: list[bytes] = []
    size = 0
    while pending and size < SNAPSHOT_CHUNK_BYTES and len(nodes) < SNAPSHOT_CHUNK_ITEMS:
        encoded = read_node(pending.pop())
        try:
            node = decode_node(encoded)
        except DecodeError as error:
            raise InvariantError(f"a node of the state: {error}") from None
        nodes.append(encoded)
        size += len(encoded)
        pending += _children(node)
    return StatePart(tuple(nodes)) if nodes else None


def read_log(source: LogSource, first: SequenceNumber, log_size: int) -> LogPart | None:
    """Give entries from ``first`` on of the log of ``log_size``; None when it has none there."""
    count_max = min(SNAPSHOT_CHUNK_ITEMS, log_size - first)
    if count_max < 1:
        return None
    entries = source.entries(first, count_max, SNAPSHOT_CHUNK_BYTES)
    if not entries:
        return None
    proof = consistency_proof(source.read_tile, first + len(entries), log_size)
    return LogPart(tuple(entries), tuple(proof))


# --- checking -----------------------------------------------------------------------------


def verify_blocks(wanted: BlockLink, blocks: Sequence[Block], genesis: Genesis) -> BlockLink:
    """Check blocks, the highest first, against the id of the first; give the next one wanted.

    Raises:
        ProofError: one is another than the one that its child names.
    """
    for block in blocks:
        if wanted.height == 0 or block.height != wanted.height or block_id(block) != wanted.id:
            raise ProofError(f"another block than the final one at height {wanted.height}")
        wanted = BlockLink(Height(block.height - 1), BlockId(block.parent_id))
    if wanted.height == 0 and wanted.id != genesis.block_id:
        raise ProofError("the chain does not begin with this genesis")
    return wanted


def verify_state_part(
    pending: Sequence[PendingNode], encoded: Sequence[bytes]
) -> tuple[list[VerifiedNode], list[PendingNode]]:
    """Check nodes of the state, in the order of ``read_state``.

    Args:
        pending: nodes that are wanted; the last one is the next.

    Returns:
        The nodes, and what is wanted then.

    Raises:
        ProofError: one is not the node that is wanted.
    """
    left = list(pending)
    found: list[VerifiedNode] = []
    for data in encoded:
        if not left:
            raise ProofError("more nodes than the state has")
        wanted = left.pop()
        try:
            node = decode_node(data)
        except DecodeError as error:
            raise ProofError(f"no node of the state: {error}") from None
        if hash_node(node) != wanted.hash:
            raise ProofError("another node than the one in the certified state")
        found.append(VerifiedNode(wanted.hash, data, node))
        if isinstance(node, Inner):
            if len(wanted.path) == KEY_BITS:
                raise ProofError("the state is deeper than its keys are long")
            below = (("1", node.right), ("0", node.left))
            left += [PendingNode(wanted.path + b, h) for b, h in below if h != EMPTY_HASH]
    if left:
        _require_full(encoded)
    return found, left


def verify_log(
    read_tile: TileReader, size: int, part: LogPart, certified: LedgerRoot
) -> dict[tuple[int, int], bytes]:
    """Check that ``part`` goes on where a verified log of ``size`` entries ends; give its tiles.

    Raises:
        ProofError: its entries are not those of the certified log.
    """
    end = size + len(part.entries)
    if end < certified.log_size:
        _require_full(part.entries)
    tiles = append(read_tile, size, b"".join(leaf_hashes(part.entries)))
    log_root = root(with_tiles(read_tile, tiles), end)
    try:
        verify_consistency(end, certified.log_size, log_root, certified.log_root, part.proof)
    except ProofError as error:
        raise ProofError(
            f"entries {size} to {end - 1} are not those of the certified log ({error})"
        ) from None
    return tiles


def _require_full(items: Sequence[bytes]) -> None:
    """Refuse a part that could have held more, of a sender who hands out crumbs to waste time."""
    if len(items) < SNAPSHOT_CHUNK_ITEMS and sum(map(len, items)) < SNAPSHOT_CHUNK_BYTES:
        raise ProofError(f"a part of {len(items)} items ends before it is full")


def _pending_at(read_node: NodeReader, state_root: bytes, path: str) -> list[bytes]:
    """Give the hashes still to be sent when the next one is that at ``path``, the next one last."""
    waiting: list[bytes] = []
    node_hash = state_root
    for turn in path:
        node = load(read_node, node_hash)
        if isinstance(node, Leaf):
            return []
        if turn == "0" and node.right != EMPTY_HASH:
            waiting.append(node.right)
        node_hash = node.left if turn == "0" else node.right
        if node_hash == EMPTY_HASH:
            return []
    return [*waiting, node_hash]


def _children(node: Node) -> list[bytes]:
    """Give the hashes below a node, the right one first."""
    if isinstance(node, Leaf):
        return []
    return [below for below in (node.right, node.left) if below != EMPTY_HASH]
