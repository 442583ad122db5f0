"""What a command prints: plain words for people, one JSON object a line with ``--json``."""

import sys
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, TypeVar

import click
import msgspec
from rich.console import Console, RenderableType

from concordat.cli.failure import JSON_KEY

__all__ = ["emit", "is_terminal", "json_option", "moment"]

F = TypeVar("F", bound=Callable[..., Any])


def json_option(command: F) -> F:
    """Add ``--json`` to a command, as its argument ``as_json``."""
    return click.option(
        "--json",
        "as_json",
        is_flag=True,
        callback=_remember,
        is_eager=True,
        help="Print JSON for programs, one object a line; errors too, on standard error.",
    )(command)


def moment(time_ms: int) -> str:
    """Write a time for people, in UTC."""
    return datetime.fromtimestamp(time_ms / 1000, UTC).isoformat(timespec="milliseconds")


def is_terminal() -> bool:
    """Say whether a person reads standard output directly."""
    return sys.stdout.isatty()


def emit(document: object, human: RenderableType, *, as_json: bool) -> None:
    """Print a result: ``document`` as one line of JSON, or ``human`` as rich renders it."""
    if as_json:
        click.echo(msgspec.json.encode(document))
        sys.stdout.flush()
        return
    # Without a terminal nothing is cut to a width that nobody chose.
    console = Console(soft_wrap=not is_terminal(), highlight=False, markup=False)
    console.print(human)


def _remember(context: click.Context, _option: click.Parameter, value: bool) -> bool:  # noqa: FBT001
    context.meta[JSON_KEY] = value
    return value
