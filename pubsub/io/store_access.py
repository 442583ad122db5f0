"""The chain store as the gateway holds it: opened read-only when it is there, read in threads.

A gateway may be started before its node has made the store, so opening is tried again until it
succeeds; until then every request that needs the store is answered ``store_unavailable``.
"""

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import anyio
import anyio.to_thread
import structlog

from ledger.core.limits import GATEWAY_READERS_MAX, SNAPSHOT_READERS_MAX
from ledger.io.chain_store import ChainStore
from ledger.io.errors import StorageError
from pubsub.core.problems import HttpCode, Refusal

__all__ = ["StoreAccess"]

T = TypeVar("T")
_log = structlog.get_logger("gateway.store")


class StoreAccess:
    """The chain store of one node.

    Attributes:
        error: why it cannot be read, for people; None once it is open.
    """

    def __init__(self, path: Path) -> None:
        """Prepare to read the store at ``path``."""
        self._path = path
        self._store: ChainStore | None = None
        self._limiter = anyio.CapacityLimiter(GATEWAY_READERS_MAX)
        self._bulk_limiter = anyio.CapacityLimiter(SNAPSHOT_READERS_MAX)
        self.error: str | None = f"{path}: not opened yet"

    def try_open(self) -> bool:
        """Open the store if it is there and not open; say whether it is open now."""
        if self._store is None:
            try:
                self._store = ChainStore.open_readonly(self._path)
            except StorageError as error:
                if self.error != str(error):
                    _log.warning("store_unavailable", error=str(error))
                self.error = str(error)
                return False
            self.error = None
        return True

    def close(self) -> None:
        """Close the store; nothing may be reading."""
        if self._store is not None:
            self._store.close()
            self._store = None

    @property
    def store(self) -> ChainStore:
        """The open store, for short reads. Raises Refusal while there is none."""
        if self._store is None:
            raise Refusal(HttpCode.STORE_UNAVAILABLE, self.error or "closed")
        return self._store

    @property
    def is_open(self) -> bool:
        """Whether the store can be read."""
        return self._store is not None

    async def in_thread(self, read: Callable[[ChainStore], T]) -> T:
        """Run a longer read in a worker thread. Raises Refusal while there is no store."""
        store = self.store
        return await anyio.to_thread.run_sync(lambda: read(store), limiter=self._limiter)

    async def in_bulk_thread(self, read: Callable[[ChainStore], T]) -> T:
        """Run a read of megabytes in one of a few worker threads, so that others need not wait.

        Raises Refusal while there is no store.
        """
        store = self.store
        return await anyio.to_thread.run_sync(lambda: read(store), limiter=self._bulk_limiter)
