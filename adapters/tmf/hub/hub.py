"""The hub: one reader of the journal for all registrations, one line for each of them.

Owns the position of the reader and the lines. The journal is read and matched once, in a worker
thread, however many registrations there are. Positions are written down together: nothing waits
for that, so that a process that is killed repeats what it told in its last moments.
"""

import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Final, TypeVar

import anyio
import structlog
from anyio.abc import TaskGroup

from adapters.tmf.hub import registrations
from adapters.tmf.hub.audience import (
    Audience,
    Listener,
    Visible,
    compile_listener,
)
from adapters.tmf.hub.callback import Callback
from adapters.tmf.hub.line import Line, Shared, Slice
from adapters.tmf.hub.matching import Matchers
from adapters.tmf.hub.model import Delivery, Progress
from adapters.tmf.hub.pace import Pace
from adapters.tmf.hub.query import Wanted, read_query
from adapters.tmf.hub.reading import Matched, match, offers_for, slice_for
from adapters.tmf.hub.registrations import Held
from adapters.tmf.resources.registry import APIS
from adapters.tmf.store.database import Store
from ledger.core.errors import Unavailable
from ledger.core.limits import (
    TMF_HUB_FLUSH_MS,
    TMF_HUB_IDLE_MS,
    TMF_HUB_SHARED_CHANGES,
    TMF_HUB_STORE_RETRY_MS,
)
from pubsub.io.egress import Egress

__all__ = ["Hub", "HubSettings"]

T = TypeVar("T")

_log: Final = structlog.get_logger("tmf")
_APIS: Final = {api.name: api for api in APIS}


@dataclass(frozen=True)
class HubSettings:
    """What the hub is told.

    Attributes:
        egress: where events may be posted.
        delivery: where below a callback, when its query does not say.
    """

    egress: Egress = field(default_factory=Egress)
    delivery: Delivery = "raw"
    pace: Pace = field(default_factory=Pace)
    now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000


class Hub:
    """Delivers the events of a store's journal."""

    def __init__(self, store: Store, visible: Visible, settings: HubSettings) -> None:
        """Deliver what is ``visible`` to the owners of registrations."""
        self._store = store
        self._visible = visible
        self._settings = settings
        self._matchers = Matchers()
        self._lines: dict[str, Line] = {}
        self._scopes: dict[str, anyio.CancelScope] = {}
        self._cursor = 0
        self._edits = 0
        self._unwritten: dict[str, Line] = {}
        self._written: dict[str, int] = {}
        self._group: TaskGroup | None = None
        self._wake_flush = anyio.Event()
        self._shared = Shared(
            read=self._read_for,
            cursor=lambda: self._cursor,
            note=self._note,
            pace=settings.pace,
            chance=random.random,
            now_ms=settings.now_ms,
        )

    @property
    def egress(self) -> Egress:
        """Where events may be posted."""
        return self._settings.egress

    def delivery_of(self, wanted: Wanted) -> Delivery:
        """Give how the events of a query are delivered."""
        return wanted.delivery or self._settings.delivery

    async def run(self) -> None:
        """Deliver until cancelled.

        Raises:
            ledger.io.errors.StorageError: the database is broken.
        """
        try:
            async with anyio.create_task_group() as group:
                await self._begin(group)
                group.start_soon(self._flush)
                await self._follow()
        finally:
            self._group = None
            with anyio.move_on_after(1, shield=True):
                await self._write_down()

    def progress_of(self, held: Held) -> Progress:
        """Give how far a registration is by now."""
        line = self._lines.get(held.registration.id)
        return held.progress if line is None else line.progress

    async def _begin(self, group: TaskGroup) -> None:
        """Serve all registrations there are."""
        edits = -1
        while edits != self._edits:  # else one was made or ended while they were read
            edits = self._edits
            held, newest = await self._patiently(_held_and_newest)
        positions = [each.progress.position for each in held]
        near = [each for each in positions if each >= newest - TMF_HUB_SHARED_CHANGES]
        self._cursor = min(near, default=newest)
        self._group = group
        for each in held:
            self.add(each)

    def add(self, held: Held) -> None:
        """Serve a registration; without effect before :meth:`run`, which finds it itself."""
        self._edits += 1
        if self._group is None or held.progress.state == "ended":
            return
        api = _APIS[held.registration.api]
        wanted = read_query(held.registration.query, api)
        listener = compile_listener(held.registration, wanted, api, self._visible, self._matchers)
        is_listener = self.delivery_of(wanted) == "listener"
        post = Callback(self.egress, held.registration.callback, is_listener=is_listener)
        line = Line(held, listener, post, self._shared)
        # Whoever is not far behind is told by the common reader, which starts there.
        line.is_behind = line.seen < self._cursor
        self._lines[line.id] = line
        self._written[line.id] = line.progress.position
        self._group.start_soon(self._serve, line)

    def remove(self, id_: str) -> None:
        """Serve a registration no more; an attempt that is under way is left."""
        self._edits += 1
        self._lines.pop(id_, None)
        self._unwritten.pop(id_, None)
        if (scope := self._scopes.pop(id_, None)) is not None:
            scope.cancel()

    async def _serve(self, line: Line) -> None:
        with anyio.CancelScope() as scope:
            self._scopes[line.id] = scope
            if line.id in self._lines:  # else it was removed before it could start
                await line.run()
        for known in (self._lines, self._scopes, self._written):
            known.pop(line.id, None)

    # --- the common reader ------------------------------------------------------------------

    async def _follow(self) -> None:
        while True:
            newest = await self._newest()
            lines = {line.id: line for line in self._lines.values() if not line.is_behind}
            if not lines:
                self._cursor = newest
                continue
            audience = Audience(line.listener for line in lines.values())
            part = partial(match, after=self._cursor, audience=audience)
            self._tell(await self._patiently(part), lines)

    def _tell(self, matched: Matched, lines: Mapping[str, Line]) -> None:
        """Give lines what was matched; no await, so that none can join in between."""
        for line in self._lines.values():
            offers = matched.offers.get(line.id, ())
            if line.id not in lines and not line.is_behind:  # caught up meanwhile
                offers = offers_for(line.listener, matched.told)
            for offer in offers:
                line.offer(offer)
            line.passed(matched.until)
        self._cursor = matched.until

    async def _read_for(self, listener: Listener, after: int) -> Slice:
        return await self._patiently(partial(slice_for, listener=listener, after=after))

    async def _newest(self) -> int:
        """Wait until the journal goes beyond the cursor; give its newest number."""
        while True:
            try:
                return await self._store.wait_for_change(self._cursor)
            except Unavailable as error:
                await _pause(error)

    async def _patiently(self, work: Callable[[Store], T]) -> T:
        """Work with the store as soon as it can be reached."""
        while True:
            try:
                return await self._store.in_thread(work)
            except Unavailable as error:
                await _pause(error)

    # --- positions --------------------------------------------------------------------------

    def _note(self, line: Line) -> None:
        self._unwritten[line.id] = line
        self._wake_flush.set()

    async def _flush(self) -> None:
        noted_s = anyio.current_time()
        while True:
            self._wake_flush = anyio.Event()
            if not self._unwritten:
                with anyio.move_on_after(TMF_HUB_IDLE_MS / 1000):
                    await self._wake_flush.wait()
            if anyio.current_time() - noted_s >= TMF_HUB_IDLE_MS / 1000:
                noted_s = anyio.current_time()
                self._note_idle()
            await self._write_down()
            await anyio.sleep(TMF_HUB_FLUSH_MS / 1000)

    def _note_idle(self) -> None:
        """Take along those that moved because nothing was for them."""
        for line in self._lines.values():
            if line.progress.position != self._written[line.id]:
                self._unwritten[line.id] = line

    async def _write_down(self) -> None:
        taken, self._unwritten = self._unwritten, {}
        rows = [(line.id, line.progress) for line in taken.values()]
        if not rows:
            return
        try:
            await self._store.in_thread(lambda store: _advance(store, rows))
        except Unavailable as error:
            _log.warning("hub_positions_wait", reason=str(error))
            self._unwritten = taken | self._unwritten
            return
        for id_, progress in rows:
            if id_ in self._lines:
                self._written[id_] = progress.position


async def _pause(error: Unavailable) -> None:
    _log.warning("hub_waits", reason=str(error))
    await anyio.sleep(TMF_HUB_STORE_RETRY_MS / 1000)


def _held_and_newest(store: Store) -> tuple[list[Held], int]:
    with store.read() as reading:
        return registrations.every(reading.connection), reading.last_change()


def _advance(store: Store, rows: list[tuple[str, Progress]]) -> None:
    with store.write() as writing:
        registrations.advance(writing.connection, rows)
