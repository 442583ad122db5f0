"""Publishing what clients hand in, so that nothing that was taken can be lost.

Desmos looks at no answer: what fails once never comes again. So a request becomes a signed event on
the disk first, and one task hands it in until the ledger decided, through restarts of node and
gateway. The event is signed once, so handing it in again cannot make a second one of it. Events of
one entity go one after another.
"""

from hashlib import sha256
from typing import Final

import anyio
import msgspec
import structlog
from msgspec import UNSET

from adapters.dome.dlt.events import PublishRequest
from adapters.dome.dlt.state import DltState, Waiting
from adapters.member import Member
from ledger.core.errors import ConcordatError, RejectCode, Rejected, Unavailable
from ledger.core.ids import Height
from ledger.core.limits import (
    CONTROL_RECONNECT_MS,
    CONTROL_RECONNECT_MS_MAX,
    DLT_OUTBOX_BATCH,
    DLT_OUTBOX_WAIT_MS,
    GATEWAY_WAIT_MS,
)
from pubsub.core.documents import Receipt
from pubsub.core.entries import Entries
from pubsub.io.handing_in import Wish, hand_in
from pubsub.io.state import Gateway

__all__ = ["Outbox"]

_log: Final = structlog.get_logger("dlt")
_RETRIED: Final = frozenset({RejectCode.OVERLOADED, RejectCode.TIME_IN_FUTURE})


class _Decision:
    """What a client waits for: the time of its event's block, or why there is none."""

    def __init__(self) -> None:
        self.done = anyio.Event()
        self.time_ms: int | None = None
        self.refusal: Rejected | None = None


class Outbox:
    """The way of events from clients to the ledger."""

    def __init__(self, gateway: Gateway, state: DltState, member: Member) -> None:
        self._gateway = gateway
        self._state = state
        self._member = member
        self._decisions: dict[bytes, _Decision] = {}
        self._wake = anyio.Event()

    async def publish(self, request: PublishRequest, fields: dict[str, object]) -> int:
        """Publish what a request asks for; give the time of its block, in milliseconds.

        A request that is the same as one on its way joins it.

        Args:
            fields: of the event.

        Raises:
            Rejected: the ledger refuses it.
            Unavailable: it is not final in time; it is kept and becomes so later.
        """
        digest = sha256(msgspec.json.encode(request)).digest()
        values = dict(fields)
        topic, type_ = str(values.pop("topic")), str(values.pop("type"))
        entry = self._member.sign(topic, type_, values).entry
        decision = self._decisions.setdefault(digest, _Decision())
        try:
            subject = str(values["subject"])
            await anyio.to_thread.run_sync(self._state.take, digest, subject, entry)
            self._wake.set()
            with anyio.move_on_after(GATEWAY_WAIT_MS / 1000):
                await decision.done.wait()
        finally:
            if self._decisions.get(digest) is decision:
                del self._decisions[digest]
        if decision.refusal is not None:
            raise decision.refusal
        if decision.time_ms is None:
            raise Unavailable("the event is kept and will be published, but is not final yet")
        return decision.time_ms

    async def run(self) -> None:
        """Hand in what waits until cancelled."""
        pause_ms = CONTROL_RECONNECT_MS
        while True:
            self._wake = anyio.Event()
            rows = await anyio.to_thread.run_sync(self._state.waiting, DLT_OUTBOX_BATCH)
            if not rows:
                await self._wake.wait()
            elif await self._hand_in(rows):
                pause_ms = CONTROL_RECONNECT_MS
            else:
                if self._gateway.is_closing:
                    self._release()
                await anyio.sleep(pause_ms / 1000)
                pause_ms = min(2 * pause_ms, CONTROL_RECONNECT_MS_MAX)

    async def _hand_in(self, rows: list[Waiting]) -> bool:
        """Hand in some events; say whether any of them is decided now."""
        entries = Entries.of(*(row.entry for row in rows))
        try:
            receipts = await hand_in(self._gateway, entries, Wish("final", DLT_OUTBOX_WAIT_MS))
        except ConcordatError as error:
            _log.info("publishing_waits", events=len(rows), reason=str(error))
            return False
        decided = [
            (row, receipt)
            for row, receipt in zip(rows, receipts, strict=True)
            if receipt.status != "pending" and receipt.code not in _RETRIED
        ]
        await anyio.to_thread.run_sync(self._state.settle, [row.id for row, _ in decided])
        for row, receipt in decided:
            self._tell(row, receipt)
        return bool(decided)

    def _release(self) -> None:
        """Let clients go, because the gateway ends; what they gave is kept."""
        for decision in self._decisions.values():
            decision.done.set()

    def _tell(self, row: Waiting, receipt: Receipt) -> None:
        """Let the client know, if it still waits."""
        decision = self._decisions.pop(row.digest, None) or _Decision()
        if receipt.height is UNSET or receipt.sequence is UNSET:
            code = RejectCode(str(receipt.code))
            decision.refusal = Rejected(code, receipt.detail or "")
            _log.error("event_refused", subject=row.subject, code=code.value)
        else:
            with self._gateway.access.store.read() as reader:
                decision.time_ms = reader.stored_head(Height(receipt.height)).time_ms
        decision.done.set()
