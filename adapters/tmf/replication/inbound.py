"""The ledger is followed: every event, in order, becomes what the node knows of an entity.

Position and effects change in one transaction, so a crash repeats nothing and loses nothing. At
first, and after each start, the ledger is read to its end before anything is fetched: of an entity
that changed a hundred times only the last version is asked for.
"""

from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from functools import partial
from typing import Final

import anyio
import structlog
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream

from adapters.tmf.replication.context import Context
from adapters.tmf.replication.core.chain import Judgement, Rules, take
from adapters.tmf.replication.core.model import Code, Status, Told, Tracked
from adapters.tmf.replication.core.progress import pause_ms
from adapters.tmf.replication.selecting import apply_selection
from adapters.tmf.replication.storing import remove_replica
from adapters.tmf.replication.tracking import (
    Line,
    lines,
    move,
    position,
    quarantine,
    release,
    save,
)
from adapters.tmf.store.database import Store
from adapters.tmf.store.ports import Writing
from ledger.core.errors import ConcordatError
from ledger.core.limits import REPLICATION_BATCH_EVENTS
from pubsub.client.answers import LedgerEvent

__all__ = ["Follower"]

_log: Final = structlog.get_logger("replication")
_HALF: Final = 500
_START: Final = -1


class Follower:
    """Reads the ledger into the database.

    Attributes:
        rules: what the node goes by; a new selection may be set at any time.
        has_caught_up: set when the ledger was read to its end once since the start.
        sequence: of the newest event that was taken; -1 for none.
        error: why reading was interrupted; empty while it is not.
    """

    def __init__(
        self, context: Context, rules: Rules, woken: Callable[[Sequence[Tracked]], None]
    ) -> None:
        """Prepare; ``woken`` is told what became of entities."""
        self._context = context
        self._store = context.store
        self._woken = woken
        self.rules = rules
        self.has_caught_up = anyio.Event()
        self.sequence = _START
        self.error = ""

    async def run(self) -> None:
        """Follow the ledger until cancelled."""
        failures = 0
        while True:
            try:
                await self._store.in_thread(partial(apply_selection, rules=self.rules))
                self.sequence = await self._store.in_thread(_ledger_position)
                if not self.has_caught_up.is_set():
                    await self._read(self._context.ledger.events(after=self.sequence))
                    self.has_caught_up.set()
                failures, self.error = 0, ""
                await self._follow()
            except ConcordatError as error:
                failures, self.error = failures + 1, str(error)
                _log.warning("ledger_not_readable", reason=self.error, failures=failures)
                await anyio.sleep(pause_ms(failures, _HALF) / 1000)

    async def _follow(self) -> None:
        subscription = self._context.ledger.subscribe(after=self.sequence)
        try:
            await self._read(subscription)
        finally:
            with anyio.CancelScope(shield=True):
                await subscription.aclose()

    async def _read(self, events: AsyncIterator[LedgerEvent]) -> None:
        """Take events in pieces: as many as came while the last piece was written."""
        send, receive = anyio.create_memory_object_stream[LedgerEvent](REPLICATION_BATCH_EVENTS)
        failed: list[ConcordatError] = []
        async with anyio.create_task_group() as group:
            group.start_soon(_pump, events, send, failed)
            try:
                await self._take_all(receive)
            except ConcordatError as error:
                failed.append(error)
                group.cancel_scope.cancel()
        if failed:
            raise failed[0]

    async def _take_all(self, receive: MemoryObjectReceiveStream[LedgerEvent]) -> None:
        async with receive:
            async for first in receive:
                batch = [first, *_waiting(receive)]
                changed = await self._store.in_thread(partial(self.take, batch))
                self.sequence = batch[-1].sequence
                self._woken(changed)

    def take(self, batch: Sequence[LedgerEvent], store: Store) -> list[Tracked]:
        """Take events in one transaction; give what became of the entities that they change."""
        with store.write() as txn:
            last = position(txn.connection, "ledger", _START)
            fresh = (event for event in batch if event.sequence > last)
            tolds = [told for event in fresh if (told := self._context.read(event))]
            known = lines(txn.connection, (told.key for told in tolds))
            changed: dict[str, Line] = {}
            for told in tolds:
                line = known.get(told.key)
                after = self._take_one(txn, line, told)
                if line is None or after is not line:
                    known[told.key] = changed[told.key] = after
            save(txn.connection, changed.values())
            move(txn.connection, "ledger", max(last, batch[-1].sequence))
        return [line.tracked for line in changed.values()]

    def _take_one(self, txn: Writing, line: Line | None, told: Told) -> Line:
        tracked, judgement = take(line.tracked if line else None, told, self.rules)
        if judgement is Judgement.FOREIGN:
            because = f"{tracked.head.publisher} published it first"
            _log.warning("foreign_event", key=told.key, publisher=told.publisher, why=because)
            quarantine(txn.connection, told, (Code.OWNED_BY_OTHER, because), self._context.now_ms())
        if line and tracked is line.tracked:
            return line
        if judgement is Judgement.GAP:
            _log.warning("gap_in_chain", key=told.key, publisher=told.publisher)
        after = (line or Line(tracked))._replace(tracked=tracked)
        if tracked.head.is_end and tracked.status is Status.CURRENT:
            release(txn.connection, tracked)
            after = remove_replica(self._context, txn, after)
            self._context.forms[told.form].taken(txn, told, None)
        return after


async def _pump(
    events: AsyncIterator[LedgerEvent],
    send: MemoryObjectSendStream[LedgerEvent],
    failed: list[ConcordatError],
) -> None:
    """Pass events on; an error is handed over only behind the events that came before it."""
    async with send:
        try:
            async for event in events:
                await send.send(event)
        except ConcordatError as error:
            failed.append(error)


def _waiting(receive: MemoryObjectReceiveStream[LedgerEvent]) -> Iterable[LedgerEvent]:
    for _ in range(REPLICATION_BATCH_EVENTS - 1):
        try:
            yield receive.receive_nowait()
        except (anyio.WouldBlock, anyio.EndOfStream):
            return


def _ledger_position(store: Store) -> int:
    with store.read() as reading:
        return position(reading.connection, "ledger", _START)
