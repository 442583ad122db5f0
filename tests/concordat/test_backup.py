"""Backups of a home: what is in them, what never is, and what a restored home may do."""

import json
import os
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from concordat import testnet
from consensus.core.safety_record import SafetyRecord, decode_record
from ledger.core.ids import Epoch
from ledger.io.chain_store import ChainStore
from ledger.io.safety_store import SafetyStore
from tests.concordat.conftest import Run
from tests.ledger.test_batch_files import large

RunJson = Callable[..., dict[str, object]]


@pytest.fixture
def network(tmp_path: Path) -> testnet.Testnet:
    """Make the files of a network of one; nothing of it runs."""
    plan = testnet.TestnetPlan("solo", [("solo", testnet.Ports(26_600, 27_600))])
    return testnet.create_testnet(tmp_path / "net", plan)


@pytest.fixture
def home(network: testnet.Testnet) -> Path:
    """Give the home of its member."""
    return network.homes["solo"]


@pytest.fixture
def backup(home: Path, concordat: Run, tmp_path: Path) -> Path:
    """Give a backup of it."""
    concordat("backup", "--home", home, "--to", tmp_path / "backup")
    return tmp_path / "backup"


def record(home: Path) -> SafetyRecord:
    """Read the safety record of a home."""
    with SafetyStore.open(home / "data" / "safety") as store:
        return decode_record(store.read()[0])


def names(directory: Path) -> set[str]:
    """Give the names of all files below a directory."""
    found = directory.rglob("*")
    return {str(path.relative_to(directory)) for path in found if path.is_file()}


def test_backup_holds_no_secret_and_no_safety_record(home: Path, backup: Path) -> None:
    """Neither key files nor what was signed last are in it, and nobody else may read it."""
    (home / "keys" / "password").write_text("hush")
    files = names(backup) - {"manifest.json"}
    assert files == {"concordat.toml", "genesis.json", "member.json", "chain/data.mdb"}
    assert backup.stat().st_mode & 0o077 == 0
    seed = json.loads((home / "keys" / "validator.json").read_text())["seed"]
    assert all(seed.encode() not in path.read_bytes() for path in backup.rglob("*.*"))


def test_backup_says_what_it_is(
    home: Path, concordat_json: RunJson, network: testnet.Testnet, tmp_path: Path
) -> None:
    """Its manifest names the network, where its ledger ends, and the digest of each file."""
    told = concordat_json("backup", "--home", home, "--to", tmp_path / "backup")
    assert told == json.loads((tmp_path / "backup" / "manifest.json").read_text())
    assert told["chain_id"] == network.genesis.chain_id
    assert (told["height"], told["events"]) == (0, 0)


def test_files_of_large_batches_come_along(
    home: Path, network: testnet.Testnet, concordat: Run, tmp_path: Path
) -> None:
    """They are in the backup and its manifest, checked, and in the place of any that are there."""
    chain, backup, new = home / "data" / "chain", tmp_path / "backup", tmp_path / "new"
    with ChainStore.open(chain, network.genesis) as store, store.write() as writer:
        writer.store_batch(*large(0))
    concordat("backup", "--home", home, "--to", backup)
    name = "chain/batches/00000000"
    assert name in names(backup)
    assert (backup / name).read_bytes() == (chain / "batches" / "00000000").read_bytes()
    stale = new / "data" / name
    stale.parent.mkdir(parents=True)
    stale.parent.parent.chmod(0o2_770)
    stale.write_bytes(b"of rows that are gone")
    concordat("restore", new, "--from", backup)
    assert stale.stat().st_mode & 0o7_777 == 0o660
    with ChainStore.open_readonly(new / "data" / "chain") as store, store.read() as reader:
        assert reader.open_batches(Epoch(0)) == [large(0)]
    (backup / name).write_bytes(b"other" + (backup / name).read_bytes()[5:])
    told = concordat("restore", tmp_path / "third", "--from", backup, code=1).stderr
    assert "00000000 is not what was backed up" in told


def test_backup_of_the_format_before_is_restored(home: Path, backup: Path, concordat: Run) -> None:
    """What this release only adds to, it takes."""
    manifest = json.loads((backup / "manifest.json").read_text())
    (backup / "manifest.json").write_text(json.dumps(manifest | {"store_format": 5}))
    concordat("restore", home.with_name("new"), "--from", backup)


def test_backup_overwrites_nothing(home: Path, backup: Path, concordat: Run) -> None:
    """An older backup stays; what an interrupted one left does not stand in the way."""
    assert "is there already" in concordat("backup", "--home", home, "--to", backup, code=1).stderr
    other = backup.with_name("other")
    other.with_name("other.partial").mkdir()
    concordat("backup", "--home", home, "--to", other)
    assert not other.with_name("other.partial").exists()


def test_backup_takes_the_databases_of_facades(home: Path, concordat: Run, tmp_path: Path) -> None:
    """A database is copied as SQLite sees it: with what only its journal holds yet."""
    database = sqlite3.connect(home / "data" / "dlt-adapter.sqlite")
    database.execute("PRAGMA journal_mode = WAL")
    database.execute("CREATE TABLE notes (text)")
    database.execute("INSERT INTO notes VALUES ('kept')")
    database.commit()
    concordat("backup", "--home", home, "--to", tmp_path / "b")
    database.close()
    concordat("restore", tmp_path / "new", "--from", tmp_path / "b")
    restored = sqlite3.connect(tmp_path / "new" / "data" / "dlt-adapter.sqlite")
    assert restored.execute("SELECT text FROM notes").fetchall() == [("kept",)]
    restored.close()


def test_restored_validator_sits_out(home: Path, backup: Path, concordat: Run) -> None:
    """Its new safety record signs nothing before peers have proven a round, whatever it signed."""
    assert not record(home).sit_out
    new = home.with_name("new")
    told = concordat("restore", new, "--from", backup, "--keys", home / "keys").stdout
    assert f"concordat run --home {new}" in told
    assert "--recover" not in told
    assert record(new).sit_out
    assert record(new).key == record(home).key
    secret = (new / "keys" / "validator.json").stat().st_mode & 0o777
    assert secret == 0o600


def test_restored_home_without_keys_has_no_record(home: Path, backup: Path, concordat: Run) -> None:
    """Without keys nobody knows whose record to make: the first start has to, and sits out."""
    new = home.with_name("new")
    assert "--recover" in concordat("restore", new, "--from", backup).stdout
    assert not (new / "data" / "safety").exists()
    shutil.copytree(home / "keys", new / "keys")
    assert "start once with --recover" in concordat("node", "--home", new, code=2).stderr


def test_safety_record_that_is_there_is_kept(home: Path, backup: Path, concordat: Run) -> None:
    """Where only the ledger was lost, the newest record goes on to count."""
    before = record(home)
    shutil.rmtree(home / "data" / "chain")
    (home / "concordat.toml").write_text("# mine\n" + (home / "concordat.toml").read_text())
    concordat("restore", home, "--from", backup)
    assert record(home) == before
    assert (home / "concordat.toml").read_text().startswith("# mine\n")
    assert (home / "data" / "chain" / "data.mdb").exists()


def test_ledger_that_is_there_is_not_replaced(home: Path, backup: Path, concordat: Run) -> None:
    """A restore never takes a newer ledger away."""
    before = (home / "data" / "chain" / "data.mdb").read_bytes()
    told = concordat("restore", home, "--from", backup, code=1).stderr
    assert "move it away first, and leave data/safety where it is" in told
    assert (home / "data" / "chain" / "data.mdb").read_bytes() == before


def test_backup_of_another_network_is_refused(
    home: Path, backup: Path, concordat: Run, tmp_path: Path
) -> None:
    """A home keeps its network."""
    concordat("testnet", tmp_path / "other", "--validators", 1)
    other = tmp_path / "other" / "node0"
    shutil.rmtree(other / "data")
    assert "another network" in concordat("restore", other, "--from", backup, code=1).stderr
    assert home.exists()


@pytest.mark.parametrize("name", ["chain/data.mdb", "concordat.toml", "genesis.json"])
def test_changed_backup_is_refused(backup: Path, concordat: Run, name: str) -> None:
    """One changed byte in any file, or a missing file: nothing is restored."""
    data = bytearray((backup / name).read_bytes())
    data[len(data) // 2] ^= 1
    (backup / name).write_bytes(data)
    new = backup.with_name("new")
    assert "not what was backed up" in concordat("restore", new, "--from", backup, code=1).stderr
    (backup / name).unlink()
    assert "is not whole" in concordat("restore", new, "--from", backup, code=1).stderr
    assert not new.exists()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"store_format": 99}, "restore it with the release that made it"),
        ({"format": 2}, "restore it with the release that made it"),
        ({"files": {"../keys/validator.json": "00" * 32}}, "matching regex"),
        ({"files": 1}, "Expected `object`"),
    ],
)
def test_manifest_is_not_believed(
    backup: Path, concordat: Run, change: dict[str, object], words: str
) -> None:
    """Other formats and names that lead out of the backup are refused."""
    manifest = json.loads((backup / "manifest.json").read_text())
    (backup / "manifest.json").write_text(json.dumps(manifest | change))
    new = backup.with_name("new")
    assert words in concordat("restore", new, "--from", backup, code=1).stderr
    assert not new.exists()


def test_what_is_no_backup_is_refused(concordat: Run, tmp_path: Path) -> None:
    """A directory without a manifest, such as one that was cut short, is no backup."""
    told = concordat("restore", tmp_path / "new", "--from", tmp_path, code=1).stderr
    assert "is no backup" in told


def test_restore_that_was_cut_short_goes_on(
    home: Path, backup: Path, concordat: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A home is one only when all of it is there; the same command again completes it."""
    new = home.with_name("new")
    with monkeypatch.context() as patched:
        patched.setattr("os.fsync", full_after(1))
        told = concordat("restore", new, "--from", backup, "--keys", home / "keys", code=1).stderr
        assert "No space left on device" in told
    assert "is no member home" in concordat("status", "--home", new, code=2).stderr
    concordat("restore", new, "--from", backup, "--keys", home / "keys")
    assert record(new).sit_out


def full_after(count: int) -> Callable[[int], None]:
    """Give a flush whose disk is full after so many files."""
    flushed = []
    sync = os.fsync

    def fsync(handle: int) -> None:
        flushed.append(handle)
        # Of the two directories of each file that was put in its place, too.
        if len(flushed) > 3 * count:
            raise OSError(28, "No space left on device")
        sync(handle)

    return fsync


def test_compact_tells_what_it_won(home: Path, concordat_json: RunJson) -> None:
    """The size now and the difference are told, and the ledger opens afterwards."""
    size = (home / "data" / "chain" / "data.mdb").stat().st_size
    told = concordat_json("compact", "--home", home)
    assert told["bytes"] == (home / "data" / "chain" / "data.mdb").stat().st_size
    assert told == {"bytes": told["bytes"], "bytes_won": size - int(str(told["bytes"]))}
