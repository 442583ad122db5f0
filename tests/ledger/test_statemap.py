"""The state map against a plain dict and against a naive trie written down again here."""

from itertools import pairwise

import pytest
from blake3 import blake3
from hypothesis import given
from hypothesis import strategies as st

from ledger.core.errors import InvariantError
from ledger.core.limits import STATE_KEY_BYTES_MAX, STATE_VALUE_BYTES_MAX
from ledger.core.statemap import get, get_many, items, prove, update, with_nodes
from ledger.core.statemap_node import EMPTY_HASH, Inner, Leaf, encode_node, hash_node
from ledger.core.statemap_proof import StateProof, verify

Content = dict[bytes, bytes]
Changes = dict[bytes, bytes | None]


def digest(kind: str, data: bytes) -> bytes:
    """BLAKE3 in derive-key mode under one of the map's contexts."""
    return blake3(data, derive_key_context=f"concordat v1 state {kind}").digest()


def path_of(key: bytes) -> str:
    """Give the bits of a key's hash."""
    return "".join(f"{byte:08b}" for byte in digest("key", key))


def naive_root(content: Content, prefix: str = "") -> bytes:
    """Give the root that a content must have, straight from the rules of the trie."""
    below = {key: value for key, value in content.items() if path_of(key).startswith(prefix)}
    if not below:
        return bytes(32)
    if len(below) == 1:
        ((key, value),) = below.items()
        return digest("leaf", digest("key", key) + digest("value", value))
    return digest("inner", naive_root(below, prefix + "0") + naive_root(below, prefix + "1"))


class Store:
    """A map in memory that keeps every node it was ever given."""

    def __init__(self) -> None:
        self.nodes: dict[bytes, bytes] = {}
        self.root = EMPTY_HASH

    def read(self, node_hash: bytes) -> bytes:
        """Read a node; ``b""`` when absent."""
        return self.nodes.get(node_hash, b"")

    def update(self, changes: Changes) -> dict[bytes, bytes]:
        """Apply changes; give the nodes that they made."""
        self.root, made = update(self.read, self.root, changes)
        self.nodes.update(made)
        return made

    def reachable(self, root: bytes) -> set[bytes]:
        """Give the names of all nodes below a root."""
        found = {root} - {EMPTY_HASH}
        for node_hash in list(found):
            data = self.nodes[node_hash]
            if data[1] == 0:  # An inner node: [0, left, right], each with a two-byte header.
                found |= self.reachable(data[4:36]) | self.reachable(data[38:70])
        return found


def make_keys() -> list[bytes]:
    """Give keys whose paths part at every depth from 0 to 20, and some that never meet."""
    ordered = sorted(
        (path_of(str(number).encode()), str(number).encode()) for number in range(9000)
    )
    deepest = max(
        range(len(ordered) - 1),
        key=lambda place: next(
            depth
            for depth in range(256)
            if ordered[place][0][depth] != ordered[place + 1][0][depth]
        ),
    )
    return [key for _, key in ordered[deepest - 6 : deepest + 8] + ordered[::900]]


KEYS = make_keys()
VALUES = st.binary(max_size=3)
CONTENTS = st.dictionaries(st.sampled_from(KEYS), VALUES)
CHANGES = st.dictionaries(st.sampled_from(KEYS), st.none() | VALUES)


def test_keys_of_these_tests_meet_deep_in_the_trie() -> None:
    """The chosen keys include two whose paths share 20 bits or more."""
    paths = sorted(map(path_of, KEYS))
    assert any(one[:20] == two[:20] for one, two in pairwise(paths))


@given(st.lists(CHANGES, max_size=6))
def test_updates_equal_a_dict(rounds: list[Changes]) -> None:
    """After any updates the map holds what a dict would, under the root that the rules give."""
    store, content = Store(), Content()
    for changes in rounds:
        store.update(changes)
        for key, value in changes.items():
            content.pop(key, None)
            if value is not None:
                content[key] = value
        assert store.root == naive_root(content)
        assert dict(items(store.read, store.root)) == content
        assert {key: get(store.read, store.root, key) for key in KEYS} == {
            key: content.get(key) for key in KEYS
        }


@given(CONTENTS, CHANGES, st.permutations(KEYS))
def test_root_depends_on_the_content_alone(
    content: Content, detour: Changes, order: list[bytes]
) -> None:
    """Whatever was set, changed and deleted on the way, equal contents have equal roots."""
    direct, wandering = Store(), Store()
    direct.update(dict(content))
    wandering.update(detour)
    for key in order:
        wandering.update({key: b"first"})
        wandering.update({key: content.get(key)})
    assert wandering.root == direct.root


@given(CONTENTS, CHANGES)
def test_update_makes_just_the_nodes_of_the_new_state(content: Content, changes: Changes) -> None:
    """With the old state's nodes the new ones make up the new state; none is made in vain."""
    store = Store()
    store.update(dict(content))
    before = store.reachable(store.root)
    made = store.update(changes)
    assert set(made) == store.reachable(store.root) - before


@given(st.lists(CHANGES, max_size=6))
def test_old_roots_stay_readable(rounds: list[Changes]) -> None:
    """Each state that ever was can be read and proved after all later updates."""
    store, content = Store(), Content()
    past: list[tuple[bytes, Content]] = []
    for changes in rounds:
        store.update(changes)
        for key, value in changes.items():
            content.pop(key, None)
            if value is not None:
                content[key] = value
        past.append((store.root, dict(content)))
    for root, old in past:
        assert dict(items(store.read, root)) == old
        for key in KEYS:
            verify(root, key, old.get(key), prove(store.read, root, key))


def test_root_is_pinned() -> None:
    """The root of a fixed content never changes between releases: it is stored and signed."""
    store = Store()
    store.update({f"key {number}".encode(): f"value {number}".encode() for number in range(100)})
    expected = "ae8c5724c7354be6a707cb62cc64259481b39a3957c70b264b1f1bca6995bca7"
    assert store.root.hex() == expected


def test_items_come_in_the_order_of_key_hashes() -> None:
    """Iteration has one order, whatever the order of insertion."""
    store = Store()
    store.update(dict.fromkeys(KEYS, b"value"))
    assert [key for key, _ in items(store.read, store.root)] == sorted(KEYS, key=path_of)


def test_empty_map() -> None:
    """Nothing is stored for an empty map; its root is 32 zero bytes."""
    store = Store()
    assert store.update({}) == {}
    assert store.update({b"absent": None}) == {}
    assert store.root == bytes(32)
    assert get(store.read, store.root, b"absent") is None
    assert list(items(store.read, store.root)) == []
    assert prove(store.read, store.root, b"absent") == StateProof((), None)


def test_an_empty_value_is_a_value() -> None:
    """An empty value and an absent key are told apart."""
    store = Store()
    store.update({b"key": b""})
    assert get(store.read, store.root, b"key") == b""
    assert store.root != EMPTY_HASH


def test_depth_is_logarithmic() -> None:
    """A thousand keys lie about ten levels deep, not 256."""
    store = Store()
    keys = [str(number).encode() for number in range(1000)]
    store.update(dict.fromkeys(keys, b""))
    depths = [len(prove(store.read, store.root, key).siblings) for key in keys]
    assert sum(depths) / len(depths) < 13
    assert max(depths) < 30


def test_setting_what_is_set_makes_nothing() -> None:
    """An update that changes nothing gives the same root and no nodes."""
    store = Store()
    store.update(dict.fromkeys(KEYS, b"value"))
    root = store.root
    assert store.update({KEYS[0]: b"value", KEYS[5]: b"value", b"absent": None}) == {}
    assert store.root == root


def test_with_nodes_shows_an_update_before_it_is_stored() -> None:
    """Further updates can build on one that the store does not hold yet."""
    store = Store()
    store.update({b"one": b"1"})
    root, made = update(store.read, store.root, {b"two": b"2"})
    read = with_nodes(store.read, made)
    assert dict(items(read, root)) == {b"one": b"1", b"two": b"2"}
    assert get(store.read, store.root, b"two") is None


def test_limits_of_keys_and_values() -> None:
    """Keys and values up to their limits are kept; larger ones are our bug."""
    store = Store()
    key, value = bytes(STATE_KEY_BYTES_MAX), bytes(STATE_VALUE_BYTES_MAX)
    for short in (0, 1):
        store.update({key[short:]: value[short:]})
        assert get(store.read, store.root, key[short:]) == value[short:]
    for bad in ({key + b"x": b""}, {b"": value + b"x"}, {key + b"x": None}):
        with pytest.raises(InvariantError, match="too large"):
            update(store.read, store.root, bad)


@pytest.mark.parametrize("damage", [b"", b"\x93", encode_node(Leaf(b"other", b"node"))])
def test_a_missing_or_damaged_node_is_a_broken_store(damage: bytes) -> None:
    """A node that is gone, cut or another's stops the process, whoever reads it."""
    store = Store()
    store.update(dict.fromkeys(KEYS, b"value"))
    store.nodes[store.root] = damage
    with pytest.raises(InvariantError):
        get(store.read, store.root, KEYS[0])
    with pytest.raises(InvariantError):
        prove(store.read, store.root, KEYS[0])
    with pytest.raises(InvariantError):
        list(items(store.read, store.root))
    with pytest.raises(InvariantError):
        update(store.read, store.root, {KEYS[0]: None})


def test_a_trie_is_at_most_as_deep_as_its_keys_are_long() -> None:
    """256 levels are read; a forged 257th ends in an error of ours, not of the language."""
    store = Store()
    node: Inner | Leaf = Leaf(b"key", b"value")
    for _ in range(257):
        below = hash_node(node)
        store.nodes[below] = encode_node(node)
        node = Inner(below, below)
    assert get(store.read, below, b"key") == b"value"
    verify(below, b"key", b"value", prove(store.read, below, b"key"))
    too_deep = hash_node(node)
    store.nodes[too_deep] = encode_node(node)
    for call in (get, prove):
        with pytest.raises(InvariantError, match="deeper"):
            call(store.read, too_deep, b"key")
    with pytest.raises(InvariantError, match="one hash"):
        update(store.read, too_deep, {b"key": None})


@given(
    held=st.sets(st.binary(max_size=2), max_size=40),
    wanted=st.sets(st.binary(max_size=2), max_size=40),
)
def test_many_keys_are_read_like_one_after_the_other(held: set[bytes], wanted: set[bytes]) -> None:
    """Those that are there come with their values, the others not at all; no node is read twice."""
    root, nodes = update(lambda _: b"", EMPTY_HASH, {key: b"v" + key for key in held})
    reads: list[bytes] = []

    def read(node_hash: bytes) -> bytes:
        reads.append(node_hash)
        return nodes.get(node_hash, b"")

    assert get_many(read, root, wanted) == {key: b"v" + key for key in held & wanted}
    assert len(reads) == len(set(reads))
