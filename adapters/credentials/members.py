"""Reading members of decoded JSON: the type that is expected, or a refusal.

Owns the strict decoding of JSON that strangers signed: bounded depth, no member twice, nothing
that two readers could understand differently.
"""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Final

from adapters.credentials.access import AccessRefused, Refusal
from ledger.core.errors import DecodeError
from ledger.core.limits import INT_MAX
from pubsub.core.compact_jws import Json, read_json_object

__all__ = ["Json", "Reader", "malformed", "moment", "read_json", "seconds", "strings"]

_MILLISECONDS_FROM: Final = 10**11  # the year 5138 in seconds, 1973 in milliseconds


def malformed(detail: str) -> AccessRefused:
    """Give the refusal of something that has not the form it must have."""
    return AccessRefused(Refusal.MALFORMED, detail)


def read_json(data: bytes, what: str) -> dict[str, object]:
    """Decode a JSON object. Raises AccessRefused(MALFORMED)."""
    try:
        return read_json_object(data)
    except DecodeError as error:
        raise malformed(f"{what}: {error}") from None


class Reader:
    """One JSON object, read member by member; an absent member and null are the same."""

    def __init__(self, value: object, what: str) -> None:
        """Read ``value``. Raises AccessRefused(MALFORMED) when it is no object."""
        if not isinstance(value, Mapping):
            raise malformed(f"{what} is no JSON object")
        self.members: Json = value
        self._what = what

    def text(self, *names: str) -> str | None:
        """Give the text under one of several names; two that differ are refused."""
        found: set[str] = set()
        for name, value in self._present(names):
            if not isinstance(value, str) or not value:
                raise malformed(f"{self._what}: {name} is no text")
            found.add(value)
        if len(found) > 1:
            raise malformed(f"{self._what}: {' and '.join(names)} differ")
        return found.pop() if found else None

    def need_text(self, *names: str) -> str:
        """Give a text that must be there."""
        value = self.text(*names)
        if value is None:
            raise malformed(f"{self._what}: {names[0]} is missing")
        return value

    def texts(self, *names: str) -> tuple[str, ...]:
        """Give a list of texts; one text stands for a list of one."""
        return tuple(text for _, value in self._present(names) for text in strings(value))

    def inner(self, *names: str) -> "Reader | None":
        """Give the object under the first of several names that is there."""
        for name, value in self._present(names):
            return Reader(value, f"{self._what}.{name}")
        return None

    def inners(self, *names: str) -> "list[Reader]":
        """Give a list of objects; one object stands for a list of one."""
        found: list[Reader] = []
        for name, value in self._present(names):
            rows: list[object] = value if isinstance(value, list) else [value]
            found += [Reader(row, f"{self._what}.{name}") for row in rows]
        return found

    def moments(self, *names: str) -> list[int]:
        """Give all the moments under these names, in milliseconds since 1970."""
        return [moment(value, f"{self._what}.{name}") for name, value in self._present(names)]

    def seconds(self, name: str, *, or_milliseconds: bool = False) -> int | None:
        """Give a time claim in milliseconds, or None."""
        value = self.members.get(name)
        what = f"{self._what}.{name}"
        return None if value is None else seconds(value, what, or_milliseconds=or_milliseconds)

    def _present(self, names: tuple[str, ...]) -> Iterator[tuple[str, object]]:
        return ((name, self.members[name]) for name in names if self.members.get(name) is not None)


def strings(value: object) -> tuple[str, ...]:
    """Give a text, or a list of texts, as a tuple. Raises AccessRefused(MALFORMED)."""
    rows: list[object] = value if isinstance(value, list) else [value]
    texts = tuple(row for row in rows if isinstance(row, str))
    if len(texts) != len(rows):
        raise malformed("neither a text nor a list of texts")
    return texts


def moment(value: object, what: str) -> int:
    """Give an RFC 3339 date-time with its offset in milliseconds since 1970."""
    try:
        when = datetime.fromisoformat(value if isinstance(value, str) else "")
        if when.tzinfo is None:
            raise malformed(f"{what} has no offset from UTC")
        return int(when.timestamp() * 1000)
    except (ValueError, OverflowError, OSError):
        raise malformed(f"{what} is no date-time") from None


def seconds(value: object, what: str, *, or_milliseconds: bool = False) -> int:
    """Give a NumericDate in milliseconds since 1970.

    Args:
        or_milliseconds: take large numbers for milliseconds, as the machines of DOME write them.
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < INT_MAX:
        raise malformed(f"{what} is no NumericDate")
    if value >= _MILLISECONDS_FROM and or_milliseconds:
        return int(value)
    return int(value * 1000)
