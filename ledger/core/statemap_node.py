"""Nodes of the authenticated state map: their shape, their canonical bytes and their hashes.

The map is a binary trie over the 256-bit hashes of its keys. Its nodes are named by their hash
and never change, so every root ever committed stays readable for as long as its nodes are kept.

Invariants, which make the root a function of the content alone, whatever its history:

- no key below: no node, and 32 zero bytes for a hash;
- one key below: that key's leaf, however far up (so the depth is about log2 of the keys' count);
- more keys below: an inner node, split by the bit of the key hash at the node's depth.
"""

from collections.abc import Callable
from typing import Annotated, Final

from msgspec import Meta

from ledger.core.codec import Codec, Hash32, Record, encode
from ledger.core.errors import DecodeError, InvariantError
from ledger.core.hashing import derived_digest
from ledger.core.limits import HASH_BYTES, STATE_KEY_BYTES_MAX, STATE_VALUE_BYTES_MAX

__all__ = [
    "EMPTY_HASH",
    "KEY_BITS",
    "Inner",
    "Leaf",
    "Node",
    "NodeReader",
    "bit",
    "decode_node",
    "encode_node",
    "hash_inner",
    "hash_key",
    "hash_leaf",
    "hash_node",
    "hash_value",
    "load",
]

NodeReader = Callable[[bytes], bytes]
"""Hash of a node -> its encoding; ``b""`` if there is none."""

EMPTY_HASH: Final = bytes(HASH_BYTES)
KEY_BITS: Final = 8 * HASH_BYTES


class Inner(Record, frozen=True, tag=0):
    """Two subtrees: keys whose hash has a 0 at the node's depth on the left, a 1 on the right."""

    left: Hash32
    right: Hash32


class Leaf(Record, frozen=True, tag=1):
    """One key and its value."""

    key: Annotated[bytes, Meta(max_length=STATE_KEY_BYTES_MAX)]
    value: Annotated[bytes, Meta(max_length=STATE_VALUE_BYTES_MAX)]


Node = Inner | Leaf

_codec: Codec[Node] = Codec(Node)  # type: ignore[arg-type] # a union is no type[T] to mypy
_digest_leaf = derived_digest("state leaf")
_digest_inner = derived_digest("state inner")

hash_key = derived_digest("state key")
"""Hash a key: its bits are the path from the root."""

hash_value = derived_digest("state value")
"""Hash a value, so that a proof need not carry the values of others."""


def hash_leaf(key_hash: bytes, value_hash: bytes) -> bytes:
    """Hash a leaf; each part must be 32 bytes, or two leaves could share a hash."""
    return _digest_leaf(key_hash + value_hash)


def hash_inner(left: bytes, right: bytes) -> bytes:
    """Hash an inner node; each part must be 32 bytes."""
    return _digest_inner(left + right)


def hash_node(node: Node) -> bytes:
    """Give the name under which a node is kept."""
    if isinstance(node, Inner):
        return hash_inner(node.left, node.right)
    return hash_leaf(hash_key(node.key), hash_value(node.value))


def bit(key_hash: bytes, depth: int) -> int:
    """Give the bit (0 or 1) of a key hash that decides at ``depth``, the root's being 0."""
    return key_hash[depth >> 3] >> (7 - (depth & 7)) & 1


def encode_node(node: Node) -> bytes:
    """Encode a node; the inverse of :func:`decode_node`."""
    return encode(node)


def decode_node(data: bytes) -> Node:
    """Decode a node.

    Raises:
        DecodeError: the bytes are anything but the canonical encoding of a node.
    """
    node = _codec.decode(data)
    if isinstance(node, Inner) and node.left == node.right == EMPTY_HASH:
        raise DecodeError("an inner node with nothing below")
    return node


def load(read_node: NodeReader, node_hash: bytes) -> Node:
    """Read a node that the store must hold.

    Raises:
        InvariantError: the store lacks it, or holds other bytes under its name.
    """
    try:
        node = decode_node(read_node(node_hash))
    except DecodeError as error:
        raise InvariantError(f"state node {node_hash.hex()}: {error}") from None
    if hash_node(node) != node_hash:
        raise InvariantError(f"state node {node_hash.hex()} is damaged")
    return node
