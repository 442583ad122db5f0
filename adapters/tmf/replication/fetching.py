"""What is wanted is fetched: from each origin some at a time, so a slow one stops no other.

The database is the queue: what is wanted and due is read from it, so a restart forgets nothing but
attempts under way. Each entity is fetched once at a time, and always in its newest version.
"""

import math
from collections.abc import Iterable, Sequence
from functools import partial
from typing import Final

import anyio
import structlog
from anyio.abc import TaskGroup
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
from sqlalchemy import func, select

from adapters.tmf.refusal import TmfError
from adapters.tmf.replication.context import Context
from adapters.tmf.replication.core.model import Code, Status, Told, Tracked
from adapters.tmf.replication.core.progress import Outcome, pause_ms
from adapters.tmf.replication.form import EventForm, FetchFailed
from adapters.tmf.replication.storing import Attempt, store_attempts
from adapters.tmf.replication.tables import TRACKED
from adapters.tmf.replication.tracking import due
from adapters.tmf.store.database import Store
from ledger.core.errors import ConcordatError, Unavailable
from ledger.core.limits import (
    REPLICATION_BATCH_STORED,
    REPLICATION_FETCH_MS_MAX,
    REPLICATION_FETCHES_MAX,
    REPLICATION_FETCHES_PER_ORIGIN_MAX,
)

__all__ = ["Fetching", "Health"]

_log: Final = structlog.get_logger("replication")
_HALF: Final = 500


class Health:
    """How an origin does.

    Attributes:
        failures: attempts in a row that found it out of reach.
        error: what the last one of them found.
        success_ms: Unix time of the last answer with content; 0 before the first.
    """

    def __init__(self) -> None:
        self.failures = 0
        self.error = ""
        self.success_ms = 0
        self.wake = anyio.Event()
        self.under_way: set[str] = set()


class Fetching:
    """Fetches from all origins.

    Attributes:
        origins: how each one does, by DID.
    """

    def __init__(self, context: Context) -> None:
        self._context = context
        self._slots = anyio.CapacityLimiter(REPLICATION_FETCHES_MAX)
        self._group: TaskGroup | None = None
        self._attempts: MemoryObjectSendStream[Attempt] | None = None
        self.origins: dict[str, Health] = {}

    def woken(self, changed: Iterable[Tracked]) -> None:
        """Look again at what is wanted of some owners, because entities of them changed."""
        self.wake({item.head.publisher for item in changed if item.status is Status.WANTED})

    def wake(self, owners: Iterable[str]) -> None:
        """Look again at what is wanted of some owners."""
        for owner in owners:
            health = self.origins.get(owner)
            if health is None:
                health = self.origins[owner] = Health()
                if self._group is not None:
                    self._group.start_soon(self._serve, owner, health)
            health.wake.set()

    async def wake_all(self) -> None:
        """Look again at all that is wanted."""
        self.wake(await self._context.store.in_thread(_owners))

    async def run(self) -> None:
        """Fetch until cancelled."""
        await self.wake_all()
        send, receive = anyio.create_memory_object_stream[Attempt](REPLICATION_BATCH_STORED)
        async with send, receive, anyio.create_task_group() as group:
            self._attempts, self._group = send, group
            group.start_soon(self._keep, receive)
            for owner, health in self.origins.items():
                group.start_soon(self._serve, owner, health)
            try:
                await anyio.sleep_forever()
            finally:
                self._group = None  # nobody starts tasks in a group that ends

    async def _serve(self, owner: str, health: Health) -> None:
        """Fetch from one origin."""
        slots = anyio.Semaphore(REPLICATION_FETCHES_PER_ORIGIN_MAX)
        health.under_way.clear()  # of an earlier run that was cancelled
        async with anyio.create_task_group() as group:
            while True:
                health.wake = anyio.Event()
                work = partial(self._due, owner, frozenset(health.under_way))
                tolds, next_ms = await self._context.store.in_thread(work)
                if not tolds:
                    pause_s = math.inf if next_ms is None else max(0, next_ms) / 1000
                    with anyio.move_on_after(pause_s):
                        await health.wake.wait()
                for told in tolds:
                    await slots.acquire()
                    health.under_way.add(told.key)
                    group.start_soon(self._attempt, told, health, slots)

    def _due(
        self, owner: str, under_way: frozenset[str], store: Store
    ) -> tuple[list[Told], int | None]:
        """Give what to fetch now, and else in how many milliseconds to look again."""
        now_ms = self._context.now_ms()
        with store.read() as reading:
            limit = REPLICATION_BATCH_STORED + len(under_way)
            found = due(reading.connection, owner, now_ms, limit)
            tolds = [line.tracked.head for line in found if line.key not in under_way]
            next_ms = reading.connection.execute(
                select(func.min(TRACKED.c.due_ms)).where(
                    TRACKED.c.status == Status.WANTED,
                    TRACKED.c.owner == owner,
                    TRACKED.c.due_ms > now_ms,
                )
            ).scalar()
        return tolds, None if next_ms is None else int(next_ms) - now_ms

    async def _attempt(self, told: Told, health: Health, slots: anyio.Semaphore) -> None:
        assert self._attempts is not None
        try:
            async with self._slots:
                attempt = await self._fetch(told, health)
            await self._attempts.send(attempt)
        finally:
            slots.release()

    async def _fetch(self, told: Told, health: Health) -> Attempt:
        """Get one version and judge it; every failure is an outcome."""
        try:
            with anyio.fail_after(REPLICATION_FETCH_MS_MAX / 1000):
                await self._require_participant(told.publisher)
                form = self._form(told)
                taken = form.check(told, await form.fetch(told))
                await self._context.accepts(told, taken)
        except FetchFailed as error:
            health.failures = 0
            failure = Outcome(error.result, told.version, error.code, error.detail)
        except TmfError as error:
            detail = f"{error.code}: {error.message}"
            failure = Outcome("faulty", told.version, Code.ENTITY_REFUSED, detail)
        except TimeoutError:
            failure = self._lost(told, health, "no answer in time")
        except ConcordatError as error:
            failure = self._lost(told, health, str(error))
        else:
            health.failures, health.error, health.success_ms = 0, "", self._context.now_ms()
            return Attempt(told, taken)
        return Attempt(told, None, failure)

    def _form(self, told: Told) -> EventForm:
        form = self._context.forms.get(told.form)
        if form is None:  # it was switched off since the event was read
            raise FetchFailed("later", Code.NOT_SERVED, f"this node does not fetch {told.form}")
        return form

    async def _require_participant(self, did: str) -> None:
        if not (await self._context.members.get(did)).keys:
            raise FetchFailed("refused", Code.NO_PARTICIPANT, "the ledger lists no key of it now")

    def _lost(self, told: Told, health: Health, why: str) -> Outcome:
        health.failures, health.error = health.failures + 1, why
        return Outcome("later", told.version, "", why)

    async def _keep(self, receive: MemoryObjectReceiveStream[Attempt]) -> None:
        """Write what became of attempts, as many in one transaction as there are."""
        failures = 0
        async for first in receive:
            attempts = [first]
            while len(attempts) < REPLICATION_BATCH_STORED:
                try:
                    attempts.append(receive.receive_nowait())
                except (anyio.WouldBlock, anyio.EndOfStream):
                    break
            try:
                await self._store(attempts)
                failures = 0
            except Unavailable as error:
                failures += 1
                _log.warning("replicas_not_stored", reason=str(error), count=len(attempts))
                await anyio.sleep(pause_ms(failures, _HALF) / 1000)
            for attempt in attempts:
                health = self.origins[attempt.told.publisher]
                health.under_way.discard(attempt.told.key)
                health.wake.set()

    async def _store(self, attempts: Sequence[Attempt]) -> None:
        """Write attempts; one that cannot be judged now holds up no other.

        Raises:
            Unavailable: the database is out of reach.
        """
        try:
            work = partial(store_attempts, self._context, attempts)
            await self._context.store.in_thread(work)
        except Unavailable as error:
            told, *_ = attempts[0]
            if len(attempts) > 1:
                for attempt in attempts:
                    await self._store([attempt])
            elif attempts[0].taken is not None:
                later = Outcome("later", told.version, "", str(error))
                await self._store([Attempt(told, None, later)])
            else:
                raise


def _owners(store: Store) -> list[str]:
    """Give whose entities are wanted."""
    with store.read() as reading:
        query = select(TRACKED.c.owner).where(TRACKED.c.status == Status.WANTED).distinct()
        return list(reading.connection.execute(query).scalars())
