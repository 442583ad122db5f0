"""One transaction of the chain store, and what is to be told when it is durable.

It may be filled little by little, always in the thread that began it. Whoever reads the store
meanwhile sees what was there before. After an error nothing of it is kept.
"""

import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from ledger.core.ids import BatchId, Height
from ledger.io.chain_store import ChainStore

__all__ = ["ChainTransaction"]


class ChainTransaction:
    """A synced transaction from its first job to its commit.

    Attributes:
        writer: fills it.
        jobs_count, bytes_count: of what was done in it, as whoever fills it counts.
        stored, executed: batches that were stored; that applied blocks name.
        durable: height and log size after its last block, or None without a block.
        took_s: seconds of filling and committing, without what lay between.
        last_s: seconds of filling for the last time and of committing.
    """

    def __init__(self, store: ChainStore) -> None:
        """Begin. Raises StorageError."""
        self._stack = ExitStack()
        self.writer = self._stack.enter_context(store.write())
        self.jobs_count = self.bytes_count = 0
        self.stored: list[BatchId] = []
        self.executed: list[BatchId] = []
        self.durable: tuple[Height, int] | None = None
        self.took_s = self.last_s = 0.0

    @contextmanager
    def filling(self) -> Iterator[None]:
        """Fill it for a while; an error within ends it."""
        began = time.perf_counter()
        try:
            yield
        except BaseException:
            self._stack.__exit__(*sys.exc_info())
            raise
        self.last_s = time.perf_counter() - began
        self.took_s += self.last_s

    def commit(self) -> None:
        """Make it durable. Raises StorageError."""
        began = time.perf_counter()
        self._stack.close()
        took_s = time.perf_counter() - began
        self.last_s += took_s
        self.took_s += took_s
