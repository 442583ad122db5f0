"""Rows of the table of events hold what a sorted map would, whatever order events come in."""

import random
import struct
from bisect import bisect_left

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.core.event import open_entry
from ledger.core.ids import EventKey
from ledger.core.limits import INT_MAX
from ledger.core.scanning import scan_entries
from ledger.io.chain_schema import event_numbers, number_key
from ledger.native.event_rows import EVENT_BYTES, EventRows, EventSearch
from tests.ledger.sample_network import entry

POOL = [entry(number, time_ms=1_000 + number % 7) for number in range(80)]
KEYS = {item: open_entry(item).key for item in POOL}
Rows = dict[bytes, bytes]


def put(table: Rows, items: list[bytes], first: int, room: int) -> None:
    """Put events as the store does, and check each row that they become."""
    events = EventRows(scan_entries(items), first)
    while (key := events.key) is not None:
        stored = sorted(table)
        at = bisect_left(stored, key)
        if at < len(stored):
            rows = events.join(stored[at], table[stored[at]], room)
            assert rows[-1][0] == stored[at]
            sizes = [len(event_numbers(memoryview(row))) for _, row in rows]
            assert max(sizes) - min(sizes) <= 1
        elif stored:
            rows = events.append(stored[-1], table.pop(stored[-1]), room)
        else:
            rows = events.append(b"", b"", room)
        assert all(len(event_numbers(memoryview(row))) <= room for _, row in rows)
        table.update(rows)


def held(table: Rows) -> list[tuple[bytes, int]]:
    """Unpack all rows, in the order of their keys."""
    found: list[tuple[bytes, int]] = []
    for key, row in sorted(table.items()):
        starts = range(0, len(row) - 8, EVENT_BYTES)
        keys = [row[start : start + EVENT_BYTES - 8] for start in starts] + [key]
        found += zip(keys, event_numbers(memoryview(row)), strict=True)
    return found


@given(
    seed=st.integers(0, 2**32),
    sizes=st.lists(st.integers(0, 30), max_size=8),
    first=st.integers(0, INT_MAX - 300),
    room=st.integers(1, 9),
)
def test_rows_are_a_sorted_map(seed: int, sizes: list[int], first: int, room: int) -> None:
    """Each event stands once, in its order, and is found; nothing else is."""
    draw, table, number = random.Random(seed), Rows(), first
    unused = draw.sample(POOL, len(POOL))
    expected: dict[bytes, int] = {}
    for size in sizes:
        items, unused = unused[:size], unused[size:]
        put(table, [*items, b"junk"], number, room)
        expected |= {KEYS[item]: number + place for place, item in enumerate(items)}
        number += len(items)
        assert held(table) == sorted(expected.items())
    wanted = draw.choices([*KEYS.values(), EventKey(bytes(40)), EventKey(b"\xff" * 40)], k=30)
    search, looks = EventSearch(wanted), 0
    for key, row in sorted(table.items()):
        while search.key is not None and search.key <= key:
            search.look(key, row)
            looks += 1
    assert looks <= len(table)
    assert search.numbers() == [expected.get(key) for key in wanted]
    assert search.known() == expected.keys() & set(wanted)


def test_rows_of_what_comes_last_are_full() -> None:
    """Times go forward, so a row behind all others is filled before the next one begins."""
    table = Rows()
    items = sorted(POOL, key=KEYS.__getitem__)
    for start in range(0, len(items), 7):
        put(table, items[start : start + 7], start, 9)
    assert [len(event_numbers(memoryview(row))) for _, row in sorted(table.items())] == [9] * 8 + [
        8
    ]


def test_a_row_of_one_event_is_a_key_and_a_number() -> None:
    """So stores of formats 5 and 6 had them, and they are rows still."""
    items = sorted(POOL[:3], key=KEYS.__getitem__)
    table: Rows = {KEYS[item]: number_key(number) for number, item in enumerate(items)}
    assert held(table) == [(KEYS[item], number) for number, item in enumerate(items)]
    for item in POOL[3:20]:
        put(table, [item], POOL.index(item), 5)
    numbers = {KEYS[item]: number for number, item in enumerate(items)}
    numbers |= {KEYS[item]: POOL.index(item) for item in POOL[3:20]}
    assert held(table) == sorted(numbers.items())


@pytest.mark.parametrize("count", [1, 2, 5])
def test_an_event_stands_once(count: int) -> None:
    """An event that a row has already is refused, wherever it stands in that."""
    table = Rows()
    put(table, POOL[:count], 0, 9)
    [(key, row)] = table.items()
    for item in POOL[:count]:
        with pytest.raises(KeyError):
            EventRows(scan_entries([item]), 7).join(key, row, 9)
        with pytest.raises(KeyError):
            EventRows(scan_entries([item]), 7).append(key, row, 9)


def test_an_event_stands_once_in_a_scan() -> None:
    """Events that come together are compared with each other, too."""
    with pytest.raises(KeyError):
        EventRows(scan_entries([POOL[1], POOL[0], POOL[1]]), 0)


@pytest.mark.parametrize("key_size", [0, 39, 41])
@pytest.mark.parametrize("row_size", [0, 7, 9, 47, 48, 57])
def test_cut_rows_are_refused(key_size: int, row_size: int) -> None:
    """A row that is none is never read beyond its end."""
    key, row = bytes(key_size), bytes(row_size)
    events, search = EventRows(scan_entries(POOL[:2]), 0), EventSearch([KEYS[POOL[0]]])
    for damaged in ((key, row), (bytes(40), row), (key, bytes(8))):
        with pytest.raises(ValueError, match="cut"):
            events.join(*damaged, 9)
        with pytest.raises(ValueError, match="cut"):
            search.look(*damaged)
        if damaged[0]:
            with pytest.raises(ValueError, match="cut"):
                events.append(*damaged, 9)
    with pytest.raises(struct.error):
        event_numbers(memoryview(row))


def test_rows_have_room_and_keys_their_size() -> None:
    """What nobody may ask for is refused."""
    with pytest.raises(ValueError, match="a row has an event"):
        EventRows(scan_entries(POOL[:1]), 0).append(b"", b"", 0)
    for wrong in (b"", bytes(39), bytes(41)):
        with pytest.raises(ValueError, match="a key is"):
            EventSearch([wrong])
    assert EventRows(scan_entries([]), 0).key is None
    assert EventSearch([]).numbers() == []
