"""Stores under bad conditions: each says what is wrong and what to do, and loses nothing.

Full maps, full disks, unwritable and missing directories, foreign and newer stores, second
processes and damaged files are all made for real.
"""

import os
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import lmdb
import msgspec
import pytest

from ledger.core.codec import encode
from ledger.core.event import open_entry
from ledger.core.execute import execute_block
from ledger.core.ids import Epoch, Height, Sequence
from ledger.io.chain_check import verify_head
from ledger.io.chain_schema import heads_codec
from ledger.io.chain_store import ChainStore
from ledger.io.environment import FORMAT_VERSION
from ledger.io.errors import StorageError
from ledger.io.safety_store import SafetyStore
from ledger.native.event_rows import EVENT_BYTES
from tests.ledger.sample_network import GENESIS, batch, block_after, entry, network

PAGE = 4_096


class Kind(NamedTuple):
    """How to make and open one kind of store."""

    create: Callable[[Path], ChainStore | SafetyStore]
    open: Callable[[Path], ChainStore | SafetyStore]


KINDS = [
    pytest.param(
        Kind(lambda path: ChainStore.create(path, GENESIS), lambda p: ChainStore.open(p, GENESIS)),
        id="chain",
    ),
    pytest.param(
        Kind(lambda path: SafetyStore.create(path, b"record"), SafetyStore.open), id="safety"
    ),
    pytest.param(
        Kind(lambda path: ChainStore.create(path, GENESIS), ChainStore.open_readonly),
        id="chain-readonly",
    ),
]
every_kind = pytest.mark.parametrize("kind", KINDS)
every_chain = pytest.mark.parametrize("kind", [KINDS[0], KINDS[2]])


def extend(store: ChainStore, number: int, size: int = 3) -> None:
    """Apply a block of ``size`` events."""
    with store.write() as writer:
        id_, encoded = batch([entry(number * size + k, data=bytes(1_000)) for k in range(size)])
        writer.store_batch(id_, encoded)
        block_id, block = block_after(writer.root, writer.reader.head().block_id, [id_])
        writer.apply(execute_block(writer, block_id, block, lambda _: True))


def fill(store: ChainStore, blocks: int = 10**4) -> int:
    """Apply blocks until the store fails; give how many it took."""
    done = 0
    with suppress(StorageError):
        for done in range(blocks):
            extend(store, done)
    return done


def run(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run Python code in another process."""
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )


@every_kind
def test_absent_store(tmp_path: Path, kind: Kind) -> None:
    """A store that is not there is never made by opening it."""
    with pytest.raises(StorageError, match=r"there is no (chain|safety) store\. Check the path"):
        kind.open(tmp_path / "absent")
    assert list(tmp_path.iterdir()) == []


@every_kind
def test_file_in_place_of_the_directory(tmp_path: Path, kind: Kind) -> None:
    """A path that is no directory is refused by opening and by creating."""
    path = tmp_path / "file"
    path.write_text("not a store")
    with pytest.raises(StorageError, match=r"no (chain|safety) store"):
        kind.open(path)
    with pytest.raises(StorageError, match="File exists"):
        kind.create(path)
    with pytest.raises(StorageError, match="Not a directory"):
        kind.create(path / "below")
    assert path.read_text() == "not a store"


@every_kind
def test_second_creation(tmp_path: Path, kind: Kind) -> None:
    """A store is never replaced by creating one in its place."""
    kind.create(tmp_path / "store").close()
    with pytest.raises(StorageError, match=r"there is a .* store already"):
        kind.create(tmp_path / "store")
    kind.open(tmp_path / "store").close()


@every_chain
def test_interrupted_creation(tmp_path: Path, kind: Kind) -> None:
    """What a creation left that was killed is refused by opening, and made anew by creating."""
    path = tmp_path / "store"
    path.mkdir()
    with lmdb.open(str(path), max_dbs=4) as env:
        env.open_db(b"meta")
    with pytest.raises(StorageError, match=r"never completed\. Delete the directory"):
        kind.open(path)
    kind.create(path).close()
    kind.open(path).close()


@every_chain
@pytest.mark.parametrize("distance", [-5, -3, 1, 2**31])
def test_other_version(tmp_path: Path, kind: Kind, distance: int) -> None:
    """A store of another format is refused, named, and left as it is."""
    path, version = tmp_path / "store", FORMAT_VERSION + distance
    kind.create(path).close()
    with lmdb.open(str(path), max_dbs=32) as env, env.begin(write=True) as transaction:
        meta = env.open_db(b"meta", txn=transaction)
        transaction.put(b"format", version.to_bytes(4, "big"), db=meta)
    before = (path / "data.mdb").read_bytes()
    message = f"has format {version}, this program knows {FORMAT_VERSION}. Install"
    with pytest.raises(StorageError, match=message) as caught:
        kind.open(path)
    assert ("concordat join" in caught.value.remedy) == (distance < 0)
    assert (path / "data.mdb").read_bytes() == before


def test_foreign_genesis(tmp_path: Path) -> None:
    """A store of another network is refused and names both."""
    other = network("other")
    ChainStore.create(tmp_path / "chain", other).close()
    message = f"belongs to the network {other.chain_id}, not to {GENESIS.chain_id}"
    with pytest.raises(StorageError, match=message):
        ChainStore.open(tmp_path / "chain", GENESIS)
    ChainStore.open(tmp_path / "chain", other).close()


def test_readers_take_genesis_from_the_store(tmp_path: Path) -> None:
    """Who only reads needs no genesis file: the store says which network it holds."""
    ChainStore.create(tmp_path / "chain", GENESIS).close()
    with ChainStore.open_readonly(tmp_path / "chain") as store:
        assert store.genesis == GENESIS
        assert store.chain_id == GENESIS.chain_id


def test_reader_of_another_process_follows_the_writer(tmp_path: Path) -> None:
    """While one process writes, another one reads what is committed."""
    path = tmp_path / "chain"
    code = (
        "import sys; from pathlib import Path; from ledger.io.chain_store import ChainStore\n"
        "with ChainStore.open_readonly(Path(sys.argv[1])) as store, store.read() as reader:\n"
        "    print(reader.head().height, reader.head().log_size, len(reader.entry(0)))\n"
    )
    with ChainStore.create(path, GENESIS) as store:
        extend(store, 0)
        result = run(code, str(path))
        extend(store, 1)
    assert result.stdout.split() == ["1", "3", str(len(entry(0, data=bytes(1_000))))], result.stderr


def test_reader_cannot_write(tmp_path: Path) -> None:
    """A store that was opened for reading refuses a write transaction."""
    ChainStore.create(tmp_path / "chain", GENESIS).close()
    with (
        ChainStore.open_readonly(tmp_path / "chain") as store,
        pytest.raises(StorageError, match="cannot write"),
    ):
        extend(store, 0)


@every_kind
def test_second_writer_of_one_process(tmp_path: Path, kind: Kind) -> None:
    """The same directory cannot be opened twice, also not from inside one process."""
    path = tmp_path / "store"
    with kind.create(path), pytest.raises(StorageError, match=r"cannot open|another process"):
        kind.open(path)
    kind.open(path).close()


def test_second_process(tmp_path: Path) -> None:
    """A second node on one home is refused, told who is there, and the first goes on."""
    path = tmp_path / "chain"
    code = (
        "import sys; from pathlib import Path; from ledger.io.chain_store import ChainStore\n"
        "from tests.ledger.sample_network import GENESIS\n"
        "ChainStore.open(Path(sys.argv[1]), GENESIS)\n"
    )
    with ChainStore.create(path, GENESIS) as store:
        result = run(code, str(path))
        extend(store, 0)
    assert f"{path}: another process (pid {os.getpid()}) uses this directory" in result.stderr
    assert "Stop that one first" in result.stderr


def test_killed_writer_leaves_no_lock(tmp_path: Path) -> None:
    """After a process was killed in the middle of a transaction its store opens at once."""
    path = tmp_path / "chain"
    ChainStore.create(path, GENESIS).close()
    code = (
        "import os, sys; from pathlib import Path; from ledger.io.chain_store import ChainStore\n"
        "from tests.ledger.sample_network import GENESIS, batch, entry\n"
        "store = ChainStore.open(Path(sys.argv[1]), GENESIS)\n"
        "with store.read(), store.write() as writer:\n"
        "    writer.store_batch(*batch([entry(1)]))\n"
        "    os.kill(os.getpid(), 9)\n"
    )
    assert run(code, str(path)).returncode == -9
    with ChainStore.open(path, GENESIS) as store:
        with store.read() as reader:
            assert reader.open_batches(Epoch(0)) == []
        extend(store, 0)


def test_full_chain_map(tmp_path: Path) -> None:
    """A full map ends the writer with advice; every committed block is there afterwards."""
    path = tmp_path / "chain"
    with ChainStore.create(path, GENESIS, map_bytes=400 * PAGE) as store:
        done = fill(store)
        with pytest.raises(
            StorageError, match=r"an earlier write failed\. Start the process again"
        ):
            extend(store, done)
    assert done > 3
    with ChainStore.open(path, GENESIS) as store:
        with store.read() as reader:
            assert reader.head().height == done
            assert reader.entry(Sequence(3 * done - 1)) is not None
        extend(store, done)


def test_full_map_says_what_to_do(tmp_path: Path) -> None:
    """The message of a full map names the limit to raise."""
    with ChainStore.create(tmp_path / "chain", GENESIS, map_bytes=400 * PAGE) as store:
        rows = [batch([entry(number, data=bytes(30_000))] * 2) for number in range(50)]
        with (
            pytest.raises(StorageError, match="largest size: raise STORE_MAP_BYTES"),
            store.write() as writer,
        ):
            _ = [writer.store_batch(*row) for row in rows]  # type: ignore[func-returns-value]


@pytest.mark.parametrize("kind", ["chain", "safety"])
def test_full_disk(tmp_path: Path, kind: str) -> None:
    """A disk that takes no more ends the writer with advice; what was committed stays.

    The kernel's limit of the size of a file stands for the full disk: it fails the same write.
    """
    path = tmp_path / kind
    code = (
        "import resource, sys; from pathlib import Path\n"
        "from tests.ledger import test_storage_faults as faults\n"
        "path = Path(sys.argv[1])\n"
        "if sys.argv[2] == 'chain':\n"
        "    store = faults.ChainStore.create(path, faults.GENESIS)\n"
        "    write = lambda n: faults.extend(store, n)\n"
        "else:\n"
        "    store = faults.SafetyStore.create(path, b'first')\n"
        "    write = lambda n: store.write(b'%d' % n, [(n.to_bytes(8, 'big'), bytes(9000))], -1)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000))\n"
        "for number in range(10**6):\n"
        "    write(number)\n"
        "    print(number, flush=True)\n"
    )
    result = run(code, str(path), kind)
    done = int(result.stdout.split()[-1])
    assert result.returncode == 1
    assert "StorageError" in result.stderr
    assert "Free space on its disk" in result.stderr
    if kind == "chain":
        with ChainStore.open(path, GENESIS) as store:
            with store.read() as reader:
                assert reader.head().height == done + 1
            extend(store, done + 1)
    else:
        with SafetyStore.open(path) as safety:
            assert safety.read()[0] == b"%d" % done
            safety.write(b"next", [], Height(0))


def test_failed_creation_can_be_repeated(tmp_path: Path) -> None:
    """A creation that failed for want of space leaves nothing that stands in the way of another."""
    with pytest.raises(StorageError, match="largest size"):
        ChainStore.create(tmp_path / "chain", GENESIS, map_bytes=8 * PAGE)
    ChainStore.create(tmp_path / "chain", GENESIS).close()


def test_too_little_address_space(tmp_path: Path) -> None:
    """A process that may not map the store is told what to allow."""
    code = (
        "import resource, sys; from pathlib import Path\n"
        "from ledger.io.chain_store import ChainStore\n"
        "from tests.ledger.sample_network import GENESIS\n"
        "resource.setrlimit(resource.RLIMIT_AS, (2**36, 2**36))\n"
        "ChainStore.create(Path(sys.argv[1]), GENESIS)\n"
    )
    result = run(code, str(tmp_path / "chain"))
    assert "Allow the process more address space" in result.stderr


def test_directory_that_cannot_be_made() -> None:
    """Where nothing can be written, a store cannot be created, and the message says so."""
    with pytest.raises(StorageError, match="Make the directory writable"):
        SafetyStore.create(Path("/proc/concordat/safety"), b"record")


def test_killed_writer_keeps_every_returned_block(tmp_path: Path) -> None:
    """A process killed while it applies blocks has every block whose commit had returned."""
    path = tmp_path / "chain"
    ChainStore.create(path, GENESIS).close()
    code = (
        "import sys; from pathlib import Path; from tests.ledger import test_storage_faults as f\n"
        "store = f.ChainStore.open(Path(sys.argv[1]), f.GENESIS)\n"
        "for number in range(10**6):\n"
        "    f.extend(store, number)\n"
        "    print(number + 1, flush=True)\n"
    )
    command = [sys.executable, "-c", code, str(path)]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(10)]
        process.kill()
        lines += process.stdout.read().splitlines()
    returned = int(lines[-1])
    with ChainStore.open(path, GENESIS) as store:
        with store.read() as reader:
            height = reader.head().height
            assert height in (returned, returned + 1)
            assert reader.entry(Sequence(3 * height - 1)) is not None
        extend(store, height)


def test_readers_of_other_threads_see_whole_blocks(tmp_path: Path) -> None:
    """While one thread writes, snapshots of others hold whole blocks, each verified."""
    with ChainStore.create(tmp_path / "chain", GENESIS) as store:

        def watch() -> int:
            height = -1
            while height < 40:
                with store.read() as reader:
                    verify_head(reader, GENESIS, store.path)
                    head = reader.head()
                    assert head.log_size == 3 * head.height
                    assert head.height >= height
                    height = head.height
            return height

        with ThreadPoolExecutor(3) as threads:
            watchers = [threads.submit(watch) for _ in range(2)]
            for number in range(40):
                extend(store, number)
            assert [watcher.result(timeout=30) for watcher in watchers] == [40, 40]


@every_chain
@pytest.mark.parametrize("place", [16, PAGE + 16])
def test_damaged_header(tmp_path: Path, kind: Kind, place: int) -> None:
    """A file whose header pages were changed is refused, and kept as evidence."""
    path = tmp_path / "store"
    kind.create(path).close()
    data = bytearray((path / "data.mdb").read_bytes())
    data[place] ^= 0xFF
    (path / "data.mdb").write_bytes(data)
    with pytest.raises(StorageError, match="keep the directory as evidence"):
        kind.open(path)
    assert (path / "data.mdb").read_bytes() == data


@every_chain
def test_garbage_file(tmp_path: Path, kind: Kind) -> None:
    """A file that is no store at all is refused."""
    path = tmp_path / "store"
    path.mkdir()
    (path / "data.mdb").write_bytes(b"garbage" * PAGE)
    with pytest.raises(StorageError, match=r"cannot open the .* store"):
        kind.open(path)


@pytest.mark.parametrize("kept_pages", [2, 3, 8])
def test_cut_file(tmp_path: Path, kept_pages: int) -> None:
    """A file that lost its end is refused and does not kill the process."""
    path = tmp_path / "chain"
    with ChainStore.create(path, GENESIS) as store:
        extend(store, 0)
    os.truncate(path / "data.mdb", kept_pages * PAGE)
    code = (
        "import sys; from pathlib import Path; from ledger.io.chain_store import ChainStore\n"
        "from tests.ledger.sample_network import GENESIS\n"
        "ChainStore.open(Path(sys.argv[1]), GENESIS)\n"
    )
    result = run(code, str(path))
    assert result.returncode == 1
    assert "StorageError" in result.stderr
    assert "evidence" in result.stderr


def changed(path: Path, table: bytes, key: bytes, change: Callable[[bytes], bytes | None]) -> None:
    """Change one row of a closed chain store behind its back."""
    with lmdb.open(str(path), max_dbs=32) as env, env.begin(write=True) as transaction:
        rows = env.open_db(table, txn=transaction)
        value = change(transaction.get(key, db=rows) or b"")
        if value is None:
            assert transaction.delete(key, db=rows)
        else:
            transaction.put(key, value, db=rows)


def flip_last(value: bytes) -> bytes:
    """Change the last bit."""
    return value[:-1] + bytes([value[-1] ^ 1])


def other_height(value: bytes) -> bytes:
    """Give the head of a block with the root of another height."""
    head = heads_codec.decode(value)
    root = msgspec.structs.replace(head.root, height=Height(1))
    return heads_codec.encode(msgspec.structs.replace(head, root=root))


def other_place(value: bytes) -> bytes:
    """Give the row of events with another place of the last event."""
    return value[: LAST_EVENT.start] + flip_last(value[LAST_EVENT]) + value[LAST_EVENT.stop :]


HEAD = (2).to_bytes(8, "big")
LAST = (5).to_bytes(8, "big")
EVENTS = [open_entry(entry(number, data=bytes(1_000))).key for number in range(6)]
EVENT_ROW = max(EVENTS)
LAST_EVENT = slice(*(EVENT_BYTES * (sorted(EVENTS).index(EVENTS[-1]) + n) for n in range(2)))
NO_RUNS = encode((bytes(16), 0, ()))


@pytest.mark.parametrize(
    ("table", "key", "change"),
    [
        (b"heads", HEAD, flip_last),
        (b"heads", HEAD, other_height),
        (b"heads", HEAD, lambda _: None),
        (b"heads", HEAD, lambda _: b"\xc1"),
        (b"heads", (1).to_bytes(8, "big"), flip_last),
        (b"heads", (3).to_bytes(8, "big"), lambda _: b""),
        (b"blocks", HEAD, flip_last),
        (b"blocks", HEAD, lambda _: None),
        (b"tiles", bytes(9), flip_last),
        (b"tiles", bytes(9), lambda value: flip_last(value[:32]) + value[32:]),
        (b"tiles", bytes(9), lambda value: value[:-32]),
        (b"tiles", bytes(9), lambda _: None),
        (b"log", LAST, flip_last),
        (b"log", LAST, lambda _: None),
        (b"log", LAST, lambda value: bytes(8) + value[8:]),
        (b"log", LAST, lambda value: value[:-6]),
        (b"log", LAST, lambda value: value[:8] + bytes(32) + value[40:]),
        (b"log", LAST, lambda value: value[1:]),
        (b"log", (6).to_bytes(8, "big"), lambda _: bytes(48)),
        (b"log", (6).to_bytes(8, "big"), lambda _: bytes(46)),
        (b"meta", b"hash index", lambda value: value[1:]),
        (b"meta", b"hash index", lambda _: None),
        (b"meta", b"hash index", lambda _: NO_RUNS),
        (b"events", EVENT_ROW, lambda _: None),
        (b"events", EVENT_ROW, lambda value: value[1:]),
        (b"events", EVENT_ROW, lambda value: value[: LAST_EVENT.start] + value[LAST_EVENT.stop :]),
        (b"events", EVENT_ROW, other_place),
        (b"meta", b"genesis", flip_last),
        (b"meta", b"genesis", lambda _: None),
        (b"meta", b"genesis", lambda _: b"\xc0"),
    ],
)
def test_damage_at_the_end_of_the_chain_is_found(
    tmp_path: Path, table: bytes, key: bytes, change: Callable[[bytes], bytes | None]
) -> None:
    """A changed, lost or foreign row at the end of the chain is found when the store opens."""
    path = tmp_path / "chain"
    with ChainStore.create(path, GENESIS) as store:
        extend(store, 0)
        extend(store, 1)
    changed(path, table, key, change)
    with pytest.raises(StorageError):
        ChainStore.open(path, GENESIS)
    with pytest.raises(StorageError):
        ChainStore.open_readonly(path)


def test_damaged_batch_and_node_are_found(tmp_path: Path) -> None:
    """Changed bytes of the last entry, and a lost state, are found when the store opens."""
    path = tmp_path / "chain"
    with ChainStore.create(path, GENESIS) as store:
        extend(store, 0)
        with store.read() as reader:
            root, id_ = reader.root(Height(1)), reader.location(Sequence(0))
    assert root is not None
    assert id_ is not None
    changed(path, b"batches", id_.batch_id, flip_last)
    with pytest.raises(StorageError, match="entry 2 is not the one in the log"):
        ChainStore.open(path, GENESIS)
    changed(path, b"batches", id_.batch_id, flip_last)
    ChainStore.open(path, GENESIS).close()
    changed(path, b"nodes", root.state_root, lambda _: None)
    with pytest.raises(StorageError, match="damaged"):
        ChainStore.open(path, GENESIS)


def test_lost_chain_is_found(tmp_path: Path) -> None:
    """A store that lost even genesis is refused."""
    path = tmp_path / "chain"
    ChainStore.create(path, GENESIS).close()
    changed(path, b"heads", bytes(8), lambda _: None)
    with pytest.raises(StorageError, match="it holds no block, not even genesis"):
        ChainStore.open(path, GENESIS)


def test_cut_batch_is_found_when_it_is_read(tmp_path: Path) -> None:
    """Damage far from the end of the chain is an error when somebody asks, never wrong bytes."""
    path = tmp_path / "chain"
    with ChainStore.create(path, GENESIS) as store:
        extend(store, 0)
        with store.read() as reader:
            first = reader.location(Sequence(0))
        extend(store, 1)
    assert first is not None
    changed(path, b"batches", first.batch_id, lambda value: value[: first.offset + 10])
    with ChainStore.open(path, GENESIS) as store, store.read() as reader:
        assert reader.entry(Sequence(3)) is not None
        with pytest.raises(StorageError, match="missing or cut"):
            reader.entry(Sequence(0))


def test_lost_table_is_found(tmp_path: Path) -> None:
    """A store without one of its tables is refused."""
    path = tmp_path / "chain"
    ChainStore.create(path, GENESIS).close()
    with lmdb.open(str(path), max_dbs=32) as env, env.begin(write=True) as transaction:
        transaction.drop(env.open_db(b"topics", txn=transaction))
    with pytest.raises(StorageError, match="cannot open the tables"):
        ChainStore.open(path, GENESIS)
