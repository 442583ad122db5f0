"""State bundles: made at a height, accepted when whole, refused when anything differs."""

import json
from base64 import b64decode

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from ledger.core.errors import DecodeError, ProofError
from ledger.core.ids import Height, Sequence
from ledger.core.proof import Verifier, build_bundle, encode_bundle
from ledger.core.state_proof import (
    StateProofBundle,
    build_state_bundle,
    decode_state_bundle,
    encode_state_bundle,
    is_state_bundle,
    state_bundle_json,
    verify_state,
    verify_state_bundle,
)
from tests.support.memory_chain import MemoryChain, make_entry, make_genesis


def grown() -> MemoryChain:
    """Give a chain whose block h sets ``n`` to h and adds ``key h``, provable up to block 5."""
    chain = MemoryChain()
    for number in range(1, 6):
        event = make_entry(chain.genesis.chain_id, number)
        value = b"%d" % number
        chain.grow([event], changes={b"n": value, b"key " + value: value})
    for _ in range(3):
        chain.grow()
    return chain


CHAIN = grown()


def bundle_of(key: bytes, height: int | None = None) -> StateProofBundle:
    """Give a proof that must be there."""
    bundle = build_state_bundle(CHAIN, key, None if height is None else Height(height))
    assert bundle is not None
    return bundle


BUNDLE = bundle_of(b"n", 3)
ABSENT = bundle_of(b"nobody", 3)


def refused(bundle: StateProofBundle, why: str) -> None:
    """Expect the refusal of ``bundle`` for this reason."""
    with pytest.raises(ProofError, match=why):
        verify_state_bundle(bundle, CHAIN.genesis)


@pytest.mark.parametrize("height", [1, 2, 3, 4, 5])
def test_the_state_is_proven_at_each_height(height: int) -> None:
    """An old height shows what was so then: the value of that time, and later keys absent."""
    verified = verify_state_bundle(bundle_of(b"n", height), CHAIN.genesis)
    assert (verified.key, verified.value, verified.height) == (b"n", b"%d" % height, height)
    for number in range(1, 6):
        found = verify_state_bundle(bundle_of(b"key %d" % number, height), CHAIN.genesis)
        assert found.value == (b"%d" % number if number <= height else None)


def test_the_newest_provable_state_is_the_default() -> None:
    """Without a height the proof is of the highest ledger that a certified header carries."""
    bundle = bundle_of(b"n")
    assert bundle.root.height == CHAIN.blocks[Height(7)].executed_height
    assert build_state_bundle(CHAIN, b"n", Height(bundle.root.height + 1)) is None
    assert build_state_bundle(MemoryChain(), b"n") is None


def test_a_height_without_a_header_of_its_own_is_answered_by_the_next() -> None:
    """After a skipped round no certified header carries the ledger in between."""
    chain = MemoryChain()
    for number in range(1, 9):
        chain.grow(changes={b"n": b"%d" % number}, skip_round=number == 4)
    carried = {chain.blocks[height].executed_height for height in chain.certificates if height}
    assert Height(3) not in carried
    bundle = build_state_bundle(chain, b"n", Height(3))
    assert bundle is not None
    assert bundle.root.height == min(height for height in carried if height > 3)
    assert verify_state_bundle(bundle, chain.genesis).value == b"%d" % bundle.root.height


def test_another_claim_is_refused() -> None:
    """Another value, a value for an absent key, absence of a present one: none is shown."""
    refused(replace(BUNDLE, value=b"4"), "another root")
    refused(replace(BUNDLE, value=None), "another root")
    refused(replace(BUNDLE, key=b"m"), "another root")
    refused(replace(ABSENT, value=b""), "another key's leaf|another root")


def test_the_state_is_that_of_a_final_header() -> None:
    """The root is the header's, the header the certificate's, the certificate a quorum's."""
    later = bundle_of(b"n", 4)
    refused(replace(BUNDLE, root=later.root), "another root")
    refused(replace(BUNDLE, header=later.header), "does not carry")
    refused(replace(BUNDLE, certificate=later.certificate), "does not commit")
    rows = BUNDLE.certificate.signatures
    few = replace(BUNDLE.certificate, signatures=rows[:2])
    refused(replace(BUNDLE, certificate=few), "does not hold")
    with pytest.raises(ProofError):
        verify_state_bundle(BUNDLE, make_genesis(4, "another"))


def test_two_states_of_one_height_are_a_fork() -> None:
    """A verifier that accepted one ledger refuses a second one of the same height, also events."""
    lying = MemoryChain()
    for _ in range(8):
        lying.grow(changes={b"n": b"lie"})
    lie = build_state_bundle(lying, b"n", Height(3))
    assert lie is not None
    verify_state_bundle(lie, CHAIN.genesis)
    verifier = Verifier(CHAIN.genesis)
    verify_state(verifier, BUNDLE)
    with pytest.raises(ProofError, match="fork: two"):
        verify_state(verifier, lie)
    event = build_bundle(CHAIN, Sequence(0))
    assert event is not None
    verifier.verify(event)
    verify_state(verifier, BUNDLE)


@pytest.mark.parametrize("bundle", [BUNDLE, ABSENT])
def test_bundles_survive_encoding_and_are_told_apart(bundle: StateProofBundle) -> None:
    """A bundle decodes to itself, and no event's bundle is taken for one."""
    data = encode_state_bundle(bundle)
    assert decode_state_bundle(data) == bundle
    assert is_state_bundle(data)
    event = build_bundle(CHAIN, Sequence(0))
    assert event is not None
    assert not is_state_bundle(encode_bundle(event))
    with pytest.raises(DecodeError):
        decode_state_bundle(encode_bundle(event))


@given(st.binary(max_size=60), st.integers(0, 2_000), st.integers(0, 60))
def test_any_bytes_are_a_bundle_or_refused(put: bytes, place: int, cut: int) -> None:
    """Damaged bytes are refused with one of the two errors, never accepted as the same claim."""
    data = encode_state_bundle(BUNDLE)
    damaged = data[:place] + put + data[place + cut :]
    try:
        verified = verify_state_bundle(decode_state_bundle(damaged), CHAIN.genesis)
    except (DecodeError, ProofError):
        return
    assert damaged == data
    assert verified.value == b"3"


def test_the_readable_form_names_everything_and_holds_the_bytes() -> None:
    """The JSON form shows the claim and carries the canonical bytes."""
    document = json.loads(state_bundle_json(BUNDLE))
    assert bytes.fromhex(document["key"]) == b"n"
    assert bytes.fromhex(document["value"]) == b"3"
    assert document["root"]["height"] == 3
    assert decode_state_bundle(b64decode(document["bundle"])) == BUNDLE
    assert json.loads(state_bundle_json(ABSENT))["value"] is None
