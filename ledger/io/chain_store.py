"""The chain store ``chain/``: everything that is final, durable and searchable.

One process writes it (``create`` or ``open``), any number of others read it (``open_readonly``).
Opening compares the end of the chain with its own hashes, so that a damaged store is refused
when the node starts and not when a member asks for a proof.

Threads: a write transaction belongs to the thread that began it, and only one runs at a time.
A reader belongs to one thread at a time. ``has_batch`` and ``is_ordered`` may be called by any.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self

from ledger.core.epoch import EpochStart
from ledger.core.errors import DecodeError
from ledger.core.execute import genesis_result
from ledger.core.genesis import Genesis
from ledger.core.ids import BatchId
from ledger.core.limits import STORE_MAP_BYTES
from ledger.core.state import StateMemory
from ledger.io.batch_appender import BatchAppender
from ledger.io.chain_check import verify_head
from ledger.io.chain_pruning import ChainPruner
from ledger.io.chain_reader import ChainReader
from ledger.io.chain_scan import Selection
from ledger.io.chain_schema import (
    GENESIS_KEY,
    ChainHead,
    Evidence,
    Receipt,
    Tables,
    genesis_codec,
)
from ledger.io.chain_writer import ChainWriter, put_epoch, put_ledger
from ledger.io.environment import Environment
from ledger.io.errors import StorageError, damaged
from ledger.io.hash_index import HashWriter

__all__ = [
    "ChainHead",
    "ChainReader",
    "ChainStore",
    "ChainWriter",
    "Evidence",
    "Receipt",
    "Selection",
]

_KIND = "chain"


class ChainStore:
    """The open chain store.

    Attributes:
        path: its directory.
        genesis: the network that it belongs to.
        chain_id: that network's name in events.
    """

    def __init__(self, environment: Environment, tables: Tables, genesis: Genesis) -> None:
        """Hold an environment that is complete. Use one of the three class methods."""
        self.path = environment.path
        self.genesis = genesis
        self.chain_id = genesis.chain_id
        self._environment = environment
        self._tables = tables
        self._remembered: dict[bytes, StateMemory] = {}
        self._appender = BatchAppender(tables.batch_files)

    @classmethod
    def create(cls, path: Path, genesis: Genesis, *, map_bytes: int = STORE_MAP_BYTES) -> Self:
        """Make a store that holds genesis alone.

        Raises:
            StorageError: there is one already, or the directory cannot be written.
        """
        environment = Environment.create(path, _KIND, map_bytes)
        try:
            tables = Tables(environment, create=True)
            with environment.write() as transaction:
                transaction.put(GENESIS_KEY, genesis_codec.encode(genesis), db=tables.meta)
                HashWriter.create(tables.meta, transaction)
                put_ledger(tables, transaction, genesis_result(genesis))
                put_epoch(tables, transaction, EpochStart.of_genesis(genesis))
                environment.seal(transaction)
            environment.sync_directory()
        except BaseException:
            environment.close()
            raise
        return cls(environment, tables, genesis)

    @classmethod
    def open(cls, path: Path, genesis: Genesis, *, map_bytes: int = STORE_MAP_BYTES) -> Self:
        """Open for writing.

        Raises:
            StorageError: absent, of another network, in use, damaged, or of another version.
        """
        environment = Environment.open(path, _KIND, map_bytes)
        store = cls._opened(environment)
        if store.genesis != genesis:
            store.close()
            raise StorageError(
                path,
                f"it belongs to the network {store.chain_id}, not to {genesis.chain_id}",
                "Use this network's own directory and genesis file",
            )
        try:
            environment.upgrade()
            with store.write() as writer:
                writer.regroup_index()
        except BaseException:
            store.close()
            raise
        return store

    @classmethod
    def open_readonly(cls, path: Path) -> Self:
        """Open for reading, from another process than the writer's.

        Raises:
            StorageError: absent, damaged, or of another version.
        """
        return cls._opened(Environment.open_readonly(path, _KIND))

    @classmethod
    def _opened(cls, environment: Environment) -> Self:
        try:
            tables = Tables(environment, create=False)
            with environment.read() as transaction:
                stored = transaction.get(GENESIS_KEY, db=tables.meta)
                encoded = b"" if stored is None else bytes(stored)
            store = cls(environment, tables, _decode_genesis(environment.path, encoded))
            with store.read() as reader:
                tables.batch_files.require(reader.batch_end())
                verify_head(reader, store.genesis, store.path)
        except BaseException:
            environment.close()
            raise
        return store

    def close(self) -> None:
        """Close the store; no reader or writer may be open."""
        self._appender.close()
        self._environment.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()

    @contextmanager
    def read(self) -> Iterator[ChainReader]:
        """Begin a short snapshot of what is committed.

        Raises:
            StorageError: reading fails.
        """
        with self._environment.read() as transaction:
            yield ChainReader(self.path, self._tables, transaction, self._remembered)

    @contextmanager
    def write(self) -> Iterator[ChainWriter]:
        """Begin a transaction; it is durable when the block has ended without an exception.

        Raises:
            StorageError: writing fails. Nothing of the transaction is kept, and the store takes
                no other one: the process must end.
        """
        with self._environment.write() as transaction:
            reader = ChainReader(self.path, self._tables, transaction, self._remembered)
            writer = ChainWriter(self.chain_id, self._tables, transaction, reader, self._appender)
            yield writer
            writer.sync_files()
        self._tables.batch_files.forget(writer.ordered)

    def pruner(self) -> ChainPruner:
        """Give what forgets old contents of this store, which must be open for writing."""
        return ChainPruner(self._environment, self._tables)

    def has_batch(self, batch_id: BatchId) -> bool:
        """Say whether the bytes of the batch are durably here."""
        with self.read() as reader:
            return reader.has_batch(batch_id)

    def is_ordered(self, batch_id: BatchId) -> bool:
        """Say whether an applied block names the batch."""
        with self.read() as reader:
            return reader.is_ordered(batch_id)


def _decode_genesis(path: Path, encoded: bytes) -> Genesis:
    try:
        return genesis_codec.decode(encoded)
    except DecodeError as error:
        raise damaged(path, f"genesis: {error}") from error
