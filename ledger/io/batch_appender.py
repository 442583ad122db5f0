"""Appending large batches to the files beside LMDB: what ``ledger.io.batch_files`` reads.

Owns how bytes come to the disk past the page cache: from one buffer of whole pages, in blocks of
the disk, through O_DIRECT; where the file system refuses that, through the page cache.

Invariants:
- ``sync`` ends when all bytes and the name of their file are on the disk.
- No two transactions share a block of the disk: a torn write harms only what it was to write.
"""

import os
import stat
from errno import EINVAL
from fcntl import F_GETFL, F_SETFL, fcntl
from mmap import mmap
from typing import Final

from ledger.io.batch_files import BatchFiles, End, Place
from ledger.io.environment import STORE_FILE_MODE, sync_names
from ledger.io.errors import storage_errors
from ledger.io.store_files import make_files_directory

__all__ = ["FILED_BYTES_MIN", "FILE_BYTES", "BatchAppender", "bytes_on_disk"]

FILED_BYTES_MIN: Final = 64 * 2**10
"""A smaller batch is a value of LMDB: a file would cost it a flush of its own."""
FILE_BYTES: Final = 64 * 2**20
"""A file never grows beyond this: forgetting gives space back in such steps."""
_BUFFER_BYTES: Final = 4 * 2**20  # written at one time; fewer than BatchFiles remembers
_BLOCK_BYTES: Final = 4_096  # what O_DIRECT wants addresses, places and lengths to be multiples of


def bytes_on_disk(length: int) -> int:
    """Give how much of a file a batch of so many bytes takes: whole blocks."""
    return length + -length % _BLOCK_BYTES


class BatchAppender:
    """The writer of the files; of one thread at a time.

    Each transaction that appends calls ``begin``, ``append`` and, before it is committed, ``sync``.
    Bytes wait in a buffer until then: read them where ``BatchFiles`` remembers them.

    Raises:
        StorageError: in any call; the transaction must not be committed.
    """

    def __init__(self, files: BatchFiles) -> None:
        self._files = files
        self._handle: int | None = None
        self._buffer: mmap | None = None  # anonymous memory begins with a page, as O_DIRECT wants
        self._used = 0
        self._number, self._offset = 0, 0  # where the buffer goes

    def begin(self, end: End) -> None:
        """Go on at the end that is committed: what was not is overwritten."""
        self._used = 0
        if self._handle is None or end.file != self._number or end.offset == 0:
            self._open(end)
        self._offset = end.offset

    def append(self, batch: bytes) -> Place:
        """Take the bytes of a batch; they are durable after ``sync``."""
        begin = self._offset + self._used
        if begin and begin + len(batch) > FILE_BYTES:
            self.sync()
            self._open(End(self._number + 1, 0))
        place = Place(self._number, self._offset + self._used, len(batch))
        if self._buffer is None:
            self._buffer = mmap(-1, _BUFFER_BYTES)
        rest = memoryview(batch)
        while rest:
            if self._used == _BUFFER_BYTES:
                self._write()
            part = rest[: _BUFFER_BYTES - self._used]
            self._buffer[self._used : self._used + len(part)] = part
            self._used += len(part)
            rest = rest[len(part) :]
        padding = bytes_on_disk(self._used) - self._used
        self._buffer[self._used : self._used + padding] = bytes(padding)
        self._used += padding
        return place

    def sync(self) -> End:
        """Make everything that was appended durable; give where the next bytes go."""
        assert self._handle is not None
        self._write()
        with storage_errors(self._files.store, "write a batch"):
            os.fdatasync(self._handle)
        return End(self._number, self._offset)

    def close(self) -> None:
        """Close the file."""
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None

    def _open(self, end: End) -> None:
        self.close()
        with storage_errors(self._files.store, "write a batch"):
            self._handle = _open_end(self._files, end)
        self._number, self._offset = end

    def _write(self) -> None:
        """Write what the buffer holds."""
        if not self._used:
            return
        assert self._handle is not None
        assert self._buffer is not None
        rest = memoryview(self._buffer)[: self._used]
        with storage_errors(self._files.store, "write a batch"):
            while rest:
                try:
                    count = os.pwrite(self._handle, rest, self._offset)
                except OSError as error:
                    flags = fcntl(self._handle, F_GETFL)
                    if error.errno != EINVAL or not flags & os.O_DIRECT:
                        raise
                    fcntl(self._handle, F_SETFL, flags & ~os.O_DIRECT)
                    continue
                self._offset += count
                rest = rest[count:]
        self._used = 0


def _open_end(files: BatchFiles, end: End) -> int:
    """Open the file with the end for writing, cut there; make it when it is a new one.

    Raises:
        StorageError: it is shorter. OSError: it cannot be opened.
    """
    path, flags = files.path_of(end.file), os.O_WRONLY | os.O_CLOEXEC
    if end.offset == 0:
        make_files_directory(files.store)
        flags |= os.O_CREAT
    else:
        files.require(end)
    try:
        handle = os.open(path, flags | os.O_DIRECT, STORE_FILE_MODE)
    except OSError as error:
        if error.errno != EINVAL:
            raise
        handle = os.open(path, flags, STORE_FILE_MODE)
    try:
        if end.offset == 0:
            # As in make_files_directory.
            os.fchmod(handle, stat.S_IMODE((files.store / "data.mdb").stat().st_mode))
            sync_names(files.directory)
        os.ftruncate(handle, end.offset)
    except BaseException:
        os.close(handle)
        raise
    return handle
