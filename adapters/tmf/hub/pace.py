"""How long to wait before a callback that failed is tried again. Pure.

Pauses double and are spread, so that callbacks that failed together do not come back together; a
callback that says when it wants to be asked again is believed, up to a limit.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Final

from ledger.core.limits import (
    TMF_HUB_RETRY_AFTER_MS_MAX,
    TMF_HUB_RETRY_MS,
    TMF_HUB_RETRY_MS_MAX,
    TMF_HUB_SILENCE_MS_MAX,
)

__all__ = ["Pace", "retry_after_ms"]

_DIGITS_MAX: Final = 9
_DOUBLINGS_MAX: Final = 32  # no pause needs more


@dataclass(frozen=True)
class Pace:
    """How retries go.

    Attributes:
        first_ms: the first pause.
        longest_ms: no pause is longer, but for a callback's own wish.
        silence_ms: a registration whose callback takes nothing for so long is ended.
    """

    first_ms: int = TMF_HUB_RETRY_MS
    longest_ms: int = TMF_HUB_RETRY_MS_MAX
    silence_ms: int = TMF_HUB_SILENCE_MS_MAX

    def pause_ms(self, failures: int, chance: float) -> int:
        """Give the pause after so many failures in a row.

        Args:
            chance: from 0 up to 1; the pause is at least half of what it could be.
        """
        assert failures > 0, "there is no pause before the first attempt"
        whole = min(self.first_ms << min(failures - 1, _DOUBLINGS_MAX), self.longest_ms)
        return int(whole * (1 + chance) / 2)


def retry_after_ms(headers: Mapping[str, str], now_ms: int) -> int:
    """Give how long a callback wants to be left alone; 0 when it does not say."""
    text = headers.get("retry-after", "").strip()
    if text.isascii() and text.isdigit() and len(text) <= _DIGITS_MAX:
        wish = int(text) * 1000
    else:
        try:
            wish = int(parsedate_to_datetime(text).timestamp() * 1000) - now_ms
        except (ValueError, OverflowError):
            return 0
    return min(max(wish, 0), TMF_HUB_RETRY_AFTER_MS_MAX)
