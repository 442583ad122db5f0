"""Comparisons of a query as SQL over the index of leaves; the same on both databases.

Owns what an operator means in SQL. Regular expressions have no place here: ``search.py`` matches
them outside of the database.
"""

import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from sqlalchemy import (
    ColumnElement,
    Select,
    and_,
    exists,
    false,
    not_,
    or_,
    select,
    tuple_,
    union_all,
)

from adapters.tmf.query.model import Comparison
from adapters.tmf.query.values import instant_of, number_of, number_text
from adapters.tmf.store.schema import ENTITIES, LEAVES
from ledger.core.limits import TMF_LEAF_HEAD_BYTES

__all__ = ["entities_with", "holds"]

_RELATIONS: Final[Mapping[str, Callable[[Any, Any], ColumnElement[bool]]]] = {
    "eq": operator.eq,
    "gt": operator.gt,
    "gte": operator.ge,
    "lt": operator.lt,
    "lte": operator.le,
}


def holds(comparison: Comparison, numbers: Mapping[str, int]) -> ColumnElement[bool]:
    """Say whether an entity of the enclosing statement meets a comparison."""
    leaf = LEAVES.c.entity == ENTITIES.c.number
    met = exists().where(leaf, _met(comparison, numbers)).correlate(ENTITIES)
    return not_(met) if comparison.operator == "ne" else met


def entities_with(members: Sequence[Comparison], numbers: Mapping[str, int]) -> Select[Any]:
    """Select the entities, some of them twice, with a leaf that meets one of the comparisons."""
    parts = [select(LEAVES.c.entity).where(_met(member, numbers)) for member in members]
    found = parts[0] if len(parts) == 1 else select(union_all(*parts).subquery().c.entity)
    return found.correlate(None)  # a statement around it may read leaves of its own


def _met(comparison: Comparison, numbers: Mapping[str, int]) -> ColumnElement[bool]:
    """Say whether a leaf meets a comparison; ``ne`` as if it were ``eq``."""
    path = numbers.get(comparison.path)
    if path is None:
        return false()  # nobody ever had a leaf there
    if comparison.operator in {"eq", "ne"}:
        return and_(LEAVES.c.path == path, _equals(comparison.value))
    return and_(LEAVES.c.path == path, _is_beyond(comparison.operator, comparison.value))


def _equals(value: str) -> ColumnElement[bool]:
    number = number_of(value)
    text = _text_is("eq", value)
    if number is None or number_text(number) == value:
        return text  # a leaf that is this number has this text
    return or_(text, and_(LEAVES.c.number == number, LEAVES.c.is_number))


def _is_beyond(relation: str, value: str) -> ColumnElement[bool]:
    number = number_of(value)
    if number is not None:
        return _RELATIONS[relation](LEAVES.c.number, number)
    instant = instant_of(value)
    if instant is not None:
        return _RELATIONS[relation](LEAVES.c.instant, instant)
    return _text_is(relation, value)


def _text_is(relation: str, value: str) -> ColumnElement[bool]:
    text = value.encode()
    if len(text) < TMF_LEAF_HEAD_BYTES:  # a leaf with this head has no tail
        return _RELATIONS[relation](LEAVES.c.head, text)
    head, tail = text[:TMF_LEAF_HEAD_BYTES], text[TMF_LEAF_HEAD_BYTES:]
    if relation == "eq":
        return and_(LEAVES.c.head == head, LEAVES.c.tail == tail)
    return _RELATIONS[relation](tuple_(LEAVES.c.head, LEAVES.c.tail), tuple_(head, tail))
