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
from adapters.tmf.store.keys import Range, key_of_text, other_texts, range_of
from adapters.tmf.store.schema import LEAVES
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


def holds(
    asked: Asked, numbers: Mapping[str, int], entity: ColumnElement[int]
) -> ColumnElement[bool]:
    """Say whether an entity, a column of the enclosing statement, meets a condition.

    It is asked of one entity after the other, so it must look at that entity's leaves only, and
    not search the index of all for a range: the range is hidden from SQLite's planner.
    """
    hidden = func.coalesce(LEAVES.c.key, LEAVES.c.key)
    parts = []
    for is_negated, met in _met(asked, numbers, hidden):
        found = exists().where(LEAVES.c.entity == entity, met).correlate_except(LEAVES)
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
        ranges = [range_of(each.operator, each.value) for each in asked.comparisons]
        narrowest = Range(max(each.first for each in ranges), min(each.end for each in ranges))
        met = _is_within(narrowest, key)
        yield False, false() if path is None else and_(LEAVES.c.path == path, met)
        return
    for comparison in asked.comparisons:
        path = numbers.get(comparison.path)
        if comparison.operator in {"eq", "ne"}:
            met = _equals(comparison.value, key)
        else:
            met = _is_within(range_of(comparison.operator, comparison.value), key)
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


def _is_within(range_: Range, key: ColumnElement[bytes]) -> ColumnElement[bool]:
    first, end = range_
    from_first = key >= first.key
    if first.tail:
        from_first = tuple_(key, LEAVES.c.tail) >= tuple_(*first)
    before_end = key < end.key
    if end.tail:
        before_end = tuple_(key, LEAVES.c.tail) < tuple_(*end)
    return and_(from_first, before_end)
