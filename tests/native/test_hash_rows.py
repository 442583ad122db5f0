"""Packed runs of the hash index: made, merged and searched as plain Python would."""

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.core.event import open_entry
from ledger.core.scanning import scan_entries
from ledger.native.hash_rows import ROW_BYTES, event_hash_rows, keyed_hash, merge_rows, number_at
from tests.ledger.sample_network import entry

KEY = bytes(range(16))
Row = tuple[int, int]
rows_strategy = st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), unique=True).map(sorted)


def packed(rows: list[Row]) -> bytes:
    """Pack rows as they are stored."""
    return b"".join(part.to_bytes(8, "big") for row in rows for part in row)


def pieces(rows: list[Row], size: int) -> Iterator[bytes]:
    """Give rows in pieces of some size."""
    for start in range(0, len(rows), size):
        yield packed(rows[start : start + size])


@pytest.mark.parametrize(
    ("length", "expected"),
    [(0, 0x726FDB47DD0E0E31), (1, 0x74F839C593DC67FD), (8, 0x93F5F5799A932462),
     (15, 0xA129CA6149BE45E5)],
)  # fmt: skip
def test_hash_is_siphash(length: int, expected: int) -> None:
    """The hash gives the test vectors of the paper on SipHash."""
    assert keyed_hash(bytes(range(length)), KEY) == expected


@given(
    runs=st.lists(rows_strategy, max_size=5),
    size=st.integers(1, 4),
    chunk=st.integers(1, 5),
    step=st.integers(1, 20),
)
def test_steps_of_a_merge_give_every_row_once(
    runs: list[list[Row]], size: int, chunk: int, step: int
) -> None:
    """Step after step, each behind the last row of the one before, all rows come out in order."""
    runs = [[(hash_, number * 5 + k) for hash_, number in run] for k, run in enumerate(runs)]
    expected = packed(sorted(row for run in runs for row in run))
    made = after = b""
    while len(made) < len(expected):
        chunks = merge_rows([pieces(run, size) for run in runs], after, step, chunk)
        assert all(len(item) == chunk * ROW_BYTES for item in chunks[:-1])
        new = b"".join(chunks)
        assert len(new) == min(step * ROW_BYTES, len(expected) - len(made))
        made, after = made + new, new[-ROW_BYTES:]
    assert made == expected
    assert merge_rows([pieces(run, size) for run in runs], after, step, chunk) == []


@pytest.mark.parametrize("count", [1, 2, 3, 16, 33, 63, 64])
def test_merge_of_as_many_runs_as_there_may_be(count: int) -> None:
    """Any number of runs is merged, whatever stands in them: the last row of all too."""
    last = 2**64 - 1
    runs = [
        [(k * step % 97 << 57, k) for step in range(9)] + [(last, last - 64 + k)]
        for k in range(count)
    ]
    runs = [sorted(set(run)) for run in runs]
    rows = sorted(row for run in runs for row in run)
    sources = [iter([memoryview(piece) for piece in pieces(run, 5)]) for run in runs]
    assert b"".join(merge_rows(sources, b"", len(rows) + 1, 7)) == packed(rows)


def test_more_runs_than_fit_are_refused() -> None:
    """A merge of more than 64 runs is an error, before anything is read."""
    with pytest.raises(ValueError, match="sources are few"):
        merge_rows([iter(()) for _ in range(65)], b"", 1, 1)


@pytest.mark.parametrize("rows", [b"x" * 15, memoryview(b"x" * 17)])
def test_cut_rows_are_refused(rows: bytes | memoryview) -> None:
    """Rows that are no multiple of their size are an error, and never read beyond their end."""
    with pytest.raises(ValueError, match="have their sizes"):
        number_at(rows, 1, 1)
    with pytest.raises(ValueError, match="have their sizes"):
        merge_rows([iter((rows,))], b"", 1, 1)


@given(rows=rows_strategy, hash_=st.integers(0, 10), at_least=st.integers(0, 10))
def test_lowest_number_under_a_hash(rows: list[Row], hash_: int, at_least: int) -> None:
    """A search finds the lowest number of the hash that is not below the limit."""
    found = [number for own, number in rows if own == hash_ and number >= at_least]
    assert number_at(packed(rows), hash_, at_least) == min(found, default=-1)


@pytest.mark.parametrize("count", [50, 300])
@pytest.mark.parametrize("mask", [2**64 - 1, 0xFF << 56 | 3, 0])
def test_rows_of_events(mask: int, count: int) -> None:
    """An event has a row for its id and one for its subject, each once."""
    data = [entry(number, subject=f"s{number % 3}") for number in range(count)]
    expected = set()
    for number, item in enumerate(map(open_entry, data), 5):
        expected.add((int.from_bytes(item.id[:8], "big") & mask, number))
        expected.add((keyed_hash(item.event.subject.encode(), KEY) & mask, number))
    rows = event_hash_rows(scan_entries([*data, b"junk"]), 5, KEY, mask)
    assert rows == packed(sorted(expected))


def test_sizes_are_checked() -> None:
    """Bytes that are no key, no rows or no chunk are an error."""
    for run in (b"", bytes(15), bytes(17)):
        with pytest.raises(ValueError, match="have their sizes"):
            merge_rows([iter([run])], b"", 9, 9)
    for after, chunk in ((b"1", 9), (b"", 0)):
        with pytest.raises(ValueError, match="have their sizes"):
            merge_rows([], after, 9, chunk)
    with pytest.raises(ValueError, match="have their sizes"):
        merge_rows([iter(())] * 65, b"", 9, 9)
    with pytest.raises(ValueError, match="have their sizes"):
        keyed_hash(b"", bytes(15))
    with pytest.raises(ValueError, match="have their sizes"):
        event_hash_rows(scan_entries([]), 0, bytes(17), 0)
