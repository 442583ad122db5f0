"""A wall clock of its own for each member, which tests can move while its processes run.

Owns the compiled shim (``clock.c``) and the files with the offsets. Monotonic clocks, and with
them every timer, stay as they are: what an operator or a time server can move is the wall clock.
"""

import os
import shutil
import struct
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

__all__ = ["Clocks"]

_SOURCE: Final = Path(__file__).with_name("clock.c")
_OFFSET: Final = struct.Struct("=q")
_NS: Final = 1_000_000_000


class Clocks:
    """The wall clocks of members 0 to n-1."""

    def __init__(self, directory: Path, members_count: int) -> None:
        """Compile the shim into ``directory``, which also takes the files of the offsets.

        Raises:
            CalledProcessError: the compiler refuses.
        """
        directory.mkdir()
        self._shim = directory / "clock.so"
        self._files = [directory / f"offset{member}" for member in range(members_count)]
        for member in range(members_count):
            self.move(member, 0)
        options = ["-shared", "-fPIC", "-O1", "-Wall", "-Wextra", "-Werror"]
        command = ["cc", *options, "-o", str(self._shim), str(_SOURCE), "-ldl"]
        subprocess.run(command, check=True)

    @staticmethod
    def are_available() -> bool:
        """Say whether there is a compiler."""
        return shutil.which("cc") is not None

    def move(self, member: int, offset_s: float) -> None:
        """Let a member's clock be ``offset_s`` ahead of the machine's from now on."""
        # Written in place: running processes have mapped this very file.
        handle = os.open(self._files[member], os.O_WRONLY | os.O_CREAT, 0o600)
        try:
            os.pwrite(handle, _OFFSET.pack(round(offset_s * _NS)), 0)
        finally:
            os.close(handle)

    @contextmanager
    def inherited(self, member: int) -> Iterator[None]:
        """Let processes that are started in the block live by the member's clock."""
        chosen = {"LD_PRELOAD": str(self._shim), "CHAOS_CLOCK": str(self._files[member])}
        before = {name: os.environ.get(name) for name in chosen}
        os.environ.update(chosen)
        try:
            yield
        finally:
            for name, value in before.items():
                if value is None:
                    del os.environ[name]
                else:
                    os.environ[name] = value
