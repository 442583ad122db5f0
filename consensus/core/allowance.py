"""A bounded right to be served, for each peer."""

from ledger.core.ids import NodeIndex
from ledger.core.limits import SERVE_BURST, SERVE_INTERVAL_MS

__all__ = ["Allowance"]


class Allowance:
    """A token bucket for each peer: a burst, then one request in each interval."""

    def __init__(self) -> None:
        self._buckets: dict[NodeIndex, tuple[int, int]] = {}

    def take(self, peer: NodeIndex, now_ms: int) -> bool:
        """Take one token of ``peer``; False when it has none left."""
        tokens, since_ms = self._buckets.get(peer, (SERVE_BURST, now_ms))
        since_ms = min(since_ms, now_ms)  # the clock may have gone back
        earned = (now_ms - since_ms) // SERVE_INTERVAL_MS
        tokens = min(SERVE_BURST, tokens + earned)
        self._buckets[peer] = (max(0, tokens - 1), since_ms + earned * SERVE_INTERVAL_MS)
        return tokens > 0
