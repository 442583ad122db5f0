"""Files to which a store's rows refer go where its rows go, and go when no row refers to them."""

import os
import shutil
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import lmdb
import pytest

from ledger.core.errors import Unavailable
from ledger.core.event import open_entry
from ledger.core.ids import Epoch, EventKey, Sequence
from ledger.io import batch_appender, chain_writer, store_copy, store_files
from ledger.io.chain_compaction import compact_chain
from ledger.io.chain_store import ChainStore
from ledger.io.disk_usage import disk_usage
from ledger.io.environment import FORMAT_VERSION
from ledger.io.errors import StorageError
from ledger.io.store_copy import copy_store, leftover_path, store_bytes
from tests.ledger.pruned_world import prune
from tests.ledger.sample_network import GENESIS, batch, entry
from tests.ledger.test_batch_files import ROOT, extend, files, held_by, keep, large

BLOCKS = 6


def quiet(_done: int, _expected: int) -> None:
    """Watch nothing."""


def key_of(item: bytes) -> EventKey:
    """Give the key of an entry in the table of events."""
    return open_entry(item).key


def entries(path: Path, first: int = 0) -> list[bytes]:
    """Read the log from the disk, from ``first`` on."""
    with ChainStore.open_readonly(path) as store, store.read() as reader:
        return reader.entries(Sequence(first), 10**6, 10**9)


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Give the path of a store of six blocks, each of which has a file of its own."""
    monkeypatch.setattr(batch_appender, "FILE_BYTES", 10)
    with ChainStore.create(tmp_path / "chain", GENESIS) as store:
        for number in range(BLOCKS):
            extend(store, large(number))
    yield tmp_path / "chain"
    shutil.rmtree(tmp_path / "chain")


def test_forgotten_files_are_deleted(path: Path) -> None:
    """A file goes with the last row that refers to it; the last one stays, and all goes on."""
    expected = entries(path)
    with ChainStore.open(path, GENESIS) as store:
        assert prune(store, 9) == 9
        assert files(path) == ["00000003", "00000004", "00000005"]
        assert prune(store, 10**9) == 3 * BLOCKS - 3
        assert files(path) == ["00000005"]
        extend(store, large(9))
        assert files(path) == ["00000005", "00000006"]
    assert entries(path, 3 * BLOCKS - 3)[:3] == expected[-3:]


def test_last_file_stays_where_nothing_in_it_is_held(path: Path) -> None:
    """The next batch goes behind what it holds."""
    with ChainStore.open(path, GENESIS) as store:
        extend(store, batch([entry(1_000)]))
        prune(store, 10**9)
    assert files(path) == ["00000005"]
    with ChainStore.open(path, GENESIS) as store:
        extend(store, large(9))
    assert len(entries(path, 3 * BLOCKS)) == 4


def test_file_of_an_open_batch_stays(path: Path) -> None:
    """A file stays for the one batch in it that may still be named."""
    with ChainStore.open(path, GENESIS) as store:
        keep(store, large(20))
        extend(store, large(21))
        extend(store, large(22))
        prune(store, 10**9)
        assert files(path) == ["00000006", "00000008"]
        assert held_by(store) == dict([large(20)])


def test_files_go_after_their_rows(path: Path) -> None:
    """Whenever a sweep ends, no row is left without its file, and the next one takes the rest."""
    with ChainStore.open(path, GENESIS) as store:
        pruner = store.pruner()
        first = pruner.forget_below(9)
        sweep = pruner.sweep()
        next(sweep)  # of the log
        next(sweep)  # of the batches: they are gone, their files are not
        assert len(files(path)) == BLOCKS
        del sweep
    with ChainStore.open(path, GENESIS) as store:
        prune(store, first)
        assert len(files(path)) == BLOCKS - 3


def test_copy_beside_a_writer_has_its_files(path: Path, tmp_path: Path) -> None:
    """A copy that is made while batches are appended reads whole, and a node goes on with it."""
    expected, copies = entries(path), []
    code = (
        "from tests.ledger.test_store_files import *\n"
        "for number in range(5):\n"
        "    copy_store(Path(sys.argv[1]), 'chain', Path(sys.argv[2] + str(number)), quiet)\n"
    )
    with ChainStore.open(path, GENESIS) as store:
        process = subprocess.Popen(
            [sys.executable, "-c", code, str(path), str(tmp_path / "copy")],
            env=os.environ | {"PYTHONPATH": str(ROOT)},
        )
        number = 100
        while process.poll() is None:
            extend(store, large(number))
            number += 1
    assert process.returncode == 0
    final = entries(path)
    for number in range(5):
        copy = tmp_path / f"copy{number}"
        with ChainStore.open(copy, GENESIS) as store:
            extend(store, large(99))
        copied = entries(copy)
        assert copied[:-3] == final[: len(copied) - 3]
        copies.append(len(copied))
    assert len(expected) < copies[-1]


def test_files_are_watched_and_need_room(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is told of a copy ends at its size, as expected; a disk without room is told before."""
    told: list[tuple[int, int]] = []
    copy_store(path, "chain", tmp_path / "copy", lambda *numbers: told.append(numbers))
    assert told[-1][0] == store_bytes(tmp_path / "copy") > 6 * 90_000
    assert abs(told[-1][1] - told[-1][0]) < 16 * 4_096
    free = store_bytes(path) - 6 * 80_000
    usage = shutil.disk_usage(tmp_path)._replace(free=free)
    monkeypatch.setattr("shutil.disk_usage", lambda _path: usage)
    with pytest.raises(Unavailable, match="are free"):
        copy_store(path, "chain", tmp_path / "other", quiet)
    compact_chain(path, GENESIS, quiet)


@pytest.mark.parametrize("moment", ["before", "while"])
def test_file_that_is_pruned_while_it_is_copied(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    """A copy that would lack a file is not made."""
    victim = path / "batches" / "00000001"
    if moment == "before":
        write = store_copy._write

        def write_and_prune(*arguments: object) -> None:
            write(*arguments)  # type: ignore[arg-type] # as they came
            victim.unlink()

        monkeypatch.setattr(store_copy, "_write", write_and_prune)
    else:
        copy = store_files.copy_file

        def prune_and_copy(source: Path, *arguments: object, **options: object) -> None:
            victim.unlink(missing_ok=True)
            copy(source, *arguments, **options)  # type: ignore[arg-type] # as they came

        monkeypatch.setattr(store_copy, "copy_file", prune_and_copy)
    with pytest.raises(Unavailable, match="was pruned while it was copied: try again"):
        copy_store(path, "chain", tmp_path / "copy", quiet)
    assert not (tmp_path / "copy").exists()


def test_file_that_is_cut_while_it_is_copied(tmp_path: Path) -> None:
    """A writer that begins anew cuts what was not committed: whoever copied it tries again."""
    (tmp_path / "one").write_bytes(b"x" * 9)
    with pytest.raises(Unavailable, match="was cut while it was copied: try again"):
        store_files.copy_file(tmp_path / "one", tmp_path / "two", 10, lambda _: None)


def test_compacted_store_keeps_its_files(path: Path) -> None:
    """Rows are copied, files are not; owner, modes and what is read stay the same."""
    expected = entries(path)
    owner = 12_345 if os.geteuid() == 0 else os.geteuid()
    for place in (path, path / "batches"):
        os.chown(place, owner, -1)
        place.chmod(0o2_770)
    inodes = {place.name: place.stat().st_ino for place in (path / "batches").iterdir()}
    before = store_bytes(path)
    won = compact_chain(path, GENESIS, quiet)
    assert store_bytes(path) == before - won
    assert {place.name: place.stat().st_ino for place in (path / "batches").iterdir()} == inodes
    status = (path / "batches").stat()
    assert (status.st_uid, stat.S_IMODE(status.st_mode)) == (owner, 0o2_770)
    assert {place.stat().st_nlink for place in (path / "batches").iterdir()} == {1}
    assert entries(path) == expected


def test_what_follows_a_compaction_goes_to_a_new_file(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the replaced store could not be removed, its files have two names: none grows."""
    monkeypatch.setattr(batch_appender, "FILE_BYTES", 10**9)
    compact_chain(path, GENESIS, quiet)
    with ChainStore.open(path, GENESIS) as store:
        extend(store, large(9))
    assert len(files(path)) == BLOCKS + 1


def test_compaction_leaves_dead_bytes_out(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Batches that are held move to new files, of the store's owner; the others' bytes go."""
    monkeypatch.setattr(batch_appender, "FILE_BYTES", 400_000)
    with ChainStore.open(path, GENESIS) as store:
        for number in range(10, 15):
            extend(store, large(number))
        keep(store, large(20))
        first = prune(store, 3 * BLOCKS + 6)
    assert files(path) == ["00000005", "00000006"]
    expected = entries(path, first)
    owner = 12_345 if os.geteuid() == 0 else os.geteuid()
    os.chown(path / "data.mdb", owner, -1)
    before = store_bytes(path)
    won = compact_chain(path, GENESIS, quiet)
    assert store_bytes(path) == before - won
    assert won > 90_000
    sizes = {place.name: place.stat().st_size for place in (path / "batches").iterdir()}
    assert sum(sizes.values()) == 4 * 94_208
    assert sorted(sizes) == ["00000006", "00000007"]
    assert (path / "batches" / "00000007").stat().st_uid == owner
    assert entries(path, first) == expected
    with ChainStore.open(path, GENESIS) as store:
        assert held_by(store) == dict([large(20)])
        extend(store, large(30))
        prune(store, 10**9)
    assert len(entries(path, first + len(expected))) == 3


def test_compaction_of_nothing_but_dead_bytes(path: Path) -> None:
    """Where no large batch is held any more, no file is left, and the next batch makes one."""
    with ChainStore.open(path, GENESIS) as store:
        extend(store, batch([entry(1_000)]))
        prune(store, 10**9)
    compact_chain(path, GENESIS, quiet)
    assert files(path) == []
    with ChainStore.open(path, GENESIS) as store:
        extend(store, large(9))
    assert files(path) == ["00000006"]
    assert len(entries(path, 3 * BLOCKS)) == 4


@pytest.mark.parametrize("moment", ["check", "exchanged"])
def test_killed_compaction_leaves_every_file(path: Path, moment: str) -> None:
    """SIGKILL before and after the exchange: the store reads whole, grows, and is compacted."""
    expected = entries(path)
    code = (
        "from tests.ledger.test_store_files import *\n"
        "from ledger.io import chain_compaction\n"
        "die = lambda *_: os.kill(os.getpid(), signal.SIGKILL)\n"
        "if sys.argv[2] == 'exchanged':\n"
        "    store_copy.shutil.rmtree = lambda path, **options: options or die()\n"
        "if sys.argv[2] == 'check':\n"
        "    chain_compaction.ChainStore.open = die\n"
        "compact_chain(Path(sys.argv[1]), GENESIS, quiet)\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code, str(path), moment],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        timeout=60,
        check=False,
    )
    assert ended.returncode == -signal.SIGKILL
    assert leftover_path(path).exists()
    with ChainStore.open(path, GENESIS) as store:
        extend(store, large(50))
    compact_chain(path, GENESIS, quiet)
    assert not leftover_path(path).exists()
    assert entries(path)[:-3] == expected


def test_usage_of_the_disk_counts_the_files(path: Path) -> None:
    """What a store takes is what all of its files take."""
    usage = disk_usage(path)
    assert usage is not None
    assert usage.store >= BLOCKS * 90_000


def set_format(path: Path, version: int | None = None) -> int:
    """Write the format of a closed store, or only read it."""
    with lmdb.open(str(path), max_dbs=32) as env, env.begin(write=True) as transaction:
        meta = env.open_db(b"meta", txn=transaction)
        if version is not None:
            transaction.put(b"format", version.to_bytes(4, "big"), db=meta)
        return int.from_bytes(transaction.get(b"format", b"", db=meta), "big")


@pytest.mark.parametrize("version", [5, 6])
def test_store_of_a_format_before_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: int
) -> None:
    """It is read as it is; once open for writing it is of this format, and refused by that one."""
    path, old, new = tmp_path / "chain", [entry(n) for n in range(9)], [entry(n) for n in (9, 10)]
    with monkeypatch.context() as context, ChainStore.create(path, GENESIS) as store:
        context.setattr(chain_writer, "EVENT_ROW_EVENTS_MAX", 1)  # as rows were then
        extend(store, batch(old))
    set_format(path, version)
    with ChainStore.open_readonly(path) as store, store.read() as reader:
        assert reader.known_events(list(map(key_of, old + new))) == set(map(key_of, old))
    assert set_format(path) == version
    with ChainStore.open(path, GENESIS) as store:
        keep(store, large(0))
        extend(store, batch(new))
    assert set_format(path) == FORMAT_VERSION
    with ChainStore.open_readonly(path) as store, store.read() as reader:
        assert reader.open_batches(Epoch(0)) == [large(0)]
        assert reader.sequences_of(list(map(key_of, old + new))) == list(range(11))


def test_row_that_refers_nowhere_is_damage(path: Path) -> None:
    """A reference that was cut is damage, not a batch."""
    id_, _ = large(0)
    with lmdb.open(str(path), max_dbs=32) as env, env.begin(write=True) as transaction:
        batches = env.open_db(b"batches", txn=transaction)
        value = transaction.get(id_, db=batches)
        assert value is not None
        transaction.put(id_, value[:-1], db=batches)
    with (
        ChainStore.open(path, GENESIS) as store,
        store.read() as reader,
        pytest.raises(StorageError, match="the store is damaged: batch"),
    ):
        reader.batch(id_)
