"""Files with one secret line that only their owner may read: passwords and tokens."""

import os
import stat
from pathlib import Path

from ledger.core.limits import PASSWORD_BYTES_MAX
from ledger.io.keystore import KeyFileError

__all__ = ["read_private_line"]


def read_private_line(path: Path, what: str) -> bytes:
    """Read a secret: the file's first line.

    Args:
        what: the secret's name in messages, such as "password".

    Raises:
        KeyFileError: it cannot be read, is empty, or others may read it.
    """
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            line = file.readline(PASSWORD_BYTES_MAX + 2)
    except OSError as error:
        raise KeyFileError(f"cannot read the {what} file {path}: {error.strerror}") from None
    # A pipe (process substitution, a secret store) has no mode worth judging.
    if stat.S_ISREG(mode) and mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise KeyFileError(f"other users may read the {what} file {path}: chmod 600 it")
    secret = line.removesuffix(b"\n")
    if not secret:
        raise KeyFileError(f"the {what} file {path} is empty")
    return secret
