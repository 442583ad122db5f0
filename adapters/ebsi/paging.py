"""EBSI's pages: numbered from 1, all four links always there, with literal brackets.

Owns the query of every list: the two paging parameters and the filters that the list knows; any
other name is refused as EBSI refuses it.
"""

import re
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from adapters.ebsi.problems import bad_request
from ledger.core.limits import EBSI_PAGE_ITEMS, EBSI_PAGE_ITEMS_MAX

__all__ = ["Paging", "page_document", "read_query"]

_AFTER: Final = "page[after]"
_SIZE: Final = "page[size]"
_INTEGER: Final = re.compile(r"-?[0-9]{1,15}\Z", re.ASCII)


class Paging(NamedTuple):
    """Which page of what size: both from 1."""

    page: int
    size: int

    @property
    def offset(self) -> int:
        """Number of items in front of the page."""
        return (self.page - 1) * self.size


def read_query(
    pairs: Iterable[tuple[str, str]], filters: Sequence[str] = ()
) -> tuple[Paging, dict[str, str]]:
    """Read the query of a list: its paging, and the filters that were given.

    Raises:
        EbsiProblem: with EBSI's text for each fault.
    """
    values: dict[str, str] = {}
    faults = []
    for name, value in pairs:
        if name not in (_AFTER, _SIZE, *filters):
            faults.append(f"property {name[:64]} should not exist")
        # Given twice it would be a list there, which is no number and no text.
        values[name] = "" if name in values else value
    page, page_faults = _number(_AFTER, values.pop(_AFTER, "1"), None)
    size, size_faults = _number(_SIZE, values.pop(_SIZE, str(EBSI_PAGE_ITEMS)), EBSI_PAGE_ITEMS_MAX)
    faults += page_faults + size_faults
    if faults:
        raise bad_request(*faults)
    return Paging(page, size), values


def _number(name: str, text: str, high: int | None) -> tuple[int, list[str]]:
    """Give the number and what is wrong with it; what is no number breaks every bound."""
    number = int(text) if _INTEGER.match(text) else None
    faults = []
    if high is not None and (number is None or number > high):
        faults.append(f"{name} must not be greater than {high}")
    if number is None or number < 1:
        faults.append(f"{name} must not be less than 1")
    if number is None:
        faults.append(f"{name} must be a number conforming to the specified constraints")
    return number or 1, faults


def page_document(
    url: str, paging: Paging, total: int, items: Sequence[object]
) -> dict[str, object]:
    """Give the document of one page.

    Args:
        url: of the list, without a query.
        total: items of the whole list.
        items: of this page; none behind the end.
    """
    last = max(1, -(-total // paging.size))

    def link(page: int) -> str:
        return f"{url}?{_AFTER}={page}&{_SIZE}={paging.size}"

    return {
        "self": link(paging.page),
        "items": items,
        "total": total,
        "pageSize": paging.size,
        "links": {
            "first": link(1),
            "prev": link(min(max(1, paging.page - 1), last)),
            "next": link(min(paging.page + 1, last)),
            "last": link(last),
        },
    }
