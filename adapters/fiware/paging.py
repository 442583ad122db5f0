"""Pages that are numbered from 0, as FIWARE's registry and DOME's have them.

Links encode the brackets of the parameters' names: FIWARE's description calls them URIs, which
cannot have bare ones, though its examples do.
"""

import re
from collections.abc import Sequence
from http import HTTPStatus
from typing import Final, NamedTuple
from urllib.parse import quote

from starlette.requests import Request

from adapters.http import HttpError
from ledger.core.limits import (
    REGISTRY_PAGE_ITEMS,
    REGISTRY_PAGE_ITEMS_MAX,
    REGISTRY_PAGE_NUMBER_MAX,
)

__all__ = ["AFTER", "SIZE", "Paging", "page_document", "read_paging"]

AFTER: Final = "page[after]"
SIZE: Final = "page[size]"
_NUMBER: Final = re.compile(r"[0-9]{1,12}\Z", re.ASCII)


class Paging(NamedTuple):
    """Which page, from 0, of what size, from 1."""

    page: int
    size: int

    @property
    def offset(self) -> int:
        """Number of items in front of the page."""
        return self.page * self.size


def read_paging(request: Request, after: str = AFTER, size: str = SIZE) -> Paging:
    """Read the two parameters of a list, whatever it calls them. Raises HttpError."""
    return Paging(
        _number(request, after, (0, 0, REGISTRY_PAGE_NUMBER_MAX)),
        _number(request, size, (REGISTRY_PAGE_ITEMS, 1, REGISTRY_PAGE_ITEMS_MAX)),
    )


def page_document(
    url: str, paging: Paging, total: int, items: Sequence[object], *, has_all_links: bool = False
) -> dict[str, object]:
    """Give the document of one page.

    Args:
        url: of the list, without a query.
        total: items of the whole list.
        items: of this page; none behind the end.
        has_all_links: name the first page in front of the first, and the last behind the last,
            instead of leaving these links out. ``pageSize`` is then what was asked for instead of
            what is there.
    """
    last = max(0, -(-total // paging.size) - 1)

    def link(page: int) -> str:
        return f"{url}?{quote(AFTER)}={page}&{quote(SIZE)}={paging.size}"

    links = {"first": link(0), "last": link(last)}
    if paging.page > 0 or has_all_links:
        links["prev"] = link(min(max(0, paging.page - 1), last))
    if paging.page < last or has_all_links:
        links["next"] = link(min(paging.page + 1, last))
    return {
        "self": link(paging.page),
        "items": items,
        "total": total,
        "pageSize": paging.size if has_all_links else len(items),
        "links": links,
    }


def _number(request: Request, name: str, bounds: tuple[int, int, int]) -> int:
    """Read one number; ``bounds`` are what it is when missing, and its least and largest value."""
    default, low, high = bounds
    values = request.query_params.getlist(name)
    if not values:
        return default
    if len(values) > 1 or not _NUMBER.match(values[0]) or not low <= int(values[0]) <= high:
        raise HttpError(HTTPStatus.BAD_REQUEST, f"{name} must be a number from {low} to {high}")
    return int(values[0])
