"""Two verifiers of state bundles that share no code agree, on every bit changed in one."""

from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.core.errors import DecodeError, ProofError
from ledger.core.ids import Height
from ledger.core.state_proof import (
    build_state_bundle,
    decode_state_bundle,
    encode_state_bundle,
    verify_state_bundle,
)
from tests.independent import verifier as independent
from tests.support.memory_chain import MemoryChain

KEYS = [b"key %d" % number for number in range(12)]
CLAIMS = [*KEYS[:4], b"absent", b"another", b"key 11"]


@cache
def chain_of(validators_count: int) -> MemoryChain:
    """Give a chain whose first block sets the keys, all provable."""
    chain = MemoryChain(validators_count)
    chain.grow(changes={key: b"value of " + key for key in KEYS})
    for _ in range(3):
        chain.grow()
    return chain


def bundle_of(chain: MemoryChain, key: bytes) -> bytes:
    """Give the encoded proof about a key."""
    bundle = build_state_bundle(chain, key, Height(1))
    assert bundle is not None
    return encode_state_bundle(bundle)


def product(chain: MemoryChain, data: bytes) -> tuple[bytes, bytes | None] | None:
    """Give what the product's verifier is shown, or None for a refusal."""
    try:
        shown = verify_state_bundle(decode_state_bundle(data), chain.genesis)
    except (DecodeError, ProofError):
        return None
    return shown.key, shown.value


def other(chain: MemoryChain, data: bytes) -> tuple[bytes, bytes | None] | None:
    """Give the same of the independent verifier."""
    try:
        shown = independent.verify_state(data, chain.genesis.to_json())
    except independent.RefusedError:
        return None
    return shown.key, shown.value


@pytest.mark.parametrize("validators_count", [1, 4, 7])
def test_both_are_shown_the_same(validators_count: int) -> None:
    """Both accept proofs of presence and of absence, and read the same from them."""
    chain = chain_of(validators_count)
    for key in CLAIMS:
        expected = key, b"value of " + key if key in KEYS else None
        data = bundle_of(chain, key)
        assert product(chain, data) == other(chain, data) == expected


@pytest.mark.parametrize("key", [b"key 2", b"absent"])
def test_every_changed_bit_is_refused_by_both(key: bytes) -> None:
    """A changed bit makes both refuse; in the key of an absence it may be another absence."""
    chain = chain_of(4)
    data = bundle_of(chain, key)
    for place in range(8 * len(data)):
        changed = bytearray(data)
        changed[place // 8] ^= 1 << place % 8
        verdict = product(chain, bytes(changed))
        assert other(chain, bytes(changed)) == verdict
        assert verdict is None or (verdict[0] != key and verdict[1] is None and key == b"absent")


@given(st.binary(max_size=70), st.sampled_from(CLAIMS), st.integers(0, 1_500), st.integers(0, 70))
def test_both_say_the_same_of_damaged_bundles(put: bytes, key: bytes, place: int, cut: int) -> None:
    """Whatever is cut out of a bundle and put in, both give one verdict."""
    chain = chain_of(4)
    data = bundle_of(chain, key)
    damaged = data[:place] + put + data[place + cut :]
    assert product(chain, damaged) == other(chain, damaged)
