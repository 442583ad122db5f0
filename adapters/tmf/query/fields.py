"""Showing part of a document: the attributes that were asked for, and always id and href. Pure.

Owns what a field's path selects: the whole attribute at it, an array on the way standing for all
its elements. An attribute that is not there is no error.
"""

from collections.abc import Sequence
from typing import Any, Final

from adapters.tmf.entity import JsonObject

__all__ = ["select"]

_ALWAYS: Final = ("id", "href")


def select(document: JsonObject, fields: Sequence[str] | None) -> JsonObject:
    """Give a document with the named attributes only; all of them when ``fields`` is None."""
    if fields is None:
        return document
    whole = frozenset((*_ALWAYS, *fields))
    above = frozenset(
        field[:end] for field in fields for end, char in enumerate(field) if char == "."
    )
    return _selected(document, "", whole, above)


def _selected(
    value: JsonObject, prefix: str, whole: frozenset[str], above: frozenset[str]
) -> JsonObject:
    chosen: JsonObject = {}
    for name, member in value.items():
        path = prefix + name
        if path in whole:
            chosen[name] = member
        elif path in above and isinstance(member, dict):
            chosen[name] = _selected(member, f"{path}.", whole, above)
        elif path in above and isinstance(member, list):
            chosen[name] = _selected_elements(member, f"{path}.", whole, above)
    return chosen


def _selected_elements(
    elements: list[Any], prefix: str, whole: frozenset[str], above: frozenset[str]
) -> list[Any]:
    """Select from the objects of an array and of arrays within; other elements are left out."""
    chosen: list[Any] = []
    for element in elements:
        if isinstance(element, dict):
            chosen.append(_selected(element, prefix, whole, above))
        elif isinstance(element, list):
            chosen.append(_selected_elements(element, prefix, whole, above))
    return chosen
