"""The leaves of a document: every string, number and boolean with its dotted path. Pure.

Owns what a path means: names of members joined by dots, arrays on the way left out. The order of
leaves is the order of the canonical document, so the first leaf at a path is the same everywhere.
Null and empty containers have no leaf.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

from adapters.tmf.query.values import number_of, number_text, time_of

__all__ = ["Leaf", "leaves"]


class Leaf(NamedTuple):
    """One leaf.

    Attributes:
        position: counts the leaves at the same path, from 0.
        text: the string itself, ``true``/``false``, or the number as RFC 8785 writes it.
        number: the text as a number; None when it reads as none.
        time: the text as microseconds since 1970; None when it reads as no time.
        is_number: the document has a number here and not a string.
    """

    path: str
    position: int
    text: str
    number: float | None
    time: int | None
    is_number: bool = False


def leaves(document: dict[str, Any]) -> Iterator[Leaf]:
    """Walk over the leaves of a document that came from canonical bytes."""
    counts: dict[str, int] = {}
    waiting: list[tuple[str, Any]] = [("", document)]
    while waiting:
        path, value = waiting.pop()
        if isinstance(value, dict):
            prefix = f"{path}." if path else ""
            waiting += [(prefix + name, value[name]) for name in reversed(value)]
        elif isinstance(value, list):
            waiting += [(path, element) for element in reversed(value)]
        elif value is not None:
            position = counts.get(path, 0)
            counts[path] = position + 1
            yield _leaf(path, position, value)


def _leaf(path: str, position: int, value: str | float) -> Leaf:
    if isinstance(value, bool):
        return Leaf(path, position, "true" if value else "false", None, None)
    if isinstance(value, str):
        if value[:1] not in "-0123456789":  # saves most texts two searches
            return Leaf(path, position, value, None, None)
        return Leaf(path, position, value, number_of(value), time_of(value))
    text = str(value) if isinstance(value, int) else number_text(value)
    return Leaf(path, position, text, number_of(text), None, is_number=True)
