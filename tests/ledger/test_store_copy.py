"""A store is copied whole beside its writer, or replaced by a smaller copy whole, or not at all."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from ledger.core.errors import Unavailable
from ledger.io import store_copy
from ledger.io.environment import Environment
from ledger.io.errors import StorageError
from ledger.io.store_copy import compact_store, copy_store, leftover_path

ROOT = Path(__file__).parents[2]
ROWS = 2_000
VALUE = b"v" * 1_000


def quiet(_done: int, _expected: int) -> None:
    """Watch nothing."""


def accept(_path: Path) -> None:
    """Find any copy good."""


def make(path: Path) -> None:
    """Make a store of which more than half is free."""
    environment = Environment.create(path, "sample")
    table = environment.lmdb.open_db(b"rows")
    with environment.write() as transaction:
        for number in range(ROWS):
            transaction.put(number.to_bytes(4, "big"), VALUE, db=table)
        environment.seal(transaction)
    with environment.write() as transaction:
        for number in range(ROWS):
            if number % 8:
                transaction.delete(number.to_bytes(4, "big"), db=table)
    environment.close()


def rows(path: Path) -> dict[int, bytes]:
    """Read what a store holds."""
    environment = Environment.open_readonly(path, "sample")
    try:
        table = environment.lmdb.open_db(b"rows", create=False)
        with environment.read() as transaction, transaction.cursor(table) as cursor:
            return {int.from_bytes(key, "big"): bytes(value) for key, value in cursor}
    finally:
        environment.close()


EXPECTED = dict.fromkeys(range(0, ROWS, 8), VALUE)


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """Give the path of a store that nobody uses."""
    make(tmp_path / "store")
    return tmp_path / "store"


@pytest.fixture
def writer(store: Path) -> Iterator[Environment]:
    """Give the store, open for writing."""
    environment = Environment.open(store, "sample")
    yield environment
    environment.close()


def in_process(code: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Run a program of its own that has this module's names."""
    text = f"from tests.ledger.test_store_copy import *\n{code}"
    return subprocess.run(
        [sys.executable, "-c", text, *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_copy_beside_a_writer_is_one_snapshot(writer: Environment, tmp_path: Path) -> None:
    """Each transaction of a writer is in the copy with all of its rows, or with none."""
    table = writer.lmdb.open_db(b"rows")
    target, is_over = tmp_path / "copy", threading.Event()
    # LMDB allows one open environment a process: the copy is made by another one.
    code = "copy_store(Path(sys.argv[1]), 'sample', Path(sys.argv[2]), quiet)"
    results = []

    def copy() -> None:
        results.append(in_process(code, writer.path, target))
        is_over.set()

    thread = threading.Thread(target=copy)
    thread.start()
    number = ROWS
    while not is_over.is_set():
        with writer.write() as transaction:
            for _ in range(2):
                transaction.put(number.to_bytes(4, "big"), VALUE, db=table)
                number += 1
    thread.join()
    assert results[0].returncode == 0, results[0].stderr
    found = rows(target)
    assert EXPECTED.items() <= found.items()
    assert not (len(found) - len(EXPECTED)) % 2
    assert (target / "data.mdb").stat().st_mode & 0o007 == 0


def test_copy_of_a_store_is_watched_and_small(store: Path, tmp_path: Path) -> None:
    """What is told ends at the size of the copy, near to what was expected, without free pages."""
    told: list[tuple[int, int]] = []
    copy_store(store, "sample", tmp_path / "copy", lambda *numbers: told.append(numbers))
    size = (tmp_path / "copy" / "data.mdb").stat().st_size
    assert told[-1][0] == size
    assert abs(told[-1][1] - size) < 8 * 4096
    assert size < (store / "data.mdb").stat().st_size / 3
    assert rows(tmp_path / "copy") == EXPECTED


def test_compacted_store_holds_the_same_and_less(store: Path) -> None:
    """The bytes that were won are gone from the disk, no row is, and nothing is left beside it."""
    before = (store / "data.mdb").stat().st_size
    won = compact_store(store, "sample", accept, quiet)
    assert won > before / 2
    assert (store / "data.mdb").stat().st_size == before - won
    assert rows(store) == EXPECTED
    assert not leftover_path(store).exists()
    Environment.open(store, "sample").close()


def test_compacted_store_keeps_its_owner_and_modes(store: Path) -> None:
    """Whoever compacts it, the member's user goes on to own it, and its group to read it."""
    owner = 12_345 if os.geteuid() == 0 else os.geteuid()
    os.chown(store, owner, -1)
    os.chown(store / "data.mdb", owner, -1)
    store.chmod(0o2_770)
    (store / "data.mdb").chmod(0o640)
    compact_store(store, "sample", accept, quiet)
    for place, mode in ((store, 0o2_770), (store / "data.mdb", 0o640)):
        assert (place.stat().st_uid, place.stat().st_mode & 0o7_777) == (owner, mode)


def test_store_in_use_is_not_compacted(store: Path) -> None:
    """Neither beside its writer nor beside a reader, of whichever process."""
    holding = "import time; held = Environment.{}; print('held', flush=True); time.sleep(60)"
    for how, words in (
        ("open(Path(sys.argv[1]), 'sample')", "the node of"),
        ("open_readonly(Path(sys.argv[1]), 'sample')", "a gateway reads"),
    ):
        text = f"from tests.ledger.test_store_copy import *\n{holding.format(how)}"
        with subprocess.Popen(
            [sys.executable, "-c", text, str(store)],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
        ) as holder:
            try:
                assert holder.stdout is not None
                assert holder.stdout.readline() == b"held\n"
                with pytest.raises(Unavailable, match=words):
                    compact_store(store, "sample", accept, quiet)
            finally:
                holder.kill()
    compact_store(store, "sample", accept, quiet)
    assert rows(store) == EXPECTED


@pytest.mark.parametrize("moment", ["watch", "check", "exchanged"])
def test_kill_at_any_moment_leaves_a_whole_store(store: Path, moment: str) -> None:
    """SIGKILL while it copies, checks or has just exchanged: the store opens; the next run ends."""
    code = (
        "die = lambda *_: os.kill(os.getpid(), signal.SIGKILL)\n"
        "hooks = {'watch': quiet, 'check': accept}\n"
        "hooks[sys.argv[2]] = die\n"
        "if sys.argv[2] == 'exchanged':\n"
        "    store_copy.shutil.rmtree = lambda path, **options: options or die()\n"
        "compact_store(Path(sys.argv[1]), 'sample', hooks['check'], hooks['watch'])\n"
    )
    result = in_process(code, store, moment)
    assert result.returncode == -signal.SIGKILL, result.stderr
    assert rows(store) == EXPECTED
    assert leftover_path(store).exists()
    compact_store(store, "sample", accept, quiet)
    assert rows(store) == EXPECTED
    assert not leftover_path(store).exists()


def test_disk_that_fills_up_changes_nothing(store: Path) -> None:
    """A write that the kernel refuses ends the copy with its reason; the part is removed."""
    code = (
        "import resource\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))\n"
        "try:\n"
        "    compact_store(Path(sys.argv[1]), 'sample', accept, quiet)\n"
        "except Unavailable as error:\n"
        "    print(error)\n"
    )
    result = in_process(code, store)
    assert result.stdout.endswith("File too large\n"), result.stderr
    assert rows(store) == EXPECTED
    assert not leftover_path(store).exists()


def test_disk_without_room_is_told_before(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is needed and what is free is told before anything is written."""
    monkeypatch.setattr("shutil.disk_usage", lambda _path: Full())
    with pytest.raises(Unavailable, match=r"needs about 1 MiB, and 0 MiB are free"):
        copy_store(store, "sample", tmp_path / "copy", quiet)
    assert not (tmp_path / "copy").exists()


class Full:
    """What a full disk says of itself."""

    free = 0


def test_copy_that_is_not_good_replaces_nothing(store: Path) -> None:
    """A check that fails, and a copy with other rows, leave the old store in its place."""

    def refuse(path: Path) -> None:
        raise StorageError(path, "bad", "Look")

    with pytest.raises(StorageError, match="bad"):
        compact_store(store, "sample", refuse, quiet)
    assert rows(store) == EXPECTED
    assert not leftover_path(store).exists()


def test_copy_that_lost_rows_is_found(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The tables of the copy are counted against those that were read."""
    found = iter([({b"rows": 250}, 1), ({b"rows": 249}, 1), ({b"rows": 250}, 1)])
    monkeypatch.setattr(store_copy, "rows_of", lambda _environment: next(found))
    with pytest.raises(StorageError, match="not what was read"):
        copy_store(store, "sample", tmp_path / "copy", quiet)
    assert not (tmp_path / "copy").exists()


def test_damaged_store_is_not_copied(store: Path, tmp_path: Path) -> None:
    """What is no store, or none of this version, is refused as any opening refuses it."""
    with pytest.raises(StorageError, match="there is no sample store"):
        copy_store(tmp_path, "sample", tmp_path / "copy", quiet)
    with (store / "data.mdb").open("r+b") as file:
        file.write(b"\xff" * 8192)
    with pytest.raises(StorageError):
        copy_store(store, "sample", tmp_path / "copy", quiet)
    assert not (tmp_path / "copy").exists()


def test_store_replaced_while_it_is_opened_is_refused(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A reader that may have got files of two stores does not read them."""
    make(tmp_path / "other")
    from ledger.io import environment  # noqa: PLC0415 - the module, not the class

    opened = environment._open_lmdb

    def replaced(path: Path, map_bytes: int, *, readonly: bool = False) -> object:
        store_copy._exchange(tmp_path / "other", store)
        return opened(path, map_bytes, readonly=readonly)

    monkeypatch.setattr(environment, "_open_lmdb", replaced)
    with pytest.raises(StorageError, match="replaced just now"):
        Environment.open_readonly(store, "sample")
