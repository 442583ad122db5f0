"""Files beside LMDB give back what was committed, whatever ends or fails in between."""

import os
import random
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from errno import EINVAL, EIO, ENOSPC
from fcntl import F_GETFL, fcntl
from pathlib import Path

import pytest

from ledger.core.execute import execute_block
from ledger.core.ids import BatchId, Epoch, Sequence
from ledger.io import batch_appender, batch_files
from ledger.io.batch_appender import FILED_BYTES_MIN
from ledger.io.chain_store import ChainStore
from ledger.io.errors import StorageError
from tests.ledger.sample_network import GENESIS, batch, block_after, entry

ROOT = Path(__file__).parents[2]
Row = tuple[BatchId, bytes]


def large(number: int) -> Row:
    """Give a batch that goes into a file: three entries of 30,000 bytes."""
    return batch(
        [entry(3 * number + k, data=bytes([number % 256]) * 30_000) for k in range(3)], number
    )


def keep(store: ChainStore, *rows: Row) -> None:
    """Store batches in one transaction."""
    with store.write() as writer:
        for row in rows:
            writer.store_batch(*row)


def extend(store: ChainStore, *rows: Row) -> None:
    """Apply a block of batches."""
    with store.write() as writer:
        for row in rows:
            writer.store_batch(*row)
        parent = writer.reader.head().block_id
        id_, block = block_after(writer.root, parent, [row[0] for row in rows])
        writer.apply(execute_block(writer, id_, block, lambda _: False))


def held(path: Path) -> dict[BatchId, bytes]:
    """Read all batches that no block names from the disk."""
    with ChainStore.open_readonly(path) as store, store.read() as reader:
        return dict(reader.open_batches(Epoch(0)))


def in_process(code: str, *arguments: object) -> "subprocess.Popen[str]":
    """Start a program that has this module's names."""
    return subprocess.Popen(
        [sys.executable, "-c", f"from tests.ledger.test_batch_files import *\n{code}"]
        + [str(argument) for argument in arguments],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def files(path: Path) -> list[str]:
    """Give the names of a store's batch files."""
    return sorted(place.name for place in (path / "batches").glob("*"))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Give the path of a store with one large batch that no block names."""
    with ChainStore.create(tmp_path / "chain", GENESIS) as store:
        keep(store, large(0))
    return tmp_path / "chain"


@pytest.fixture
def store(path: Path) -> Iterator[ChainStore]:
    """Give that store, opened anew."""
    with ChainStore.open(path, GENESIS) as opened:
        yield opened


def test_only_large_batches_are_in_files(tmp_path: Path) -> None:
    """A small batch costs no file; a large one is in one, and reads alike."""
    small = batch([entry(0, data=bytes(20_000)), entry(1)], 1)
    assert len(small[1]) < FILED_BYTES_MIN <= len(large(0)[1])
    with ChainStore.create(tmp_path / "chain", GENESIS) as store:
        keep(store, small)
        assert files(store.path) == []
        keep(store, large(0), small)
        assert files(store.path) == ["00000000"]
        with store.read() as reader:
            assert reader.batch(small[0]) == small[1]
            assert reader.has_batch(large(0)[0])
            assert reader.batch(large(0)[0]) == large(0)[1]
    assert held(tmp_path / "chain") == dict([small, large(0)])


def test_batch_that_is_kept_again_is_not_appended_again(store: ChainStore) -> None:
    """A batch that is there takes no more space."""
    size = (store.path / "batches" / "00000000").stat().st_size
    keep(store, large(0), large(0))
    assert (store.path / "batches" / "00000000").stat().st_size == size


def test_entries_come_from_files_and_memory_alike(
    store: ChainStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Single entries, runs over several batches, and the end of a run are the same both ways."""
    expected = [entry(3 * n + k, data=bytes([n]) * 30_000) for n in range(3) for k in range(3)]
    extend(store, large(0), large(1), large(2))
    reads: list[int] = []
    pread = os.pread

    def counted(handle: int, length: int, offset: int) -> bytes:
        reads.append(length)
        return pread(handle, length, offset)

    monkeypatch.setattr("os.pread", counted)
    remembered = [large(1)[0], large(2)[0]]
    for row in map(large, (1, 2)):
        store._tables.batch_files.remember(*row)
    for is_recent in (True, False):
        with store.read() as reader:
            assert [reader.entry(Sequence(n)) for n in range(9)] == expected
            reads.clear()
            assert reader.entries(Sequence(1), 100, 10**9) == expected[1:]
            assert reader.entries(Sequence(2), 3, 10**9) == expected[2:5]
            assert reader.entries(Sequence(2), 9, 30_001) == expected[2:3]
            assert reader.entries(Sequence(9), 9, 9) == []
        # Neighbours are read at one time, and only what is wanted of them.
        lengths = [len(e) for e in expected]
        runs = [lengths[1:3], lengths[3:6], lengths[6:9], lengths[2:3], lengths[3:5], lengths[2:3]]
        if is_recent:  # the first batch is not remembered
            runs = [lengths[1:3], lengths[2:3], lengths[2:3]]
        assert reads == [run[0] + sum(n + 3 for n in run[1:]) for run in runs]
        store._tables.batch_files.forget(remembered)


def test_what_was_just_stored_is_not_read_from_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Executing a block of batches that were stored before reads no file."""

    def pread(*_: object) -> bytes:
        raise AssertionError

    monkeypatch.setattr("os.pread", pread)
    with ChainStore.create(tmp_path / "chain", GENESIS) as store:
        keep(store, large(0), large(1))
        extend(store, large(0), large(1))


def test_memory_of_batches_is_bounded(store: ChainStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of more than fit only the newest stay in memory; the others are read from their file."""
    monkeypatch.setattr(batch_files, "RECENT_BYTES", 200_000)
    recent = store._tables.batch_files.recent
    for number in range(1, 6):
        keep(store, large(number))
    assert [n for n in range(6) if recent(large(n)[0]) is not None] == [4, 5]
    assert held_by(store) == dict(map(large, range(6)))
    extend(store, large(4))
    assert [n for n in range(6) if recent(large(n)[0]) is not None] == [5]
    keep(store, large(6))
    assert [n for n in range(7) if recent(large(n)[0]) is not None] == [5, 6]


def held_by(store: ChainStore) -> dict[BatchId, bytes]:
    """Read all batches that no block names through an open store."""
    with store.read() as reader:
        return dict(reader.open_batches(Epoch(0)))


def kill() -> None:
    """End this process at once."""
    os.kill(os.getpid(), signal.SIGKILL)


def kill_after(owner: object, name: str) -> None:
    """End this process as soon as a function has done its work."""
    real = getattr(owner, name)

    def then_kill(*arguments: object) -> None:
        real(*arguments)
        kill()

    setattr(owner, name, then_kill)


@pytest.mark.parametrize(
    "point",
    [
        "batch_appender.BatchAppender, 'begin'",
        "batch_appender.BatchAppender, 'append'",
        "os, 'pwrite'",
        "os, 'fdatasync'",
        "batch_appender.BatchAppender, 'sync'",
        "chain_writer.ChainWriter, 'sync_files'",
    ],
)
def test_writer_killed_before_the_commit(path: Path, point: str) -> None:
    """Nothing of the transaction is there, nothing committed is lost, and the next one goes on."""
    code = (
        "from ledger.io import chain_writer\n"
        "store = ChainStore.open(Path(sys.argv[1]), GENESIS)\n"
        "keep(store, large(1))\n"
        f"kill_after({point})\n"
        "keep(store, large(2), large(3))\n"
    )
    with in_process(code, path) as process:
        assert process.wait(30) == -signal.SIGKILL
    assert held(path) == dict([large(0), large(1)])
    with ChainStore.open(path, GENESIS) as store:
        keep(store, large(4))
        assert held_by(store) == dict([large(0), large(1), large(4)])
    assert held(path) == dict([large(0), large(1), large(4)])


@pytest.mark.parametrize("call", ["fdatasync", "pwrite"])
@pytest.mark.parametrize(("number", "words"), [(EIO, "replace the disk"), (ENOSPC, "Free space")])
def test_disk_that_fails_ends_the_writer(
    path: Path, monkeypatch: pytest.MonkeyPatch, call: str, number: int, words: str
) -> None:
    """No row refers to what is not on the disk, and nothing more is written."""

    def fail(*_: object) -> int:
        raise OSError(number, "broken")

    with ChainStore.open(path, GENESIS) as store:
        with monkeypatch.context() as patched:
            patched.setattr(f"os.{call}", fail)
            with pytest.raises(StorageError, match=words):
                keep(store, large(1))
        with pytest.raises(StorageError, match="an earlier write failed"):
            keep(store, large(1))
    assert held(path) == dict([large(0)])


def test_new_file_has_its_name_before_the_commit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the directory cannot be synced, no row refers to a file in it."""
    with ChainStore.create(tmp_path / "chain", GENESIS) as store:

        def fail(directory: Path) -> None:
            raise OSError(EIO, str(directory))

        monkeypatch.setattr(batch_appender, "sync_names", fail)
        with pytest.raises(StorageError, match="cannot write"):
            keep(store, large(0))
    assert held(tmp_path / "chain") == {}


@pytest.mark.parametrize("tail", [1, 4_096, 10**6])
def test_torn_tail_is_cut(path: Path, tail: int) -> None:
    """What lies behind the committed end is of no row, and goes when the next batch comes."""
    file = path / "batches" / "00000000"
    size = file.stat().st_size
    with file.open("ab") as writing:
        writing.write(b"\xee" * tail)
    assert held(path) == dict([large(0)])
    with ChainStore.open(path, GENESIS) as store:
        keep(store, large(1))
    assert held(path) == dict([large(0), large(1)])
    assert file.stat().st_size == 2 * size


def test_rows_of_an_older_state_of_the_store(path: Path, tmp_path: Path) -> None:
    """Where LMDB fell back behind a commit that was never told, new bytes replace those of it."""
    shutil.copy(path / "data.mdb", tmp_path / "before")
    with ChainStore.open(path, GENESIS) as store:
        keep(store, large(1), large(2))
    shutil.copy(tmp_path / "before", path / "data.mdb")
    with ChainStore.open(path, GENESIS) as store:
        assert held_by(store) == dict([large(0)])
        keep(store, large(3))
    assert held(path) == dict([large(0), large(3)])


@pytest.mark.parametrize("is_last", [True, False])
@pytest.mark.parametrize("harm", [lambda file: file.unlink(), lambda file: os.truncate(file, 9)])
def test_missing_or_short_file_is_damage(
    path: Path, monkeypatch: pytest.MonkeyPatch, harm: Callable[[Path], None], is_last: bool
) -> None:
    """The last file is looked at when the store opens, others when somebody asks."""
    monkeypatch.setattr(batch_appender, "FILE_BYTES", 10)
    with ChainStore.open(path, GENESIS) as store:
        keep(store, large(1))
    assert files(path) == ["00000000", "00000001"]
    harm(path / "batches" / files(path)[-1 if is_last else 0])
    words = f"damaged: batch file 0000000{int(is_last)} is missing or cut.*evidence"
    if is_last:
        for opening in (lambda: ChainStore.open(path, GENESIS), lambda: held(path)):
            with pytest.raises(StorageError, match=words):
                opening()
        return
    with ChainStore.open(path, GENESIS) as store, store.read() as reader:
        assert reader.batch(large(1)[0]) == large(1)[1]
        with pytest.raises(StorageError, match=words):
            reader.batch(large(0)[0])


@pytest.mark.parametrize("is_refused_at", ["open", "write"])
def test_file_system_without_direct_writes(
    path: Path, monkeypatch: pytest.MonkeyPatch, is_refused_at: str
) -> None:
    """Where O_DIRECT is refused, files are written without it."""
    refused: list[int] = []
    open_, pwrite = os.open, os.pwrite

    def refusing_open(name: Path, flags: int, mode: int = 0o777) -> int:
        if flags & os.O_DIRECT and is_refused_at == "open":
            refused.append(flags)
            raise OSError(EINVAL, "Invalid argument")
        return open_(name, flags, mode)

    def refusing_pwrite(handle: int, data: memoryview, offset: int) -> int:
        flags = fcntl(handle, F_GETFL)
        if flags & os.O_DIRECT:
            refused.append(flags)
            raise OSError(EINVAL, "Invalid argument")
        return pwrite(handle, data[:50_001], offset)  # a short write goes on as well

    monkeypatch.setattr("os.open", refusing_open)
    monkeypatch.setattr("os.pwrite", refusing_pwrite)
    with ChainStore.open(path, GENESIS) as store:
        keep(store, large(1), large(2))
        keep(store, large(3))
    assert len(refused) == 1
    assert held(path) == dict(map(large, range(4)))


def test_other_processes_see_new_batches_and_files(
    store: ChainStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A reader that opened the store before reads what is committed afterwards."""
    code = (
        "store = ChainStore.open_readonly(Path(sys.argv[1]))\n"
        "for line in sys.stdin:\n"
        "    expected = dict(map(large, range(int(line))))\n"
        "    print(held_by(store) == expected, flush=True)\n"
    )
    with in_process(code, store.path) as reader:
        assert reader.stdin is not None
        assert reader.stdout is not None
        for count in (1, 2, 3, 4):
            if count == 3:
                monkeypatch.setattr(batch_appender, "FILE_BYTES", 10)
            if count > 1:
                keep(store, large(count - 1))
            reader.stdin.write(f"{count}\n")
            reader.stdin.flush()
            assert reader.stdout.readline() == "True\n"
        reader.stdin.close()
    assert len(files(store.path)) == 3


def test_file_is_open_as_long_as_it_is_read(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A read that others' reads push out of the open files still gets its own file's bytes."""
    monkeypatch.setattr(batch_appender, "FILE_BYTES", 10)
    monkeypatch.setattr(batch_files, "_FILES_OPEN_MAX", 1)
    with ChainStore.open(path, GENESIS) as store:
        keep(store, large(1), large(2))
    pread, others = os.pread, [large(1), large(2)]
    with ChainStore.open(path, GENESIS) as store, store.read() as reader:

        def read_others_first(handle: int, length: int, offset: int) -> bytes:
            if others:
                id_, expected = others.pop()
                assert reader.batch(id_) == expected
            return pread(handle, length, offset)

        monkeypatch.setattr("os.pread", read_others_first)
        assert reader.batch(large(0)[0]) == large(0)[1]


def test_files_have_the_modes_of_the_store(tmp_path: Path) -> None:
    """A gateway of the same group reads the files of a store that it may read."""
    with ChainStore.create(tmp_path / "chain", GENESIS) as store:
        store.path.chmod(0o2_770)
        (store.path / "data.mdb").chmod(0o666)
        keep(store, large(0))
        assert (store.path / "batches").stat().st_mode & 0o7777 == 0o2_770
        assert (store.path / "batches" / "00000000").stat().st_mode & 0o7777 == 0o666


def test_files_are_bounded(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A batch that does not fit goes to the next file, also within one transaction."""
    monkeypatch.setattr(batch_appender, "FILE_BYTES", 200_000)
    monkeypatch.setattr(batch_files, "_FILES_OPEN_MAX", 2)
    with ChainStore.open(path, GENESIS) as store:
        keep(store, *map(large, range(1, 7)))
        keep(store, large(7))
    sizes = [(path / "batches" / name).stat().st_size for name in files(path)]
    assert len(sizes) == 4
    assert max(sizes) <= 200_000
    assert held(path) == dict(map(large, range(8)))


def test_writes_are_of_whole_blocks(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Place and length of each write are what O_DIRECT takes, and no two write one block."""
    writes: list[tuple[int, int]] = []
    pwrite = os.pwrite

    def counted(handle: int, data: memoryview, offset: int) -> int:
        writes.append((offset, len(data)))
        return pwrite(handle, data, offset)

    monkeypatch.setattr(batch_appender, "_BUFFER_BYTES", 65_536)
    with ChainStore.open(path, GENESIS) as store:
        monkeypatch.setattr("os.pwrite", counted)
        keep(store, large(1), large(2))
        keep(store, large(3))
    assert len(writes) == 5
    at = 94_208
    for offset, length in writes:
        assert offset == at
        assert length % 4_096 == 0
        at += length


def test_aborted_transactions_take_no_space(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was appended and not committed is overwritten, whether it came to the disk or not."""
    monkeypatch.setattr(batch_appender, "_BUFFER_BYTES", 65_536)
    size = (path / "batches" / "00000000").stat().st_size
    with ChainStore.open(path, GENESIS) as store:
        for count in (1, 3):
            rows = [large(number) for number in range(1, 1 + count)]
            with suppress(KeyError), store.write() as writer:
                _ = [writer.store_batch(*row) for row in rows]  # type: ignore[func-returns-value]
                raise KeyError
        keep(store, large(7))
        with store.read() as reader:
            assert reader.batch_end() == (0, 2 * size)
            assert reader.batch(large(1)[0]) is None


@pytest.mark.parametrize("seed", range(4))
def test_any_order_of_commits_and_failures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    """Committed batches read back, and no others, after any mixture of ends and new beginnings."""
    monkeypatch.setattr(batch_appender, "FILE_BYTES", 300_000)
    monkeypatch.setattr(batch_appender, "_BUFFER_BYTES", 65_536)
    monkeypatch.setattr(batch_files, "RECENT_BYTES", 150_000)
    expected: dict[BatchId, bytes] = {}
    dice, number = random.Random(seed), 0
    path = tmp_path / "chain"
    store = ChainStore.create(path, GENESIS)
    for _ in range(40):
        rows = [
            batch([entry(number + k, data=dice.randbytes(dice.choice((9, 29_000, 31_000))))] * 3)
            for k in range(dice.choice((1, 1, 2, 5)))
        ]
        number += len(rows)
        is_committed = dice.random() < 0.7
        try:
            with store.write() as writer:
                for row in rows:
                    writer.store_batch(*row)
                if not is_committed:
                    raise KeyError  # noqa: TRY301
            expected |= dict(rows)
        except KeyError:
            pass
        if dice.random() < 0.2:
            store.close()
            store = ChainStore.open(path, GENESIS)
        assert held_by(store) == expected
    store.close()
    assert held(path) == expected
