"""Conditions judged on one document in memory, with the meaning that the query model gives them.

Owns that meaning for everybody who has the document at hand: visibility of one entity, the hub,
partial replication. The index answers the same for many (``adapters/tmf/store/conditions.py``).
"""

import operator
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, TypeAlias

import re2

from adapters.tmf.entity import JsonObject
from adapters.tmf.query.leaves import Leaf, leaves
from adapters.tmf.query.model import AnyOf, Comparison, Condition
from adapters.tmf.query.values import number_of, time_of

__all__ = ["LeavesByPath", "Test", "compiled", "leaves_by_path", "matcher"]

LeavesByPath: TypeAlias = Mapping[str, Sequence[Leaf]]
Test: TypeAlias = Callable[[LeavesByPath], bool]
"""One condition, ready to be asked often."""

_ORDERS: Final[Mapping[str, Callable[[Any, Any], bool]]] = {
    "gt": operator.gt,
    "gte": operator.ge,
    "lt": operator.lt,
    "lte": operator.le,
}


def matcher(conditions: Iterable[Condition]) -> Callable[[JsonObject], bool]:
    """Give the function that says whether a document meets all conditions.

    Raises:
        re2.error: a regular expression is none.
    """
    tests = tuple(map(compiled, conditions))

    def meets(document: JsonObject) -> bool:
        found = leaves_by_path(document) if tests else {}
        return all(test(found) for test in tests)

    return meets


def leaves_by_path(document: JsonObject) -> LeavesByPath:
    """Give the leaves of a document by their paths, in its order."""
    found: dict[str, list[Leaf]] = {}
    for leaf in leaves(document):
        found.setdefault(leaf.path, []).append(leaf)
    return found


def compiled(condition: Condition) -> Test:
    """Make a condition ready to be asked of the leaves of many documents.

    Raises:
        re2.error: a regular expression is none.
    """
    if isinstance(condition, AnyOf):
        parts = tuple(map(compiled, condition.comparisons))
        return lambda found: any(part(found) for part in parts)
    path, holds = condition.path, _leaf_test(condition)
    if condition.operator == "ne":
        return lambda found: not any(map(holds, found.get(path, ())))
    return lambda found: any(map(holds, found.get(path, ())))


def _leaf_test(comparison: Comparison) -> Callable[[Leaf], bool]:
    """Give what one leaf is asked; for ``ne`` its opposite, which no leaf may meet."""
    value = comparison.value
    if comparison.operator == "regex":
        pattern = re2.compile(value)
        return lambda leaf: pattern.search(leaf.text) is not None
    number, time = number_of(value), time_of(value)
    if comparison.operator in {"eq", "ne"}:
        return lambda leaf: (
            leaf.text == value or (leaf.is_number and number is not None and leaf.number == number)
        )
    stands = _ORDERS[comparison.operator]
    if number is not None:
        return lambda leaf: leaf.number is not None and stands(leaf.number, number)
    if time is not None:
        return lambda leaf: leaf.time is not None and stands(leaf.time, time)
    return lambda leaf: leaf.number is None and leaf.time is None and stands(leaf.text, value)
