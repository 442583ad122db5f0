"""Back-pressure at the gateway: the rates of principals, and what ``Retry-After`` says.

The node says of each event whether it has room; how soon there will be room is asked of its status,
by one request for all who are refused at that moment.
"""

import time
from collections.abc import Awaitable, Callable
from typing import Annotated, Final

import anyio
import msgspec
from msgspec import Meta, Struct

from ledger.core.errors import Rejected, Unavailable
from ledger.core.limits import INT_MAX
from pubsub.core.limits import QUEUE_ASK_MS_MAX, QUEUE_FRESH_MS
from pubsub.core.overload import DrainRate, NodeQueue, PublishRates, retry_after_s

__all__ = ["Overload"]

_Count = Annotated[int, Meta(ge=0, le=INT_MAX)]


class _NodeStatus(Struct):
    """The part of the node's status that is needed here."""

    mempool_entries: _Count = 0
    mempool_bytes: _Count = 0


_decode: Final = msgspec.json.Decoder(_NodeStatus).decode


class Overload:
    """What a gateway knows about its own load and its node's."""

    def __init__(self, rates: PublishRates, ask: Callable[[], Awaitable[bytes]]) -> None:
        """Hold principals to ``rates``; ``ask`` gives the node's status."""
        self._rates = rates
        self._ask = ask
        self._drain = DrainRate()
        self._log_size = 0
        self._queue: NodeQueue | None = None
        self._asked_ms = -QUEUE_FRESH_MS
        self._asking = anyio.Lock()

    def note(self, log_size: int) -> None:
        """Take the size of the log as it is now."""
        self._log_size = log_size
        self._drain.note(log_size, _now_ms())

    def take(self, name: str, wanted: int) -> int:
        """Give how many of ``wanted`` events the principal may hand in now; they count."""
        return self._rates.take(name, wanted, _now_ms())

    def rate_retry_after_s(self, name: str, wanted: int) -> int:
        """Give the seconds until the principal may hand in ``wanted`` events; 0 for now."""
        return self._rates.retry_after_s(name, wanted, _now_ms())

    async def node_retry_after_s(self, refused_count: int) -> int:
        """Give the seconds after which the node has room for so many events."""
        async with self._asking:
            if _now_ms() - self._asked_ms >= QUEUE_FRESH_MS:
                self._queue = await self._read_queue()
                self._asked_ms = _now_ms()
        pace = self._drain.per_million_ms(self._log_size, _now_ms())
        return retry_after_s(self._queue, refused_count, pace)

    async def _read_queue(self) -> NodeQueue | None:
        with anyio.move_on_after(QUEUE_ASK_MS_MAX / 1000):
            try:
                status = _decode(await self._ask())
            except (Rejected, Unavailable, msgspec.MsgspecError, ValueError, RecursionError):
                return None
            return NodeQueue(status.mempool_entries, status.mempool_bytes)
        return None


def _now_ms() -> int:
    return time.monotonic_ns() // 1_000_000
