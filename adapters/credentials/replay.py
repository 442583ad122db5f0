"""Remembers what must be used only once, for as long as it could be used again.

Bounded: when all that is remembered is still needed, new ones are refused rather than old ones
forgotten.
"""

from collections import OrderedDict

from adapters.credentials.access import AccessRefused, Refusal
from ledger.core.limits import (
    PRESENTATION_LIFE_MS_MAX,
    PRESENTATIONS_REMEMBERED_MAX,
    TOKEN_SKEW_MS,
)

__all__ = ["ReplayMemory"]

_MEMORY_MS = PRESENTATION_LIFE_MS_MAX + TOKEN_SKEW_MS  # its `iat` may be ahead of our clock


class ReplayMemory:
    """The presentations and assertions of the last minutes."""

    def __init__(self, count_max: int = PRESENTATIONS_REMEMBERED_MAX) -> None:
        self._until_ms: OrderedDict[bytes, int] = OrderedDict()
        self._count_max = count_max

    def use(self, *names: bytes, now_ms: int) -> None:
        """Remember all the names of one presentation, or refuse it and remember none.

        Args:
            names: what must not come again; such as its digest and its nonce.

        Raises:
            AccessRefused: REPLAYED, or BUSY when there is no room.
        """
        while self._until_ms and next(iter(self._until_ms.values())) <= now_ms:
            self._until_ms.popitem(last=False)
        if any(self._until_ms.get(name, 0) > now_ms for name in names):
            raise AccessRefused(Refusal.REPLAYED, "this was used before")
        if len(self._until_ms) + len(names) > self._count_max:
            raise AccessRefused(Refusal.BUSY, "too many presentations within minutes")
        for name in names:
            self._until_ms[name] = now_ms + _MEMORY_MS
            self._until_ms.move_to_end(name)
