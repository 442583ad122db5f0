"""How often an endpoint may be called: requests a minute, evenly spread, with a second's burst."""

__all__ = ["Pace"]

_MINUTE_US = 60_000_000
_BURST_US = 1_000_000


class Pace:
    """The calls of one endpoint. Invariant: never more than a second's worth ahead of the rate."""

    def __init__(self, rate: int | None) -> None:
        """Allow ``rate`` requests a minute; None for any number."""
        self._interval_us = 0 if rate is None else _MINUTE_US // rate
        self._burst_us = max(0, _BURST_US - self._interval_us)
        self._due_us = 0

    def wait_ms(self, now_ms: int) -> int:
        """Say how long to wait before the next request; 0 for not at all."""
        return max(0, -(-self._ahead_us(now_ms) // 1000))

    def allowance(self, now_ms: int, most: int) -> int:
        """Say how many requests, up to ``most``, may be sent now."""
        if not self._interval_us:
            return most
        spare_us = -self._ahead_us(now_ms)
        return 0 if spare_us < 0 else min(most, 1 + spare_us // self._interval_us)

    def take(self, now_ms: int) -> None:
        """Count a request that is sent now."""
        self._due_us = max(self._due_us, now_ms * 1000) + self._interval_us

    def _ahead_us(self, now_ms: int) -> int:
        """Give how much later than now the next request is allowed; negative for earlier."""
        now_us = now_ms * 1000
        return max(self._due_us, now_us) - now_us - self._burst_us
