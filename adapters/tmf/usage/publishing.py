"""Blocks on their way to the ledger: each one once, in order, also across crashes.

A block was stored with its signed event before anything is sent, so whatever happens the same event
is handed in again, and the ledger takes an event once. A block is handed in when the one before is
final: the chain on the ledger has no gap that could fill later.

A database that was restored from an older copy would go on with other blocks of numbers that the
ledger has. So before the first block of a process the ledger is asked for its blocks of this
seller, and nothing is published while it holds one that the database does not.
"""

from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import Final, NamedTuple, Protocol, Unpack

import anyio
import structlog
from sqlalchemy import func, select, update

from adapters.tmf.store.database import Store
from adapters.tmf.usage.block import block_hash, block_subject, open_block
from adapters.tmf.usage.limits import USAGE_PUBLISH_RETRY_MS, USAGE_PUBLISH_RETRY_MS_MAX
from adapters.tmf.usage.schema import BLOCKS
from ledger.core.errors import ConcordatError, ProofError, RejectCode, Rejected
from ledger.core.event import OpenEntry, open_entry
from ledger.core.ids import EventId
from ledger.core.proof import ProofBundle, encode_bundle
from pubsub.client.answers import LedgerEvent, Receipt
from pubsub.client.calls import Wait
from pubsub.client.following import Filters
from pubsub.client.identity import Publisher

__all__ = ["BlockPublisher", "Ledger", "note_fault"]

_log: Final = structlog.get_logger("usage")
_STALE: Final = (RejectCode.TIME_TOO_OLD, RejectCode.UNKNOWN_KEY, RejectCode.REVOKED_KEY)


class Ledger(Protocol):
    """The part of ``AsyncClient`` that is used here."""

    async def publish(self, opened: OpenEntry, wait: Wait) -> Receipt:
        """Publish one event; ``proof`` waits for its bundle."""
        ...

    def events(self, *, after: int = -1, **filters: Unpack[Filters]) -> AsyncIterator[LedgerEvent]:
        """Read to the end of the ledger, each event proven."""
        ...

    async def proof(self, id_: EventId) -> ProofBundle | None:
        """Read the bundle of an event; None when the ledger does not hold it."""
        ...


class _Waiting(NamedTuple):
    number: int
    opened: OpenEntry


class BlockPublisher:
    """Publishes the blocks of one log.

    Attributes:
        error: why the last attempt failed; empty after one that did not.
    """

    def __init__(
        self, store: Store, ledger: Ledger, publisher: Publisher, now_ms: Callable[[], int]
    ) -> None:
        self._store = store
        self._ledger = ledger
        self._publisher = publisher
        self._now_ms = now_ms
        self._is_own_chain = False
        self.error = ""

    async def drain(self) -> None:
        """Publish until no block waits.

        Raises:
            ConcordatError: a block is not on the ledger yet; what was done stays done.
        """
        if not self._is_own_chain:
            await self._require_own_chain()
        while (waiting := await self._store.in_thread(_first_waiting)) is not None:
            bundle = await self._publish(waiting)
            await self._store.in_thread(partial(_settle, waiting.number, bundle))

    async def attempt(self, failures: int) -> int:
        """Drain; after a failure note it and wait, longer after each.

        Returns:
            How many attempts failed in a row, this one included.
        """
        try:
            await self.drain()
        except ConcordatError as error:
            self.error = str(error)
            _log.warning("usage_block_waits", reason=self.error, failures=failures + 1)
            await self._store.in_thread(partial(note_fault, self.error))
            pause = min(USAGE_PUBLISH_RETRY_MS << min(failures, 16), USAGE_PUBLISH_RETRY_MS_MAX)
            await anyio.sleep(pause / 1000)
            return failures + 1
        self.error = ""
        return 0

    async def _require_own_chain(self) -> None:
        """Refuse to go on when the ledger holds a block of this seller that the database lacks.

        Raises:
            Rejected: it does (CONFLICT).
        """
        seller = self._publisher.did
        after = await self._store.in_thread(_last_sequence)
        others: list[int] = []
        found = self._ledger.events(after=after, subject=block_subject(seller), publisher=seller)
        async for known in found:
            try:
                number = open_block(known.event).number
            except ProofError:
                continue
            if await self._store.in_thread(partial(_hash_of, number)) != known.event.entity_hash:
                others.append(number)
        if others:
            raise Rejected(
                RejectCode.CONFLICT,
                f"the ledger holds another block {others[0]}: was this database restored from an "
                f"older copy?",
            )
        self._is_own_chain = True

    async def _publish(self, waiting: _Waiting) -> ProofBundle:
        opened = waiting.opened
        try:
            receipt = await self._ledger.publish(opened, "proof")
        except Rejected as refused:
            if refused.code not in _STALE:
                raise
            # It can never become final any more, unless it already is.
            bundle = await self._ledger.proof(opened.id)
            if bundle is None:
                # Another event about the same block: its hash, and so the chain, stays.
                opened = self._publisher.sign_again(opened.event, self._now_ms())
                await self._store.in_thread(partial(_replace, waiting.number, opened))
                receipt = await self._ledger.publish(opened, "proof")
                bundle = receipt.proof
        else:
            bundle = receipt.proof
        assert bundle is not None, "the client waits for the proof"
        return bundle


def _first_waiting(store: Store) -> _Waiting | None:
    with store.read() as reading:
        row = reading.connection.execute(
            select(BLOCKS.c.number, BLOCKS.c.entry)
            .where(BLOCKS.c.sequence.is_(None))
            .order_by(BLOCKS.c.number)
            .limit(1)
        ).one_or_none()
    return None if row is None else _Waiting(row.number, open_entry(row.entry))


def _last_sequence(store: Store) -> int:
    """Give where the newest block that is known to be final is in the ledger."""
    with store.read() as reading:
        newest = reading.connection.execute(select(func.max(BLOCKS.c.sequence))).scalar_one()
    return -1 if newest is None else int(newest)


def _hash_of(number: int, store: Store) -> bytes | None:
    with store.read() as reading:
        row = reading.connection.execute(
            select(BLOCKS.c.data).where(BLOCKS.c.number == number)
        ).one_or_none()
    return None if row is None else block_hash(row.data)


def _settle(number: int, bundle: ProofBundle, store: Store) -> None:
    values = {"sequence": bundle.sequence, "bundle": encode_bundle(bundle), "fault": ""}
    with store.write() as txn:
        txn.connection.execute(update(BLOCKS).where(BLOCKS.c.number == number).values(values))


def _replace(number: int, opened: OpenEntry, store: Store) -> None:
    with store.write() as txn:
        txn.connection.execute(
            update(BLOCKS).where(BLOCKS.c.number == number).values(entry=opened.entry)
        )


def note_fault(fault: str, store: Store) -> None:
    """Tell why the first waiting block waits."""
    first = _first_waiting(store)
    if first is not None:
        with store.write() as txn:
            txn.connection.execute(
                update(BLOCKS).where(BLOCKS.c.number == first.number).values(fault=fault)
            )
