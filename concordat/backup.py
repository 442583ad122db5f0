"""Backups of a member's home: what is in one, how it is made beside a running member, put back.

    backup/manifest.json       what it is, and the SHA-256 of every other file; written last
    backup/concordat.toml, genesis.json, member.json, api-tokens.json
    backup/chain/data.mdb, chain/batches/00000000, ..., delivery/data.mdb
    backup/dlt-adapter.sqlite, access-node.sqlite

Owns the rule of what is *not* in it. Private keys, because a backup lies in more places than a key
may. The safety record, because an older one, put back, would let the validator sign the contrary of
what it has signed since: a restored home gets a new record, which sits out, as after a lost disk.

Consumers' positions are copied before the chain: none is beyond the events that come with it.
"""

import hashlib
import os
import shutil
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from concordat.compose.node import recover_stores
from concordat.config_file import load_config
from concordat.home import Home, load_genesis
from ledger.core.errors import ConcordatError
from ledger.core.genesis import Genesis
from ledger.core.limits import PROTOCOL_VERSION
from ledger.io.chain_store import ChainStore
from ledger.io.environment import (
    FILES_NAME,
    STORE_FILE_MODE,
    format_version,
    is_known_format,
    sync_names,
)
from ledger.io.keystore import write_private_file
from ledger.io.store_copy import Watch, copy_store
from ledger.io.store_files import files_of, make_files_directory

__all__ = ["BackupError", "Manifest", "make_backup", "read_manifest", "restore_backup"]

_FORMAT: Final = 1
_MANIFEST: Final = "manifest.json"
_MANIFEST_BYTES_MAX: Final = 16 * 2**20
_PART_BYTES: Final = 2**20

Sha256 = Annotated[str, Meta(pattern=r"\A[0-9a-f]{64}\Z")]
Name = Annotated[
    str, Meta(pattern=r"\A([a-z-]+(/data)?\.(json|mdb|sqlite|toml)|[a-z]+/batches/[0-9]{8})\Z")
]


class BackupError(ConcordatError):
    """A backup cannot be made, is not whole, or does not fit where it is to be put."""


class Manifest(msgspec.Struct, frozen=True):
    """What a backup is.

    Attributes:
        format: of the backup itself.
        store_format, protocol: of the release that made it; see docs/operations/upgrade.md.
        height, events: where its ledger ends.
        files: SHA-256 of each file, by its name in the backup.
    """

    format: int
    store_format: int
    protocol: int
    chain_id: str
    genesis_hash: Sha256
    made_ms: int
    height: int
    events: int
    files: Annotated[dict[Name, Sha256], Meta(max_length=100_000)]


def make_backup(home: Home, target: Path, watch: Watch) -> Manifest:
    """Make a backup in the new directory ``target``; the member may be running.

    Raises:
        BackupError: there is something already. Unavailable: it cannot be written.
        HomeError: the member joined no network. StorageError: a store is damaged.
    """
    genesis = home.genesis()
    if target.exists():
        raise BackupError(f"{target} is there already: name a new directory")
    part = target.with_name(f"{target.name}.partial")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(mode=0o700, parents=True)
    try:
        manifest = _fill(home, genesis, part, watch)
        write_private_file(
            part / _MANIFEST, msgspec.json.format(msgspec.json.encode(manifest), indent=2) + b"\n"
        )
        part.rename(target)
        sync_names(target)
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise
    return manifest


def read_manifest(backup: Path) -> Manifest:
    """Read what a backup is.

    Raises:
        BackupError: it is none, or one of another release.
    """
    try:
        with (backup / _MANIFEST).open("rb") as file:
            manifest = msgspec.json.decode(file.read(_MANIFEST_BYTES_MAX), type=Manifest)
    except OSError as error:
        raise BackupError(f"{backup} is no backup: {error.strerror}: {_MANIFEST}") from None
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise BackupError(f"{backup / _MANIFEST}: {error}") from None
    known = format_version("chain")
    if manifest.format != _FORMAT or not is_known_format("chain", manifest.store_format):
        raise BackupError(
            f"{backup} has format {manifest.format} with stores of format {manifest.store_format}, "
            f"this program knows {_FORMAT} with {known}: restore it with the release that made it, "
            f"or get the ledger from other members with `concordat join`"
        )
    return manifest


def restore_backup(path: Path, backup: Path, keys: Path | None, watch: Watch) -> Home:
    """Put a backup back at ``path``: what is missing there is restored, what is there is kept.

    Args:
        keys: directory of the member's key files, where they are not there yet.

    Raises:
        BackupError: the backup is damaged or of another network, or there is a ledger already.
        StorageError: the ledger in it is damaged.
    """
    manifest = read_manifest(backup)
    count = _counter(backup, manifest, watch)
    _require_whole(backup, manifest, count)
    genesis = load_genesis(backup / "genesis.json")
    own = path / "concordat.toml"
    config = load_config(own if own.exists() else backup / "concordat.toml")
    home = Home(path.resolve(), config)
    if home.genesis_path.exists() and home.genesis() != genesis:
        raise BackupError(f"{path} belongs to another network than {backup}")
    chain_dir = home.resolve(config.node.chain_dir)
    if (chain_dir / "data.mdb").exists():
        raise BackupError(
            f"{chain_dir} is there already: move it away first, and leave data/safety where it is"
        )
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    if keys is not None:
        _put_keys(keys, path / "keys")
    for name, place in _places(home):
        if name in manifest.files and not place.exists():
            if name.endswith(".mdb"):
                _put_files(backup, name.partition("/")[0], manifest, place.parent, count)
            _put(backup / name, place, count)
    # As after a lost disk: a record that is there is newer than any backup, and stays.
    if home.resolve(config.keys.validator).exists():
        recover_stores(home, genesis)
    return Home.open(path)


def _places(home: Home) -> Iterator[tuple[str, Path]]:
    """Give each file's name in a backup and its place; last the one that makes it a home."""
    config = home.config
    yield "delivery/data.mdb", home.resolve(config.delivery.directory) / "data.mdb"
    if not config.access_node.database.startswith("postgresql:"):
        yield "access-node.sqlite", home.resolve(config.access_node.database)
    yield "dlt-adapter.sqlite", home.resolve(config.dlt_adapter.state)
    yield "chain/data.mdb", home.resolve(config.node.chain_dir) / "data.mdb"
    yield "api-tokens.json", home.resolve(config.access.tokens)
    yield "member.json", home.path / "member.json"
    yield "genesis.json", home.genesis_path
    yield "concordat.toml", home.path / "concordat.toml"


def _fill(home: Home, genesis: Genesis, part: Path, watch: Watch) -> Manifest:
    names = []
    for name, place in _places(home):
        if not place.exists():
            continue
        if name.endswith(".mdb"):
            kind = name.partition("/")[0]
            copy_store(place.parent, kind, part / kind, watch)
            names += [f"{kind}/{FILES_NAME}/{file}" for file in files_of(part / kind)]
        elif name.endswith(".sqlite"):
            _copy_sqlite(place, part / name)
        else:
            _put(place, part / name)
        names.append(name)
    if "chain/data.mdb" not in names:
        raise BackupError(f"{home.path} has no ledger yet")
    with ChainStore.open_readonly(part / "chain") as store, store.read() as reader:
        head = reader.head()
    (part / "chain" / "lock.mdb").unlink()
    return Manifest(
        format=_FORMAT,
        store_format=format_version("chain"),
        protocol=PROTOCOL_VERSION,
        chain_id=genesis.chain_id,
        genesis_hash=genesis.hash.hex(),
        made_ms=time.time_ns() // 1_000_000,
        height=head.height,
        events=head.log_size,
        files={name: _digest(part / name) for name in names},
    )


def _counter(backup: Path, manifest: Manifest, watch: Watch) -> Callable[[int], None]:
    """Give what is told of each part that is read: once to be checked, once to be copied."""
    try:
        total = 2 * sum((backup / name).stat().st_size for name in manifest.files)
    except OSError as error:
        raise BackupError(f"{backup} is not whole: {error.filename}: {error.strerror}") from None
    done = 0

    def count(more: int) -> None:
        nonlocal done
        done += more
        watch(done, total)

    return count


def _require_whole(backup: Path, manifest: Manifest, count: Callable[[int], None]) -> None:
    for name, digest in manifest.files.items():
        try:
            is_same = _digest(backup / name, count) == digest
        except OSError as error:
            raise BackupError(f"cannot read {backup / name}: {error.strerror}") from None
        if not is_same:
            raise BackupError(f"{backup / name} is not what was backed up")


def _put(source: Path, place: Path, count: Callable[[int], None] = lambda _bytes: None) -> None:
    """Copy a file to its place: whole, on the disk, or not at all."""
    place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    part = place.with_name(f"{place.name}.partial")
    try:
        with source.open("rb") as reading, part.open("wb") as writing:
            is_store = place.suffix == ".mdb" or place.parent.name == FILES_NAME
            part.chmod(STORE_FILE_MODE if is_store else 0o600)
            while data := reading.read(_PART_BYTES):
                writing.write(data)
                count(len(data))
            writing.flush()
            os.fsync(writing.fileno())
        part.rename(place)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise BackupError(f"cannot write {place}: {error.strerror}") from error
    sync_names(place.parent)


def _put_files(
    backup: Path, kind: str, manifest: Manifest, store: Path, count: Callable[[int], None]
) -> None:
    """Put the files of a store to their places, before the rows that refer to them.

    Those that are there belong to rows that are not: they are replaced.
    """
    names = [name for name in manifest.files if name.startswith(f"{kind}/{FILES_NAME}/")]
    if names:
        store.mkdir(mode=0o700, parents=True, exist_ok=True)
        directory = make_files_directory(store)
    for name in names:
        _put(backup / name, directory / Path(name).name, count)


def _put_keys(source: Path, target: Path) -> None:
    found = sorted(path for path in source.glob("*") if path.is_file())
    if not found:
        raise BackupError(f"{source} holds no keys")
    for path in found:
        if not (target / path.name).exists():
            _put(path, target / path.name)


def _copy_sqlite(source: Path, target: Path) -> None:
    """Copy a database beside its writer, by SQLite's own means."""
    with (
        closing(sqlite3.connect(f"{source.resolve().as_uri()}?mode=ro", uri=True)) as reading,
        closing(sqlite3.connect(target)) as writing,
    ):
        reading.backup(writing)
    target.chmod(0o600)
    with target.open("rb") as file:
        os.fsync(file.fileno())


def _digest(path: Path, count: Callable[[int], None] = lambda _bytes: None) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while data := file.read(_PART_BYTES):
            digest.update(data)
            count(len(data))
    return digest.hexdigest()
