"""Posting events to one callback, under the rules of egress."""

from typing import Final

from adapters.tmf.hub.audience import Notification
from adapters.tmf.hub.line import Answered
from ledger.core.limits import TMF_HUB_ANSWER_BYTES_MAX, TMF_HUB_DELIVERY_MS_MAX
from pubsub.io.egress import Courier, Egress, Errand

__all__ = ["Callback"]

_HEADERS: Final = {"content-type": "application/json;charset=utf-8"}


class Callback:
    """One callback, or the listener paths below it."""

    def __init__(self, egress: Egress, callback: str, *, is_listener: bool) -> None:
        self._courier = Courier(egress, TMF_HUB_DELIVERY_MS_MAX)
        self._base = callback.rstrip("/") + "/listener/" if is_listener else ""
        self._callback = callback

    async def __call__(self, notification: Notification) -> Answered:
        """Post one event. Raises EgressError, Unavailable."""
        url = self._base + notification.event if self._base else self._callback
        limit = TMF_HUB_ANSWER_BYTES_MAX
        reply = await self._courier.run(Errand("POST", url, limit, _HEADERS, notification.body))
        return Answered(reply.status, reply.headers)

    async def close(self) -> None:
        """Close the connections."""
        await self._courier.close()
