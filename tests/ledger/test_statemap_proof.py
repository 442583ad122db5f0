"""State proofs and nodes: honest ones hold, any other bytes or claims are refused."""

from collections.abc import Iterator

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.core.codec import encode
from ledger.core.errors import DecodeError, ProofError
from ledger.core.limits import STATE_KEY_BYTES_MAX, STATE_VALUE_BYTES_MAX
from ledger.core.statemap import prove, update
from ledger.core.statemap_node import (
    EMPTY_HASH,
    KEY_BITS,
    Inner,
    Leaf,
    Node,
    bit,
    decode_node,
    encode_node,
    hash_key,
    hash_leaf,
    hash_value,
)
from ledger.core.statemap_proof import OtherLeaf, StateProof, decode_proof, encode_proof, verify

PRESENT = {f"key {number}".encode(): f"value {number}".encode() for number in range(60)}
ABSENT = [f"absent {number}".encode() for number in range(60)]
ROOT, NODES = update(lambda _node_hash: b"", EMPTY_HASH, {**PRESENT})
OTHER_HASH = hash_value(b"another")

HASHES = st.binary(min_size=32, max_size=32)
PROOFS = st.builds(
    StateProof,
    st.lists(HASHES, max_size=5).map(tuple),
    st.none() | st.builds(OtherLeaf, HASHES, HASHES),
)
NODE_VALUES = st.one_of(
    st.builds(Inner, HASHES, HASHES).filter(lambda node: any(node.left + node.right)),
    st.builds(Leaf, st.binary(max_size=300), st.binary(max_size=300)),
)


def read(node_hash: bytes) -> bytes:
    """Read a node of the example state."""
    return NODES.get(node_hash, b"")


def proofs() -> Iterator[tuple[bytes, bytes | None, StateProof]]:
    """Give every honest claim of the example state with its proof."""
    for key, value in PRESENT.items():
        yield key, value, prove(read, ROOT, key)
    for key in ABSENT:
        yield key, None, prove(read, ROOT, key)


def flipped(data: bytes) -> Iterator[bytes]:
    """Give the bytes with each bit flipped in turn."""
    number = int.from_bytes(data, "big")
    for place in range(8 * len(data)):
        yield (number ^ (1 << place)).to_bytes(len(data), "big")


def refused(root: bytes, key: bytes, value: bytes | None, proof: StateProof) -> bool:
    """Tell whether a proof is refused in the one way that is allowed."""
    try:
        verify(root, key, value, proof)
    except ProofError:
        return True
    return False


def test_honest_proofs_hold() -> None:
    """Each present key's value and each absent key's absence is shown, at both kinds of end."""
    ends = set()
    for key, value, proof in proofs():
        verify(ROOT, key, value, proof)
        ends.add((value is None, proof.terminal is None))
    assert ends == {(False, True), (True, True), (True, False)}


def test_a_proof_supports_no_other_claim() -> None:
    """No proof shows another value, an absent key present, or a present key absent."""
    for key, value, proof in proofs():
        if value is not None:
            assert refused(ROOT, key, value + b"x", proof)
            assert refused(ROOT, key, b"", proof)
            assert refused(ROOT, key, None, proof)
        else:
            assert refused(ROOT, key, b"", proof)
            assert refused(ROOT, key, b"value", proof)
        assert refused(OTHER_HASH, key, value, proof)
        assert refused(EMPTY_HASH, key, value, proof)


def test_a_proof_serves_one_key() -> None:
    """One key's proof of presence does not serve another key, whatever value is claimed."""
    for key, value, proof in proofs():
        for other in [*PRESENT, *ABSENT]:
            if other != key and value is not None:
                assert refused(ROOT, other, value, proof)
                assert refused(ROOT, other, PRESENT.get(other, b""), proof)


def test_absence_is_never_shown_for_a_present_key() -> None:
    """No honest proof of any key shows that a present key is absent."""
    collected = [proof for _, _, proof in proofs()]
    for key in PRESENT:
        assert all(refused(ROOT, key, None, proof) for proof in collected)


def test_any_flipped_bit_breaks_a_proof() -> None:
    """Each bit of an encoded proof counts: it no longer decodes or no longer holds."""
    claims = list(proofs())
    with_terminal = [claim for claim in claims if claim[2].terminal is not None]
    for key, value, proof in claims[:2] + claims[-2:] + with_terminal[:2]:
        for data in flipped(encode_proof(proof)):
            try:
                bad = decode_proof(data)
            except DecodeError:
                continue
            assert refused(ROOT, key, value, bad)


def test_a_proof_has_one_length() -> None:
    """A sibling added or left out anywhere breaks a proof, also a pair of empty subtrees."""
    for key, value, proof in proofs():
        siblings = proof.siblings
        for place in range(len(siblings) + 1):
            before, after = siblings[:place], siblings[place:]
            for bad in (before + after[1:], (*before, OTHER_HASH, *after), (*before, EMPTY_HASH)):
                if bad != siblings:
                    assert refused(ROOT, key, value, msgspec.structs.replace(proof, siblings=bad))


def test_a_leaf_cut_differently_is_no_other_leaf() -> None:
    """A present key's leaf cannot be passed off as another's by moving a byte of its hashes."""
    for key, value in PRESENT.items():
        both = hash_key(key) + hash_value(value)
        proof = prove(read, ROOT, key)
        for cut in (31, 33, 0, 64):
            forged = StateProof(proof.siblings, OtherLeaf(both[:cut], both[cut:]))
            assert refused(ROOT, key, None, forged)


def test_a_value_and_another_leaf_contradict_each_other() -> None:
    """A right proof of presence that shows another leaf as well is refused: there is one proof."""
    for key, value in PRESENT.items():
        proof = prove(read, ROOT, key)
        terminal = OtherLeaf(hash_key(ABSENT[0]), OTHER_HASH)
        assert refused(ROOT, key, value, StateProof(proof.siblings, terminal))


@pytest.mark.parametrize(("key_bytes", "value_bytes"), [(31, 32), (33, 32), (32, 31), (32, 33)])
def test_another_leaf_of_another_length_is_refused(key_bytes: int, value_bytes: int) -> None:
    """Both hashes of another leaf are 32 bytes long."""
    proof = StateProof((), OtherLeaf(bytes(key_bytes), bytes(value_bytes)))
    with pytest.raises(ProofError, match="malformed"):
        verify(ROOT, b"key", None, proof)


def test_siblings_of_another_length_are_refused() -> None:
    """An inner node's hashes cannot be cut differently either."""
    key, value = next(iter(PRESENT.items()))
    proof = prove(read, ROOT, key)
    for sibling in (b"", bytes(31), bytes(33)):
        with pytest.raises(ProofError, match="malformed"):
            verify(ROOT, key, value, StateProof((*proof.siblings, sibling), None))


def test_another_path_shows_no_absence() -> None:
    """The end of another key's path says nothing about this key, even with a forged root."""
    key = b"key"
    opposite = next(other for other in ABSENT if bit(hash_key(other), 0) != bit(hash_key(key), 0))
    other = OtherLeaf(hash_key(opposite), OTHER_HASH)
    with pytest.raises(ProofError, match="another path"):
        verify(ROOT, key, None, StateProof((OTHER_HASH,), other))
    # At the root, every key's path ends at the only leaf.
    verify(hash_leaf(other.key_hash, OTHER_HASH), key, None, StateProof((), other))


def test_a_path_is_at_most_as_long_as_a_key_hash() -> None:
    """256 siblings may be checked, 257 are refused, in memory and encoded."""
    longest = StateProof((OTHER_HASH,) * KEY_BITS, None)
    with pytest.raises(ProofError, match="another root"):
        verify(ROOT, b"key", b"value", longest)
    assert decode_proof(encode_proof(longest)) == longest
    longer = StateProof((OTHER_HASH,) * (KEY_BITS + 1), None)
    with pytest.raises(ProofError, match="malformed"):
        verify(ROOT, b"key", b"value", longer)
    with pytest.raises(DecodeError):
        decode_proof(encode_proof(longer))


def test_the_empty_state_holds_nothing() -> None:
    """Under the empty root every key is absent, by the empty proof, and none is present."""
    verify(EMPTY_HASH, b"key", None, StateProof((), None))
    assert refused(EMPTY_HASH, b"key", b"", StateProof((), None))


@given(PROOFS)
def test_proofs_survive_encoding(proof: StateProof) -> None:
    """A proof decodes to itself."""
    assert decode_proof(encode_proof(proof)) == proof


@given(NODE_VALUES)
def test_nodes_survive_encoding(node: Node) -> None:
    """A node decodes to itself."""
    assert decode_node(encode_node(node)) == node


@given(
    st.one_of(
        st.binary(max_size=100),
        NODE_VALUES.flatmap(lambda node: st.sampled_from(list(flipped(encode_node(node))))),
        PROOFS.flatmap(lambda proof: st.sampled_from(list(flipped(encode_proof(proof))))),
    )
)
def test_any_bytes_decode_canonically_or_are_refused(data: bytes) -> None:
    """Bytes are a node's or proof's only encoding, or ``DecodeError``; nothing else is raised."""
    for decode in (decode_node, decode_proof):
        try:
            value = decode(data)
        except DecodeError:
            continue
        assert encode(value) == data


@pytest.mark.parametrize(
    "data",
    [
        b"",
        encode_node(Inner(EMPTY_HASH, EMPTY_HASH)),
        encode_node(Inner(OTHER_HASH, OTHER_HASH[:31])),
        encode_node(Inner(OTHER_HASH, OTHER_HASH + b"x")),
        encode_node(Leaf(b"", b"")) + b"\x00",
        encode_node(Leaf(bytes(STATE_KEY_BYTES_MAX + 1), b"")),
        encode_node(Leaf(b"", bytes(STATE_VALUE_BYTES_MAX + 1))),
        msgspec.msgpack.encode([2, b"key", b"value"]),
        msgspec.msgpack.encode([1, b"key"]),
        msgspec.msgpack.encode([1, b"key", b"value", b"more"]),
        msgspec.msgpack.encode([1, "key", b"value"]),
        b"\x93\xcc\x01\xc4\x00\xc4\x00",  # the tag in a longer form than needed
        b"\x93\x01\xc5\x00\x00\xc4\x00",  # the key's length in a longer form than needed
    ],
)
def test_malformed_nodes_are_refused(data: bytes) -> None:
    """Lengths, limits, tags, fields and forms other than the canonical ones are refused."""
    with pytest.raises(DecodeError):
        decode_node(data)


def test_largest_leaf_decodes() -> None:
    """A leaf at both limits is accepted."""
    leaf = Leaf(bytes(STATE_KEY_BYTES_MAX), bytes(STATE_VALUE_BYTES_MAX))
    assert decode_node(encode_node(leaf)) == leaf
