"""A member's home: one directory with its configuration, genesis, keys and data.

    home/concordat.toml   settings, see concordat/config.py
    home/genesis.json     the network that the member belongs to
    home/member.json      its public card, for whoever makes the genesis file
    home/keys/            validator.json, peer.json, publisher.json
    home/data/            the two stores; home/control.sock while the node runs

Owns the paths and their checks. It opens no key and starts nothing.
"""

import os
from dataclasses import dataclass
from pathlib import Path

from concordat.config import Config
from concordat.config_file import load_config
from ledger.core.errors import ConcordatError, DecodeError
from ledger.core.genesis import Genesis, read_genesis
from ledger.core.ids import NodeIndex, PublicKey
from ledger.core.limits import GENESIS_BYTES_MAX, SOCKET_PATH_BYTES_MAX

__all__ = ["Home", "HomeError", "load_genesis", "split_address"]


class HomeError(ConcordatError):
    """A home is missing, incomplete or contradicts itself; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Home:
    """An existing home and its settings."""

    path: Path
    config: Config

    @staticmethod
    def open(path: Path) -> "Home":
        """Read the home at ``path``.

        Raises:
            HomeError: there is no home, or its control socket's path is too long.
            ConfigError: its configuration is wrong.
        """
        if not (path / "concordat.toml").is_file():
            raise HomeError(f"{path} is no member home: make one with `concordat init {path}`")
        home = Home(path.resolve(), load_config(path / "concordat.toml"))
        if len(os.fsencode(home.control_path)) > SOCKET_PATH_BYTES_MAX:
            raise HomeError(
                f"{home.control_path} is too long for a Unix socket: set node.control_socket in "
                f"{home.path / 'concordat.toml'} to a path of at most {SOCKET_PATH_BYTES_MAX} bytes"
            )
        return home

    def resolve(self, text: str) -> Path:
        """Give the path that a setting names: relative ones are relative to the home."""
        return self.path / text

    @property
    def control_path(self) -> Path:
        """The node's control socket."""
        return self.resolve(self.config.node.control_socket)

    @property
    def genesis_path(self) -> Path:
        """The genesis file; absent until the member joined a network."""
        return self.path / "genesis.json"

    @property
    def publisher_key_path(self) -> Path:
        """The member's own publisher key."""
        return self.path / "keys" / "publisher.json"

    def genesis(self) -> Genesis:
        """Read the genesis file.

        Raises:
            HomeError: the member joined no network yet, or the file is wrong.
        """
        if not self.genesis_path.is_file():
            raise HomeError(
                f"{self.path} has joined no network: "
                f"`concordat init {self.path} --genesis FILE` with the file that all members share"
            )
        return load_genesis(self.genesis_path)

    def index_in(self, genesis: Genesis, key: PublicKey) -> NodeIndex:
        """Give this validator's index in ``genesis``.

        Raises:
            HomeError: ``key`` is none of its validators'.
        """
        index = genesis.validator_set().index_of(key)
        if index is None:
            raise HomeError(
                f"the validator key of {self.path} ({key.hex()}) is not in the genesis file of "
                f"{genesis.chain_id}: whoever made that file needs {self.path / 'member.json'}; if "
                f"the network runs already, join with --later and let governors add the member"
            )
        return index


def load_genesis(path: Path) -> Genesis:
    """Read a genesis file.

    Raises:
        HomeError: it cannot be read or is no genesis file.
    """
    try:
        with path.open("rb") as file:
            return read_genesis(file.read(GENESIS_BYTES_MAX + 1))
    except OSError as error:
        raise HomeError(f"cannot read {path}: {error.strerror}") from None
    except DecodeError as error:
        raise HomeError(f"{path}: {error}") from None


def split_address(address: str) -> tuple[str, int]:
    """Split ``host:port`` or ``[v6]:port``, which a setting or a genesis file has checked."""
    host, _, port = address.rpartition(":")
    return host.strip("[]"), int(port)
