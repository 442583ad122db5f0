"""One request of a read interface: its snapshot, its path, and what becomes of its errors.

Owns the way from a route to a handler and back. Handlers are plain functions over one consistent
snapshot and run in the gateway's reader threads, because a list is walked to count it.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from http import HTTPStatus
from typing import NamedTuple
from urllib.parse import quote

import structlog
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from adapters.ebsi.paging import Paging, page_document, read_query
from adapters.ebsi.problems import EbsiProblem, internal_error, problem_response
from adapters.lists import Lists
from ledger.core.errors import InvariantError, Rejected, Unavailable
from ledger.io.chain_reader import ChainReader
from ledger.io.chain_store import ChainStore
from pubsub.core.problems import Refusal
from pubsub.io.answers import json_response
from pubsub.io.state import Gateway

__all__ = ["Answer", "Handler", "Query", "Read", "fallback", "reading", "route"]

_log = structlog.get_logger("ebsi")


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
Answer = Callable[[Request], Awaitable[Response]]


class Handler(NamedTuple):
    """What one method of one path does."""

    method: str
    answer: Answer


class _Endpoint:
    """One path with all its methods: also what is not allowed is answered in EBSI's form."""

    def __init__(self, gateway: Gateway, label: str, handlers: Sequence[Handler]) -> None:
        self._gateway = gateway
        self._label = label
        self._handlers = {handler.method: handler.answer for handler in handlers}
        if "GET" in self._handlers:
            self._handlers.setdefault("HEAD", self._handlers["GET"])

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        response = await self._respond(request)
        self._gateway.metrics.requests.labels(self._label, response.status_code).inc()
        await response(scope, receive, send)

    async def _respond(self, request: Request) -> Response:
        answer = self._handlers.get(request.method)
        if answer is None:
            allowed = ", ".join(sorted(self._handlers))
            detail = f"Method {request.method} not allowed"
            problem = EbsiProblem(HTTPStatus.METHOD_NOT_ALLOWED, "Method Not Allowed", detail)
            response = problem_response(problem)
            response.headers["allow"] = allowed
            return response
        try:
            return await answer(request)
        except EbsiProblem as problem:
            return problem_response(problem)
        except Exception as error:  # noqa: BLE001 - every error has a problem document
            return problem_response(_problem_of(error, self._gateway))


def route(gateway: Gateway, path: str, *handlers: Handler) -> Route:
    """Make the route of one path."""
    return Route(path, _Endpoint(gateway, path, handlers))


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
        origin = base_url or str(request.base_url).rstrip("/")

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

    methods = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
    handlers = [Handler(method, answer) for method in methods]
    return Route(f"/{prefix}/{{rest:path}}", _Endpoint(gateway, f"/{prefix}/*", handlers))


def _problem_of(error: Exception, gateway: Gateway) -> EbsiProblem:
    match error:
        case Refusal():
            return EbsiProblem(error.status, HTTPStatus(error.status).phrase, error.detail)
        case Rejected():
            return EbsiProblem(HTTPStatus.BAD_REQUEST, "Bad Request", str(error))
        case Unavailable():
            return EbsiProblem(HTTPStatus.SERVICE_UNAVAILABLE, "Service Unavailable", str(error))
        case ClientDisconnect():
            return EbsiProblem(HTTPStatus.BAD_REQUEST, "Bad Request", "The client left")
        case InvariantError():
            gateway.fail(error)
    _log.error("request_failed", exc_info=error)
    return internal_error()
