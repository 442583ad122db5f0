"""How a text is read when it is compared: as a number, as an instant, or as itself. Pure.

Owns the one reading that the index, the search and the parser share. A number is a text of JSON's
grammar for numbers whose value is finite; a time is an RFC 3339 date-time, or a full-date, which
stands for its first instant in UTC. No text is both.
"""

import re
from datetime import UTC, datetime, timedelta
from math import isfinite
from typing import Final

import rfc8785

__all__ = ["instant_of", "number_of", "number_text", "time_of"]

_NUMBER: Final = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
_INSTANT: Final = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt](?:[01][0-9]|2[0-3]):[0-9]{2}:[0-9]{2}(?:\.[0-9]+)?"
    r"(?:[Zz]|[+-](?:[01][0-9]|2[0-3]):[0-9]{2})"
)
_DAY: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


def number_of(text: str) -> float | None:
    """Read a text as a number; None when it is none."""
    if _NUMBER.fullmatch(text) is None:
        return None
    number = float(text)
    return number if isfinite(number) else None


def number_text(number: float) -> str:
    """Write a finite number as RFC 8785 does: equal numbers have equal texts."""
    return rfc8785.dumps(number).decode("ascii")


def instant_of(text: str) -> int | None:
    """Read a text as an instant, in whole microseconds since 1970; None when it is none."""
    if _INSTANT.fullmatch(text) is None:
        return None
    try:
        instant = datetime.fromisoformat(text.upper())
    except ValueError:  # no such day, minute or second
        return None
    return (instant - _EPOCH) // _MICROSECOND


def time_of(text: str) -> int | None:
    """Read a text as ``instant_of`` does, and a full-date as its first instant in UTC."""
    return instant_of(f"{text}T00:00:00Z" if _DAY.fullmatch(text) else text)
