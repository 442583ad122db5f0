"""Rows of the log and its indexes are what the chain store's schema lays down, in order."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.core.codec import encode
from ledger.core.event import open_entry
from ledger.core.limits import INDEX_KEY_BYTES_MAX, INT_MAX
from ledger.core.scanning import scan_batches, scan_entries
from ledger.io.chain_schema import index_key, number_key, unpack_location
from ledger.native.scan_rows import field_rows, id_rows, log_rows, number_keys
from tests.ledger.sample_network import entry

VALUES = (
    "",
    "a",
    "a\0",
    "a\0b",
    "ab",
    "abcdefgh",
    "abcdefgh\0",
    "abcdefghi",
    "é",
    "\U0001f680",
    "x" * (INDEX_KEY_BYTES_MAX - 1),
    "x" * INDEX_KEY_BYTES_MAX,
    "x" * (INDEX_KEY_BYTES_MAX + 1),
    "x" * 500,
    "\u2603" * (INDEX_KEY_BYTES_MAX // 3),
    "\u2603" * (INDEX_KEY_BYTES_MAX // 3 + 1),
)
POOL = [entry(number, subject=value) for number, value in enumerate(VALUES)]
POOL += [
    entry(number, topic=f"catalog.{number % 3}", type=f"type{number % 5}", subject=f"s{number % 7}")
    for number in range(100, 150)
]


def key_of(value: bytes) -> bytes:
    """Give the key of a value as the schema has it."""
    return index_key(value.decode())


@given(seed=st.integers(0, 2**32), count=st.integers(0, 60), first=st.integers(0, INT_MAX - 60))
def test_rows_are_those_of_the_schema(seed: int, count: int, first: int) -> None:
    """Ids, values and numbers of the open entries, sorted, as Python would make them."""
    data = random.Random(seed).choices([*POOL, b"junk"], k=count)
    scanned = scan_entries(data)
    events = [open_entry(item) for item in data if item != b"junk"]
    numbers = number_keys(first, len(events))
    assert numbers == [number_key(first + place) for place in range(len(events))]
    ids = [item.id for item in events]
    assert id_rows(scanned, numbers) == sorted(zip(ids, numbers, strict=True))
    for name in ("topic", "subject", "publisher", "type"):
        values = [index_key(getattr(item.event, name)) for item in events]
        rows = field_rows(scanned, name, numbers, INDEX_KEY_BYTES_MAX, key_of)
        assert rows == sorted(zip(values, numbers, strict=True))


def test_a_digest_is_asked_for_once() -> None:
    """A value that needs a digest is digested once, however many events have it."""
    asked: list[bytes] = []

    def note(value: bytes) -> bytes:
        asked.append(value)
        return key_of(value)

    data = [entry(number, subject="x" * (300 + number % 2)) for number in range(20)]
    field_rows(scan_entries(data), "subject", number_keys(0, 20), INDEX_KEY_BYTES_MAX, note)
    assert asked == [b"x" * 300, b"x" * 301]


def test_places_lead_to_the_entries() -> None:
    """Each row of the log names the batch, the place and the block of its entry."""
    batches = [
        encode((0, 0, (entry(1), b"junk", entry(2)))),
        b"no batch",
        encode((1, 70_000, (entry(3),))),
    ]
    names = [bytes([number]) * 32 for number in range(3)]
    rows = log_rows(scan_batches(batches), number_keys(7, 3), names, number_key(2**40))
    assert [number for number, _ in rows] == number_keys(7, 3)
    for (_, place), data, source in zip(rows, map(entry, (1, 2, 3)), (0, 0, 2), strict=True):
        location = unpack_location(memoryview(place))
        assert location.batch_id == names[source]
        assert batches[source][location.offset : location.offset + location.length] == data
        assert location.height == 2**40


def test_counts_must_agree() -> None:
    """Too few or too many numbers or batch ids are an error before any row is made."""
    scanned = scan_batches([encode((0, 0, (entry(1), entry(2))))])
    name, two = [bytes(32)], number_keys(0, 2)
    for numbers in (number_keys(0, 1), number_keys(0, 3)):
        with pytest.raises(ValueError, match="one number"):
            log_rows(scanned, numbers, name, number_key(1))
        with pytest.raises(ValueError, match="one number"):
            id_rows(scanned, numbers)
        with pytest.raises(ValueError, match="one number"):
            field_rows(scanned, "topic", numbers, 255, key_of)
    for names in ([], [bytes(31)], name * 2):
        with pytest.raises(ValueError, match="an id for each batch"):
            log_rows(scanned, two, names, number_key(1))
    with pytest.raises(ValueError, match="one number"):
        log_rows(scanned, two, name, b"1")
    with pytest.raises(KeyError):
        field_rows(scanned, "nonce", two, 255, key_of)
