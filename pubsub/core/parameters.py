"""Query parameters and ``Accept``: read strictly, so that a misspelt filter is never ignored."""

import re
from collections.abc import Iterable, Sequence
from typing import Final

from ledger.core.limits import INT_MAX
from pubsub.core.problems import HttpCode, Refusal

__all__ = ["Parameters", "choose_media_type", "read_cursor"]

_INTEGER: Final = re.compile(r"-?(0|[1-9][0-9]{0,18})\Z", re.ASCII)
_QUALITY: Final = re.compile(r"(0(\.[0-9]{0,3})?|1(\.0{0,3})?)\Z", re.ASCII)


class Parameters:
    """The query parameters of one request."""

    __slots__ = ("_all", "_values")

    def __init__(
        self,
        pairs: Iterable[tuple[str, str]],
        allowed: Sequence[str],
        repeatable: Sequence[str] = (),
    ) -> None:
        """Take the (name, value) pairs of the query.

        Raises:
            Refusal: a name is not in ``allowed``, stands twice without being ``repeatable``, or
                has an empty value.
        """
        self._values: dict[str, str] = {}
        self._all: dict[str, list[str]] = {}
        for name, value in pairs:
            if name not in allowed:
                known = ", ".join(allowed) or "none"
                raise _invalid(f"no parameter is named {name[:64]!r}; known: {known}")
            if name in self._values and name not in repeatable:
                raise _invalid(f"{name} is given twice")
            if not value:
                raise _invalid(f"{name} is empty")
            self._values[name] = value
            self._all.setdefault(name, []).append(value)

    def texts(self, name: str, count_max: int) -> tuple[str, ...]:
        """Give every value of ``name``, in their order. Raises Refusal when there are too many."""
        values = self._all.get(name, [])
        if len(values) > count_max:
            raise _invalid(f"{name} may be given {count_max} times")
        return tuple(values)

    def text(self, name: str, chars_max: int) -> str | None:
        """Give the text of ``name``, or None. Raises Refusal when it is too long."""
        value = self._values.get(name)
        if value is not None and len(value) > chars_max:
            raise _invalid(f"{name} may have {chars_max} characters")
        return value

    def choice(self, name: str, choices: Sequence[str]) -> str | None:
        """Give one of ``choices``, or None when absent. Raises Refusal for another value."""
        value = self._values.get(name)
        if value is not None and value not in choices:
            raise _invalid(f"{name} is one of {', '.join(choices)}")
        return value

    def integer(self, name: str, low: int, high: int) -> int | None:
        """Give the integer of ``name`` in low..high, or None. Raises Refusal."""
        value = self._values.get(name)
        return None if value is None else _integer(name, value, low, high)


def read_cursor(name: str, text: str) -> int:
    """Read a position in the log: the last sequence seen, or -1 for none. Raises Refusal."""
    return _integer(name, text, -1, INT_MAX)


def choose_media_type(accept: str, offered: Sequence[str]) -> str:
    """Give the media type of ``offered`` that an ``Accept`` header likes best; the first wins ties.

    Raises:
        Refusal: none is acceptable.
    """
    if not accept.strip():
        return offered[0]
    ranges = [_media_range(part) for part in accept.split(",")]
    best, best_quality = "", 0
    for media_type in offered:
        # The most specific range that fits counts (RFC 9110, 12.5.1).
        fits = [
            (specificity, quality)
            for pattern, specificity, quality in ranges
            if pattern in (media_type, media_type.split("/")[0] + "/*", "*/*")
        ]
        quality = max(fits, default=(0, 0))[1]
        if quality > best_quality:
            best, best_quality = media_type, quality
    if not best:
        raise Refusal(HttpCode.NOT_ACCEPTABLE, f"offered: {', '.join(offered)}")
    return best


def _media_range(text: str) -> tuple[str, int, int]:
    """Give (range, specificity, quality in thousandths); an unreadable quality is 0."""
    pattern, *parameters = (part.strip().lower() for part in text.split(";"))
    quality = 1000
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "q":
            match = _QUALITY.match(value.strip())
            whole, _, fraction = value.strip().partition(".")
            quality = int(whole) * 1000 + int(fraction.ljust(3, "0")) if match else 0
    return pattern, 0 if pattern == "*/*" else 1 if pattern.endswith("/*") else 2, quality


def _integer(name: str, text: str, low: int, high: int) -> int:
    if not _INTEGER.match(text) or not low <= int(text) <= high:
        raise _invalid(f"{name} is an integer from {low} to {high}")
    return int(text)


def _invalid(detail: str) -> Refusal:
    return Refusal(HttpCode.INVALID_PARAMETER, detail)
