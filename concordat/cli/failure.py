"""How a command fails: one clear message, what to do next, and a documented exit code.

Every error of ours that reaches a command becomes a ``CommandFailed``; anything else is a bug and
keeps its traceback. A violated invariant keeps it too, before the message: it is evidence.
"""

import errno
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from enum import IntEnum

import click
import msgspec

from concordat.config_file import ConfigError
from concordat.home import HomeError
from ledger.core.errors import ConcordatError, InvariantError, Unavailable
from ledger.io.errors import StorageError
from ledger.io.keystore import KeyFileError

__all__ = ["JSON_KEY", "CommandFailed", "ExitCode", "failures_explained"]

JSON_KEY = "concordat.as_json"
"""Where ``--json`` is remembered for failures, in click's ``Context.meta``."""


class ExitCode(IntEnum):
    """Exit codes of every command. Scripts branch on them; they never change meaning."""

    OK = 0
    FAILED = 1
    USAGE = 2
    UNAVAILABLE = 3
    STORAGE = 4
    INTERRUPTED = 130


class CommandFailed(click.ClickException):
    """A command could not do its work.

    Attributes:
        hint: what to do next, or empty when the message says it.
    """

    def __init__(self, message: str, code: ExitCode = ExitCode.FAILED, hint: str = "") -> None:
        super().__init__(message)
        context = click.get_current_context(silent=True)
        self._as_json = context is not None and bool(context.meta.get(JSON_KEY))
        self.exit_code = int(code)  # type: ignore[misc] # click declares it for the class
        self.hint = hint

    def show(self, file: object = None) -> None:  # noqa: ARG002 - click's signature
        """Write the message to standard error: an object with ``--json``, else a sentence."""
        if self._as_json:
            document = {"error": self.message, "hint": self.hint, "exit_code": self.exit_code}
            click.echo(msgspec.json.encode(document), err=True)
            return
        click.echo(f"{click.style('error:', fg='red', bold=True)} {self.message}", err=True)
        if self.hint:
            click.echo(f"       {self.hint}", err=True)


@contextmanager
def failures_explained() -> Iterator[None]:
    """Turn the errors of a command's body into CommandFailed."""
    try:
        with _first_of_group():
            yield
    except (ConfigError, HomeError, KeyFileError) as error:
        raise CommandFailed(str(error), ExitCode.USAGE) from error
    except Unavailable as error:
        raise CommandFailed(str(error), ExitCode.UNAVAILABLE) from error
    except ConcordatError as error:
        raise CommandFailed(str(error)) from error
    except StorageError as error:  # says itself what broke and what to do
        raise CommandFailed(str(error), ExitCode.STORAGE) from error
    except InvariantError as error:
        traceback.print_exc(file=sys.stderr)
        raise CommandFailed(
            str(error), ExitCode.STORAGE, "Keep the data directory as it is; it is evidence."
        ) from error
    except BrokenPipeError:
        raise  # whoever read our output has enough; click ends quietly
    except OSError as error:
        raise _explained_os_error(error) from error


@contextmanager
def _first_of_group() -> Iterator[None]:
    """Raise the most serious single error where tasks raised a group of them."""
    try:
        yield
    except BaseExceptionGroup as group:
        found: list[BaseException] = []
        pending: list[BaseException] = [group]
        while pending:
            error = pending.pop()
            if isinstance(error, BaseExceptionGroup):
                pending += error.exceptions
            else:
                found.append(error)
        known = (InvariantError, ConcordatError, OSError)
        foreign = [error for error in found if not isinstance(error, known)]
        if foreign:
            raise  # a bug: all of it is wanted
        raise min(
            found,
            key=lambda error: next(i for i, kind in enumerate(known) if isinstance(error, kind)),
        ) from group


def _explained_os_error(error: OSError) -> CommandFailed:
    if error.errno == errno.EADDRINUSE:
        return CommandFailed(
            f"a port is in use: {error}",
            ExitCode.UNAVAILABLE,
            "Is this member running already? Else choose another port in concordat.toml.",
        )
    return CommandFailed(str(error), ExitCode.UNAVAILABLE)
