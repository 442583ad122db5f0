"""Date-times: what counts as one, and how this node writes its own.

A date-time is kept as it was sent: clients compare texts. RFC 3339 is the rule; a missing zone,
missing seconds and a bare date are let through, because the examples of the definitions and many
clients have them.
"""

import re
from datetime import UTC, date, datetime, timedelta
from typing import Final

__all__ = ["is_date_time", "spell_time"]

_FORM: Final = re.compile(
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})"
    r"(?:[Tt ]([01][0-9]|2[0-3]):[0-5][0-9](?::(?:[0-5][0-9]|60)(?:\.[0-9]{1,9})?)?"
    r"(?:[Zz]|[+-](?:[01][0-9]|2[0-3]):?[0-5][0-9])?)?"
)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def is_date_time(text: str) -> bool:
    """Tell whether a text names a moment or a day that exists."""
    found = _FORM.fullmatch(text)
    if found is None:
        return False
    try:
        date(int(found[1]), int(found[2]), int(found[3]))
    except ValueError:
        return False
    return True


def spell_time(time_ms: int) -> str:
    """Write Unix time in milliseconds: ``2026-11-21T15:08:00.000Z``."""
    moment = _EPOCH + timedelta(milliseconds=time_ms)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
