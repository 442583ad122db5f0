"""What commands share that sign and publish an operation of the trust framework."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from concordat.cli.options import Target
from concordat.cli.passwords import open_key_with_password
from concordat.cli.receipts import show_receipt
from concordat.home import Home
from ledger.core.trust.operations import Operation
from ledger.io.keystore import KeyPurpose
from pubsub.client.answers import Receipt
from pubsub.client.identity import Publisher
from pubsub.client.sync_client import Client

__all__ = ["Signing", "expiry_ms", "signing_options"]

F = TypeVar("F", bound=Callable[..., Any])

_file = click.Path(dir_okay=False, path_type=Path)
_HOUR_MS = 3_600_000


def signing_options(command: F) -> F:
    """Add ``--key`` and ``--password-file``: who signs."""
    for option in (
        click.option("--password-file", type=_file, help="Password of the key. Default: ask."),
        click.option("--key", "key_file", type=_file, help="Publisher key. Default: the home's."),
    ):
        command = option(command)
    return command


class Signing:
    """A publisher's key, and the gateway to publish through.

    Attributes:
        publisher: signs in the name of the key's owner.
    """

    def __init__(self, target: Target, key_file: Path | None, password_file: Path | None) -> None:
        """Open the key.

        Raises:
            HomeError, KeyFileError: it is not there or cannot be opened.
        """
        self._target = target
        self._genesis = target.genesis()
        path = key_file or Home.open(target.home).publisher_key_path
        key = open_key_with_password(path, KeyPurpose.PUBLISHER, password_file)
        self.publisher = Publisher(key.info.owner, key.signer, self._genesis.chain_id)

    def client(self) -> Client:
        """Give a client of the gateway, to be used as a context manager."""
        return Client(self._target.url, self._genesis)

    def carry_out(self, operation: Operation, *, as_json: bool) -> Receipt:
        """Publish an operation, wait until it is final, and print the receipt.

        Raises:
            Rejected: it is not allowed as things stand.
        """
        with self.client() as client:
            receipt = client.trust.carry_out(self.publisher, operation)
        show_receipt(receipt, as_json=as_json)
        return receipt


def expiry_ms(hours: int) -> int:
    """Give the time so many hours from now."""
    return time.time_ns() // 1_000_000 + hours * _HOUR_MS
