"""Options that several commands share."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import click

from concordat.home import Home, load_genesis
from ledger.core.genesis import Genesis

__all__ = ["Target", "home_option", "recover_option", "target_options"]

F = TypeVar("F", bound=Callable[..., Any])

_home = click.Path(file_okay=False, path_type=Path)


def home_option(command: F) -> F:
    """Add ``--home``, the member's home; the environment may name it."""
    return click.option(
        "--home",
        type=_home,
        envvar="CONCORDAT_HOME",
        default=Path(),
        show_default="the current directory",
        help="The member's home. Also: CONCORDAT_HOME.",
    )(command)


def recover_option(command: F) -> F:
    """Add ``--recover``, for a validator whose stores were lost."""
    return click.option(
        "--recover",
        is_flag=True,
        help="Make stores that were lost anew; the validator signs nothing before it is safe.",
    )(command)


def target_options(command: F) -> F:
    """Add ``--url``, ``--genesis`` and ``--home``: what a command speaks to. See Target.find."""
    for option in (
        click.option(
            "--genesis",
            "genesis_file",
            type=click.Path(dir_okay=False, path_type=Path),
            help="The network's genesis file. Default: that of the home.",
        ),
        click.option(
            "--url",
            envvar="CONCORDAT_URL",
            help="The gateway's URL. Default: that of the home. Also: CONCORDAT_URL.",
        ),
        home_option,
    ):
        command = option(command)
    return command


@dataclass(frozen=True, slots=True)
class Target:
    """A gateway, and the network that it should belong to."""

    home: Path
    url: str
    genesis_file: Path | None

    @staticmethod
    def find(home: Path, url: str | None, genesis_file: Path | None) -> "Target":
        """Take the gateway of ``url``, else the one that the home configures.

        Raises:
            HomeError: neither is there.
        """
        found = url or f"http://{Home.open(home).config.gateway.listen}"
        return Target(home, found, genesis_file)

    def genesis(self) -> Genesis:
        """Read the genesis file: the named one, else the home's.

        Raises:
            HomeError: neither is there; it is never taken from the gateway, which proves nothing.
        """
        if self.genesis_file is not None:
            return load_genesis(self.genesis_file)
        return Home.open(self.home).genesis()
