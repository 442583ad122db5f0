"""Options that several commands share."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from concordat.home import Home

__all__ = ["gateway_url", "home_option", "recover_option", "url_options"]

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


def url_options(command: F) -> F:
    """Add ``--url`` and ``--home``: two ways to name a gateway. See :func:`gateway_url`."""
    return home_option(
        click.option(
            "--url",
            envvar="CONCORDAT_URL",
            help="The gateway's URL. Default: that of the home. Also: CONCORDAT_URL.",
        )(command)
    )


def gateway_url(url: str | None, home: Path) -> str:
    """Give the gateway to speak to: ``url``, else the one that the home configures.

    Raises:
        HomeError: neither is there.
    """
    return url or f"http://{Home.open(home).config.gateway.listen}"
