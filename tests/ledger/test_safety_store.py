"""The safety store: what was written is there after any end of the process, or it says so."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import lmdb
import pytest

from ledger.core.ids import BlockId, Height
from ledger.io.errors import StorageError
from ledger.io.safety_store import SafetyStore, proposal_key


def key(height: int, fork: int = 0) -> bytes:
    """Give the key of a proposal."""
    return proposal_key(Height(height), BlockId(bytes([fork]) * 32))


def test_first_record_is_read_again(tmp_path: Path) -> None:
    """A new store holds its first record and no proposal."""
    SafetyStore.create(tmp_path / "safety", b"first").close()
    with SafetyStore.open(tmp_path / "safety") as store:
        assert store.read() == (b"first", [])


def test_write_replaces_the_record_and_keeps_proposals_in_order(tmp_path: Path) -> None:
    """The record is the last one; proposals stay, lowest height first, forks of one height too."""
    with SafetyStore.create(tmp_path / "safety", b"first") as store:
        store.write(b"second", [(key(300), b"c"), (key(2, 1), b"b")], Height(0))
        store.write(b"third", [(key(2), b"a")], Height(0))
        assert store.read() == (b"third", [b"a", b"b", b"c"])


@pytest.mark.parametrize(
    ("prune_height", "kept"),
    [(0, [b"1", b"2", b"2'", b"256"]), (1, [b"2", b"2'", b"256"]), (2, [b"256"]), (256, [])],
)
def test_prune_drops_up_to_the_height(tmp_path: Path, prune_height: int, kept: list[bytes]) -> None:
    """Proposals of the given height and below are gone, none above."""
    rows = [(key(1), b"1"), (key(2), b"2"), (key(2, 9), b"2'"), (key(256), b"256")]
    with SafetyStore.create(tmp_path / "safety", b"r") as store:
        store.write(b"r", rows, Height(0))
        store.write(b"r", [], Height(prune_height))
        assert store.read() == (b"r", kept)


def test_proposal_of_the_pruned_height_is_dropped_in_its_own_write(tmp_path: Path) -> None:
    """A proposal that is final already is not kept, even when it comes with the same write."""
    with SafetyStore.create(tmp_path / "safety", b"r") as store:
        store.write(b"r", [(key(5), b"5"), (key(6), b"6")], Height(5))
        assert store.read() == (b"r", [b"6"])


def test_second_creation_is_refused(tmp_path: Path) -> None:
    """A record is never replaced by a first one: that would forget votes."""
    SafetyStore.create(tmp_path / "safety", b"first").close()
    with pytest.raises(StorageError, match="there is a safety store already"):
        SafetyStore.create(tmp_path / "safety", b"other")
    with SafetyStore.open(tmp_path / "safety") as store:
        assert store.read() == (b"first", [])


def test_absent_store_is_refused(tmp_path: Path) -> None:
    """A lost store is never opened as an empty one, and nothing is made on the way."""
    with pytest.raises(StorageError, match="there is no safety store"):
        SafetyStore.open(tmp_path / "safety")
    assert list(tmp_path.iterdir()) == []


def test_changed_record_is_refused(tmp_path: Path) -> None:
    """A record that differs in one bit from the written one is damage, not a record."""
    path = tmp_path / "safety"
    SafetyStore.create(path, b"record of rounds").close()
    with lmdb.open(str(path), max_dbs=32) as env:
        meta = env.open_db(b"meta")
        with env.begin(write=True, db=meta) as transaction:
            value = bytearray(transaction.get(b"record") or b"")
            value[-1] ^= 1
            transaction.put(b"record", bytes(value))
    with pytest.raises(StorageError, match="not the one that was written"):
        SafetyStore.open(path)


def test_returned_write_survives_kill(tmp_path: Path) -> None:
    """Every write that has returned is there after the process was killed in its next one."""
    path = tmp_path / "safety"
    SafetyStore.create(path, b"0").close()
    code = (
        "import sys; from pathlib import Path; from ledger.io.safety_store import SafetyStore\n"
        "store = SafetyStore.open(Path(sys.argv[1]))\n"
        "for number in range(1, 10**9):\n"
        "    store.write(b'%d' % number, [(number.to_bytes(8, 'big'), b'x' * 5000)], 0)\n"
        "    print(number, flush=True)\n"
    )
    command = [sys.executable, "-c", code, str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(20)]
        process.send_signal(signal.SIGKILL)
        lines += process.stdout.read().splitlines()
    returned = int(lines[-1])
    with SafetyStore.open(path) as store:
        record, proposals = store.read()
        assert int(record) in (returned, returned + 1)
        assert len(proposals) == int(record)


def test_other_process_is_named(tmp_path: Path) -> None:
    """A second process that opens the same directory is told which one has it."""
    path = tmp_path / "safety"
    with SafetyStore.create(path, b"r"):
        code = (
            "import sys; from pathlib import Path; from ledger.io.safety_store import SafetyStore\n"
            "SafetyStore.open(Path(sys.argv[1]))"
        )
        result = subprocess.run(
            [sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=False
        )
    assert result.returncode == 1
    assert f"StorageError: {path}: another process (pid {os.getpid()})" in result.stderr
