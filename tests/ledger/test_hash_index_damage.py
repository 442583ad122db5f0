"""A damaged hash index is told as what it is, whoever meets it, and nothing is written."""

from collections.abc import Callable
from pathlib import Path

import lmdb
import pytest
from msgspec.structs import replace

from ledger.core.codec import Codec, encode
from ledger.core.event import open_entry
from ledger.core.scanning import scan_entries
from ledger.io import hash_index
from ledger.io.environment import Environment, Table
from ledger.io.errors import StorageError
from ledger.io.hash_index import HashIndex, HashWriter, Shape
from ledger.io.hash_runs import IndexState, Merge, Run
from tests.ledger.sample_network import entry
from tests.ledger.snapshot_world import (
    copy_blocks,
    copy_log,
    copy_state,
    make_source,
    manifest_of,
    open_copy,
)

STATE = b"hash index"
POOL = [entry(number) for number in range(15)]
codec = Codec(IndexState)
damaged = pytest.raises(StorageError, match=r"hash index is damaged.*evidence")


class Index:
    """A store of the index alone, in the middle of a merge of two runs of twelve rows."""

    def __init__(self, path: Path) -> None:
        self.env = Environment.create(path, "chain", 2**26)
        self.hashes = self.env.lmdb.open_db(b"hashes", create=True)
        with self.env.write() as transaction:
            HashWriter.create(self.env.meta, transaction)
        for first in range(0, 12, 3):
            self.add(first)
        ((level,), merge) = self.state().levels, self.state().levels[0].merge
        assert [run.rows for run in level.runs] == [12, 12]
        assert merge is not None
        assert merge.rows == 12

    def add(self, first: int) -> None:
        """Add three events."""
        with self.env.write() as transaction:
            writer = HashWriter(self.hashes, self.env.meta, transaction)
            writer.add(scan_entries(POOL[first : first + 3]), first, first + 2)

    def state(self) -> IndexState:
        """Give what is stored about the runs."""
        with self.env.read() as transaction:
            return codec.decode(bytes(transaction.get(STATE, b"", db=self.env.meta)))

    def rows(self, table: Table) -> list[tuple[bytes, bytes]]:
        """Give all that a table holds."""
        with self.env.read() as transaction, transaction.cursor(table) as cursor:
            return [(bytes(key), bytes(value)) for key, value in cursor]

    def put(self, table: Table, key: bytes, value: bytes | None) -> None:
        """Store or delete a row behind the index's back."""
        with self.env.write() as transaction:
            if value is None:
                transaction.delete(key, db=table)
            else:
                transaction.put(key, value, db=table)

    def look(self) -> None:
        """Ask for every event."""
        with self.env.read() as transaction:
            index = HashIndex(self.hashes, self.env.meta, transaction)
            for data in POOL:
                list(index.numbers(index.hash_of_id(open_entry(data).id)))


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Index:
    """Give an index of small runs, in which the next block ends the merge."""
    shape = Shape(chunk_rows=2, tail_rows=8, fan_outs=(2,), step_rows=4)
    monkeypatch.setattr(hash_index, "SHAPE", shape)
    monkeypatch.setattr(hash_index, "_MERGED", 2 * hash_index._ADDED)
    return Index(tmp_path / "chain")


def other_merge(**changes: object) -> Callable[[IndexState], IndexState]:
    """Give a change of what the state says about its merge."""

    def change(state: IndexState) -> IndexState:
        (level,) = state.levels
        assert isinstance(level.merge, Merge)
        return replace(state, levels=(replace(level, merge=replace(level.merge, **changes)),))

    return change


def other_run(**changes: object) -> Callable[[IndexState], IndexState]:
    """Give a change of what the state says about its newest run."""

    def change(state: IndexState) -> IndexState:
        (level,) = state.levels
        assert isinstance(level.runs[-1], Run)
        runs = (*level.runs[:-1], replace(level.runs[-1], **changes))
        return replace(state, levels=(replace(level, runs=runs),))

    return change


@pytest.mark.parametrize(
    "change",
    [
        other_merge(sources=0),
        other_merge(sources=70),
        other_merge(rows=0),
        other_merge(rows=24),
        other_merge(position=b""),
        other_merge(position=b"abc"),
        other_run(rows=0),
        other_run(id=99),
        other_run(first=12),
    ],
)
def test_impossible_state(index: Index, change: Callable[[IndexState], IndexState]) -> None:
    """A state that no block leaves behind is refused by readers and by the writer."""
    index.put(index.env.meta, STATE, encode(change(index.state())))
    with damaged:
        index.look()
    with damaged:
        index.add(12)


@pytest.mark.parametrize("value", [None, b"", b"\xc1", encode((bytes(16), 0))])
def test_lost_state(index: Index, value: bytes | None) -> None:
    """A state that is lost or no state at all is refused by readers and by the writer."""
    index.put(index.env.meta, STATE, value)
    with damaged:
        index.look()
    with damaged:
        index.add(12)


@pytest.mark.parametrize(
    "change", [lambda _: None, lambda _: b"", lambda v: v[:-1], lambda v: v[:-16]]
)
@pytest.mark.parametrize("place", [0, -1])
def test_damaged_runs(index: Index, change: Callable[[bytes], bytes | None], place: int) -> None:
    """Rows that a merge finds missing or cut end it, and the block with it."""
    sources = [run.id.to_bytes(8, "big") for run in index.state().levels[0].runs]
    key, value = [row for row in index.rows(index.hashes) if row[0][:8] in sources][place]
    index.put(index.hashes, key, change(value))
    before = index.rows(index.hashes), index.state()
    with damaged:
        index.add(12)
    assert (index.rows(index.hashes), index.state()) == before


def test_number_that_no_run_has(index: Index) -> None:
    """A number beyond its run is no answer, and none to go on from."""
    for key, value in index.rows(index.hashes):
        rows = [value[start : start + 8] + b"\xff" * 8 for start in range(0, len(value), 16)]
        index.put(index.hashes, key, None)
        index.put(index.hashes, key[:8] + rows[-1], b"".join(rows))
    with damaged:
        index.look()


def test_copy_begun_without_an_index(tmp_path: Path) -> None:
    """A copy that a release without the hash index began is refused when it goes on."""
    path = tmp_path / "copy"
    with make_source(tmp_path / "source", 4) as source, source.read() as reader:
        with open_copy(path) as copy:
            copy.begin(manifest_of(reader))
        with lmdb.open(str(path), max_dbs=32) as env, env.begin(write=True) as transaction:
            assert transaction.delete(STATE, db=env.open_db(b"meta", txn=transaction))
        copy = open_copy(path)
        copy_blocks(reader, copy)
        copy_state(reader, copy)
        copy_log(reader, copy)
        with damaged:
            copy.finish()
        with pytest.raises(StorageError, match="earlier write failed"):
            copy.close()
