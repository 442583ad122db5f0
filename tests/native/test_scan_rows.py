"""Rows of the log and its indexes are what the chain store's schema lays down, in order."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.core.codec import encode
from ledger.core.event import open_entry
from ledger.core.ids import Sequence
from ledger.core.limits import INDEX_KEY_BYTES_MAX, INT_MAX
from ledger.core.scanning import scan_batches, scan_entries
from ledger.io.chain_schema import LogRow, index_key, number_key, posting_count, posting_numbers
from ledger.native.scan_rows import log_rows, posting_rows
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
POOL = [entry(number, subject=value, time_ms=9 - number) for number, value in enumerate(VALUES[:9])]
POOL += [entry(number, subject=value) for number, value in enumerate(VALUES, 10)]
POOL += [
    entry(number, topic=f"catalog.{number % 3}", type=f"type{number % 5}", subject=f"s{number % 7}")
    for number in range(100, 150)
]


def key_of(value: bytes) -> bytes:
    """Give the key of a value as the schema has it."""
    return index_key(value.decode())


@given(
    seed=st.integers(0, 2**32),
    count=st.integers(0, 60),
    first=st.integers(0, INT_MAX - 60),
    room=st.integers(1, 9),
)
def test_rows_are_those_of_the_schema(seed: int, count: int, first: int, room: int) -> None:
    """Keys, values and numbers of the open entries, sorted, as Python would make them."""
    data = random.Random(seed).choices([*POOL, b"junk"], k=count)
    scanned = scan_entries(data)
    opened = [open_entry(item) for item in data if item != b"junk"]
    numbers = range(first, first + len(opened))
    keys = [item.key for item in opened]
    assert scanned.event_keys() == keys
    for name in ("topic", "subject", "publisher", "type"):
        values = [index_key(getattr(item.event, name)) for item in opened]
        rows = posting_rows(scanned, name, first, room, INDEX_KEY_BYTES_MAX, key_of)
        assert rows == sorted(rows)
        held = [(key, number) for key, row in rows for number in posting_numbers(memoryview(row))]
        assert held == sorted(zip(values, numbers, strict=True))
        assert all(1 <= posting_count(row) <= room for _, row in rows)
        full = sum(posting_count(row) == room for _, row in rows)
        assert len(rows) - full <= len(set(values))


def test_a_row_names_what_is_near() -> None:
    """Numbers too far apart for one row are in two."""
    other = entry(1, subject="other")
    data = [entry(2), *[other] * 65_534, entry(2), entry(2)]
    rows = posting_rows(scan_entries(data), "subject", 7, 250, INDEX_KEY_BYTES_MAX, key_of)
    own = [posting_numbers(memoryview(row)) for key, row in rows if key == b"urn:offering:2"]
    assert own == [[7, 65_542], [65_543]]


def test_a_digest_is_asked_for_once() -> None:
    """A value that needs a digest is digested once, however many events have it."""
    asked: list[bytes] = []

    def note(value: bytes) -> bytes:
        asked.append(value)
        return key_of(value)

    data = [entry(number, subject="x" * (300 + number % 2)) for number in range(20)]
    posting_rows(scan_entries(data), "subject", 0, 250, INDEX_KEY_BYTES_MAX, note)
    assert asked == [b"x" * 300, b"x" * 301]


@pytest.mark.parametrize("room", [1, 2, 3, 100])
def test_places_lead_to_the_entries(room: int) -> None:
    """Each row of the log names one batch, the places and the block of its entries."""
    batches = [
        encode((0, 0, (entry(1), b"junk", entry(2), entry(3)))),
        b"no batch",
        encode((1, 70_000, (entry(4),))),
    ]
    names = [bytes([number]) * 32 for number in range(3)]
    stored = log_rows(scan_batches(batches), 7, names, number_key(2**40), room)
    rows = [LogRow.read(memoryview(key), memoryview(value)) for key, value in stored]
    assert [range(row.first, row.last + 1) for row in rows] == {
        1: [range(7, 8), range(8, 9), range(9, 10), range(10, 11)],
        2: [range(7, 9), range(9, 10), range(10, 11)],
    }.get(room, [range(7, 10), range(10, 11)])
    for row in rows:
        source = 2 if row.last == 10 else 0
        assert (row.batch_id, row.height) == (names[source], 2**40)
        for sequence in range(row.first, row.last + 1):
            location = row.location(Sequence(sequence))
            assert location[0::3] == (names[source], 2**40)
            end = location.offset + location.length
            assert batches[source][location.offset : end] == entry(sequence - 6)


def test_counts_must_agree() -> None:
    """Batch ids that are too few, too many or cut, and rows without room, are an error."""
    scanned = scan_batches([encode((0, 0, (entry(1), entry(2))))])
    name = [bytes(32)]
    for names in ([], [bytes(31)], name * 2):
        with pytest.raises(ValueError, match="an id for each batch"):
            log_rows(scanned, 0, names, number_key(1), 9)
    with pytest.raises(ValueError, match="room for one number"):
        log_rows(scanned, 0, name, b"1", 9)
    with pytest.raises(ValueError, match="room for one number"):
        log_rows(scanned, 0, name, number_key(1), 0)
    with pytest.raises(ValueError, match="room for one number"):
        posting_rows(scanned, "topic", 0, 0, 255, key_of)
    with pytest.raises(KeyError):
        posting_rows(scanned, "nonce", 0, 9, 255, key_of)
