"""Own changes become events on the ledger: each one once, in order, also across crashes.

A change is taken from the journal, signed and put into the outbox in one transaction, so whatever
happens later the same events are handed in again, and the ledger takes an event once. The outbox
is filled again only when it is empty and holds one change of an entity at a time: so an event's
predecessor is on the ledger before it, and an event that is refused holds up those behind it.
"""

from collections.abc import Sequence
from functools import partial
from typing import Final

import anyio
import msgspec
import structlog
from sqlalchemy import delete, func, insert, select, update

from adapters.tmf.entity import OWN, Change
from adapters.tmf.replication.context import Context
from adapters.tmf.replication.core.progress import pause_ms
from adapters.tmf.replication.form import Draft, EventForm
from adapters.tmf.replication.tables import OUTBOX
from adapters.tmf.replication.tracking import move, position
from adapters.tmf.store.database import Store
from adapters.tmf.store.ports import Writing
from ledger.core.errors import ConcordatError, RejectCode, Unavailable
from ledger.core.event import OpenEntry, open_entry
from ledger.core.limits import REPLICATION_OUTBOX_EVENTS, REPLICATION_UNNOTED_CHANGES
from pubsub.client.answers import Receipt
from pubsub.client.identity import Publisher

__all__ = ["Outbound", "waiting_count"]

_log: Final = structlog.get_logger("replication")
_STALE: Final = (RejectCode.TIME_TOO_OLD, RejectCode.UNKNOWN_KEY, RejectCode.REVOKED_KEY)
_HALF: Final = 500


class _Waiting(msgspec.Struct, frozen=True):
    """One event of the outbox."""

    number: int
    form: str
    opened: OpenEntry


class Outbound:
    """The way of own changes to the ledger.

    Attributes:
        error: why the last attempt failed; empty after one that did not.
    """

    def __init__(self, context: Context, forms: Sequence[EventForm]) -> None:
        """Prepare to publish in ``forms``, which may be fewer than the node understands."""
        identity = context.identity
        self._store = context.store
        self._ledger = context.ledger
        self._publisher = Publisher(identity.did, identity.signer, identity.chain_id)
        self._key = identity.signer.public_key
        self._now_ms = context.now_ms
        self._after = 0
        self._forms = {form.name: form for form in forms}
        self.error = ""

    async def run(self) -> None:
        """Publish until cancelled."""
        failures = 0
        while True:
            try:
                await self._step()
                failures, self.error = 0, ""
            except ConcordatError as error:
                failures, self.error = failures + 1, str(error)
                _log.warning("publishing_waits", reason=self.error, failures=failures)
                await anyio.sleep(pause_ms(failures, _HALF) / 1000)

    async def _step(self) -> None:
        waiting = await self._store.in_thread(_waiting)
        if waiting:
            receipts = await self._ledger.publish_many([row.opened for row in waiting], "final")
            await self._store.in_thread(partial(self._settle, waiting, receipts))
            refused = [receipt for receipt in receipts if receipt.status != "final"]
            if refused:
                raise Unavailable(f"refused as {refused[0].code}: {refused[0].detail}")
        else:
            self._after = max(self._after, await self._store.in_thread(_journal_position))
            await self._store.wait_for_change(self._after)
            self._after = await self._store.in_thread(partial(self._fill, self._after))

    def _fill(self, after: int, store: Store) -> int:
        """Take the next changes from the journal; give the number of the last one looked at.

        Stretches without own changes, such as replicas make, cost no transaction that writes, but
        are noted from time to time: the journal is kept from there on.
        """
        with store.read() as reading:
            found = reading.changes(after, REPLICATION_OUTBOX_EVENTS)
            noted = position(reading.connection, "journal", 0)
        last = found[-1].number if found else after
        if not any(change.origin == OWN for change in found):
            if last - noted >= REPLICATION_UNNOTED_CHANGES:
                with store.write() as txn:
                    move(txn.connection, "journal", last)
            return last
        with store.write() as txn:
            entities: set[tuple[str, str]] = set()
            for change in found:
                name = (change.resource, change.id)
                if name in entities:
                    last = change.number - 1
                    break
                if change.origin == OWN:
                    entities.add(name)
                    self._put(txn, change)
            move(txn.connection, "journal", last)
        return last

    def _put(self, txn: Writing, change: Change) -> None:
        for form in self._forms.values():
            draft = form.draft(txn, change)
            if draft is None:
                continue
            try:
                opened = self._sign(draft)
            except ValueError as error:
                _log.error("not_publishable", resource=change.resource, id=change.id, why=error)
                continue
            txn.connection.execute(
                insert(OUTBOX).values(number=change.number, form=form.name, entry=opened.entry)
            )

    def _settle(
        self, waiting: Sequence[_Waiting], receipts: Sequence[Receipt], store: Store
    ) -> None:
        """Forget what is final, and sign anew what can never become so as it is."""
        with store.write() as txn:
            for row, receipt in zip(waiting, receipts, strict=True):
                is_row = (OUTBOX.c.number == row.number) & (OUTBOX.c.form == row.form)
                if receipt.status == "final":
                    assert receipt.sequence is not None
                    form = self._forms.get(row.form)
                    if form is not None:
                        form.published(txn, row.opened.event, receipt.sequence)
                    txn.connection.execute(delete(OUTBOX).where(is_row))
                elif self._is_stale(row.opened, receipt):
                    entry = self._publisher.sign_again(row.opened.event, self._now_ms()).entry
                    txn.connection.execute(update(OUTBOX).where(is_row).values(entry=entry))

    def _is_stale(self, opened: OpenEntry, receipt: Receipt) -> bool:
        """Say whether an event will be refused for ever, and its content would not."""
        if receipt.code is RejectCode.TIME_TOO_OLD:
            return True
        return receipt.code in _STALE and opened.event.key != self._key

    def _sign(self, draft: Draft) -> OpenEntry:
        """Sign an event as of now. Raises ValueError when it is outside the ledger's limits."""
        content = draft.content.copy()
        content["time_ms"] = self._now_ms()
        return self._publisher.sign(draft.topic, draft.type, **content)


def _waiting(store: Store) -> list[_Waiting]:
    with store.read() as reading:
        rows = reading.connection.execute(select(OUTBOX).order_by(OUTBOX.c.number, OUTBOX.c.form))
        return [_Waiting(row.number, row.form, open_entry(row.entry)) for row in rows]


def _journal_position(store: Store) -> int:
    with store.read() as reading:
        return position(reading.connection, "journal", 0)


def waiting_count(store: Store) -> tuple[int, int]:
    """Give the events in the outbox, and the changes of the journal that were not looked at."""
    with store.read() as reading:
        count = reading.connection.execute(select(func.count()).select_from(OUTBOX)).scalar_one()
        return count, reading.last_change() - position(reading.connection, "journal", 0)
