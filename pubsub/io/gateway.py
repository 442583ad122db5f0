"""The gateway as an ASGI application, and its process.

Owns the way of a request from the server to its handler and of an error to its problem document:
whatever a handler raises, the client gets a stable code and never a stack trace.
"""

import re
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from functools import cache, partial
from http import HTTPStatus

import anyio
import msgspec
import structlog
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from ledger.core.errors import InvariantError
from ledger.io.release import VERSION
from pubsub.core.api_page import api_page
from pubsub.core.asyncapi import describe_channels
from pubsub.core.limits import REQUEST_ID_CHARS_MAX
from pubsub.core.openapi import describe_api
from pubsub.core.problems import HttpCode, Refusal
from pubsub.io.answers import problem_response, refusal_of
from pubsub.io.api import ENDPOINTS, PUBLISH_ENDPOINT
from pubsub.io.endpoint import Endpoint
from pubsub.io.facade import Facade
from pubsub.io.pipe import answering_of
from pubsub.io.server import listen, serve
from pubsub.io.state import Gateway, GatewaySettings
from pubsub.io.stream_api import STREAM_ENDPOINTS, stream_route

__all__ = ["GatewaySettings", "create_app", "serve_gateway"]

_Serve = Callable[[Request], Awaitable[ASGIApp]]

_log = structlog.get_logger("gateway")
_REQUEST_ID = re.compile(rf"[A-Za-z0-9._-]{{1,{REQUEST_ID_CHARS_MAX}}}\Z", re.ASCII)
_REQUEST_ID_BYTES = 8
_SUCCESSES = (HTTPStatus.OK, HTTPStatus.ACCEPTED)
_PAGE_HEADERS = {
    "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'",
    "cache-control": "no-cache",
}


class _Application(Starlette):
    """The application, with a shorter way for what is asked most.

    Routing, and layers that find nothing to do, would cost as much as all else of a small request.

    Attributes:
        hand_in: answers POST of events.
    """

    hand_in: _Serve

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request, a WebSocket or the lifespan."""
        if (
            scope["type"] != "http"
            or scope["path"] != PUBLISH_ENDPOINT.operation.path
            or scope["method"] != PUBLISH_ENDPOINT.operation.method
        ):
            await super().__call__(scope, receive, send)
            return
        answer = await self.hand_in(Request(scope, receive))
        if isinstance(answer, Response) and answer.status_code in _SUCCESSES:
            connection = answering_of(scope)
            if connection and connection.answer(
                answer.status_code, answer.raw_headers, bytes(answer.body)
            ):
                return
        await answer(scope, receive, send)


def create_app(settings: GatewaySettings, facades: Sequence[Facade] = ()) -> Starlette:
    """Make the application; its lifespan runs the link to the node and the watch of the chain.

    Facades add their routes after the gateway's own, and their tasks to its lifespan.

    The shared state is ``app.state.gateway``.
    """
    gateway = Gateway(settings)
    document = describe_api([endpoint.described() for endpoint in ENDPOINTS], VERSION)
    text, page = msgspec.json.encode(document), api_page(document)
    channels = msgspec.json.encode(
        describe_channels(STREAM_ENDPOINTS[0].operation.parameters, VERSION)
    )

    async def openapi(_request: Request) -> Response:
        return Response(text, HTTPStatus.OK, {"cache-control": "no-cache"}, "application/json")

    async def asyncapi(_request: Request) -> Response:
        return Response(channels, HTTPStatus.OK, {"cache-control": "no-cache"}, "application/json")

    async def docs(_request: Request) -> Response:
        return HTMLResponse(page, HTTPStatus.OK, _PAGE_HEADERS)

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        async with anyio.create_task_group() as group:
            gateway.access.try_open()
            group.start_soon(gateway.run)
            for facade in facades:
                group.start_soon(facade.run, gateway)
            try:
                yield
            finally:
                gateway.close()
                group.cancel_scope.cancel()
        gateway.release()

    routes: list[BaseRoute] = [*_routes(gateway)]
    for facade in facades:
        routes += facade.routes(gateway)
    app = _Application(
        routes=[
            *routes,
            stream_route(gateway),
            Route("/openapi.json", openapi),
            Route("/asyncapi.json", asyncapi),
            Route("/docs", docs),
        ],
        exception_handlers={HTTPException: _on_http_exception},
        lifespan=lifespan,
    )
    app.router.redirect_slashes = False
    app.state.gateway = gateway
    app.hand_in = _serve(gateway, PUBLISH_ENDPOINT)
    return app


def serve_gateway(
    settings: GatewaySettings, host: str, port: int, facades: Sequence[Facade] = ()
) -> None:
    """Serve until the process is told to end (SIGINT, SIGTERM).

    Raises:
        Unavailable: the address cannot be listened on.
        InvariantError: the store is broken.
    """
    app = create_app(settings, facades)
    with listen(host, port) as listener:
        _log.info("gateway_listens", host=host, port=listener.getsockname()[1])
        serve(app, app.state.gateway, listener, settings.connections_max)


def _routes(gateway: Gateway) -> list[Route]:
    """Give one route for each path, so that the router knows all methods of it."""
    handlers: dict[str, dict[str, _Serve]] = {}
    for endpoint in ENDPOINTS:
        methods = handlers.setdefault(endpoint.operation.path, {})
        methods[endpoint.operation.method] = _serve(gateway, endpoint)
    return [
        Route(path, partial(_dispatch, methods), methods=list(methods))
        for path, methods in handlers.items()
    ]


async def _dispatch(methods: dict[str, _Serve], request: Request) -> ASGIApp:
    return await methods["GET" if request.method == "HEAD" else request.method](request)


def _serve(gateway: Gateway, endpoint: Endpoint) -> _Serve:
    """Wrap a handler: rights are required, errors become problems, everything is counted.

    The handler finds who asks at ``request.state.principal``, and at ``request.state.request_id``
    what its client calls the request.
    """
    operation, handler, scope = endpoint
    seconds = gateway.metrics.seconds.labels(operation.path)
    requests = cache(partial(gateway.metrics.requests.labels, operation.path))

    async def serve(request: Request) -> ASGIApp:
        begun = time.perf_counter()
        try:
            request.state.request_id = _request_id(request)
            request.state.principal = await gateway.rights.require(request, scope)
            answer = await handler(gateway, request)
        except Exception as error:  # noqa: BLE001 - every error has a problem document
            if isinstance(error, InvariantError):
                gateway.fail(error)
            answer = problem_response(refusal_of(error), request)
        status: int = HTTPStatus.OK
        if isinstance(answer, Response):
            status = answer.status_code
            answer.headers["x-request-id"] = request.state.request_id
        requests(status).inc()
        seconds.observe(time.perf_counter() - begun)
        return answer

    return serve


def _request_id(request: Request) -> str:
    """Give the client's own name of the request when it is a sound one, else a random one."""
    own = request.headers.get("x-request-id", "")
    return own if _REQUEST_ID.match(own) else secrets.token_hex(_REQUEST_ID_BYTES)


async def _on_http_exception(request: Request, error: Exception) -> Response:
    """Answer what the router refuses by itself."""
    assert isinstance(error, HTTPException)
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        allowed = (error.headers or {}).get("Allow", "")
        refusal = Refusal(
            HttpCode.METHOD_NOT_ALLOWED, f"allowed: {allowed}", None, {"allow": allowed}
        )
    else:
        refusal = Refusal(HttpCode.NOT_FOUND, "see /docs for what there is")
    return problem_response(refusal, request)
