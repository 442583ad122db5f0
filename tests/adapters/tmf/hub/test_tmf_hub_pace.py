"""The pauses between attempts: they double, are spread, and obey the callback's own wish."""

from itertools import pairwise

import pytest

from adapters.tmf.hub.pace import Pace, retry_after_ms
from ledger.core.limits import TMF_HUB_RETRY_AFTER_MS_MAX

NOW_MS = 1_795_000_000_000


def test_pauses_double_up_to_the_longest() -> None:
    """Each pause is twice the one before, until the longest; none is ever longer."""
    pace = Pace(first_ms=10, longest_ms=1_000)
    pauses = [pace.pause_ms(failures, 1.0) for failures in range(1, 12)]
    assert pauses[0] == 10
    assert all(later == min(2 * earlier, 1_000) for earlier, later in pairwise(pauses))
    assert pace.pause_ms(10_000_000, 1.0) == 1_000


def test_pauses_are_spread() -> None:
    """Chance moves a pause within its upper half."""
    assert [Pace(100, 100).pause_ms(1, chance) for chance in (0.0, 0.5, 1.0)] == [50, 75, 100]


@pytest.mark.parametrize(
    "text, wish_ms",
    [
        ("60", 60_000),
        (" 60 ", 60_000),
        ("0", 0),
        ("99999999", TMF_HUB_RETRY_AFTER_MS_MAX),
        ("Wed, 18 Nov 2026 11:07:40 GMT", 60_000),
        ("Wed, 18 Nov 2026 11:05:40 GMT", 0),
        ("-1", 0),
        ("soon", 0),
        ("9" * 5_000, 0),
        ("Wed, 18 Nov 99999 11:07:40 GMT", 0),
        ("", 0),
    ],
)
def test_what_callbacks_wish(text: str, wish_ms: int) -> None:
    """Seconds and dates are understood, anything else is no wish."""
    assert retry_after_ms({"retry-after": text}, NOW_MS) == wish_ms
    assert retry_after_ms({}, NOW_MS) == 0
