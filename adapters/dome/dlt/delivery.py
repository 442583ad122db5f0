"""Telling subscribers, each at its own pace: in order, at least once, from where it was.

Owns one task for each subscription. An event is settled when its endpoint answered 2xx, or refused
it finally; only then its place is written down, so that a gateway that is killed sends at most
that one event again. Nothing is queued in memory: the log is the queue.
"""

import time
from typing import Final

import anyio
import msgspec
import structlog
from anyio.abc import TaskGroup

from adapters.dome.dlt.events import Notification
from adapters.dome.dlt.history import Told, slice_after
from adapters.dome.dlt.sending import Outcome, Sender, Verdict
from adapters.dome.dlt.state import DltState, Held
from ledger.core.errors import Forgotten
from ledger.core.limits import (
    DLT_REFUSALS_MAX,
    DLT_RETRY_MS,
    DLT_RETRY_MS_MAX,
    DLT_SILENCE_MS_MAX,
    GATEWAY_SCAN_ENTRIES,
)
from pubsub.io.egress import Egress
from pubsub.io.state import Gateway

__all__ = ["Delivery"]

_log: Final = structlog.get_logger("dlt")


class Delivery:
    """The subscribers' tasks."""

    def __init__(self, gateway: Gateway, state: DltState, egress: Egress, own_did: str) -> None:
        """Deliver what others than ``own_did`` publish."""
        self._gateway = gateway
        self._state = state
        self._egress = egress
        self._own_did = own_did
        self._group: TaskGroup | None = None

    async def run(self) -> None:
        """Serve all subscriptions until cancelled; new ones by :meth:`add`."""
        async with anyio.create_task_group() as group:
            for held in await anyio.to_thread.run_sync(self._state.subscriptions):
                group.start_soon(self._serve, held)
            self._group = group
            await anyio.sleep_forever()

    def add(self, held: Held) -> None:
        """Serve one subscription more."""
        if self._group is not None:  # otherwise `run` finds it in the file
            self._group.start_soon(self._serve, held)

    async def _serve(self, held: Held) -> None:
        sender = Sender(self._egress, held.subscription.endpoint)
        try:
            await self._follow(held, sender)
        finally:
            with anyio.CancelScope(shield=True):
                await sender.close()

    async def _follow(self, held: Held, sender: Sender) -> None:
        """Tell what is behind the cursor and wait for more, until the endpoint is given up."""
        cursor = saved = held.cursor
        while True:
            try:
                part = await slice_after(self._gateway, cursor)
            except Forgotten as error:  # it was given up, and made again after a pruning
                endpoint, first_held = held.subscription.endpoint, error.first_held
                _log.warning("events_not_told", endpoint=endpoint, after=cursor, until=first_held)
                cursor = saved = first_held - 1
                continue
            for told in part.events:
                if not self._is_for(held, told):
                    continue
                if not await self._deliver(held, told.notification, sender):
                    return
                saved = told.notification.id
            cursor = part.until - 1
            if cursor - saved >= GATEWAY_SCAN_ENTRIES:  # much that is not for this one
                await anyio.to_thread.run_sync(self._state.advance, held.id, cursor)
                saved = cursor
            await self._gateway.feed.wait_beyond(cursor)

    def _is_for(self, held: Held, told: Told) -> bool:
        return told.publisher != self._own_did and held.subscription.wants(told.notification)

    async def _deliver(self, held: Held, told: Notification, sender: Sender) -> bool:
        """Send one event until it is settled; False when the endpoint is given up."""
        body = msgspec.json.encode(told)
        pause_ms, refusals, since = DLT_RETRY_MS, 0, time.monotonic()
        while True:
            outcome = await sender.send(body)
            if outcome.verdict is Verdict.DELIVERED:
                await anyio.to_thread.run_sync(self._state.advance, held.id, told.id)
                return True
            refusals += outcome.verdict is Verdict.REFUSED
            if refusals >= DLT_REFUSALS_MAX:
                await self._note_refusal(held, told, outcome)
                return True
            if time.monotonic() - since >= DLT_SILENCE_MS_MAX / 1000:
                await anyio.to_thread.run_sync(self._state.give_up, held.id)
                self._say("subscriber_given_up", held, told, outcome)
                return False
            if pause_ms < DLT_RETRY_MS_MAX:  # later attempts say nothing new
                self._say("notification_failed", held, told, outcome)
            await anyio.sleep(pause_ms / 1000)
            pause_ms = min(2 * pause_ms, DLT_RETRY_MS_MAX)

    async def _note_refusal(self, held: Held, told: Notification, outcome: Outcome) -> None:
        await anyio.to_thread.run_sync(self._state.refuse, held.id, told.id, outcome.reason)
        self._say("notification_refused", held, told, outcome)

    def _say(self, what: str, held: Held, told: Notification, outcome: Outcome) -> None:
        endpoint = held.subscription.endpoint
        _log.warning(what, endpoint=endpoint, sequence=told.id, reason=outcome.reason)
