"""The file of a gateway's API tokens: read, changed under a lock, and watched for changes.

Owns the file in the member's home: only its owner may read it, it is replaced whole, and only the
command line changes it. The gateway alone writes when tokens were used, into a file of its own.
"""

import fcntl
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import msgspec

from ledger.core.errors import DecodeError
from ledger.io.keystore import KeyFileError
from pubsub.core.limits import TOKEN_FILE_BYTES_MAX
from pubsub.core.tokens import TokenFile, encode_token_file, read_token_file
from pubsub.io.private_file import read_private_file, replace_private_file

__all__ = [
    "TokenFileWatch",
    "change_tokens",
    "load_tokens",
    "load_uses",
    "save_uses",
]

_Uses = dict[str, int]


class TokenFileWatch:
    """Tells whether the file is another one than at the last look."""

    def __init__(self, path: Path) -> None:
        """Watch ``path``, which need not exist."""
        self.path = path
        self._seen: tuple[int, ...] | None = None

    def has_changed(self) -> bool:
        """Look; True when the file is new, replaced, written to, or gone since the last look."""
        try:
            status = self.path.stat()
        except FileNotFoundError:
            seen: tuple[int, ...] = ()
        except OSError as error:
            seen = (error.errno or 0,)
        else:
            seen = (status.st_ino, status.st_mtime_ns, status.st_size, status.st_ctime_ns)
        is_new = seen != self._seen
        self._seen = seen
        return is_new


def load_tokens(path: Path) -> TokenFile:
    """Read the tokens; none when there is no file.

    Raises:
        KeyFileError: the file is broken, or others may read it.
    """
    data = read_private_file(path, TOKEN_FILE_BYTES_MAX)
    if data is None:
        return TokenFile()
    try:
        return read_token_file(data)
    except DecodeError as error:
        raise KeyFileError(f"{path} holds no API tokens: {error}") from None


def change_tokens(path: Path, change: Callable[[TokenFile], TokenFile]) -> TokenFile:
    """Change the tokens, one process at a time, and give what they are now.

    Raises:
        KeyFileError: the file is broken or cannot be written.
        TokenChangeError: ``change`` refused.
    """
    with _locked(path):
        file = change(load_tokens(path))
        replace_private_file(path, encode_token_file(file))
        return file


def load_uses(path: Path) -> dict[str, int]:
    """Read when tokens were last used, by digest, in ms; a file that cannot be read tells nothing.

    It is a convenience: a lost or broken one is begun anew.
    """
    try:
        return msgspec.json.decode(
            read_private_file(path, TOKEN_FILE_BYTES_MAX) or b"{}", type=_Uses
        )
    except (KeyFileError, msgspec.MsgspecError, ValueError):
        return {}


def save_uses(path: Path, uses: Mapping[str, int]) -> None:
    """Write when tokens were last used. Raises KeyFileError."""
    replace_private_file(path, msgspec.json.encode(uses))


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Keep other processes from changing ``path`` meanwhile. Raises KeyFileError."""
    lock = path.with_name(f".{path.name}.lock")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise KeyFileError(f"cannot lock {path}: {error.strerror}") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
