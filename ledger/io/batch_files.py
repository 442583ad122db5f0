"""The files beside LMDB that hold the bytes of large batches.

A large batch as a value of LMDB goes through the page cache, which costs a node more than most of
what it does with the batch. So its bytes are appended to a file, past the page cache where the file
system allows it (O_DIRECT), and its row in ``batches`` only says where they are.

    chain/batches/00000000, 00000001, ...

Invariants:
- What a committed row refers to is on the disk, and is never written again: the files are synced
  before the transaction that names their bytes is committed, and where the next bytes go is a row
  of that same transaction. Whatever lies behind that place belongs to no row and is overwritten.
- A file goes when no row refers to it (``ledger.io.chain_pruning``), and never in part.
- No two appends share a block of the disk: a torn write harms only what it was to write.
"""

import os
import struct
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Final, NamedTuple, Self

from ledger.core.ids import BatchId
from ledger.io.environment import FILES_NAME
from ledger.io.errors import damaged, storage_errors

__all__ = ["RECENT_BYTES", "BatchFiles", "End", "Place"]

RECENT_BYTES: Final = 32 * 2**20
"""Of batches that were appended, so many bytes stay in memory."""
_FILES_OPEN_MAX: Final = 32
_REFERENCE: Final = 0xC1  # no encoding begins with it: msgpack never uses it
_place = struct.Struct(">BIQI")
_end = struct.Struct(">IQ")


class Place(NamedTuple):
    """Where the bytes of a batch are: the number of the file, and bytes."""

    file: int
    offset: int
    length: int

    def pack(self) -> bytes:
        """Give the value of the batch's row."""
        return _place.pack(_REFERENCE, *self)

    @classmethod
    def read(cls, value: memoryview) -> Self | None:
        """Unpack a row's value; None: it is the batch itself. Raises struct.error when neither."""
        if not value or value[0] != _REFERENCE:
            return None
        return cls(*_place.unpack(value)[1:])


class End(NamedTuple):
    """Where the next bytes go."""

    file: int
    offset: int

    def pack(self) -> bytes:
        """Give the value of its row."""
        return _end.pack(*self)

    @classmethod
    def read(cls, value: memoryview | None) -> Self:
        """Unpack a row's value; None: nothing was appended yet. Raises struct.error."""
        return cls(0, 0) if value is None else cls(*_end.unpack(value))


class _OpenFile:
    """A file open for reading, until nobody holds this any more."""

    def __init__(self, path: Path) -> None:
        self.handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)

    def __del__(self) -> None:
        if hasattr(self, "handle"):
            os.close(self.handle)


class BatchFiles:
    """The files of a store, for reading, by any number of threads.

    Attributes:
        store: the directory of the store. directory: that of the files; it may not be there yet.
    """

    def __init__(self, store: Path) -> None:
        self.store = store
        self.directory = store / FILES_NAME
        self._open: dict[int, _OpenFile] = {}
        self._lock = threading.Lock()
        self._recent: dict[BatchId, bytes] = {}
        self._recent_bytes = 0

    def remember(self, batch_id: BatchId, batch: bytes) -> None:
        """Keep what was just appended in memory for a while: a block names it soon."""
        self.forget([batch_id])
        self._recent[batch_id] = batch
        self._recent_bytes += len(batch)
        while self._recent_bytes > RECENT_BYTES:
            self._recent_bytes -= len(self._recent.pop(next(iter(self._recent))))

    def forget(self, batch_ids: Iterable[BatchId]) -> None:
        """Keep these in memory no longer."""
        for batch_id in batch_ids:
            self._recent_bytes -= len(self._recent.pop(batch_id, b""))

    def recent(self, batch_id: BatchId) -> bytes | None:
        """Give the bytes of a batch that this process appended not long ago."""
        return self._recent.get(batch_id)

    def read(self, place: Place, start: int, end: int) -> bytes:
        """Give the bytes of a batch from ``start`` to ``end``, or to its end.

        Raises:
            StorageError: they are not there, or cannot be read.
        """
        wanted = max(0, min(end, place.length) - start)
        with storage_errors(self.store, "read a batch"):
            try:
                file = self._file(place.file)  # held: else another thread may close it meanwhile
                data = os.pread(file.handle, wanted, place.offset + start)
            except FileNotFoundError:
                data = b""
        if len(data) < wanted:
            raise self._damaged(place.file)
        return data

    def require(self, end: End) -> None:
        """Look whether the last file reaches to the end. Raises StorageError when it does not."""
        if end.offset:
            with storage_errors(self.store, "read a batch"):
                path = self.path_of(end.file)
                size = path.stat().st_size if path.exists() else 0
            if size < end.offset:
                raise self._damaged(end.file)

    def delete(self, numbers: Iterable[int]) -> None:
        """Delete files to which no row refers."""
        with storage_errors(self.store, "delete a batch file"):
            for number in numbers:
                self.path_of(number).unlink()

    def path_of(self, number: int) -> Path:
        """Give where a file lies."""
        return self.directory / f"{number:08}"

    # --- helpers --------------------------------------------------------------------------

    def _file(self, number: int) -> _OpenFile:
        found = self._open.get(number)
        if found is None:
            found = _OpenFile(self.path_of(number))
            with self._lock:
                if len(self._open) >= _FILES_OPEN_MAX:
                    del self._open[next(iter(self._open))]
                found = self._open.setdefault(number, found)
        return found

    def _damaged(self, number: int) -> Exception:
        return damaged(self.store, f"batch file {self.path_of(number).name} is missing or cut")
