"""The authenticated state map: a persistent trie of content-addressed nodes.

Owns reading, changing and proving. It keeps nothing: nodes come from a reader, and an update
returns the new nodes for the caller to store, so that a root and its nodes are written together.
``statemap_node`` states the invariants of the trie; here each change restores them.

A node that a root promises and the reader lacks is a broken store: ``InvariantError``.
"""

from bisect import bisect_left, insort
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from ledger.core.errors import InvariantError
from ledger.core.limits import STATE_KEY_BYTES_MAX, STATE_VALUE_BYTES_MAX
from ledger.core.statemap_node import (
    EMPTY_HASH,
    KEY_BITS,
    Inner,
    Leaf,
    Node,
    NodeReader,
    bit,
    decode_node,
    encode_node,
    hash_key,
    hash_node,
    hash_value,
    load,
)
from ledger.core.statemap_proof import OtherLeaf, StateProof

__all__ = ["get", "get_many", "items", "prove", "update", "with_nodes"]


def get(read_node: NodeReader, root: bytes, key: bytes) -> bytes | None:
    """Give the value of ``key``, or None when the state with this root holds none."""
    _, leaf = _descend(read_node, root, hash_key(key))
    return leaf.value if leaf is not None and leaf.key == key else None


def get_many(read_node: NodeReader, root: bytes, keys: Iterable[bytes]) -> dict[bytes, bytes]:
    """Give the values of those of the keys that the state with this root holds.

    What many keys have in common of their paths is read once.
    """
    found: dict[bytes, bytes] = {}
    waiting = [(root, 0, sorted(_Change(hash_key(key), key, None) for key in keys))]
    while waiting:
        node_hash, depth, wanted = waiting.pop()
        if not wanted or node_hash == EMPTY_HASH:
            continue
        node = load(read_node, node_hash)
        if isinstance(node, Inner):
            middle = _middle(wanted, depth)
            waiting.append((node.right, depth + 1, wanted[middle:]))
            waiting.append((node.left, depth + 1, wanted[:middle]))
        elif any(item.key == node.key for item in wanted):
            found[node.key] = node.value
    return found


def prove(read_node: NodeReader, root: bytes, key: bytes) -> StateProof:
    """Prove the value of ``key``, or its absence, in the state with this root."""
    siblings, leaf = _descend(read_node, root, hash_key(key))
    if leaf is None or leaf.key == key:
        return StateProof(tuple(siblings), None)
    return StateProof(tuple(siblings), OtherLeaf(hash_key(leaf.key), hash_value(leaf.value)))


def items(read_node: NodeReader, root: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Give each key and value once, in the order of the keys' hashes."""
    waiting = [root]
    while waiting:
        node_hash = waiting.pop()
        if node_hash == EMPTY_HASH:
            continue
        node = load(read_node, node_hash)
        if isinstance(node, Leaf):
            yield node.key, node.value
        else:
            waiting += (node.right, node.left)


def update(
    read_node: NodeReader, root: bytes, changes: Mapping[bytes, bytes | None]
) -> tuple[bytes, dict[bytes, bytes]]:
    """Set each key to its new value, or delete it when that is None.

    Returns:
        The new root, and the nodes to store (hash -> encoding): all of them belong to the new
        state, and with those stored before they are all of it. Old roots stay readable.
    """
    for key, value in changes.items():
        if len(key) > STATE_KEY_BYTES_MAX or len(value or b"") > STATE_VALUE_BYTES_MAX:
            raise InvariantError("a key or value of the state is too large")
    builder = _Update(read_node)
    ordered = sorted(_Change(hash_key(key), key, value) for key, value in changes.items())
    new_root = builder.apply(root, 0, ordered)
    return new_root, builder.nodes


def with_nodes(read_node: NodeReader, nodes: Mapping[bytes, bytes]) -> NodeReader:
    """Read ``nodes`` (from :func:`update`) before the store holds them."""

    def read(node_hash: bytes) -> bytes:
        return nodes.get(node_hash) or read_node(node_hash)

    return read


def _descend(
    read_node: NodeReader, root: bytes, key_hash: bytes
) -> tuple[list[bytes], Leaf | None]:
    """Follow a key's path to its end.

    Returns:
        The siblings from the root downwards, and the leaf (perhaps another key's) at the end.
    """
    siblings: list[bytes] = []
    node_hash = root
    while node_hash != EMPTY_HASH:
        node = load(read_node, node_hash)
        if isinstance(node, Leaf):
            return siblings, node
        if len(siblings) == KEY_BITS:
            raise InvariantError("the state is deeper than its keys are long")
        if bit(key_hash, len(siblings)):
            siblings.append(node.left)
            node_hash = node.right
        else:
            siblings.append(node.right)
            node_hash = node.left
    return siblings, None


class _Change(NamedTuple):
    """A key and its new value, if it gets one; sorts by the key's hash."""

    key_hash: bytes
    key: bytes
    value: bytes | None


class _Update:
    """One update under way: the reader below it and the nodes that it has made.

    The recursion is at most ``KEY_BITS`` deep, and in fact about log2 of the number of keys:
    going deeper takes keys ground for a common prefix of their hashes, one bit a level.
    """

    __slots__ = ("_read_node", "nodes")

    def __init__(self, read_node: NodeReader) -> None:
        self._read_node = read_node
        self.nodes: dict[bytes, bytes] = {}

    def apply(self, node_hash: bytes, depth: int, changes: Sequence[_Change]) -> bytes:
        """Apply ordered changes to the subtree at ``depth``; give its new hash."""
        if not changes:
            return node_hash
        entries = [change for change in changes if change.value is not None]
        if node_hash == EMPTY_HASH:
            return self._build(depth, entries)
        node = load(self._read_node, node_hash)
        if isinstance(node, Inner):
            middle = _middle(changes, depth)
            left = self.apply(node.left, depth + 1, changes[:middle])
            right = self.apply(node.right, depth + 1, changes[middle:])
            if left == node.left and right == node.right:
                return node_hash
            return self._join(left, right)
        if all(change.key != node.key for change in changes):
            insort(entries, _Change(hash_key(node.key), node.key, node.value))
        new_hash = self._build(depth, entries)
        self.nodes.pop(node_hash, None)  # The old leaf, wherever it now stands, is stored.
        return new_hash

    def _build(self, depth: int, entries: Sequence[_Change]) -> bytes:
        """Make the subtree at ``depth`` that holds these ordered entries alone; give its hash."""
        if not entries:
            return EMPTY_HASH
        if len(entries) == 1:
            _, key, value = entries[0]
            assert value is not None, "a deletion leaves no entry"
            return self._put(Leaf(key, value))
        middle = _middle(entries, depth)
        left = self._build(depth + 1, entries[:middle])
        right = self._build(depth + 1, entries[middle:])
        return self._put(Inner(left, right))

    def _join(self, left: bytes, right: bytes) -> bytes:
        """Give the hash of the subtree above two others; a leaf without a neighbour moves up."""
        if EMPTY_HASH in (left, right):
            only = right if left == EMPTY_HASH else left
            if only == EMPTY_HASH or isinstance(self._load(only), Leaf):
                return only
        return self._put(Inner(left, right))

    def _load(self, node_hash: bytes) -> Node:
        made = self.nodes.get(node_hash)
        return load(self._read_node, node_hash) if made is None else decode_node(made)

    def _put(self, node: Node) -> bytes:
        node_hash = hash_node(node)
        self.nodes[node_hash] = encode_node(node)
        return node_hash


def _middle(entries: Sequence[_Change], depth: int) -> int:
    """Give how many of the ordered entries go left at ``depth``."""
    if depth == KEY_BITS:
        raise InvariantError("two keys of the state have one hash")
    return bisect_left(entries, 1, key=lambda entry: bit(entry.key_hash, depth))
