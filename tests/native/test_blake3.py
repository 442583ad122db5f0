"""The BLAKE3 kernels give the digests of the `blake3` package for inputs of any lengths."""

import random

import pytest
from blake3 import blake3 as oracle
from hypothesis import given
from hypothesis import strategies as st

from ledger.native import blake3

CONTEXT = "concordat v1 test"
EDGES = sorted(
    {
        length
        for middle in (0, 64, 128, 960, 1024, 2048, 3072, 4096, 5120, 7168, 8192, 31 * 1024, 102400)
        for length in (middle - 1, middle, middle + 1)
        if length >= 0
    }
)

every_path = pytest.mark.parametrize("path", blake3.implementations())


def content(length: int, seed: int = 0) -> bytes:
    """Give bytes that differ from chunk to chunk."""
    return random.Random(seed).randbytes(length)


def expected(items: list[bytes], context: str = CONTEXT) -> bytes:
    """Digest one by one."""
    return b"".join(oracle(item, derive_key_context=context).digest() for item in items)


@every_path
def test_each_length_alone(path: str) -> None:
    """Lengths around each block, chunk and tree boundary agree, one item a call."""
    for length in EDGES:
        item = content(length)
        digest = blake3.hash_many([item], CONTEXT, implementation=path)
        assert digest == expected([item]), length


@every_path
@pytest.mark.parametrize("length", [0, 1, 63, 64, 65, 256, 500, 1023, 1024, 1025, 5000])
@pytest.mark.parametrize("count", [1, 2, 7, 8, 9, 15, 16, 17, 33])
def test_many_of_one_length(path: str, length: int, count: int) -> None:
    """Any number of equal lengths agrees: full and part-filled groups of lanes."""
    items = [content(length, seed) for seed in range(count)]
    assert blake3.hash_many(items, CONTEXT, implementation=path) == expected(items)


@every_path
@pytest.mark.parametrize("length", [1, 63, 64, 65, 256, 500, 1023, 1024, 1025, 5000])
@pytest.mark.parametrize("count", [1, 7, 8, 16, 33, 600])
def test_records_are_items(path: str, length: int, count: int) -> None:
    """Records of one buffer get the digests of a list of them, in both modes."""
    if count == 600 and length > 1025:
        count = 40
    items = [content(length, seed) for seed in range(count)]
    keyed = blake3.hash_records(b"".join(items), length, CONTEXT, implementation=path)
    assert keyed == expected(items)
    plain = blake3.hash_records(b"".join(items), length, None, implementation=path)
    assert plain == blake3.hash_many(items, None, implementation=path)
    assert plain == b"".join(oracle(item).digest() for item in items)


@every_path
def test_runs_of_one_length_among_others(path: str) -> None:
    """Long runs of equal lengths take a way of their own; what stands around them does not."""
    lengths = [5, *[64] * 70, 2000, 3000, *[500] * 64, 7, *[0] * 65, 1025]
    items = [content(length, seed) for seed, length in enumerate(lengths)]
    assert blake3.hash_many(items, CONTEXT, implementation=path) == expected(items)


@pytest.mark.parametrize(("length", "size"), [(0, 0), (64, 0), (64, -1), (65, 64)])
def test_only_whole_records(length: int, size: int) -> None:
    """A buffer that is no whole number of records is the caller's bug."""
    with pytest.raises(ValueError, match="whole number"):
        blake3.hash_records(bytes(length), size, CONTEXT)


@every_path
@given(lengths=st.lists(st.integers(0, 4200) | st.sampled_from(EDGES), max_size=70))
def test_any_mixture_of_lengths(path: str, lengths: list[int]) -> None:
    """Any mixture of lengths agrees: each lane ends where its own item does."""
    items = [content(length, seed) for seed, length in enumerate(lengths)]
    assert blake3.hash_many(items, CONTEXT, implementation=path) == expected(items)


@every_path
def test_more_chunks_than_a_slice(path: str) -> None:
    """Work is cut into slices of 512 chunks without a seam, also within one long item."""
    items = [content(64, seed) for seed in range(511)]
    items += [content(1025), content(513 * 1024 + 1), content(300 * 1024), content(5)]
    assert blake3.hash_many(items, CONTEXT, implementation=path) == expected(items)


@every_path
@pytest.mark.parametrize("context", ["", "x", "é" * 40, "long " * 300])
def test_contexts(path: str, context: str) -> None:
    """The context is the key's material, whatever its length; two contexts share no digest."""
    items = [b"", b"one", content(3000)]
    digests = blake3.hash_many(items, context, implementation=path)
    assert digests == expected(items, context)
    assert digests != blake3.hash_many(items, context + "!", implementation=path)


def test_nothing_and_other_types() -> None:
    """No items give no bytes; what is not bytes is the caller's bug."""
    assert blake3.hash_many([], CONTEXT) == b""
    with pytest.raises(TypeError):
        blake3.hash_many(["text"], CONTEXT)  # type: ignore[list-item]
    with pytest.raises(ValueError, match="no such implementation"):
        blake3.hash_many([], CONTEXT, implementation="abacus")
    assert blake3.implementation() in blake3.implementations()
