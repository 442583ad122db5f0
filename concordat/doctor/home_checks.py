"""Checks of a home's files: their owners, the keys, the genesis file, the stores."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from concordat.cli.passwords import PASSWORD_VARIABLE
from concordat.doctor.finding import Finding, Patient, error, ok, warning
from concordat.private_files import read_private_line
from ledger.core.ids import PublicKey
from ledger.io.chain_store import ChainStore
from ledger.io.errors import StorageError
from ledger.io.keystore import KeyFileError, KeyInfo, KeyPurpose, open_key, read_key_info

__all__ = ["HOME_CHECKS"]

_OTHERS_WRITE: Final = stat.S_IWGRP | stat.S_IWOTH
_SAFETY_LAG_S: Final = 3_600  # a validator that works writes both stores within seconds


def files(patient: Patient) -> Iterator[Finding]:
    """Nobody but the member's user may change its files."""
    home = patient.home
    keys = {home.resolve(name).parent for name in (home.config.keys.validator,)}
    paths = [home.path, home.path / "concordat.toml", home.genesis_path, *keys]
    open_ones = [path for path in paths if path.exists() and path.stat().st_mode & _OTHERS_WRITE]
    for path in open_ones:
        yield error("files", f"other users may change {path}", f"chmod go-w {path}")
    foreign = [path for path in paths if path.exists() and path.stat().st_uid != os.geteuid()]
    for path in foreign:
        advice = f"Run this as the member's user, or: chown -R {os.geteuid()} {home.path}"
        yield error("files", f"{path} belongs to another user", advice)
    if not open_ones and not foreign:
        yield ok("files", f"only their owner may change the files of {home.path}")


def keys(patient: Patient) -> Iterator[Finding]:
    """The keys are there, sealed, private, and those that the network knows."""
    section = patient.home.config.keys
    found: dict[KeyPurpose, KeyInfo] = {}
    for name, purpose in (
        (section.validator, KeyPurpose.VALIDATOR),
        (section.peer, KeyPurpose.PEER),
    ):
        try:
            info = read_key_info(patient.home.resolve(name))
        except KeyFileError as fault:
            yield error("keys", str(fault), "Restore the file, or make the member anew.")
            continue
        if info.purpose is not purpose:
            yield error("keys", f"{info.path} is a {info.purpose} key", f"Name the {purpose} key.")
            continue
        found[purpose] = info
    yield from _sealing(patient, list(found.values()))
    if len(found) == len((KeyPurpose.VALIDATOR, KeyPurpose.PEER)):
        yield from _membership(patient, *(found[purpose].public_key for purpose in found))


def _sealing(patient: Patient, found: list[KeyInfo]) -> Iterator[Finding]:
    section = patient.home.config.keys
    unsealed = [info for info in found if not info.is_sealed]
    if unsealed and not section.allow_unencrypted:
        names = ", ".join(str(info.path) for info in unsealed)
        advice = "Make sealed keys with `concordat keys new`; the node does not start with these."
        yield error("keys", f"no password seals {names}", advice)
    elif unsealed:
        advice = "Fit for development only: whoever reads the files votes in the member's name."
        yield warning("keys", "the keys are not sealed with a password", advice)
    named = section.password_file or os.environ.get(PASSWORD_VARIABLE)
    sealed = [info for info in found if info.is_sealed and info.purpose is KeyPurpose.PEER]
    if not named or not sealed:
        return
    path = patient.home.resolve(named)
    try:
        open_key(sealed[0].path, KeyPurpose.PEER, password=read_private_line(path, "password"))
    except KeyFileError as fault:
        yield error("password", str(fault), "The node cannot start by itself without it.")
    else:
        yield ok("password", f"{path} opens the peer key")


def _membership(patient: Patient, voting: PublicKey, peer: PublicKey) -> Iterator[Finding]:
    mine = [one for one in patient.validators if one.key == voting]
    if not patient.validators:
        return
    if not mine:
        advice = "It follows and signs nothing. Governors can make it one: changing-members.md."
        yield warning("membership", "the validator key is none of the network's", advice)
    elif mine[0].peer_key != peer:
        advice = "Restore the peer key that the network knows, or have governors change it."
        yield error("membership", f"the peer key is not that of {mine[0].name}", advice)
    else:
        yield ok("membership", f"the keys are those of the validator {mine[0].name}")


def genesis(patient: Patient) -> Iterator[Finding]:
    """There is a genesis file that can be read."""
    if patient.genesis is not None:
        text = f"{patient.genesis.chain_id}, hash {patient.genesis.hash.hex()[:16]}"
        yield ok("genesis", f"the network is {text}: compare it with the others'")
        return
    advice = f"concordat init join {patient.home.path} --genesis FILE"
    yield error("genesis", "the member has joined no network, or its genesis.json is wrong", advice)


def stores(patient: Patient) -> Iterator[Finding]:
    """Both stores are there, of this program's format, and of one age."""
    node = patient.home.config.node
    chain, safety = patient.home.resolve(node.chain_dir), patient.home.resolve(node.safety_dir)
    absent = [path for path in (chain, safety) if not path.is_dir() or not any(path.iterdir())]
    if absent:
        advice = (
            "Has it never run, join again (`concordat init join`). Has it run, bring back this "
            "very directory; if it is lost, start once with --recover. Never restore an old safety "
            "store."
        )
        yield error("stores", f"{absent[0]} is missing", advice)
        return
    try:
        with ChainStore.open_readonly(chain) as store, store.read() as reader:
            yield ok("stores", f"the chain store ends at height {reader.head().height}")
    except StorageError as fault:
        yield error("stores", f"{fault.path}: {fault.cause}", fault.remedy)
        return
    behind_s = _written_s(chain) - _written_s(safety)
    if behind_s > _SAFETY_LAG_S:
        advice = (
            "Expected if it is no validator now. Else an old copy was put back: do not start it; "
            "move it away and start once with --recover."
        )
        hours = behind_s // 3_600
        yield warning("safety", f"the safety store is {hours} h older than the chain store", advice)
    else:
        yield ok("safety", "the safety store is as new as the chain store")


def _written_s(directory: Path) -> int:
    names = [entry for entry in directory.iterdir() if entry.name not in ("LOCK", "lock.mdb")]
    return max((int(path.stat().st_mtime) for path in names), default=0)


HOME_CHECKS: Final = (files, keys, genesis, stores)
