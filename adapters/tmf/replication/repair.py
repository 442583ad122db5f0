"""Anti-entropy: what this node holds is compared with what it should, and put right.

Two comparisons. Replicas with what was stored of each entity: a replica that is missing or differs
is fetched again, one whose entity ended is removed. And the newest version of each entity as this
node knows it with the ledger: the digest over all of an origin's entities with the one that the
origin itself gives, and where they differ, or a chain has a gap, the origin's events are read from
the ledger again. The origin's word starts a comparison; only the ledger changes anything.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Final, NamedTuple, Protocol

import anyio
import structlog
from sqlalchemy import select

from adapters.tmf.entity import content_hash
from adapters.tmf.replication.context import Context
from adapters.tmf.replication.core.chain import Rules, correct, fold
from adapters.tmf.replication.core.model import NONE, Code, Status, Told, Tracked
from adapters.tmf.replication.core.progress import replayed
from adapters.tmf.replication.native import NativeForm
from adapters.tmf.replication.storing import remove_replica
from adapters.tmf.replication.tables import TRACKED
from adapters.tmf.replication.tracking import Line, lines, page, release, save
from adapters.tmf.replication.versions import digest_of
from adapters.tmf.store.database import Store
from adapters.tmf.store.ports import Reading
from ledger.core.errors import ConcordatError
from ledger.core.limits import REPLICATION_BATCH_EVENTS, REPLICATION_REPAIR_MS

__all__ = ["Digests", "Repair", "Repaired"]

_GAPS_MAX: Final = REPLICATION_BATCH_EVENTS
_log: Final = structlog.get_logger("replication")
_FOR_EVER: Final = (Code.OWNED_BY_OTHER, Code.WRONG_ENTITY, Code.MALFORMED)
"""Quarantine for these reasons ends only with an operator or a newer event."""


class Digests(Protocol):
    """Asks an origin what it published."""

    async def digest(self, told: Told) -> bytes | None:
        """Give the digest that the publisher of an event gives of all its entities.

        Returns:
            None when the origin has none to give now.

        Raises:
            FetchFailed, Unavailable: it cannot be asked.
        """
        ...


class Repaired(NamedTuple):
    """What one pass did, in entities."""

    replicas: int
    heads: int


class Repair:
    """Compares and repairs.

    Attributes:
        last: what the last pass did; None before the first.
    """

    def __init__(
        self,
        context: Context,
        rules: Callable[[], Rules],
        digests: Digests,
        woken: Callable[[Sequence[Tracked]], None],
    ) -> None:
        """Prepare; ``woken`` is told what became of entities."""
        self._context = context
        self._rules = rules
        self._digests = digests
        self._woken = woken
        self._wake = anyio.Event()
        self.last: Repaired | None = None

    def wake(self) -> None:
        """Begin a pass soon: a gap was found, or somebody asks for one."""
        self._wake.set()

    async def run(self) -> None:
        """Repair from time to time until cancelled."""
        while True:
            with anyio.move_on_after(REPLICATION_REPAIR_MS / 1000):
                await self._wake.wait()
            self._wake = anyio.Event()
            try:
                self.last = await self.once()
            except ConcordatError as error:
                _log.warning("repair_waits", reason=str(error))

    async def once(self) -> Repaired:
        """Compare all, once. Raises Unavailable when the ledger or the database cannot be asked."""
        heads = await self._repair_gaps()
        for owner in await self._context.store.in_thread(
            partial(_others, own=self._context.identity.did)
        ):
            heads += await self._repair_owner(owner)
        return Repaired(await self._repair_replicas(), heads)

    # --- replicas ---------------------------------------------------------------------------

    async def _repair_replicas(self) -> int:
        count, after = 0, ""
        while True:
            work = partial(self._compare, after)
            repaired, after = await self._context.store.in_thread(work)
            count += len(repaired)
            self._woken(repaired)
            if not after:
                return count

    def _compare(self, after: str, store: Store) -> tuple[list[Tracked], str]:
        """Look at a page of entities; give what was wrong, and the last key unless it is the end.

        What is sound, as nearly all is, costs a read and no write.
        """
        with store.read() as reading:
            found = page(reading.connection, after, REPLICATION_BATCH_EVENTS)
            suspects = [line.key for line in found if not _is_sound(reading, line)]
        repaired: list[Tracked] = []
        if suspects:
            with store.write() as txn:
                wrong = [
                    line
                    for line in lines(txn.connection, suspects).values()
                    if not _is_sound(txn, line)
                ]
                for line in wrong:
                    if line.tracked.head.is_end:
                        save(txn.connection, [remove_replica(self._context, txn, line)])
                        continue
                    again = line._replace(tracked=replayed(line.tracked))
                    release(txn.connection, again.tracked)
                    save(txn.connection, [again])
                    repaired.append(again.tracked)
        return repaired, found[-1].key if len(found) == REPLICATION_BATCH_EVENTS else ""

    # --- the newest versions ----------------------------------------------------------------

    async def _repair_gaps(self) -> int:
        gaps = await self._context.store.in_thread(_gaps)
        return sum([await self._reread(told) for told in gaps])

    async def _repair_owner(self, owner: str) -> int:
        known = await self._context.store.in_thread(partial(_heads, owner=owner))
        newest = max(known.values(), key=lambda told: told.sequence, default=None)
        if newest is None:
            return 0
        try:
            stated = await self._digests.digest(newest)
        except ConcordatError as error:
            _log.info("no_digest", origin=owner, reason=str(error))
            return 0
        if stated is None or stated == digest_of(
            (told.key, told.version) for told in known.values()
        ):
            return 0
        _log.warning("digest_differs", origin=owner)
        last: dict[str, Told] = {}
        async for event in self._context.ledger.events(publisher=owner):
            if (told := self._context.read(event)) is not None and told.form == newest.form:
                last[told.key] = told
        differ = [told for key, told in last.items() if known.get(key) != told]
        return sum([await self._reread(told) for told in differ])

    async def _reread(self, told: Told) -> int:
        """Judge an entity by all events about it; give 1 when it was not as it should be."""
        read = [
            item
            async for event in self._context.ledger.events(subject=told.subject)
            if (item := self._context.read(event)) and item.key == told.key
        ]
        changed = await self._context.store.in_thread(partial(self._correct, read))
        self._woken([changed] if changed else [])
        return int(changed is not None)

    def _correct(self, events: Sequence[Told], store: Store) -> Tracked | None:
        head = fold(events)
        if head is None:
            return None
        with store.write() as txn:
            line = lines(txn.connection, [head.told.key]).get(head.told.key)
            if line and line.tracked.head.sequence > head.told.sequence:
                return None  # a newer event was taken meanwhile
            tracked = correct(line.tracked if line else None, head, self._rules())
            if line and tracked == line.tracked:
                return None
            after = (line or Line(tracked))._replace(tracked=tracked)
            if tracked.head.is_end:
                after = remove_replica(self._context, txn, after)
            save(txn.connection, [after])
        return tracked


def _is_sound(reading: Reading, line: Line) -> bool:
    """Say whether the replica is what it should be, as far as this node knows."""
    tracked = line.tracked
    if tracked.status is Status.QUARANTINED:
        return tracked.code in _FOR_EVER
    if tracked.status is not Status.CURRENT:
        return True
    if tracked.head.is_end:
        return line.body_hash == NONE
    kept = reading.get(line.resource, line.id)
    if kept is None or kept.origin != tracked.head.publisher:
        return False
    return content_hash(kept.body) == line.body_hash


def _others(store: Store, own: str) -> list[str]:
    """Give all who own entities, but this node's member."""
    with store.read() as reading:
        query = select(TRACKED.c.owner).where(TRACKED.c.owner != own).distinct()
        return list(reading.connection.execute(query).scalars())


def _gaps(store: Store) -> list[Told]:
    """Give the heads of entities whose chain is broken."""
    with store.read() as reading:
        return [line.tracked.head for line in page(reading.connection, "", _GAPS_MAX, has_gap=1)]


def _heads(store: Store, owner: str) -> dict[str, Told]:
    """Give the newest events of one owner in native form."""
    found: dict[str, Told] = {}
    after = ""
    with store.read() as reading:
        while batch := page(reading.connection, after, REPLICATION_BATCH_EVENTS, owner=owner):
            after = batch[-1].key
            chains = (line.tracked.chains.get(NativeForm.name) for line in batch)
            found.update({told.key: told for told in chains if told})
    return found
