"""Bulk bodies mean the same whether they are passed on as they are or split."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.core.codec import encode
from ledger.core.errors import DecodeError
from ledger.core.limits import ENTRY_BYTES_MAX, SUBMIT_ENTRIES_MAX
from ledger.core.scanning import array_count
from pubsub.core.entries import Entries, name_entries, read_bulk, split_bulk
from tests.ledger.sample_network import entry

GOOD = [entry(number) for number in range(4)]


def long_form(entries: list[bytes], longer: str) -> bytes:
    """Encode entries as no canonical encoder does."""
    count = len(entries)
    parts = [b"\xdc" + count.to_bytes(2, "big") if longer == "array" else bytes([0x90 + count])]
    for item in entries:
        head = encode(item)[: -len(item)]
        parts += [b"\xc6" + len(item).to_bytes(4, "big") if longer == "bytes" else head, item]
    return b"".join(parts)


def test_canonical_body_is_passed_on_as_it_is() -> None:
    """Its bytes are not even copied; its entries and their names are those of the single ones."""
    body = encode(GOOD)
    entries = read_bulk(body)
    assert entries.encoded is body
    assert len(entries) == array_count(body) == 4
    assert name_entries(entries) == name_entries(Entries.of(*GOOD))
    assert entries.split() == tuple(GOOD)
    assert name_entries(entries) == name_entries(Entries.of(*GOOD))


@pytest.mark.parametrize("longer", ["array", "bytes"])
def test_other_forms_mean_the_same(longer: str) -> None:
    """Lengths in more bytes than they need are read as always, and passed on in the short form."""
    body = long_form(GOOD, longer)
    assert array_count(body) == 0
    assert read_bulk(body).encoded == encode(GOOD)
    assert split_bulk(body) == tuple(GOOD)


@pytest.mark.parametrize("odd", [b"", b"junk", b"x" * (ENTRY_BYTES_MAX + 1)])
def test_entries_that_are_refused_are_named(odd: bytes) -> None:
    """What is no entry goes to the node beside the others, and has a name."""
    entries = read_bulk(encode([GOOD[0], odd, GOOD[1]]))
    named = name_entries(entries)
    assert entries.split() == (GOOD[0], odd, GOOD[1])
    assert named == name_entries(Entries.of(GOOD[0], odd, GOOD[1]))
    assert [named.ids[0], named.ids[2]] == name_entries(Entries.of(*GOOD[:2])).ids


@pytest.mark.parametrize("count", [0, 1, 3, 4, 9])
def test_some_of_them(count: int) -> None:
    """The first ones are what they would be alone."""
    some = read_bulk(encode(GOOD)).first(count)
    assert some.split() == tuple(GOOD[:count])
    assert some.encoded == encode(GOOD[:count])
    assert len(some) == min(count, 4)


@pytest.mark.parametrize("count", [0, SUBMIT_ENTRIES_MAX, SUBMIT_ENTRIES_MAX + 1])
def test_number_of_entries_is_limited(count: int) -> None:
    """None, or more than the most, is no bulk body."""
    body = encode([b"x"] * count)
    if count == SUBMIT_ENTRIES_MAX:
        assert len(read_bulk(body)) == count
    else:
        with pytest.raises(DecodeError):
            read_bulk(body)


@given(seed=st.integers(0, 2**64))
def test_any_bytes_are_entries_or_refused(seed: int) -> None:
    """Whatever is passed on unread is what the decoder of the node takes, with those entries."""
    generator = random.Random(seed)
    sizes = [generator.choice((1, 200, 300)) for _ in range(3)]
    changed = bytearray(encode([generator.randbytes(size) for size in sizes]))
    for _ in range(generator.randrange(3)):
        changed[generator.randrange(min(len(changed), 12))] = generator.randrange(256)
    body = bytes(changed[: len(changed) - generator.choice((0, 0, 0, 1))])
    try:
        expected = split_bulk(body)
    except DecodeError:
        with pytest.raises(DecodeError):
            read_bulk(body)
        return
    entries = read_bulk(body)
    assert (entries.split(), len(entries)) == (expected, len(expected))
    assert split_bulk(entries.encoded) == expected
    assert len(entries.scan()) == len(expected)
