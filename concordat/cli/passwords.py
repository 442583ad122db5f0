"""Where passwords come from: a file, a file that the environment names, or a prompt.

Never the command line: other users of the machine can read that.
"""

import os
import sys
from pathlib import Path

import click

from concordat.home import Home
from concordat.private_files import read_private_line
from ledger.io.keystore import KeyFileError, KeyPurpose, OpenKey, open_key, read_key_info

__all__ = [
    "PASSWORD_VARIABLE",
    "key_password",
    "new_password",
    "open_key_with_password",
    "open_member_key",
    "read_password_file",
]

PASSWORD_VARIABLE = "CONCORDAT_PASSWORD_FILE"  # noqa: S105 - the name of a variable


def new_password(password_file: Path | None) -> bytes:
    """Get the password for new keys: from a file, else by asking twice.

    Raises:
        KeyFileError: there is neither a file nor a terminal.
    """
    found = _from_files(password_file)
    if found is not None:
        return found
    _require_terminal("the new keys")
    text: str = click.prompt(
        "Password for the new keys", hide_input=True, confirmation_prompt=True, err=True
    )
    return text.encode()


def open_key_with_password(
    path: Path, purpose: KeyPurpose, password_file: Path | None = None
) -> OpenKey:
    """Open a key file, finding its password where it needs one. Takes about a second.

    Raises:
        KeyFileError: the key cannot be opened.
    """
    return open_key(path, purpose, password=key_password(path, password_file))


def key_password(path: Path, password_file: Path | None) -> bytes | None:
    """Find the password of a key file: None where it has none.

    Raises:
        KeyFileError: there is no such key, or neither a file with its password nor a terminal.
    """
    if not read_key_info(path).is_sealed:
        return None
    password = _from_files(password_file)
    if password is None:
        _require_terminal(str(path))
        text: str = click.prompt(f"Password of {path}", hide_input=True, err=True)
        password = text.encode()
    return password


def open_member_key(home: Home) -> OpenKey:
    """Open the publisher key of [member], finding its password where it needs one.

    Raises:
        KeyFileError: the key cannot be opened.
    """
    config = home.config
    named = config.member.password_file or config.keys.password_file
    password_file = home.resolve(named) if named else None
    path = home.resolve(config.member.key)
    return open_key_with_password(path, KeyPurpose.PUBLISHER, password_file)


def read_password_file(path: Path) -> bytes:
    """Read a password: the file's first line.

    Raises:
        KeyFileError: it cannot be read, is empty, or others may read it.
    """
    return read_private_line(path, "password")


def _from_files(password_file: Path | None) -> bytes | None:
    named = os.environ.get(PASSWORD_VARIABLE)
    if password_file is not None:
        return read_password_file(password_file)
    return read_password_file(Path(named)) if named else None


def _require_terminal(what: str) -> None:
    if not sys.stdin.isatty():
        raise KeyFileError(
            f"a password is needed for {what}: give --password-file FILE, or name the file in "
            f"{PASSWORD_VARIABLE}"
        )
