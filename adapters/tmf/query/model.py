"""What a list request asks for, parsed: conditions, order, part, attributes.

Owns the meaning of a query; how it was written (``parse.py``) and how it is answered
(``adapters/tmf/store/search.py``) are others' business.

A path is dotted, without indices: an array on the way stands for any of its elements. A leaf is a
string, number or boolean; its text is the string itself, ``true``/``false``, or the number as JSON
writes it (RFC 8785).
"""

from typing import Literal

import msgspec

__all__ = ["AnyOf", "Comparison", "Condition", "Operator", "Query", "SortKey"]

Operator = Literal["eq", "ne", "gt", "gte", "lt", "lte", "regex"]


class Comparison(msgspec.Struct, frozen=True):
    """One leaf at the path stands in this relation to the value.

    ``eq``: equal text, or equal numbers where the leaf is a number. Order compares like with like:
    texts that read as numbers by number, those that read as times (RFC 3339 date-times, and dates
    as their first instant in UTC) by instant, all others by Unicode code points. ``regex``: RE2
    syntax, found anywhere. ``ne``: no leaf at the path is equal.
    """

    path: str
    operator: Operator
    value: str


class AnyOf(msgspec.Struct, frozen=True):
    """At least one of the comparisons holds."""

    comparisons: tuple[Comparison, ...]


Condition = Comparison | AnyOf


class SortKey(msgspec.Struct, frozen=True):
    """Order by the first leaf at the path; entities without one come last.

    Numbers come before times, times before other texts; equal numbers and times stand in the order
    of their texts. Descending turns all this round.
    """

    path: str
    descending: bool = False


class Query(msgspec.Struct, frozen=True):
    """One list request.

    Attributes:
        conditions: all must hold.
        sort: first key first; ties, and no key, by order of creation.
        offset: entities to leave out.
        limit: entities at most; None for all up to the node's own bound.
        fields: attributes to show besides id and href; None for all.
    """

    conditions: tuple[Condition, ...] = ()
    sort: tuple[SortKey, ...] = ()
    offset: int = 0
    limit: int | None = None
    fields: tuple[str, ...] | None = None
