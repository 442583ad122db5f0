"""The journal is kept for a while: lines that nobody needs any more are deleted, a few at a time.

Owns which lines these are: from the beginning, without a gap, those that every reader has passed
and that are older than the operator keeps them. The newest line always stays, because the next one
is numbered after it. A reader that is new here has to be named here; one that is not loses lines.
"""

from collections.abc import Callable, Sequence
from typing import Final

import anyio
import structlog
from sqlalchemy import Connection, delete, func, select

from adapters.tmf.hub.registrations import slowest_position
from adapters.tmf.replication.tracking import position
from adapters.tmf.store.database import Store
from adapters.tmf.store.schema import CHANGES
from adapters.tmf.usage.journal import taken_until
from ledger.core.errors import Unavailable
from ledger.core.limits import TMF_JOURNAL_PASS_MS, TMF_JOURNAL_PAUSE_MS, TMF_JOURNAL_STEP_CHANGES

__all__ = ["READERS", "Reader", "Retention"]

_log: Final = structlog.get_logger("tmf")

Reader = Callable[[Connection], int | None]
"""Says which line somebody has read up to, that it will never need again; None: nobody reads."""

READERS: Final[Sequence[Reader]] = (
    slowest_position,
    lambda connection: position(connection, "journal", 0),
    taken_until,
)
"""The hub, replication and the usage log."""


class Retention:
    """Shortens the journal of one store."""

    def __init__(
        self, store: Store, kept_ms: int, now_ms: Callable[[], int], readers: Sequence[Reader]
    ) -> None:
        """Keep what is younger than ``kept_ms``; ``now_ms`` gives Unix time in milliseconds."""
        self._store = store
        self._kept_ms = kept_ms
        self._now_ms = now_ms
        self._readers = readers

    async def run(self) -> None:
        """Shorten the journal from time to time until cancelled.

        Raises:
            ledger.io.errors.StorageError: the database is broken.
        """
        while True:
            count = 0
            try:
                count = await self._store.in_thread(self.step)
            except Unavailable as error:
                _log.warning("journal_not_shortened", reason=str(error))
            # Others write between two steps, too.
            is_more = count == TMF_JOURNAL_STEP_CHANGES
            pause_ms = TMF_JOURNAL_PAUSE_MS if is_more else TMF_JOURNAL_PASS_MS
            await anyio.sleep(pause_ms / 1000)

    def step(self, store: Store) -> int:
        """Delete the oldest lines that nobody needs, in one transaction; give how many it were."""
        with store.read() as reading:
            if not self._old(reading.connection, 1):
                return 0  # as nearly always: it costs no transaction that writes
        with store.write() as txn:
            old = self._old(txn.connection, TMF_JOURNAL_STEP_CHANGES)
            if old:
                txn.connection.execute(delete(CHANGES).where(CHANGES.c.number <= old[-1]))
        return len(old)

    def _old(self, connection: Connection, count: int) -> list[int]:
        """Give the numbers of the oldest lines, as long as nobody needs them."""
        newest = connection.execute(select(func.max(CHANGES.c.number))).scalar() or 0
        passed = [number for reader in self._readers if (number := reader(connection)) is not None]
        rows = (
            select(CHANGES.c.number, CHANGES.c.time_ms)
            .where(CHANGES.c.number <= min([newest - 1, *passed]))
            .order_by(CHANGES.c.number)
            .limit(count)
        )
        until_ms = self._now_ms() - self._kept_ms
        old: list[int] = []
        for row in connection.execute(rows):
            if row.time_ms >= until_ms:
                break
            old.append(row.number)
        return old
