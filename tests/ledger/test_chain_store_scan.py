"""Searching the log: the same rows as reading all of it and comparing each event."""

import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.core.event import open_entry
from ledger.core.execute import execute_block
from ledger.core.ids import Sequence
from ledger.core.limits import INDEX_KEY_BYTES_MAX, SCAN_TOPICS_MAX
from ledger.core.topics import TopicPattern
from ledger.io.chain_store import ChainReader, ChainStore, Selection
from tests.ledger.sample_network import (
    ALICE_DID,
    BOB,
    BOB_DID,
    GENESIS,
    batch,
    block_after,
    entry,
)

COUNT = 400
LONG = "x" * 400
TOPICS = ["catalog.a", "catalog.b", "catalog.a.x", "catalog.b.x", "catalog.ab", "catalog.c.d.e"]
SUBJECTS = ["", "s1", "s2", "s", "s" * INDEX_KEY_BYTES_MAX, "s" * (INDEX_KEY_BYTES_MAX + 1), LONG]
TYPES = ["t1", "t2", "\N{SNOWMAN}" * 100]
PATTERNS = [
    *TOPICS,
    ">",
    "catalog.>",
    "catalog.*",
    "catalog.*.x",
    "*.a",
    "catalog.a.>",
    "catalog.c.>",
    "nothing.>",
    "catalog.nothing",
    "catalog.price.changed",
]


def entries() -> list[bytes]:
    """Give entries whose values are shared by some, in no order."""
    source = random.Random(7)
    made = []
    for number in range(COUNT):
        subject, kind = source.choice(SUBJECTS), source.choice(TYPES)
        if source.random() < 0.2:
            made.append(
                entry(
                    number,
                    BOB,
                    publisher=BOB_DID,
                    topic="catalog.price.changed",
                    subject=subject,
                    type=kind,
                )
            )
        else:
            made.append(entry(number, topic=source.choice(TOPICS), subject=subject, type=kind))
    return made


ENTRIES = entries()
EVENTS = [open_entry(data).event for data in ENTRIES]


def fill(store: ChainStore, data: list[bytes], per_block: int = 100) -> None:
    """Apply blocks with these entries."""
    with store.write() as writer:
        for start in range(0, len(data), per_block):
            id_, encoded = batch(data[start : start + per_block], start)
            writer.store_batch(id_, encoded)
            block_id, block = block_after(writer.root, writer.reader.head().block_id, [id_])
            writer.apply(execute_block(writer, block_id, block, lambda _: True))


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ChainReader]:
    """Give a reader of a store that holds ENTRIES."""
    with ChainStore.create(tmp_path_factory.mktemp("scan") / "chain", GENESIS) as store:
        fill(store, ENTRIES)
        with store.read() as opened:
            yield opened


def expected(selection: Selection, after: int, limit: int, until: int | None) -> list[int]:
    """Give the sequences that a search must find, by looking at every event."""
    topics = (selection.topic,) if isinstance(selection.topic, str) else selection.topic or (">",)
    return [
        number
        for number, event in enumerate(EVENTS)
        if number > after
        and (until is None or number < until)
        and any(TopicPattern(topic).matches(event.topic) for topic in topics)
        and selection.subject in (None, event.subject)
        and selection.publisher in (None, event.publisher)
        and selection.type in (None, event.type)
    ][:limit]


selections = st.builds(
    Selection,
    topic=st.none()
    | st.sampled_from(PATTERNS)
    | st.lists(st.sampled_from(PATTERNS), max_size=3).map(tuple),
    subject=st.none() | st.sampled_from([*SUBJECTS, "s3"]),
    publisher=st.none() | st.sampled_from([ALICE_DID, BOB_DID, "did:web:nobody"]),
    type=st.none() | st.sampled_from([*TYPES, "t3"]),
)


@given(
    selection=selections,
    after=st.integers(-1, COUNT + 1),
    limit=st.integers(0, COUNT + 1),
    until=st.none() | st.integers(0, COUNT + 1),
)
def test_search_finds_what_reading_all_finds(
    reader: ChainReader, selection: Selection, after: int, limit: int, until: int | None
) -> None:
    """Every combination of conditions gives exactly the events that fulfil them, in order."""
    rows = reader.scan(selection, after, limit, until)
    assert [sequence for sequence, _ in rows] == expected(selection, after, limit, until)
    assert all(data == ENTRIES[sequence] for sequence, data in rows)


def test_no_condition_gives_the_log(reader: ChainReader) -> None:
    """A search without conditions reads on from the given sequence."""
    assert reader.scan(Selection(), 397, 10) == [(398, ENTRIES[398]), (399, ENTRIES[399])]


def test_window_ends_before_until(reader: ChainReader) -> None:
    """``after`` is outside the window, ``until`` too."""
    rows = reader.scan(Selection(), 4, 10, until=7)
    assert [sequence for sequence, _ in rows] == [5, 6]


def test_malformed_pattern_is_refused(reader: ChainReader) -> None:
    """Text that is no topic pattern is the caller's error."""
    with pytest.raises(ValueError, match="not a topic pattern"):
        reader.scan(Selection(topic="a..b"), -1, 1)


@pytest.mark.parametrize("extra", [-1, 0, 1])
def test_pattern_for_many_topics_is_a_filter(tmp_path: Path, extra: int) -> None:
    """A pattern finds the same events whether its topics are few or too many to look up."""
    count = SCAN_TOPICS_MAX + extra
    with ChainStore.create(tmp_path / "chain", GENESIS) as store:
        fill(store, [entry(n, topic=f"catalog.{n}.x") for n in range(count)], 500)
        fill(store, [entry(n, topic=f"catalog.{n}.y") for n in range(count, count + 3)], 500)
        with store.read() as opened:
            rows = opened.scan(Selection(topic="catalog.*.x"), -1, count + 10)
            assert [sequence for sequence, _ in rows] == list(range(count))
            rows = opened.scan(
                Selection(topic="catalog.*.y", subject=f"urn:offering:{count}"), 0, 9
            )
            assert [sequence for sequence, _ in rows] == [count]


def test_indexes_spare_the_log(reader: ChainReader, monkeypatch: pytest.MonkeyPatch) -> None:
    """A search by indexes reads the entries that it returns and no others."""
    read: list[Sequence] = []
    real = ChainReader.entry

    def counting(self: ChainReader, sequence: Sequence) -> bytes | None:
        read.append(sequence)
        return real(self, sequence)

    monkeypatch.setattr(ChainReader, "entry", counting)
    rows = reader.scan(Selection(topic="catalog.*.x", subject="s1", type="t1"), -1, COUNT)
    assert 0 < len(rows) < 20
    assert read == [sequence for sequence, _ in rows]
