"""The safety store ``safety/``: what a validator must never forget, as opaque bytes.

Owns durability alone: which record follows which is the safety rules' business. A record and
the proposals that belong to it are written in one synced transaction, and nothing that they
promise may leave the process before ``write`` has returned.

The record is stored with its digest, because a silently changed one is worse than a lost one.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Final, Self

import lmdb

from ledger.core.hashing import derived_digest
from ledger.core.ids import BlockId, Height
from ledger.core.limits import HASH_BYTES, STORE_MAP_BYTES
from ledger.io.environment import Environment
from ledger.io.errors import damaged, lmdb_errors

__all__ = ["SafetyStore", "proposal_key"]

_KIND: Final = "safety"
_RECORD: Final = b"record"
_digest = derived_digest("stored safety record")


def proposal_key(height: Height, block_id: BlockId) -> bytes:
    """Give the key of a proposal: its height first, so that old ones can be pruned."""
    return height.to_bytes(8, "big") + block_id


class SafetyStore:
    """The open safety store. One process and one thread at a time."""

    def __init__(self, environment: Environment, *, create: bool) -> None:
        """Hold an environment that is complete. Use one of the two class methods."""
        self.path = environment.path
        self._environment = environment
        with lmdb_errors(self.path, "open the tables"):
            self._proposals = environment.lmdb.open_db(b"proposals", create=create)

    @classmethod
    def create(cls, path: Path, record: bytes, *, map_bytes: int = STORE_MAP_BYTES) -> Self:
        """Make a store that holds a first record.

        Raises:
            StorageError: there is one already, or the directory cannot be written.
        """
        environment = Environment.create(path, _KIND, map_bytes)
        try:
            store = cls(environment, create=True)
            with environment.write() as transaction:
                store._put_record(transaction, record)
                environment.seal(transaction)
            environment.sync_directory()
        except BaseException:
            environment.close()
            raise
        return store

    @classmethod
    def open(cls, path: Path, *, map_bytes: int = STORE_MAP_BYTES) -> Self:
        """Open the store.

        Raises:
            StorageError: absent, in use by another process, damaged, or of another version.
        """
        environment = Environment.open(path, _KIND, map_bytes)
        try:
            store = cls(environment, create=False)
            store.read()
        except BaseException:
            environment.close()
            raise
        return store

    def close(self) -> None:
        """Close the store."""
        self._environment.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()

    def read(self) -> tuple[bytes, list[bytes]]:
        """Give the record and the proposals, lowest height first.

        Raises:
            StorageError: the record is not the one that was written.
        """
        with self._environment.read() as transaction:
            stored = transaction.get(_RECORD, db=self._environment.meta)
            value = b"" if stored is None else bytes(stored)
            with transaction.cursor(self._proposals) as cursor:
                rows = [bytes(row) for row in cursor.iternext(keys=False, values=True)]
        record = value[HASH_BYTES:]
        if _digest(record) != value[:HASH_BYTES]:
            raise damaged(self.path, "the safety record is not the one that was written")
        return record, rows

    def write(
        self, record: bytes, proposals: Iterable[tuple[bytes, bytes]], prune_height: Height
    ) -> None:
        """Replace the record, add proposals, and drop those of ``prune_height`` and below.

        Returns when all of it is on the disk.

        Args:
            proposals: (``proposal_key``, encoded proposal) rows.

        Raises:
            StorageError: it is not; the process must end without sending anything.
        """
        with self._environment.write() as transaction:
            self._put_record(transaction, record)
            for key, proposal in proposals:
                transaction.put(key, proposal, db=self._proposals)
            self._prune(transaction, prune_height)

    def _put_record(self, transaction: "lmdb.Transaction[memoryview]", record: bytes) -> None:
        transaction.put(_RECORD, _digest(record) + record, db=self._environment.meta)

    def _prune(self, transaction: "lmdb.Transaction[memoryview]", prune_height: Height) -> None:
        kept_from = (prune_height + 1).to_bytes(8, "big")
        with transaction.cursor(self._proposals) as cursor:
            while cursor.first() and bytes(cursor.key()) < kept_from:
                cursor.delete()
