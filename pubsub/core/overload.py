"""Back-pressure: how much a principal may hand in, and when trying again is worth it.

Owns the arithmetic of ``Retry-After``: a token bucket for each principal, and the time in which the
node's queue will have drained by as much as was refused, at the pace of the last seconds. All times
are milliseconds of a clock that never goes back.
"""

from collections import OrderedDict, deque
from typing import Final, NamedTuple

from ledger.core.limits import MEMPOOL_BYTES_MAX, MEMPOOL_ENTRIES_MAX
from pubsub.core.limits import (
    DRAIN_SAMPLES_MAX,
    DRAIN_WINDOW_MS,
    PUBLISHERS_REMEMBERED_MAX,
    RETRY_AFTER_S_MAX,
    RETRY_AFTER_STALLED_S,
)

__all__ = ["DrainRate", "NodeQueue", "PublishRates", "retry_after_s"]

_SECOND_MS: Final = 1_000
_MILLION: Final = 1_000_000


class NodeQueue(NamedTuple):
    """What waits in the node: events that are in no batch yet."""

    entries_count: int
    bytes_count: int


class PublishRates:
    """Token buckets by principal: so many events a second, and so many at once after a pause."""

    def __init__(self, rate: int, burst: int) -> None:
        """Begin with full buckets. ``rate`` is in events a second, 0 for any number."""
        self._rate = rate
        self._full = burst * _SECOND_MS  # levels are in thousandths of an event
        self._buckets: OrderedDict[str, tuple[int, int]] = OrderedDict()  # level, and when

    def take(self, name: str, wanted: int, now_ms: int) -> int:
        """Take up to ``wanted`` events out of a principal's bucket; give how many may pass."""
        if not self._rate:
            return wanted
        level = self._level(name, now_ms)
        granted = min(wanted, level // _SECOND_MS)
        self._buckets[name] = level - granted * _SECOND_MS, now_ms
        self._buckets.move_to_end(name)
        if len(self._buckets) > PUBLISHERS_REMEMBERED_MAX:
            self._buckets.popitem(last=False)
        return granted

    def retry_after_s(self, name: str, wanted: int, now_ms: int) -> int:
        """Give the seconds until ``wanted`` events may pass, or as many as ever do at once."""
        if not self._rate:
            return 0
        lack = min(wanted * _SECOND_MS, self._full) - self._level(name, now_ms)
        return min(RETRY_AFTER_S_MAX, max(0, -(-lack // (self._rate * _SECOND_MS))))

    def _level(self, name: str, now_ms: int) -> int:
        level, since_ms = self._buckets.get(name, (self._full, now_ms))
        return min(self._full, level + (now_ms - since_ms) * self._rate)


class DrainRate:
    """How quickly the log has grown lately."""

    def __init__(self) -> None:
        """Begin without knowing."""
        self._samples: deque[tuple[int, int]] = deque(maxlen=DRAIN_SAMPLES_MAX)

    def note(self, log_size: int, now_ms: int) -> None:
        """Take the size of the log at a time."""
        samples = self._samples
        if samples and now_ms - samples[-1][0] < DRAIN_WINDOW_MS // DRAIN_SAMPLES_MAX:
            return
        samples.append((now_ms, log_size))
        while now_ms - samples[0][0] > DRAIN_WINDOW_MS:
            samples.popleft()

    def per_million_ms(self, log_size: int, now_ms: int) -> int | None:
        """Give events in a million ms up to now; None while there is not a second to judge by."""
        if not self._samples or now_ms - self._samples[0][0] < _SECOND_MS:
            return None
        since_ms, size = self._samples[0]
        return (log_size - size) * _MILLION // (now_ms - since_ms)


def retry_after_s(queue: NodeQueue | None, refused_count: int, per_million_ms: int | None) -> int:
    """Give the seconds after which the node has room for what it refused.

    One second where nothing better is known; longer while nothing becomes final at all.

    Args:
        per_million_ms: events that became final in a million milliseconds, lately.
    """
    if queue is None or per_million_ms is None:
        return 1
    excess = queue.entries_count + refused_count - MEMPOOL_ENTRIES_MAX
    if queue.bytes_count >= MEMPOOL_BYTES_MAX and queue.entries_count:
        mean_bytes = max(1, queue.bytes_count // queue.entries_count)
        excess = max(excess, (queue.bytes_count - MEMPOOL_BYTES_MAX) // mean_bytes + 1)
    if excess <= 0:
        return 1  # there is room again already
    if per_million_ms <= 0:
        return RETRY_AFTER_STALLED_S
    return min(RETRY_AFTER_S_MAX, excess * _SECOND_MS // per_million_ms + 1)
