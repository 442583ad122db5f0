"""One request of a read interface: its snapshot, its path, and EBSI's form of errors.

Owns the way from a route to a read and back. Reads are plain functions over one consistent
snapshot and run in the gateway's reader threads, because a list is walked to count it.
"""

from collections.abc import Callable, Mapping, Sequence
from http import HTTPStatus
from typing import Final, NamedTuple
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from adapters import http
from adapters.ebsi.paging import Paging, page_document, read_query
from adapters.ebsi.problems import EbsiProblem, problem_response
from adapters.http import Answer, origin_of
from adapters.lists import Lists
from ledger.io.chain_reader import ChainReader
from ledger.io.chain_store import ChainStore
from pubsub.io.answers import json_response
from pubsub.io.state import Gateway

__all__ = ["Handler", "Query", "Read", "fallback", "reading", "route"]

_METHODS: Final = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
_INTERNAL: Final = (
    "The server encountered an internal error and was unable to complete your request"
)


class Query:
    """What a read is asked, over one snapshot.

    Attributes:
        path: the parameters in the path, decoded.
        pairs: the (name, value) pairs of the query.
        mount: absolute URL of the interface's version, without a slash at its end.
        url: absolute URL of this resource, without its query.
    """

    def __init__(self, reader: ChainReader, request: Request, origin: str, mount: str) -> None:
        self.reader = reader
        self.lists = Lists(reader)
        self.path: Mapping[str, str] = request.path_params
        self.pairs = request.query_params.multi_items()
        self.mount = origin + mount
        self.url = origin + quote(request.scope["path"], safe="/:")

    def list_query(self, filters: Sequence[str] = ()) -> tuple[Paging, dict[str, str]]:
        """Read the query of a list. Raises EbsiProblem."""
        return read_query(self.pairs, filters)

    def page(self, paging: Paging, total: int, items: Sequence[object]) -> Response:
        """Answer with one page."""
        return json_response(page_document(self.url, paging, total, items))

    def sliced(self, paging: Paging, rows: Sequence[object]) -> Response:
        """Answer with one page of rows that are all at hand."""
        items = rows[paging.offset : paging.offset + paging.size]
        return self.page(paging, len(rows), items)

    def href(self, *parts: str) -> str:
        """Give the URL of a resource under the mount."""
        return "/".join((self.mount, *(quote(part, safe=":") for part in parts)))

    def here(self, part: str) -> str:
        """Give the URL of a resource under this one."""
        return f"{self.url}/{quote(part, safe=':')}"


Read = Callable[[Query], Response]


class Handler(NamedTuple):
    """What one method of one path does."""

    method: str
    answer: Answer


def route(gateway: Gateway, path: str, *handlers: Handler) -> Route:
    """Make the route of one path: whatever its handlers raise is answered in EBSI's form."""
    answers = {handler.method: _titled(handler.answer) for handler in handlers}
    return http.route(gateway, path, _form, answers)


def reading(
    gateway: Gateway,
    read: Read,
    mount: str,
    base_url: str | None,
    prepare: Callable[[ChainStore], None] = lambda _: None,
) -> Handler:
    """Make a GET of a read.

    Args:
        mount: path of the interface's version.
        base_url: what links begin with, or None for what the client called.
        prepare: is done before the snapshot is taken.
    """

    async def answer(request: Request) -> Response:
        origin = origin_of(request, base_url)

        def run(store: ChainStore) -> Response:
            prepare(store)
            with store.read() as reader:
                return read(Query(reader, request, origin, mount))

        return await gateway.access.in_thread(run)

    return Handler("GET", answer)


def fallback(gateway: Gateway, prefix: str) -> Route:
    """Make the route of everything under a prefix that is not there, whatever the method."""

    async def answer(request: Request) -> Response:
        detail = f"Cannot {request.method} {request.scope['path']}"
        raise EbsiProblem(HTTPStatus.NOT_FOUND, "Not Found", detail)

    handlers = (Handler(method, answer) for method in _METHODS)
    return route(gateway, f"/{prefix}/{{rest:path}}", *handlers)


def _titled(answer: Answer) -> Answer:
    """Answer problems of ours, whose titles the common form does not know."""

    async def titled(request: Request) -> Response:
        try:
            return await answer(request)
        except EbsiProblem as problem:
            return problem_response(problem)

    return titled


def _form(status: int, detail: str, request: Request) -> Response:
    """Give the document of an error that is not EBSI's own."""
    if status == HTTPStatus.INTERNAL_SERVER_ERROR:
        detail = _INTERNAL
    elif status == HTTPStatus.METHOD_NOT_ALLOWED:
        detail = f"Method {request.method} not allowed"
    return problem_response(EbsiProblem(status, HTTPStatus(status).phrase, detail))
