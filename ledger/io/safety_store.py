"""The safety store ``safety/``: what a validator must never forget, as opaque bytes.

Owns durability alone: which record follows which is the safety rules' business. A record and
the proposals that belong to it are written together and synced, and nothing that they promise may
leave the process before ``write`` has returned.

Two files take turns, so that the one of the last write is never touched by the next one. A write
that was cut short never returned: the other file counts. Anything else that is not as it was
written is damage, and refused: a silently changed or older record is worse than a lost one
(docs/decisions/0010-safety-files.md). What ``open`` gives is on the disk, too: the core sends
again what it holds with no write before that.
"""

import os
import stat
from collections.abc import Iterable
from contextlib import suppress
from errno import ENOSPC
from pathlib import Path
from typing import Final, Self

from ledger.core.codec import Codec, Record, UInt
from ledger.core.errors import DecodeError
from ledger.core.hashing import derived_digest
from ledger.core.ids import BlockId, Height
from ledger.core.limits import HASH_BYTES, SAFETY_FILE_BYTES
from ledger.io.environment import lock_directory, sync_names
from ledger.io.errors import StorageError, storage_errors
from ledger.io.slot import Slot, SlotDamaged, blank_slot, decode_slot, encode_slot

__all__ = ["SafetyStore", "damaged_record", "proposal_key"]

FORMAT_VERSION: Final = 5  # up to 4 it was an environment of LMDB
_FILES: Final = ("record-0", "record-1")
_OLD_FILE: Final = "data.mdb"
_MODE: Final = 0o600
_digest = derived_digest("stored safety record")


class _Stored(Record, frozen=True):
    """What a file holds behind its digest. The first field stays the first in every format."""

    version: UInt
    record: bytes
    proposals: tuple[tuple[bytes, bytes], ...]


_codec = Codec(_Stored)


def proposal_key(height: Height, block_id: BlockId) -> bytes:
    """Give the key of a proposal: its height first, so that old ones can be pruned."""
    return height.to_bytes(8, "big") + block_id


class SafetyStore:
    """The open safety store. One process and one thread at a time."""

    def __init__(self, path: Path, lock: int) -> None:
        """Hold a locked directory with both files. Use one of the two class methods."""
        self.path = path
        self._lock: int | None = lock
        self._files = [os.open(path / name, os.O_RDWR | os.O_CLOEXEC) for name in _FILES]
        self._number = 0
        self._is_failed = False
        self._record = b""
        self._proposals: dict[bytes, bytes] = {}

    @classmethod
    def create(cls, path: Path, record: bytes) -> Self:
        """Make a store that holds a first record.

        Nothing counts before this has returned: what an interrupted creation left is made anew.

        Raises:
            StorageError: there is one already, or the directory cannot be written.
        """
        with storage_errors(path, "create the safety store"):
            path.mkdir(parents=True, exist_ok=True)
            lock = lock_directory(path)
            try:
                _require_unused(path)
                for name in _FILES:
                    _make_file(path / name)
                store = cls(path, lock)
            except BaseException:
                os.close(lock)
                raise
        try:
            store.write(record, (), Height(0))
            with storage_errors(path, "sync the directory"):
                sync_names(path)
        except BaseException:
            store.close()
            raise
        return store

    @classmethod
    def open(cls, path: Path) -> Self:
        """Open the store.

        Raises:
            StorageError: absent, in use by another process, damaged, or of another version.
        """
        _require_store(path)
        with storage_errors(path, "open the safety store"):
            lock = lock_directory(path)
            try:
                store = cls(path, lock)
            except BaseException:
                os.close(lock)
                raise
        try:
            with storage_errors(path, "read and rewrite"):
                store._load()
                sync_names(path)  # a creation may have been killed before it did
        except BaseException:
            store.close()
            raise
        return store

    def close(self) -> None:
        """Close the store."""
        if self._lock is not None:
            for handle in (*self._files, self._lock):
                os.close(handle)
            self._lock = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()

    def read(self) -> tuple[bytes, list[bytes]]:
        """Give the record and the proposals, lowest height first."""
        return self._record, [self._proposals[key] for key in sorted(self._proposals)]

    def write(
        self, record: bytes, proposals: Iterable[tuple[bytes, bytes]], prune_height: Height
    ) -> None:
        """Replace the record, add proposals, and drop those of ``prune_height`` and below.

        Returns when all of it is on the disk. After a failure nothing more is written through this
        object: what the kernel kept of a failed write is unknown.

        Args:
            proposals: (``proposal_key``, encoded proposal) rows.

        Raises:
            StorageError: it is not; the process must end without sending anything.
        """
        if self._is_failed:
            raise StorageError(self.path, "an earlier write failed", "Start the process again")
        self._is_failed = True  # unless all of it goes well
        kept_from = (prune_height + 1).to_bytes(8, "big")
        self._record = record
        self._proposals.update(proposals)
        for key in [key for key in self._proposals if key < kept_from]:
            del self._proposals[key]
        body = _codec.encode(_Stored(FORMAT_VERSION, record, tuple(self._proposals.items())))
        self._number += 1
        data = encode_slot(self._number, _digest(body) + body)
        with storage_errors(self.path, "write"):
            handle = self._files[self._number % len(_FILES)]
            _make_room(handle, len(data))
            _write_synced(handle, data)
        self._is_failed = False

    # --- reading what an earlier process wrote ------------------------------------------------

    def _load(self) -> None:
        try:
            contents = [_read_all(handle) for handle in self._files]
            slots = [decode_slot(content) for content in contents]
        except SlotDamaged as error:
            raise damaged_record(self.path, str(error)) from None
        whole = [slot for slot in slots if slot.payload is not None]
        if _is_unfinished_creation(contents):
            raise StorageError(
                self.path,
                "the safety store was never completed",
                "Delete the directory and create it again",
            )
        if not whole:
            raise damaged_record(self.path, "neither of its files is whole")
        newest = max(whole)
        (other,) = [slot for slot in slots if slot is not newest]
        self._require_pair(newest, other, contents)
        if slots.index(newest) != newest.number % len(_FILES):
            raise damaged_record(self.path, "its two files have changed places")
        stored = self._decode(newest)
        # What was read may be in the page cache alone, after a kill between a write and its flush
        # or a flush that failed, and a flush of pages that count as clean does nothing. So they are
        # written again. Equal bytes cannot tear into anything else; and where the disk does not
        # have them yet, nothing that they promise was sent, and the other file is whole there.
        at = slots.index(newest)
        _write_synced(self._files[at], contents[at])
        if other.payload is None and other.number:
            # The next write has the number of the one that was cut short: nothing of that may stay.
            _write_synced(self._files[1 - at], _wiped(newest.number - 1, len(contents[1 - at])))
        self._number = newest.number
        self._record = stored.record
        self._proposals = dict(stored.proposals)

    def _require_pair(self, newest: Slot, other: Slot, contents: list[bytes]) -> None:
        """Refuse another file that is neither of the write before nor of one that was cut short."""
        if min(map(len, contents)) < SAFETY_FILE_BYTES:
            raise damaged_record(self.path, "one of its files was cut short")
        if other.number == 0 and newest.number > 1:
            raise damaged_record(self.path, "one of its files is empty")
        follows = newest.number - 1 if other.payload is not None else newest.number + 1
        if other.number > follows or (other.payload is not None and other.number != follows):
            raise damaged_record(self.path, "its two files do not belong to each other")

    def _decode(self, slot: Slot) -> _Stored:
        assert slot.payload is not None, "only a whole one is decoded"
        body = slot.payload[HASH_BYTES:]
        if _digest(body) != slot.payload[:HASH_BYTES]:
            raise damaged_record(self.path, "the safety record is not the one that was written")
        version = _version_of(body)
        if version != FORMAT_VERSION:
            raise _of_other_format(self.path, version)
        try:
            return _codec.decode(body)
        except DecodeError as error:
            raise damaged_record(self.path, str(error)) from None


def _version_of(body: bytes) -> int:
    """Give the first field, whatever follows it: MessagePack's array of up to 15, a small int."""
    return body[1] if len(body) > 1 else 0


def damaged_record(path: Path, what: str) -> StorageError:
    """Give the error for a record that is not what was written."""
    return StorageError(
        path,
        f"the store is damaged: {what}",
        "Stop here and keep the directory as evidence: check the disk, move it away, and start "
        "once with --recover, which signs nothing until that is safe; never put back a copy",
    )


def _is_unfinished_creation(contents: list[bytes]) -> bool:
    """Say whether the first file, or both, are as a creation leaves them that did not return.

    The first was whole before the second was made, and the first record goes to the second. Any
    vote comes later, with a write to the first.
    """
    if any(contents[0]) or len(contents) == 1:
        return not any(contents[0])
    second = decode_slot(contents[1])
    is_begun = second.number <= 1 and second.payload is None
    return len(contents[0]) == SAFETY_FILE_BYTES and is_begun


def _wiped(number: int, size: int) -> bytes:
    """Give what takes the place of a torn write: the number before, and nothing that counts.

    Not zeros: those are damage beside any but the first write.
    """
    return blank_slot(number, size) if number else bytes(size)


def _of_other_format(path: Path, version: int) -> StorageError:
    return StorageError(
        path,
        f"the safety store has format {version}, this program knows {FORMAT_VERSION}",
        "Install the release of Concordat that wrote it",
    )


def _require_unused(path: Path) -> None:
    if (path / _OLD_FILE).exists():
        raise StorageError(path, "there is a safety store already", "Move it away first")
    files = [path / name for name in _FILES if (path / name).exists()]
    with suppress(SlotDamaged):
        contents = [file.read_bytes() for file in files]
        if not files or (files[0].name == _FILES[0] and _is_unfinished_creation(contents)):
            return
    raise StorageError(path, "there is a safety store already", "Use it, or move it away first")


def _require_store(path: Path) -> None:
    with storage_errors(path, "look for the safety store"):
        mode = path.stat().st_mode if path.exists() else 0
        is_there = stat.S_ISDIR(mode) and all((path / name).exists() for name in _FILES)
        is_old = stat.S_ISDIR(mode) and (path / _OLD_FILE).exists()
    if is_old and not is_there:
        raise _of_other_format(path, FORMAT_VERSION - 1)
    if not is_there:
        raise StorageError(
            path, "there is no safety store", "Check the path, or create the store first"
        )


def _make_file(path: Path) -> None:
    """Make a file of zeros, so that writes of the usual size need not change its length."""
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, _MODE)
    try:
        _write_synced(handle, bytes(SAFETY_FILE_BYTES))
    finally:
        os.close(handle)


def _read_all(handle: int) -> bytes:
    size = os.fstat(handle).st_size
    data = os.pread(handle, size, 0)
    if len(data) != size:
        raise SlotDamaged("a file is shorter than it says")
    return data


def _make_room(handle: int, needed: int) -> None:
    """Let a file be long enough before a write, so that one that is too short was cut."""
    size = os.fstat(handle).st_size
    if size < needed:
        grown = -(-needed // SAFETY_FILE_BYTES) * SAFETY_FILE_BYTES
        _write_synced(handle, bytes(grown - size), size)


def _write_synced(handle: int, data: bytes, offset: int = 0) -> None:
    if os.pwrite(handle, data, offset) != len(data):
        raise OSError(ENOSPC, os.strerror(ENOSPC))
    os.fdatasync(handle)
