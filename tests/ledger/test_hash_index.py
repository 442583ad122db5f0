"""The hash index: whatever was added is found, with a bounded amount of work for each block."""

import random
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import cast

import lmdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.core.event import open_entry
from ledger.core.scanning import Scan, scan_entries
from ledger.io import hash_index
from ledger.io.hash_index import HashIndex, HashWriter, Shape
from ledger.io.hash_runs import Level
from tests.ledger.sample_network import entry

POOL = [entry(number, subject=f"s{number % 11}") for number in range(300)]
OPEN = [open_entry(data) for data in POOL]
SHAPES = [
    Shape(chunk_rows=2, tail_rows=4, fan_outs=(2,), step_rows=4),
    Shape(chunk_rows=3, tail_rows=1, fan_outs=(3,), step_rows=5),
    Shape(chunk_rows=4, tail_rows=9, fan_outs=(2,), step_rows=64, mask=0xF << 60),
    Shape(chunk_rows=5, tail_rows=20, fan_outs=(4,), step_rows=20, mask=0),
    Shape(chunk_rows=3, tail_rows=3, fan_outs=(2, 3, 8), step_rows=6),
    Shape(chunk_rows=4, tail_rows=6, fan_outs=(3,), step_rows=8, mask=1 << 63),
]


class Store:
    """An LMDB with the index alone, written block by block."""

    def __init__(self, path: Path) -> None:
        self.env = lmdb.open(str(path), max_dbs=2, sync=False, map_size=2**26)
        self.meta, self.table = self.env.open_db(b"meta"), self.env.open_db(b"hashes")
        with self.env.begin(write=True, buffers=True) as transaction:
            HashWriter.create(self.meta, transaction)
        self.size = 0

    def add(self, count: int, *, fails: bool = False) -> None:
        """Add the next events of the pool in one transaction, which may come to nothing."""
        with suppress(RuntimeError), self.env.begin(write=True, buffers=True) as transaction:
            scan = scan_entries(POOL[self.size : self.size + count])
            writer = HashWriter(self.table, self.meta, transaction)
            writer.add(scan, self.size, self.size + count - 1)
            if fails:
                raise RuntimeError
            self.size += count

    def rows(self) -> int:
        """Count the rows that are stored."""
        with self.env.begin() as transaction, transaction.cursor(self.table) as cursor:
            return sum(len(value) for _, value in cursor) // 16

    def check(self) -> None:
        """Compare all that can be asked with the events themselves."""
        with self.env.begin(buffers=True) as transaction:
            index = HashIndex(self.table, self.meta, transaction)
            assert index.size == self.size
            runs = {run.id for level in index._state.levels for run in level.runs}
            runs |= {level.merge.target for level in index._state.levels if level.merge}
            with transaction.cursor(self.table) as cursor:
                assert {int.from_bytes(key[:8], "big") for key, _ in cursor} <= runs
            expected: dict[int, set[int]] = {}
            for number, opened in enumerate(OPEN[: self.size]):
                subject = index.hash_of_subject(opened.event.subject)
                for hash_ in (index.hash_of_id(opened.id), subject):
                    expected.setdefault(hash_, set()).add(number)
            for hash_, numbers in expected.items():
                found = list(index.numbers(hash_))
                assert set(found) == numbers
                assert len(found) == len(numbers)
                assert list(walk(index, hash_)) == sorted(numbers)
                for at_least in (0, self.size // 2, self.size):
                    later = [number for number in numbers if number >= at_least]
                    assert index.find(hash_, at_least) == min(later, default=None)
            absent = next(n for n in range(2**64) if n not in expected)
            assert (list(index.numbers(absent)), index.find(absent, 0)) == ([], None)


def walk(index: HashIndex, hash_: int) -> Iterator[int]:
    """Give all numbers under a hash as a search does: one after the other."""
    found = index.find(hash_, 0)
    while found is not None:
        yield found
        found = index.find(hash_, found + 1)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("seed", range(4))
def test_all_is_found_at_every_moment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shape: Shape, seed: int
) -> None:
    """After each block, and after one that was abandoned, every row is found, and no other."""
    monkeypatch.setattr(hash_index, "SHAPE", shape)
    dice, store = random.Random(seed), Store(tmp_path)
    while store.size < len(POOL):
        count = min(dice.choice((1, 1, 2, 3, 40)), len(POOL) - store.size)
        store.add(count, fails=dice.random() < 0.2)
        if dice.random() < 0.3 or store.size == len(POOL):
            store.check()


@given(blocks=st.lists(st.integers(1, 30), max_size=25))
def test_blocks_of_any_size(tmp_path_factory: pytest.TempPathFactory, blocks: list[int]) -> None:
    """However the log is cut into blocks, the rows are the same."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            hash_index, "SHAPE", Shape(chunk_rows=4, tail_rows=8, fan_outs=(2,), step_rows=8)
        )
        store = Store(tmp_path_factory.mktemp("index"))
        for count in blocks:
            store.add(min(count, len(POOL) - store.size) or 1)
        store.size = min(store.size, len(POOL))
        store.check()


def test_work_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs and what a block rewrites grow with the logarithm of the log: all merges keep up."""
    shape = Shape(chunk_rows=4, tail_rows=4, fan_outs=(2,), step_rows=8)
    monkeypatch.setattr(hash_index, "SHAPE", shape)
    store = Store(tmp_path)
    written: list[int] = []
    real = HashWriter._put

    def counting(self: HashWriter, run: int, chunks: list[bytes]) -> None:
        written[-1] += sum(map(len, chunks)) // 16
        real(self, run, chunks)

    monkeypatch.setattr(HashWriter, "_put", counting)
    levels = 8  # 2 to the power of it is more than there are blocks of two events
    while store.size < len(POOL):
        written.append(0)
        store.add(2)
        with store.env.begin(buffers=True) as transaction:
            state = HashIndex(store.table, store.meta, transaction)._state
        assert len(state.levels) <= levels
        for level in state.levels:
            assert len(level.runs) <= 2 * shape.fan_outs[0]
        assert store.rows() <= 4 * store.size
    assert max(written) <= 8 + levels * shape.step_rows
    assert sum(written) <= 4 * store.size * levels / 2


def sizes_of_blocks(name: str) -> list[int]:
    """Give how many events each block of a hostile sequence has."""
    dice = random.Random(name)
    match name:
        case "burst, then trickle":
            return [512] * 9 + [2] * 1_500
        case "bursts and trickles":
            return ([600] * 3 + [1] * 100 + [40] * 9 + [5] * 60) * 4
        case "alternating":
            return [1, 700] * 60
        case "lone events":
            return [1] * 3_000
        case "largest of a size, then smallest":
            return [size for row in (4, 16, 64, 256) for size in [4 * row - 1] * 8 + [row] * 60]
        case "smallest of each size":
            return [256, 64, 64, 16, 16, 16, 4, 4, 4] * 40
    return [dice.choice((1, 1, 1, 3, 4, 15, 16, 63, 64, 800)) for _ in range(600)]


@pytest.mark.parametrize(
    "name",
    [
        "burst, then trickle",
        "bursts and trickles",
        "alternating",
        "lone events",
        "largest of a size, then smallest",
        "smallest of each size",
        "dice",
    ],
)
@pytest.mark.parametrize("fan_outs", [(4,), (4, 4, 8)])
def test_bounds_hold_for_any_sizes_of_blocks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, fan_outs: tuple[int, ...]
) -> None:
    """Neither runs nor what a block rewrites exceed their bounds, however large blocks are."""
    shape = Shape(chunk_rows=4, tail_rows=8, fan_outs=fan_outs, step_rows=32)
    monkeypatch.setattr(hash_index, "SHAPE", shape)
    dice, made, written = random.Random(name), dict[bytes, int](), [0]

    def rows(count: int, first: int, _key: bytes, _mask: int) -> bytes:
        numbers = [first + i // 2 for i in range(2 * count)]
        keys = {dice.randbytes(8): number for number in numbers}
        made.update(keys)
        return b"".join(key + keys[key].to_bytes(8, "big") for key in sorted(keys))

    def counting(self: HashWriter, run: int, chunks: list[bytes]) -> None:
        written[0] += sum(map(len, chunks)) // 16
        real(self, run, chunks)

    real = HashWriter._put
    monkeypatch.setattr(HashWriter, "_put", counting)
    monkeypatch.setattr(hash_index, "event_hash_rows", rows)
    store, size = Store(tmp_path), 0
    with store.env.begin(write=True, buffers=True) as transaction:
        for count in sizes_of_blocks(name):
            written[0] = 0
            writer = HashWriter(store.table, store.meta, transaction)
            writer.add(cast("Scan", count), size, size + count - 1)
            size += count
            levels, added = writer._state.levels, 2 * count
            assert_few_runs(shape, levels)
            assert len(levels) == 1 or shape.size(len(levels) - 1) <= 2 * size
            step = len(levels) * (shape.step_rows + 5 * added // 4 + 1)
            assert written[0] <= added + shape.tail_rows + step
        index = HashIndex(store.table, store.meta, transaction)
        for key, number in dice.sample(sorted(made.items()), 500):
            assert index.find(int.from_bytes(key, "big"), 0) == number


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize(
    "fan_outs", [((2,), (4,)), ((4,), (2,)), ((2,), (3,)), ((2,), (2, 2, 4)), ((2, 2, 4), (2,))]
)
def test_store_of_another_release_is_regrouped(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    fan_outs: tuple[tuple[int, ...], tuple[int, ...]],
    seed: int,
) -> None:
    """Runs come into their levels, one that is small stays the last, and merges go on."""
    before, after = (Shape(3, tail_rows=5, fan_outs=factors, step_rows=7) for factors in fan_outs)
    monkeypatch.setattr(hash_index, "SHAPE", before)
    dice, store = random.Random(seed), Store(tmp_path)
    while store.size < 150:
        store.add(dice.choice((1, 3, 9, 20)))
    for count in (20, 9, 1):
        store.add(count)
    monkeypatch.setattr(hash_index, "SHAPE", after)
    for _ in range(2):
        stored = regrouped(store)
        store.check()
    assert stored == regrouped(store)
    while store.size < len(POOL):
        store.add(min(dice.choice((1, 3, 9, 20)), len(POOL) - store.size))
    store.check()
    with store.env.begin(buffers=True) as transaction:
        assert_few_runs(after, HashIndex(store.table, store.meta, transaction)._state.levels)


def assert_few_runs(shape: Shape, levels: tuple[Level, ...]) -> None:
    """Compare the runs of each level with their bound."""
    least = min(shape.fan_outs)
    for number, level in enumerate(levels):
        factor = shape.size(number + 1) // shape.size(number)
        assert len(level.runs) <= 2.6 * (factor + least / (least - 1)) + 1


def regrouped(store: Store) -> bytes:
    """Regroup, check what must be true of the levels then, and give what is stored of them."""
    with store.env.begin(write=True, buffers=True) as transaction:
        HashWriter(store.table, store.meta, transaction).regroup()
    with store.env.begin(buffers=True) as transaction:
        index = HashIndex(store.table, store.meta, transaction)
        stored = bytes(transaction.get(b"hash index", b"", db=store.meta))
    for number, level in enumerate(index._state.levels):
        waiting = level.runs[0 if level.merge is None else level.merge.sources :]
        assert all(run.rows < index._shape.size(number + 1) for run in waiting)
        finished = waiting if number else waiting[:-1]
        assert all(run.rows >= index._shape.size(number) for run in finished)
    return stored


def test_two_stores_have_two_keys(tmp_path: Path) -> None:
    """Subjects that collide in one store do not in another, so nobody can prepare them."""
    hashes = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        store = Store(tmp_path / name)
        with store.env.begin(buffers=True) as transaction:
            index = HashIndex(store.table, store.meta, transaction)
            hashes.append(index.hash_of_subject("subject"))
    assert hashes[0] != hashes[1]


def test_cut_rows_are_damage(tmp_path: Path) -> None:
    """Rows that lost bytes are found, by who looks and by who merges, as damage of the store."""
    store = Store(tmp_path)
    store.add(9)
    with store.env.begin(write=True) as cutting, cutting.cursor(store.table) as cursor:
        for key, value in list(cursor):
            cutting.put(key, value[:-1], db=store.table)
    with store.env.begin(write=True, buffers=True) as transaction:
        index = HashWriter(store.table, store.meta, transaction)
        with pytest.raises(lmdb.CorruptedError, match="hash index"):
            index.find(0, 0)
        with pytest.raises(lmdb.CorruptedError, match="hash index"):
            index.add(scan_entries(POOL[9:10]), 9, 9)
