"""The chain store against a plain model: random blocks, repetitions, restarts, colliding hashes."""

import random
from pathlib import Path

import pytest

from ledger.core.errors import RejectCode
from ledger.core.event import OpenEntry, event_key, open_entry
from ledger.core.execute import execute_block
from ledger.core.ids import Sequence
from ledger.core.limits import EVENT_AGE_MS_MAX
from ledger.io import chain_writer, hash_index
from ledger.io.chain_reader import ChainReader
from ledger.io.chain_store import ChainStore, Receipt, Selection
from ledger.io.hash_index import Shape
from tests.ledger.memory_ledger import MemoryLedger
from tests.ledger.sample_network import GENESIS, START_MS, batch, entry, forged

SHAPES = [
    Shape(),
    Shape(chunk_rows=3, tail_rows=6, fan_outs=(2,), step_rows=7),
    Shape(chunk_rows=3, tail_rows=6, fan_outs=(2,), step_rows=7, mask=7 << 61),
    Shape(chunk_rows=2, tail_rows=2, fan_outs=(3,), step_rows=4, mask=0),
]
TOPICS = ("catalog.a", "catalog.b", "catalog.c.d")


class World:
    """A store, and a model that executes and remembers the same blocks."""

    def __init__(self, path: Path, seed: int) -> None:
        self.dice = random.Random(seed)
        self.path = path
        self.store = ChainStore.create(path, GENESIS)
        self.model = MemoryLedger()
        self.receipts: dict[bytes, Receipt] = {}
        self.seen: list[bytes] = []

    def event(self, number: int) -> bytes:
        """Give an event: new, new with a wrong signature or topic, or one that was there before."""
        dice = self.dice
        if self.seen and dice.random() < 0.25:
            return dice.choice(self.seen)
        make = forged if dice.random() < 0.1 else entry
        data = make(
            number,
            topic="news" if dice.random() < 0.1 else dice.choice(TOPICS),
            subject=f"s{dice.randrange(9)}",
            type=f"t{dice.randrange(3)}",
            time_ms=START_MS - dice.choice((0, 1, 60_000, EVENT_AGE_MS_MAX)),
        )
        self.seen.append(data)
        return data

    def blocks(self, count: int) -> None:
        """Apply some blocks in one transaction, to the store and to the model."""
        with self.store.write() as writer:
            for _ in range(count):
                number = 10_000 * (self.model.root.height + 1)
                rows = [
                    batch([self.event(number + 100 * k + i) for i in range(size)], number + k)
                    for k, size in enumerate(self.dice.choices((0, 1, 2, 30), k=3))
                ]
                for row in rows:
                    writer.store_batch(*row)
                expected = self.model.execute(rows, time_ms=START_MS + 5 * number // 10_000)
                assert expected.block is not None
                result = execute_block(writer, expected.block_id, expected.block, lambda _: False)
                assert result == expected
                writer.apply(result)
                self.model._keep(expected)
                for item in expected.accepted:
                    self.receipts[item.id] = Receipt(expected.height, item.sequence, None)
                told = {r.id for r in expected.refused if r.code is not RejectCode.DUPLICATE}
                for refused in expected.refused:
                    known = self.receipts.get(refused.id or b"")
                    is_told = refused.code is RejectCode.DUPLICATE and refused.id in told
                    if refused.id and not is_told and (known is None or known.sequence is None):
                        self.receipts[refused.id] = Receipt(expected.height, None, refused.code)

    def reopen(self) -> None:
        """Close the store and open it again."""
        self.store.close()
        self.store = ChainStore.open(self.path, GENESIS)

    def sequence_of(self, item: OpenEntry) -> int | None:
        """Give an event's place in the model's log."""
        receipt = self.receipts.get(item.id)
        return None if receipt is None else receipt.sequence

    def check(self) -> None:
        """Compare all answers with those of the model."""
        with self.store.read() as reader:
            entries = self.model.entries
            assert reader.entries(Sequence(0), 10**6, 10**9) == entries
            opened = [open_entry(data) for data in entries]
            for item in map(open_entry, {*self.seen, entry(1)}):
                receipt, sequence = self.receipts.get(item.id), self.sequence_of(item)
                for time_ms in (None, item.event.time_ms):
                    assert reader.receipt(item.id, time_ms) == receipt
                    assert reader.sequence_of(item.id, time_ms) == sequence
                    assert reader.has_event(item.id, time_ms) == (sequence is not None)
            asked = list(map(open_entry, self.seen))
            keys = [event_key(item.event.time_ms, item.id) for item in asked]
            assert reader.sequences_of(keys) == [self.sequence_of(item) for item in asked]
            for place in self.dice.sample(range(len(entries)), min(9, len(entries))):
                location = reader.location(Sequence(place))
                assert location is not None
                assert location.height == self.receipts[opened[place].id].height
                assert reader.entry(Sequence(place)) == entries[place]
            self.check_searches(reader, opened)

    def check_searches(self, reader: ChainReader, opened: list[OpenEntry]) -> None:
        """Compare searches by one and by several conditions, and the counts of topics."""
        counts = [(t, sum(item.event.topic == t for item in opened)) for t in TOPICS]
        assert list(reader.topic_counts()) == [row for row in counts if row[1]]
        for _ in range(10):
            subject = self.dice.choice((None, "s1", "s7", "nothing"))
            topic, kind = self.dice.choice((None, *TOPICS)), self.dice.choice((None, "t1"))
            after = self.dice.randrange(-1, len(opened) + 1)
            found = reader.scan(Selection(topic, subject, None, kind), after, 10**6)
            assert [sequence for sequence, _ in found] == [
                sequence
                for sequence, item in enumerate(opened)
                if sequence > after
                and topic in (None, item.event.topic)
                and subject in (None, item.event.subject)
                and kind in (None, item.event.type)
            ]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("seed", range(3))
def test_store_answers_as_a_model_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shape: Shape, seed: int
) -> None:
    """Whatever the blocks are, results, receipts, places and searches are those of the model."""
    monkeypatch.setattr(hash_index, "SHAPE", shape)
    monkeypatch.setattr(chain_writer, "LOG_ROW_PLACES_MAX", 7)
    monkeypatch.setattr(chain_writer, "POSTING_NUMBERS_MAX", 4)
    world = World(tmp_path / "chain", seed)
    for _ in range(6):
        world.blocks(world.dice.randrange(1, 6))
        if world.dice.random() < 0.5:
            world.reopen()
        world.check()
    world.store.close()
