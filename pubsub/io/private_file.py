"""Files that only their owner may read, and that are replaced whole."""

import os
import secrets
import stat
from pathlib import Path
from typing import Final

from ledger.io.environment import sync_names
from ledger.io.keystore import KeyFileError, write_private_file

__all__ = ["read_private_file", "replace_private_file"]

_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO


def read_private_file(path: Path, bytes_max: int) -> bytes | None:
    """Read up to one byte more than ``bytes_max``; None when there is no such file.

    Raises:
        KeyFileError: it cannot be read, is another's, or others may read it.
    """
    try:
        with path.open("rb") as file:
            status = os.fstat(file.fileno())
            data = file.read(bytes_max + 1)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise KeyFileError(f"cannot read {path}: {error.strerror}") from None
    if status.st_uid != os.geteuid() or status.st_mode & _OTHERS:
        raise KeyFileError(f"{path} may be read by others: chown it and chmod it to 600")
    return data


def replace_private_file(path: Path, data: bytes) -> None:
    """Replace ``path`` whole and durably, mode 0600; a crash leaves the old file or the new one.

    Raises:
        KeyFileError: it cannot be written.
    """
    temporary = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_private_file(temporary, data)
        temporary.replace(path)
        sync_names(path.parent)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise KeyFileError(f"cannot write {path}: {error.strerror}") from error
