"""The safety store: what was written is there after any end of the process, or it says so."""

import errno
import os
import random
import signal
import subprocess
import sys
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import pytest

from ledger.core.codec import encode
from ledger.core.hashing import derived_digest
from ledger.core.ids import BlockId, Height
from ledger.core.limits import SAFETY_FILE_BYTES
from ledger.io.errors import StorageError
from ledger.io.safety_store import FORMAT_VERSION, SafetyStore, proposal_key
from ledger.io.slot import SECTOR_BYTES, decode_slot, encode_slot

FILES = ("record-0", "record-1")


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


def files_of(path: Path) -> list[bytes]:
    """Give the contents of the two files."""
    return [(path / name).read_bytes() for name in FILES]


def after_each_write(path: Path, count: int) -> list[list[bytes]]:
    """Make a store, write so often, and give the files after the creation and after each write."""
    with SafetyStore.create(path, b"record 0") as store:
        states = [files_of(path)]
        for number in range(1, count + 1):
            proposal = (key(number), bytes([number]) * 1_500)
            store.write(b"record %d" % number, [proposal], Height(0))
            states.append(files_of(path))
    return states


def put(path: Path, files: Sequence[bytes]) -> None:
    """Put contents in place of the two files."""
    for name, content in zip(FILES, files, strict=True):
        (path / name).write_bytes(content)


def written(before: Sequence[bytes], after: Sequence[bytes]) -> int:
    """Give which of the files a write has changed."""
    (which,) = [i for i in range(2) if before[i] != after[i]]
    return which


def test_a_write_leaves_the_file_of_the_last_one_alone(tmp_path: Path) -> None:
    """The two files take turns."""
    states = after_each_write(tmp_path / "safety", 4)
    turns = [written(*pair) for pair in pairwise(states)]
    assert turns == [0, 1, 0, 1]


def test_write_that_was_cut_short_is_none(tmp_path: Path) -> None:
    """Whichever sectors of a write reached the disk, the one before counts, and writing goes on."""
    path = tmp_path / "safety"
    states = after_each_write(path, 4)
    which = written(states[-2], states[-1])
    old, new = states[-2][which], states[-1][which]
    sectors = [at for at in range(0, len(new), SECTOR_BYTES) if old[at:][:512] != new[at:][:512]]
    assert len(sectors) > 10
    dice = random.Random(1)
    for _ in range(40):
        reached = set(dice.sample(sectors, dice.randrange(len(sectors))))
        torn = bytearray(old)
        for at in reached:
            torn[at : at + SECTOR_BYTES] = new[at : at + SECTOR_BYTES]
        files = list(states[-2])
        files[which] = bytes(torn)
        put(path, files)
        with SafetyStore.open(path) as store:
            assert store.read()[0] == b"record 3"
            store.write(b"record 4 again", [], Height(2))
        with SafetyStore.open(path) as store:
            assert store.read() == (b"record 4 again", [bytes([3]) * 1_500])


def test_two_writes_that_were_cut_short_do_not_make_one(tmp_path: Path) -> None:
    """What a torn write left is wiped out before the same number is written again."""
    path = tmp_path / "safety"
    states = after_each_write(path, 4)
    which = written(states[-2], states[-1])
    old, new = states[-2][which], states[-1][which]
    files = list(states[-2])
    files[which] = new[:SECTOR_BYTES] + old[SECTOR_BYTES:]
    put(path, files)
    SafetyStore.open(path).close()
    wiped = files_of(path)
    assert wiped[1 - which] == files[1 - which]
    assert decode_slot(wiped[which]).number == decode_slot(old).number == 3
    assert all(any(wiped[which][at:][:SECTOR_BYTES]) for at in range(0, len(new), SECTOR_BYTES))
    wiped[which] = wiped[which][:SECTOR_BYTES] + new[SECTOR_BYTES:]
    put(path, wiped)
    with SafetyStore.open(path) as store:
        assert store.read()[0] == b"record 3"


@pytest.mark.parametrize("file", [0, 1])
@pytest.mark.parametrize("place", [0, 5, 40, SECTOR_BYTES + 100])
def test_changed_bit_is_damage(tmp_path: Path, file: int, place: int) -> None:
    """A bit that nobody wrote is refused in either file: which of them is newer is in doubt."""
    path = tmp_path / "safety"
    files = after_each_write(path, 3)[-1]
    changed = bytearray(files[file])
    changed[place] ^= 1
    files[file] = bytes(changed)
    put(path, files)
    with pytest.raises(StorageError, match=r"damaged.*keep the directory as evidence.*--recover"):
        SafetyStore.open(path)
    assert files_of(path) == files


@pytest.mark.parametrize("kept", [0, SECTOR_BYTES, SAFETY_FILE_BYTES - 1, SAFETY_FILE_BYTES])
def test_file_that_was_cut_is_no_torn_write(tmp_path: Path, kept: int) -> None:
    """A write that had returned is not forgotten because its file, here a grown one, was cut."""
    path = tmp_path / "safety"
    with SafetyStore.create(path, b"first") as store:
        store.write(b"second", [], Height(0))
        store.write(b"third" * SAFETY_FILE_BYTES, [], Height(0))
    os.truncate(path / FILES[1], kept)
    with pytest.raises(StorageError, match=r"damaged.*--recover"):
        SafetyStore.open(path)


def test_second_write_is_not_forgotten_when_its_file_was_cut(tmp_path: Path) -> None:
    """An unwritten file beside the first record has the length that a creation gives it."""
    path = tmp_path / "safety"
    after_each_write(path, 1)
    os.truncate(path / FILES[0], 0)
    with pytest.raises(StorageError, match=r"damaged.*cut short"):
        SafetyStore.open(path)


def test_torn_write_to_a_file_that_grows_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A write for which the file had to grow, and that was cut short, is not taken for damage."""
    path, write = tmp_path / "safety", os.pwrite

    def write_the_first(handle: int, data: bytes, offset: int) -> int:
        return write(handle, data[:SECTOR_BYTES] if any(data) else data, offset)

    with SafetyStore.create(path, b"first") as store, monkeypatch.context() as patched:
        store.write(b"second", [], Height(0))
        patched.setattr(os, "pwrite", write_the_first)
        with pytest.raises(StorageError, match="Free space"):
            store.write(b"third" * SAFETY_FILE_BYTES, [], Height(0))
    with SafetyStore.open(path) as store:
        assert store.read()[0] == b"second"


@pytest.mark.parametrize("size", [SAFETY_FILE_BYTES, 8 * SECTOR_BYTES])
def test_file_of_zeros_is_no_torn_write(tmp_path: Path, size: int) -> None:
    """A file without its beginning is damage beside any but the first write."""
    path = tmp_path / "safety"
    files = after_each_write(path, 4)[-1]
    assert decode_slot(files[1]).number == 5
    put(path, [files[0], bytes(size) + files[1][size:]])
    with pytest.raises(StorageError, match=r"damaged.*empty"):
        SafetyStore.open(path)


def test_wiped_file_is_not_an_unwritten_one(tmp_path: Path) -> None:
    """After a torn write was wiped out, zeros in its place are still damage."""
    path = tmp_path / "safety"
    states = after_each_write(path, 4)
    torn = states[-1][1][:SECTOR_BYTES] + states[-2][1][SECTOR_BYTES:]
    put(path, [states[-2][0], torn])
    for _ in range(2):
        with SafetyStore.open(path) as store:
            assert store.read()[0] == b"record 3"
    put(path, [states[-2][0], bytes(len(torn))])
    with pytest.raises(StorageError, match=r"damaged.*empty"):
        SafetyStore.open(path)


def test_torn_second_write_is_none(tmp_path: Path) -> None:
    """What a torn write left beside the first record is wiped out to what a creation leaves."""
    path = tmp_path / "safety"
    states = after_each_write(path, 1)
    put(path, [bytes(SECTOR_BYTES) + states[1][0][SECTOR_BYTES:], states[1][1]])
    with SafetyStore.open(path) as store:
        assert store.read()[0] == b"record 0"
    assert files_of(path) == states[0]


def test_changed_record_is_refused(tmp_path: Path) -> None:
    """A record that is not the written one is damage, however sound its sectors are."""
    path = tmp_path / "safety"
    after_each_write(path, 1)
    for number, name in ((2, FILES[0]), (1, FILES[1])):
        payload = decode_slot((path / name).read_bytes()).payload
        assert payload is not None
        with (path / name).open("r+b") as file:
            file.write(encode_slot(number, payload[:-1] + b"?"))
    with pytest.raises(StorageError, match="not the one that was written"):
        SafetyStore.open(path)


def test_one_older_file_is_refused(tmp_path: Path) -> None:
    """A file that was put back alone is found out, and so are files that changed places."""
    path = tmp_path / "safety"
    states = after_each_write(path, 6)
    put(path, [states[2][0], states[6][1]])
    with pytest.raises(StorageError, match="do not belong to each other"):
        SafetyStore.open(path)
    put(path, [states[6][0], states[3][1]])
    with pytest.raises(StorageError, match="do not belong to each other"):
        SafetyStore.open(path)
    put(path, states[6][::-1])
    with pytest.raises(StorageError, match="changed places"):
        SafetyStore.open(path)


@pytest.mark.parametrize("version", [0, FORMAT_VERSION + 1, 127])
def test_other_format_is_refused(tmp_path: Path, version: int) -> None:
    """A store of another format is named and left as it is."""
    path = tmp_path / "safety"
    SafetyStore.create(path, b"first").close()
    body = encode((version, b"what is", "not known"))
    with (path / FILES[1]).open("r+b") as file:
        file.write(encode_slot(1, derived_digest("stored safety record")(body) + body))
    before = files_of(path)
    message = f"has format {version}, this program knows {FORMAT_VERSION}. Install"
    with pytest.raises(StorageError, match=message):
        SafetyStore.open(path)
    assert files_of(path) == before


def test_store_of_lmdb_is_named(tmp_path: Path) -> None:
    """A store that an older release made is neither opened nor replaced."""
    path = tmp_path / "safety"
    path.mkdir()
    (path / "data.mdb").write_bytes(b"old")
    with pytest.raises(StorageError, match=r"has format 4.*Install the release"):
        SafetyStore.open(path)
    with pytest.raises(StorageError, match="there is a safety store already"):
        SafetyStore.create(path, b"first")


def test_interrupted_creation_is_made_anew(tmp_path: Path) -> None:
    """What a killed creation left is refused by opening, and made anew by creating."""
    path = tmp_path / "safety"
    SafetyStore.create(path, b"first" * 300).close()
    whole = files_of(path)
    torn = bytes(SECTOR_BYTES) + whole[1][SECTOR_BYTES:]
    for second in (b"", bytes(100), bytes(SAFETY_FILE_BYTES), torn):
        put(path, [whole[0], second])
        with pytest.raises(StorageError, match=r"never completed\. Delete the directory"):
            SafetyStore.open(path)
        SafetyStore.create(path, b"anew").close()
        with SafetyStore.open(path) as store:
            assert store.read() == (b"anew", [])
    for name in FILES:
        (path / name).unlink()
    (path / FILES[0]).write_bytes(bytes(100))
    SafetyStore.create(path, b"anew").close()


@pytest.mark.parametrize("emptied", [b"", bytes(100)])
def test_store_that_may_have_voted_is_never_to_be_deleted(tmp_path: Path, emptied: bytes) -> None:
    """Two damaged files are not taken for those of a creation, by neither opening nor creating."""
    path = tmp_path / "safety"
    files = after_each_write(path, 3)[-1]
    torn = files[1][SECTOR_BYTES:] + bytes(SECTOR_BYTES)
    for damaged in ([emptied, emptied], [files[0][SECTOR_BYTES:], torn], [emptied, torn]):
        put(path, damaged)
        with pytest.raises(StorageError, match=r"damaged.*--recover"):
            SafetyStore.open(path)
        with pytest.raises(StorageError, match="there is a safety store already"):
            SafetyStore.create(path, b"first")


@pytest.mark.parametrize("lost", FILES)
def test_store_that_lost_a_file_is_neither_opened_nor_replaced(tmp_path: Path, lost: str) -> None:
    """Half a store may be the older half."""
    path = tmp_path / "safety"
    after_each_write(path, 3)
    (path / lost).unlink()
    with pytest.raises(StorageError, match="there is no safety store"):
        SafetyStore.open(path)
    with pytest.raises(StorageError, match="there is a safety store already"):
        SafetyStore.create(path, b"first")


def test_nothing_is_written_after_a_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A write that failed ends the store, and what was written before it counts."""
    path = tmp_path / "safety"
    with SafetyStore.create(path, b"first") as store, monkeypatch.context() as patched:

        def fail(_handle: int) -> None:
            raise OSError(errno.EIO, "disk")

        patched.setattr(os, "fdatasync", fail)
        with pytest.raises(StorageError, match=r"cannot write.*Free space"):
            store.write(b"second", [], Height(0))
        patched.undo()
        with pytest.raises(StorageError, match="an earlier write failed"):
            store.write(b"third", [], Height(0))


class Killed(BaseException):
    """Stands for the end of a process."""


@pytest.mark.parametrize("end", [Killed(), OSError(errno.EIO, "disk")])
def test_what_is_believed_is_on_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, end: BaseException
) -> None:
    """A record that a process left in the page cache alone is flushed before it counts.

    The process ended between write and flush, or the flush failed; then comes a power cut.
    """
    path = tmp_path / "safety"
    durable: dict[int, bytes] = {}  # file number -> what a power cut leaves
    dirty: set[int] = set()
    flush, write = os.fdatasync, os.pwrite

    def pwrite(handle: int, data: bytes, offset: int) -> int:
        dirty.add(os.fstat(handle).st_ino)
        return write(handle, data, offset)

    def fdatasync(handle: int) -> None:
        flush(handle)
        found = os.fstat(handle)
        if found.st_ino in dirty:  # pages that count as clean are not written
            durable[found.st_ino] = os.pread(handle, found.st_size, 0)

    def fail(_handle: int) -> None:
        dirty.clear()
        raise end

    monkeypatch.setattr(os, "pwrite", pwrite)
    monkeypatch.setattr(os, "fdatasync", fdatasync)
    with SafetyStore.create(path, b"first") as store:
        store.write(b"second", [], Height(0))
        monkeypatch.setattr(os, "fdatasync", fail)
        with pytest.raises((Killed, StorageError)):
            store.write(b"third", [], Height(0))
    monkeypatch.setattr(os, "fdatasync", fdatasync)
    with SafetyStore.open(path) as store:
        assert store.read()[0] == b"third"
    for name in FILES:
        (path / name).write_bytes(durable[(path / name).stat().st_ino])
    with SafetyStore.open(path) as store:
        assert store.read()[0] == b"third"


@pytest.mark.parametrize("call", ["pwrite", "fdatasync", "fsync"])
def test_store_whose_disk_fails_is_not_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    """What cannot be made durable is not believed; nor are files whose names are not durable."""
    path = tmp_path / "safety"
    states = after_each_write(path, 2)

    def fail(*_arguments: object) -> None:
        raise OSError(errno.EIO, "disk")

    with monkeypatch.context() as patched:
        patched.setattr(os, call, fail)
        with pytest.raises(StorageError, match="cannot read and rewrite"):
            SafetyStore.open(path)
    assert files_of(path) == states[-1]
    SafetyStore.open(path).close()


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
