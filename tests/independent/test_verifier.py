"""Two verifiers that share no code agree: on every bundle, and on every bit changed in one."""

import ast
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.core.errors import DecodeError, ProofError
from ledger.core.genesis import Genesis, read_genesis
from ledger.core.ids import Sequence
from ledger.core.proof import Verifier, build_bundle, decode_bundle, encode_bundle
from tests.independent import verifier as independent
from tests.support.memory_chain import MemoryChain, make_entry

OTHERS = {"blake3", "ed25519_zebra", "msgpack"}

Accepts = Callable[[bytes], bool]


@cache
def chain_of(validators_count: int) -> MemoryChain:
    """Give a chain with 40 events, in blocks of 1, 2, 3... of them, all provable."""
    chain = MemoryChain(validators_count)
    nonce = 0
    while nonce < 40:
        count = len(chain.roots)
        opened = [make_entry(chain.genesis.chain_id, nonce + more) for more in range(count)]
        chain.grow(opened, skip_round=count == 4)
        nonce += count
    for _ in range(3):
        chain.grow()
    return chain


def bundle_of(chain: MemoryChain, sequence: int) -> bytes:
    """Give the encoded proof of an event."""
    bundle = build_bundle(chain, Sequence(sequence))
    assert bundle is not None
    return encode_bundle(bundle)


def production(genesis: Genesis) -> Accepts:
    """Give the verdict of the product, by one verifier that remembers."""
    verifier = Verifier(genesis)

    def accepts(data: bytes) -> bool:
        try:
            verifier.verify(decode_bundle(data))
        except (DecodeError, ProofError):
            return False
        return True

    return accepts


def other(genesis: Genesis) -> Accepts:
    """Give the verdict of the independent verifier."""
    genesis_json = genesis.to_json()

    def accepts(data: bytes) -> bool:
        try:
            independent.verify(data, genesis_json)
        except independent.RefusedError:
            return False
        return True

    return accepts


VERIFIERS = pytest.mark.parametrize("make", [production, other])


@VERIFIERS
@pytest.mark.parametrize("validators_count", [1, 4, 7])
def test_every_bundle_is_accepted(
    validators_count: int, make: Callable[[Genesis], Accepts]
) -> None:
    """Both verifiers accept the proof of every event."""
    chain = chain_of(validators_count)
    accepts = make(chain.genesis)
    assert all(accepts(bundle_of(chain, sequence)) for sequence in range(len(chain.entries)))


@VERIFIERS
@pytest.mark.parametrize("validators_count", [4, 7])
def test_every_changed_bit_is_refused(
    validators_count: int, make: Callable[[Genesis], Accepts]
) -> None:
    """Both verifiers refuse a bundle with any one of its bits changed."""
    chain = chain_of(validators_count)
    data = bundle_of(chain, 13)
    accepts = make(chain.genesis)
    assert accepts(data)
    survivors = []
    for place in range(8 * len(data)):
        changed = bytearray(data)
        changed[place // 8] ^= 1 << place % 8
        if accepts(bytes(changed)):
            survivors.append(place)
    assert not survivors


def test_the_genesis_file_alone_decides() -> None:
    """Another network's genesis makes both refuse, even with the same validators."""
    chain = chain_of(4)
    data = bundle_of(chain, 0)
    genesis = read_genesis(chain.genesis.to_json().replace(b'"test"', b'"toast"'))
    assert genesis.validators == chain.genesis.validators
    assert not production(genesis)(data)
    assert not other(genesis)(data)


@given(st.binary(max_size=80), st.integers(0, 39), st.integers(0, 2_000), st.integers(0, 80))
def test_both_say_the_same_of_damaged_bundles(
    put: bytes, sequence: int, place: int, cut: int
) -> None:
    """Whatever is cut out of a bundle and put in, both give one verdict."""
    chain = chain_of(4)
    data = bundle_of(chain, sequence)
    damaged = data[:place] + put + data[place + cut :]
    verdict = production(chain.genesis)(damaged)
    assert verdict == other(chain.genesis)(damaged)
    assert verdict == (damaged == data)


def test_the_independent_verifier_is_independent() -> None:
    """It imports the standard library and others' codecs, nothing of the product."""
    tree = ast.parse(Path(independent.__file__).read_text(encoding="utf-8"))
    roots: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            roots.update(alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0
            roots.add((node.module or "").split(".")[0])
    assert {name for name in roots if name not in sys.stdlib_module_names} == OTHERS
