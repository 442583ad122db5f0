"""Answering a query from the index of leaves.

Owns the choice of the way: from the condition that the fewest entities meet, or along the order
that was asked for until the page is full. Regular expressions are matched here, by RE2, over the
leaves of those entities that meet all other conditions: neither database's own dialect is used.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

import re2
from sqlalchemy import (
    ColumnElement,
    Connection,
    FromClause,
    Row,
    Select,
    and_,
    func,
    literal_column,
    select,
)

from adapters.tmf.query.model import AnyOf, Condition, Query, SortKey
from adapters.tmf.store.conditions import Asked, entities_with, holds
from adapters.tmf.store.keys import text_of
from adapters.tmf.store.paths import PathNumbers
from adapters.tmf.store.schema import ENTITIES, LEAVES
from ledger.core.limits import TMF_FOUND_MAX, TMF_STATEMENT_ROWS_MAX

__all__ = ["Found", "search"]

_FEW: Final = 2_000  # entities: fewer are best read one by one
_ZERO: Final[ColumnElement[int]] = literal_column(
    "0"
)  # as in the index: SQLite does not compare with a parameter
_ORDERS: Final = frozenset({"gt", "gte", "lt", "lte"})
_Where = list[ColumnElement[bool]]
_Order = list[ColumnElement[Any]]


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
    asked = [_asked(condition) for condition in (*query.conditions, *visible)]
    named = {comparison.path for each in asked for comparison in each.comparisons}
    numbers = paths.find(resource, named | {key.path for key in query.sort})
    limit = TMF_FOUND_MAX if query.limit is None else query.limit
    this = _Search(connection, resource, numbers, query.sort)
    part = slice(query.offset, query.offset + limit)
    plain = this.with_ranges([each for each in asked if not each.has("regex")])
    matched = [each for each in asked if each.has("regex")]
    return this.found_by_regex(plain, matched, part) if matched else this.found(plain, part)


class _Search(NamedTuple):
    """One query against one snapshot.

    Attributes:
        numbers: of the paths that the query names; a path without one has no leaf.
    """

    connection: Connection
    resource: str
    numbers: Mapping[str, int]
    sort: tuple[SortKey, ...]

    def with_ranges(self, asked: list[Asked]) -> list[Asked]:
        """Make one range of several at a path where no entity has more than one leaf."""
        paths = Counter(each.comparisons[0].path for each in asked if _is_range(each))
        for path in [path for path, count in paths.items() if count > 1]:
            repeated = select(LEAVES.c.entity).where(
                LEAVES.c.path == self.numbers.get(path, 0), LEAVES.c.position > _ZERO
            )
            if self.connection.execute(repeated.limit(1)).first() is None:
                ranges = [
                    each for each in asked if _is_range(each) and each.comparisons[0].path == path
                ]
                one = Asked(tuple(each.comparisons[0] for each in ranges), is_of_one_leaf=True)
                asked = [each for each in asked if each not in ranges] + [one]
        return asked

    def found(self, asked: list[Asked], part: slice) -> Found:
        """Answer from SQL alone."""
        driver, count = self._driver(asked)
        where = self._where(asked, driver)
        total = self._count(asked, driver)
        wanted = part.stop - part.start
        if count >= _FEW:
            rows = self.connection.execute(
                self._along_order(asked).offset(part.start).limit(wanted)
            ).all()
            if len(rows) == wanted or not self.sort:
                return Found(rows, total)
        source, order = self._order(self.sort)
        page = select(*ENTITIES.c).select_from(source).where(*where).order_by(*order)
        return Found(self.connection.execute(page.offset(part.start).limit(wanted)).all(), total)

    def found_by_regex(self, plain: list[Asked], matched: list[Asked], part: slice) -> Found:
        """Answer from the entities that SQL gives, leaving out what no expression matches."""
        where = self._where(plain, self._driver(plain)[0])
        source, order = self._order(self.sort)
        wanted = select(ENTITIES.c.number).select_from(source).where(*where).order_by(*order)
        numbers = list(self.connection.execute(wanted).scalars())
        for each in matched:
            kept = set[int]().union(*(self._meeting(part, where) for part in _single(each)))
            numbers = [number for number in numbers if number in kept]
        return Found(self._rows(numbers[part]), len(numbers))

    def _where(self, asked: list[Asked], driver: Asked | None) -> _Where:
        """Say which entities meet the conditions, starting from ``driver``."""
        where: _Where = [ENTITIES.c.resource == self.resource]
        if driver is not None:
            where = [ENTITIES.c.number.in_(entities_with(driver, self.numbers))]
        rest = [each for each in asked if each is not driver]
        return where + [holds(each, self.numbers, ENTITIES.c.number) for each in rest]

    def _driver(self, asked: list[Asked]) -> tuple[Asked | None, int]:
        """Choose the condition that the fewest leaves meet, and count these up to ``_FEW``."""
        best: tuple[Asked | None, int] = (None, _FEW)
        for each in asked:
            if each.has("ne"):
                continue
            met = entities_with(each, self.numbers).limit(_FEW).subquery()
            counted = select(func.count()).select_from(met)
            count = self.connection.execute(counted).scalar_one()
            if best[0] is None or count < best[1]:
                best = (each, count)
        return best

    def _count(self, asked: list[Asked], driver: Asked | None) -> int:
        """Count the entities that meet the conditions, from the index alone."""
        counted = select(func.count())
        if driver is None:
            counted = counted.select_from(ENTITIES).where(*self._where(asked, None))
        else:
            met = entities_with(driver, self.numbers).distinct().subquery()
            rest = [each for each in asked if each is not driver]
            counted = counted.select_from(met).where(
                *(holds(each, self.numbers, met.c.entity) for each in rest)
            )
        return self.connection.execute(counted).scalar_one()

    def _along_order(self, asked: list[Asked]) -> Select[Any]:
        """Select entities by walking in order: many match, so a page is soon full.

        Along the first key only those are met that have a leaf there.
        """
        where = self._where(asked, None)
        if not self.sort:
            return select(ENTITIES).where(*where).order_by(ENTITIES.c.number)
        first = LEAVES.alias()
        source, order = self._order(self.sort[1:], first.join(ENTITIES, _is_of(first)))
        path = self.numbers.get(self.sort[0].path, 0)
        where += [first.c.path == path, first.c.position == 0]
        keys = _keys(first, self.sort[0])
        return select(*ENTITIES.c).select_from(source).where(*where).order_by(*keys, *order)

    def _order(
        self, sort: Sequence[SortKey], source: FromClause = ENTITIES
    ) -> tuple[FromClause, _Order]:
        """Give what to select from, and the order of the keys, then of creation."""
        order: _Order = []
        for key in sort:
            first = LEAVES.alias()
            path = self.numbers.get(key.path, 0)
            at = and_(_is_of(first), first.c.path == path, first.c.position == 0)
            source = source.outerjoin(first, at)
            order += [first.c.entity.is_(None), *_keys(first, key)]  # those without one last
        return source, [*order, ENTITIES.c.number]

    def _meeting(self, asked: Asked, where: _Where) -> set[int]:
        """Give those of the entities that meet one comparison, a regular expression or not."""
        if not asked.has("regex"):
            wanted = select(ENTITIES.c.number).where(
                *where, holds(asked, self.numbers, ENTITIES.c.number)
            )
            return set(self.connection.execute(wanted).scalars())
        (comparison,) = asked.comparisons
        pattern = re2.compile(comparison.value.encode())
        path = self.numbers.get(comparison.path, 0)
        texts = (
            select(ENTITIES.c.number, LEAVES.c.key, LEAVES.c.tail)
            .join(LEAVES, and_(_is_of(LEAVES), LEAVES.c.path == path))
            .where(*where)
        )
        rows = self.connection.execute(texts)
        return {number for number, key, tail in rows if pattern.search(text_of(key, tail))}

    def _rows(self, numbers: Sequence[int]) -> list[Row[Any]]:
        """Read entities by their numbers, in this order."""
        found = {}
        for start in range(0, len(numbers), TMF_STATEMENT_ROWS_MAX):
            some = numbers[start : start + TMF_STATEMENT_ROWS_MAX]
            rows = self.connection.execute(select(ENTITIES).where(ENTITIES.c.number.in_(some)))
            found.update({row.number: row for row in rows})
        return [found[number] for number in numbers]


def _asked(condition: Condition) -> Asked:
    return Asked(condition.comparisons if isinstance(condition, AnyOf) else (condition,))


def _single(asked: Asked) -> list[Asked]:
    return [Asked((comparison,)) for comparison in asked.comparisons]


def _is_range(asked: Asked) -> bool:
    return len(asked.comparisons) == 1 and asked.comparisons[0].operator in _ORDERS


def _is_of(leaves: FromClause) -> ColumnElement[bool]:
    return leaves.c.entity == ENTITIES.c.number


def _keys(first: FromClause, key: SortKey) -> _Order:
    """Order by the leaves of an alias."""
    columns = (first.c.key, first.c.tail)
    return [column.desc() if key.descending else column for column in columns]
