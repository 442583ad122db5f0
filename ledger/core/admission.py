"""Which events may enter, decided the same way at the origin, at its peers and at application."""

from typing import NamedTuple

from ledger.core.errors import RejectCode
from ledger.core.ids import EventId

__all__ = ["ExaminedEntry", "Verdict"]


class ExaminedEntry(NamedTuple):
    """An entry that is canonical, correctly signed and admissible now."""

    entry: bytes
    id: EventId


Verdict = ExaminedEntry | RejectCode
