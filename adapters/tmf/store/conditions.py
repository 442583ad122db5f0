"""Comparisons of a query as SQL over the index of leaves; the same on both databases.

Owns what an operator means in SQL. Regular expressions have no place here: ``search.py`` matches
them outside of the database.
"""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from sqlalchemy import (
    ColumnElement,
    Select,
    and_,
    exists,
    false,
    func,
    not_,
    or_,
    select,
    tuple_,
    union_all,
)

from adapters.tmf.query.model import Comparison
from adapters.tmf.store.keys import Key, key_of_text, other_texts, range_of
from adapters.tmf.store.schema import ENTITIES, LEAVES
from ledger.core.limits import TMF_LEAF_HEAD_BYTES

__all__ = ["Asked", "entities_with", "holds"]


class Asked(NamedTuple):
    """One condition as the search takes it.

    Attributes:
        comparisons: one of them must hold.
        is_of_one_leaf: all of them must hold, for the same leaf; all name the same path.
    """

    comparisons: tuple[Comparison, ...]
    is_of_one_leaf: bool = False

    def has(self, operator: str) -> bool:
        """Say whether one of the comparisons has an operator."""
        return any(comparison.operator == operator for comparison in self.comparisons)


def holds(asked: Asked, numbers: Mapping[str, int]) -> ColumnElement[bool]:
    """Say whether an entity of the enclosing statement meets a condition.

    It is asked of one entity after the other, so it must look at that entity's leaves only, and
    not search the index of all for a range: the range is hidden from SQLite's planner.
    """
    hidden = func.coalesce(LEAVES.c.key, LEAVES.c.key)
    parts = []
    for is_negated, met in _met(asked, numbers, hidden):
        leaf = LEAVES.c.entity == ENTITIES.c.number
        found = exists().where(leaf, met).correlate(ENTITIES)
        parts.append(not_(found) if is_negated else found)
    return or_(false(), *parts)


def entities_with(asked: Asked, numbers: Mapping[str, int]) -> Select[Any]:
    """Select the entities, some twice, with a leaf that meets a condition; it has no ``ne``."""
    key = LEAVES.c.key
    parts = [select(LEAVES.c.entity).where(met) for _, met in _met(asked, numbers, key)]
    found = parts[0] if len(parts) == 1 else select(union_all(*parts).subquery().c.entity)
    return found.correlate(None)  # a statement around it may read leaves of its own


def _met(
    asked: Asked, numbers: Mapping[str, int], key: ColumnElement[bytes]
) -> Iterator[tuple[bool, ColumnElement[bool]]]:
    """Say what a leaf must meet, and whether there must be none such instead."""
    if asked.is_of_one_leaf:
        path = numbers.get(asked.comparisons[0].path)
        ranges = [_is_beyond(comparison, key) for comparison in asked.comparisons]
        yield False, false() if path is None else and_(LEAVES.c.path == path, *ranges)
        return
    for comparison in asked.comparisons:
        path = numbers.get(comparison.path)
        is_equality = comparison.operator in {"eq", "ne"}
        met = _equals(comparison.value, key) if is_equality else _is_beyond(comparison, key)
        # A path without a number: nobody ever had a leaf there.
        at = false() if path is None else LEAVES.c.path == path
        yield comparison.operator == "ne", and_(at, met)


def _equals(value: str, key: ColumnElement[bytes]) -> ColumnElement[bool]:
    wanted = key_of_text(value)
    text = LEAVES.c.key == wanted.key
    if len(value.encode()) >= TMF_LEAF_HEAD_BYTES:  # else no leaf with this key has a tail
        text = and_(text, LEAVES.c.tail == wanted.tail)
    others = other_texts(value)
    if others is None:
        return text
    return or_(text, and_(LEAVES.c.is_number, key >= others.first.key, key < others.end.key))


def _is_beyond(comparison: Comparison, key: ColumnElement[bytes]) -> ColumnElement[bool]:
    first, end = range_of(comparison.operator, comparison.value)
    return and_(_is_from(first, key), not_(_is_from(end, key)))


def _is_from(first: Key, key: ColumnElement[bytes]) -> ColumnElement[bool]:
    if not first.tail:
        return key >= first.key
    return tuple_(key, LEAVES.c.tail) >= tuple_(first.key, first.tail)
