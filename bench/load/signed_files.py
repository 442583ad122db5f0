"""Millions of signed events, made by processes of their own before any clock starts, kept in files.

Signing costs as much CPU as a node's work on an event, so it must not run beside what is measured,
and so many events do not fit into memory. A file is deleted once its last request is taken.
"""

import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

from bench.load.events import EventSource, Subjects
from bench.machine.description import ROOT
from ledger.io.keystore import KeyPurpose, open_key

__all__ = ["SignedFiles", "sign_files"]

_FILE_EVENTS = 250_000
_LENGTH_BYTES = 4


def sign_files(
    directory: Path, key: Path, event: tuple[str, int, Subjects], shape: tuple[int, int, int]
) -> "SignedFiles":
    """Sign events into files of ``directory`` as the publisher whose ``key`` has no password.

    Args:
        event: chain id, entry bytes, and how entities are named.
        shape: number of events, of events in one request, of processes.

    Raises:
        subprocess.CalledProcessError: a process failed.
    """
    count, per_body, processes = shape
    share = -(-count // processes)
    commands = [
        [
            *(sys.executable, "-m", "bench.load.signed_files", str(directory / f"signer{number}")),
            *(str(key), *map(str, event), str(share), str(per_body)),
        ]
        for number in range(processes)
    ]
    children = [subprocess.Popen(command, cwd=ROOT) for command in commands]
    codes = [child.wait() for child in children]
    for code, command in zip(codes, commands, strict=True):
        if code:
            raise subprocess.CalledProcessError(code, command)
    return SignedFiles(sorted(directory.glob("signer*")))


class SignedFiles:
    """Request bodies from files, each of them once; for several threads."""

    def __init__(self, paths: Sequence[Path]) -> None:
        """Give what is in ``paths``, and delete them."""
        self._lock = threading.Lock()
        self._bodies = _read(paths)

    def take(self) -> bytes | None:
        """Give the next body; None when there are no more."""
        with self._lock:
            return next(self._bodies, None)


def _read(paths: Sequence[Path]) -> Iterator[bytes]:
    for path in paths:
        with path.open("rb") as file:
            while length := file.read(_LENGTH_BYTES):
                yield file.read(int.from_bytes(length, "big"))
        path.unlink()


def _main(arguments: Sequence[str]) -> None:
    """Write the files of one process."""
    prefix, key_path, chain_id, entry_bytes, subjects = arguments[:5]
    count, per_body = map(int, arguments[5:])
    key = open_key(Path(key_path), KeyPurpose.PUBLISHER, password=None)
    source = EventSource(
        key.info.owner,
        key.signer,
        chain_id,
        entry_bytes=int(entry_bytes),
        subjects=Subjects(subjects),
    )
    bodies_per_file = max(1, _FILE_EVENTS // per_body)
    left = -(-count // per_body)
    for number in range(-(-left // bodies_per_file)):
        with Path(f"{prefix}-{number:05}").open("wb") as file:
            for _ in range(min(left, bodies_per_file)):
                (body,) = source.bodies(per_body, per_body)
                file.write(len(body).to_bytes(_LENGTH_BYTES, "big") + body)
        left -= bodies_per_file


if __name__ == "__main__":
    _main(sys.argv[1:])
