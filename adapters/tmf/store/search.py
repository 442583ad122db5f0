"""Answering a query from the index of leaves.

Owns the choice of the condition to start from, the order, and the part that is given. Regular
expressions are matched here, by RE2, over the leaves of those entities that meet all other
conditions: neither database's own dialect is used.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

import re2  # type: ignore[import-untyped]
from sqlalchemy import ColumnElement, Connection, FromClause, Row, and_, case, func, or_, select

from adapters.tmf.query.model import AnyOf, Comparison, Condition, Query, SortKey
from adapters.tmf.store.conditions import entities_with, holds
from adapters.tmf.store.paths import PathNumbers
from adapters.tmf.store.schema import ENTITIES, LEAVES
from ledger.core.limits import TMF_FOUND_MAX, TMF_STATEMENT_ROWS_MAX

__all__ = ["Found", "search"]

_FEW: Final = 2_000  # entities: fewer are best read one by one
_Members = tuple[Comparison, ...]
_Where = list[ColumnElement[bool]]


class Found(NamedTuple):
    """Rows of entities in the order that was asked for, and how many match in all."""

    rows: Sequence[Row[Any]]
    total: int


def search(
    connection: Connection,
    paths: PathNumbers,
    resource: str,
    query: Query,
    visible: Sequence[Condition],
) -> Found:
    """Find the entities of a resource that meet a query's conditions and ``visible``."""
    conditions = [_members(condition) for condition in (*query.conditions, *visible)]
    named = {member.path for members in conditions for member in members}
    numbers = paths.find(resource, named | {key.path for key in query.sort})
    search_ = _Search(connection, resource, numbers)
    part = slice(
        query.offset, query.offset + (TMF_FOUND_MAX if query.limit is None else query.limit)
    )
    plain = [members for members in conditions if not _has_regex(members)]
    if len(plain) == len(conditions):
        return search_.found(plain, query.sort, part)
    matched = [members for members in conditions if _has_regex(members)]
    return search_.found_by_regex(plain, matched, query.sort, part)


class _Search(NamedTuple):
    """One query against one snapshot.

    Attributes:
        numbers: of the paths that the query names; a path without one has no leaf.
    """

    connection: Connection
    resource: str
    numbers: Mapping[str, int]

    def found(self, conditions: list[_Members], sort: Sequence[SortKey], part: slice) -> Found:
        """Answer from SQL alone."""
        driver, count = self._driver(conditions)
        where = self._where(conditions, driver)
        counted = select(func.count()).select_from(ENTITIES).where(*where)
        total = self.connection.execute(counted).scalar_one()
        if count >= _FEW and not sort:
            where = self._where(conditions, None)  # walking in order meets enough of them soon
        source, order = self._order(sort)
        page = select(*ENTITIES.c).select_from(source).where(*where).order_by(*order)
        page = page.offset(part.start).limit(part.stop - part.start)
        return Found(self.connection.execute(page).all(), total)

    def found_by_regex(
        self,
        plain: list[_Members],
        matched: list[_Members],
        sort: Sequence[SortKey],
        part: slice,
    ) -> Found:
        """Answer from the entities that SQL gives, leaving out what no expression matches."""
        where = self._where(plain, self._driver(plain)[0])
        source, order = self._order(sort)
        wanted = select(ENTITIES.c.number).select_from(source).where(*where).order_by(*order)
        numbers = list(self.connection.execute(wanted).scalars())
        for members in matched:
            kept = set[int]().union(*(self._meeting(member, where) for member in members))
            numbers = [number for number in numbers if number in kept]
        return Found(self._rows(numbers[part]), len(numbers))

    def _where(self, conditions: list[_Members], driver: _Members | None) -> _Where:
        """Say which entities meet the conditions, starting from ``driver``."""
        where: _Where = [ENTITIES.c.resource == self.resource]
        if driver is not None:
            where = [ENTITIES.c.number.in_(entities_with(driver, self.numbers))]
        for members in conditions:
            if members is not driver:
                where.append(or_(*(holds(member, self.numbers) for member in members)))
        return where

    def _driver(self, conditions: list[_Members]) -> tuple[_Members | None, int]:
        """Choose the condition that the fewest leaves meet, and count these up to ``_FEW``."""
        best: tuple[_Members | None, int] = (None, _FEW)
        for members in conditions:
            if any(member.operator == "ne" for member in members):
                continue
            met = entities_with(members, self.numbers).limit(_FEW).subquery()
            counted = select(func.count()).select_from(met)
            count = self.connection.execute(counted).scalar_one()
            if best[0] is None or count < best[1]:
                best = (members, count)
        return best

    def _meeting(self, comparison: Comparison, where: _Where) -> set[int]:
        """Give those of the entities that meet one comparison, a regular expression or not."""
        if comparison.operator != "regex":
            wanted = select(ENTITIES.c.number).where(*where, holds(comparison, self.numbers))
            return set(self.connection.execute(wanted).scalars())
        path = self.numbers.get(comparison.path, 0)
        pattern = re2.compile(comparison.value.encode())
        texts = (
            select(ENTITIES.c.number, LEAVES.c.head, LEAVES.c.tail)
            .join(LEAVES, and_(LEAVES.c.entity == ENTITIES.c.number, LEAVES.c.path == path))
            .where(*where)
        )
        rows = self.connection.execute(texts)
        return {number for number, head, tail in rows if pattern.search(head + tail)}

    def _order(self, sort: Sequence[SortKey]) -> tuple[FromClause, list[ColumnElement[Any]]]:
        """Give what to select from, and the order of the keys, then of creation."""
        source: FromClause = ENTITIES
        order: list[ColumnElement[Any]] = []
        for key in sort:
            first = LEAVES.alias()
            path = self.numbers.get(key.path, 0)
            at = and_(
                first.c.entity == ENTITIES.c.number, first.c.path == path, first.c.position == 0
            )
            source = source.outerjoin(first, at)
            order += _keys(first, is_descending=key.descending)
        return source, [*order, ENTITIES.c.number]

    def _rows(self, numbers: Sequence[int]) -> list[Row[Any]]:
        """Read entities by their numbers, in this order."""
        found = {}
        for start in range(0, len(numbers), TMF_STATEMENT_ROWS_MAX):
            part = numbers[start : start + TMF_STATEMENT_ROWS_MAX]
            rows = self.connection.execute(select(*ENTITIES.c).where(ENTITIES.c.number.in_(part)))
            found.update({row.number: row for row in rows})
        return [found[number] for number in numbers]


def _keys(first: FromClause, *, is_descending: bool) -> list[ColumnElement[Any]]:
    """Order by the leaves of an alias: numbers, instants, texts; those without one last."""
    number, instant = first.c.number, first.c.instant
    is_text = and_(number.is_(None), instant.is_(None))
    keys = [
        case((number.is_not(None), 0), (instant.is_not(None), 1), else_=2),
        number,
        instant,
        case((is_text, first.c.head)),
        case((is_text, first.c.tail)),
    ]
    missing: ColumnElement[Any] = first.c.entity.is_(None)
    return [missing, *(key.desc() if is_descending else key for key in keys)]


def _members(condition: Condition) -> _Members:
    return condition.comparisons if isinstance(condition, AnyOf) else (condition,)


def _has_regex(members: _Members) -> bool:
    return any(member.operator == "regex" for member in members)
