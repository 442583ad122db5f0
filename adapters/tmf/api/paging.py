"""What a list answer says about the list: status, totals, range and links (TMF630 4.5).

A list without ``limit`` and ``offset`` is always 200, also where the node's own bound cut it: the
conformance kits ask for it that way. The links then say that there is more.
"""

from collections.abc import Iterator
from http import HTTPStatus
from typing import Final, NamedTuple
from urllib.parse import quote

from adapters.tmf.query.model import Query

__all__ = ["Shown", "list_headers", "list_status"]

_IN_QUERIES: Final = "%=&;,:+*~!$'()/?@"  # else `>` or a quotation mark would end the link
_PAGING: Final = frozenset({"limit", "offset"})


class Shown(NamedTuple):
    """What a list answer holds: ``given`` of ``total`` entities that match."""

    given: int
    total: int


def list_status(query: Query, shown: Shown) -> HTTPStatus:
    """Say whether the client got what it asked for in whole or in part."""
    is_paged = query.limit is not None or query.offset > 0
    if is_paged and shown.given < shown.total:
        return HTTPStatus.PARTIAL_CONTENT
    return HTTPStatus.OK


def list_headers(path: str, raw_query: str, query: Query, shown: Shown) -> dict[str, str]:
    """Give the headers of a list answer.

    Args:
        path: of the collection, as links have it.
        raw_query: as the client sent it; links repeat all of it but the part.
    """
    headers = {"x-total-count": str(shown.total), "x-result-count": str(shown.given)}
    if list_status(query, shown) is HTTPStatus.PARTIAL_CONTENT:
        last = query.offset + shown.given - 1
        span = f"{query.offset}-{last}" if shown.given else "*"
        headers["content-range"] = f"items {span}/{shown.total}"
    size = shown.given if query.limit is None else query.limit
    if size and shown.given < shown.total:
        base = path + "?" + "".join(f"{part}&" for part in _kept(raw_query))
        headers["link"] = ", ".join(
            f'<{base}offset={offset}&limit={size}>; rel="{relation}"'
            for relation, offset in _relations(query.offset, size, shown)
        )
    return headers


def _relations(offset: int, size: int, shown: Shown) -> Iterator[tuple[str, int]]:
    yield "first", 0
    if offset > 0:
        yield "prev", max(0, min(offset, shown.total) - size)
    if offset + shown.given < shown.total and shown.given:
        yield "next", offset + shown.given
    yield "last", (shown.total - 1) // size * size


def _kept(raw_query: str) -> Iterator[str]:
    for part in raw_query.split("&"):
        if part and part.partition("=")[0] not in _PAGING:
            yield quote(part, safe=_IN_QUERIES)
