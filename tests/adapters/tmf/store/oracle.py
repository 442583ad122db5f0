"""What a query means, said again in the plainest way: over documents, without an index.

Imports only the values that say what is asked, none of the rules that answer it.
"""

import json
import math
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Annotated, Any, Final

import msgspec
import re2

from adapters.tmf.entity import JsonObject, canonical
from adapters.tmf.query.model import AnyOf, Comparison, Condition, Query, SortKey

__all__ = ["answer", "meets", "shown"]

_RELATIONS: Final[dict[str, Callable[[Any, Any], bool]]] = {
    "gt": lambda left, right: left > right,
    "gte": lambda left, right: left >= right,
    "lt": lambda left, right: left < right,
    "lte": lambda left, right: left <= right,
}
_Rfc3339 = Annotated[datetime, msgspec.Meta(tz=True)]


def answer(
    documents: Sequence[JsonObject], query: Query, visible: Sequence[Condition]
) -> tuple[list[str], int]:
    """Give the ids that a query finds, and how many match; documents in order of creation."""
    found = [
        document
        for document in documents
        if all(meets(document, condition) for condition in (*query.conditions, *visible))
    ]
    for key in reversed(query.sort):
        found = _sorted(found, key)
    end = None if query.limit is None else query.offset + query.limit
    return [document["id"] for document in found[query.offset : end]], len(found)


def meets(document: JsonObject, condition: Condition) -> bool:
    """Say whether a document meets a condition."""
    if isinstance(condition, AnyOf):
        return any(meets(document, part) for part in condition.comparisons)
    values = _values(document, condition.path.split("."))
    if condition.operator == "ne":
        return not any(_equal(value, condition.value) for value in values)
    return any(_stands(value, condition) for value in values)


def shown(value: object, fields: Sequence[str]) -> object:
    """Give the part of a document with these attributes, id and href."""
    tree: dict[str, Any] = {}
    for field in ("id", "href", *fields):
        node = tree
        for name in field.split("."):
            node = node.setdefault(name, {})
        node["*"] = True
    return _part(value, tree)


def _part(value: object, tree: dict[str, Any]) -> object:
    if "*" in tree:
        return value
    if isinstance(value, list):
        return [_part(each, tree) for each in value if isinstance(each, dict | list)]
    assert isinstance(value, dict)
    return {
        name: _part(member, tree[name])
        for name, member in value.items()
        if name in tree and (isinstance(member, dict | list) or "*" in tree[name])
    }


def _values(value: object, names: list[str]) -> list[Any]:
    if isinstance(value, list):
        return [found for each in value for found in _values(each, names)]
    if names:
        below = value.get(names[0]) if isinstance(value, dict) else None
        return [] if below is None else _values(below, names[1:])
    return [] if value is None or isinstance(value, dict) else [value]


def _text(value: object) -> str:
    if isinstance(value, str):
        return value
    return canonical({"": value})[len(b'{"":') : -1].decode()


def _number(text: str) -> float | None:
    try:
        number = json.loads(text)
    except ValueError:
        return None
    if isinstance(number, bool) or not isinstance(number, int | float) or text != text.strip():
        return None
    return float(number) if math.isfinite(float(number)) else None


def _time(text: str) -> datetime | None:
    if len(text) == len("2026-01-01"):
        text += "T00:00:00Z"
    try:
        return msgspec.convert(text, _Rfc3339) if "T" in text else None
    except msgspec.ValidationError:
        return None


def _equal(value: object, wanted: str) -> bool:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return _text(value) == wanted or float(value) == _number(wanted)
    return _text(value) == wanted


def _stands(value: object, comparison: Comparison) -> bool:
    text, wanted = _text(value), comparison.value
    if comparison.operator == "eq":
        return _equal(value, wanted)
    if comparison.operator == "regex":
        return re2.search(wanted, text) is not None
    left, right = _rank(text), _rank(wanted)
    return left[0] == right[0] and _RELATIONS[comparison.operator](left[1], right[1])


def _sorted(documents: list[JsonObject], key: SortKey) -> list[JsonObject]:
    having = [document for document in documents if _values(document, key.path.split("."))]
    without = [document for document in documents if document not in having]
    if not key.descending:
        return sorted(having, key=lambda document: _rank(_first(document, key.path))) + without
    having.reverse()  # and again: equal ones keep their order
    having.sort(key=lambda document: _rank(_first(document, key.path)))
    having.reverse()
    return having + without


def _rank(text: str) -> tuple[int, Any, str]:
    number, time = _number(text), _time(text)
    if number is not None:
        return 0, number, text
    return (2, text, "") if time is None else (1, time, text)


def _first(document: JsonObject, path: str) -> str:
    return _text(_values(document, path.split("."))[0])
