"""The usage log at work: what arrives is taken, what is due is condensed, blocks are published.

Owns the tasks and who wakes whom; what they do is the business of others. Everything that a task
did is on the disk before the next one sees it, so the tasks may end at any time.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Final, TypeVar

import anyio
import structlog

from adapters.tmf.store.database import Store
from adapters.tmf.usage.evidence import Evidence
from adapters.tmf.usage.intake import Outcome
from adapters.tmf.usage.journal import journal_position, take_changes
from adapters.tmf.usage.limits import USAGE_POLL_MS
from adapters.tmf.usage.log import Sealing, UsageLog
from adapters.tmf.usage.publishing import BlockPublisher, Ledger
from adapters.tmf.usage.record import UsageRecord
from ledger.core.errors import Unavailable

__all__ = ["UsageService"]

T = TypeVar("T")

_log: Final = structlog.get_logger("usage")
_POLL_S: Final = USAGE_POLL_MS / 1000


class UsageService:
    """The log of one member.

    Attributes:
        seller: its DID.
        log: what is written.
        evidence: what is read.
        publisher: what goes to the ledger.
    """

    def __init__(
        self, store: Store, sealing: Sealing, ledger: Ledger, now_ms: Callable[[], int]
    ) -> None:
        self._store = store
        self._arrived = anyio.Event()
        self._sealed = anyio.Event()
        self.now_ms = now_ms
        self.log = UsageLog(store, sealing, now_ms)
        self.seller = self.log.seller
        self.evidence = Evidence(store)
        self.publisher = BlockPublisher(store, ledger, sealing.publisher, now_ms)

    async def take(self, records: Sequence[UsageRecord]) -> list[Outcome]:
        """Put records into the log; they are on the disk when this returns."""
        outcomes = await self.in_thread(partial(self.log.append, records))
        self._arrived.set()
        return outcomes

    async def run(self) -> None:
        """Work until cancelled.

        Raises:
            StorageError: the database is broken.
        """
        async with anyio.create_task_group() as group:
            group.start_soon(self._follow_journal)
            group.start_soon(self._condense)
            group.start_soon(self._publish)

    async def _follow_journal(self) -> None:
        while True:
            try:
                while await self._store.in_thread(partial(take_changes, log=self.log)):
                    self._arrived.set()
                after = await self._store.in_thread(journal_position)
                await self._store.wait_for_change(after)
            except Unavailable as error:
                await _pause(error)

    async def _condense(self) -> None:
        while True:
            self._arrived = anyio.Event()
            try:
                while await self.in_thread(self.log.condense):
                    self._sealed.set()
            except Unavailable as error:
                await _pause(error)
            with anyio.move_on_after(_POLL_S):
                await self._arrived.wait()

    async def _publish(self) -> None:
        failures = 0
        while True:
            self._sealed = anyio.Event()
            failures = await self.publisher.attempt(failures)
            if not failures:
                with anyio.move_on_after(_POLL_S):
                    await self._sealed.wait()

    async def in_thread(self, work: Callable[[], T]) -> T:
        """Do blocking work on the log in a worker thread of the store."""
        return await self._store.in_thread(lambda _: work())


async def _pause(error: Unavailable) -> None:
    _log.warning("usage_log_waits", reason=str(error))
    await anyio.sleep(_POLL_S)
