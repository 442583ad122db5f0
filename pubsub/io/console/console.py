"""The console's routes, in front of which every request shows that it may operate.

Owns who may see a page and how an error looks; what a page shows is the pages' own.
"""

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import Final
from urllib.parse import parse_qs

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp

from ledger.core.errors import InvariantError
from pubsub.core.limits import CONSOLE_FORM_BYTES_MAX
from pubsub.core.problems import HttpCode, Refusal
from pubsub.core.rights import Principal
from pubsub.io import reads, stream_api
from pubsub.io.answers import refusal_of
from pubsub.io.console.delivery_pages import (
    consumer_values,
    consumers_values,
    order_consumer,
    order_webhook,
    webhook_values,
    webhooks_values,
)
from pubsub.io.console.ledger_pages import (
    event_values,
    events_values,
    overview_values,
    topics_values,
)
from pubsub.io.console.rendering import PAGE_HEADERS, Pages
from pubsub.io.console.session import (
    begin_session,
    end_session,
    has_session,
    require_operator,
    require_own_origin,
)
from pubsub.io.state import Gateway

__all__ = ["Console"]

_Values = Callable[[Gateway, Request, Principal], Awaitable[dict[str, object]]]
_CarryOut = Callable[[Gateway, Request], Awaitable[str]]
_Handle = Callable[[Request], Awaitable[ASGIApp]]

_STATIC: Final = Path(__file__).parent / "static"
_KINDS: Final = {".css": "text/css", ".js": "text/javascript"}
_TO_LOGIN: Final = (HttpCode.UNAUTHENTICATED, HttpCode.FORBIDDEN)


class Console:
    """The console as a facade of the gateway."""

    def routes(self, gateway: Gateway) -> Sequence[BaseRoute]:
        """Give the routes below ``/console/``."""
        pages = Pages(gateway.settings.name)
        served = _Served(gateway, pages)
        shown: tuple[tuple[str, str, _Values], ...] = (
            ("/console/", "overview", overview_values),
            ("/console/events", "events", events_values),
            ("/console/events/{id}", "event", event_values),
            ("/console/topics", "topics", topics_values),
            ("/console/consumers", "consumers", consumers_values),
            ("/console/consumers/{name}", "consumer", consumer_values),
            ("/console/webhooks", "webhooks", webhooks_values),
            ("/console/webhooks/{id}", "webhook", webhook_values),
        )
        fed = (
            ("/console/stream", stream_api.get_stream),
            ("/console/genesis", reads.get_genesis),
            ("/console/events/{id}/proof", reads.get_proof),
        )
        orders = (
            ("/console/consumers/{name}/replay", order_consumer),
            ("/console/webhooks/{id}/{order}", order_webhook),
        )
        return [
            Route("/console", partial(_redirect, "/console/")),
            Route("/console/login", served.login, methods=["GET", "POST"]),
            Route("/console/logout", served.logout, methods=["POST"]),
            *[Route(path, served.page(name, values)) for path, name, values in shown],
            *[Route(path, served.handler(handler)) for path, handler in fed],
            *[Route(path, served.order(carry_out), methods=["POST"]) for path, carry_out in orders],
            *[_static(path) for path in sorted(_STATIC.iterdir())],
        ]

    async def run(self, gateway: Gateway) -> None:
        """Nothing is to be done beside the requests."""
        del gateway


class _Served:
    """Wraps what answers: rights first, errors as pages."""

    def __init__(self, gateway: Gateway, pages: Pages) -> None:
        self._gateway = gateway
        self._pages = pages

    def page(self, name: str, values: _Values) -> _Handle:
        """Give the handler of a page."""

        async def show(request: Request) -> Response:
            try:
                reader = await require_operator(self._gateway.rights, request)
                found = await values(self._gateway, request, reader)
                place = "/".join(request.url.path.split("/")[:3])
                return self._pages.page(name, place, found, is_signed_in=has_session(request))
            except Exception as error:  # noqa: BLE001 - every error has a page
                return self._refused(error, request)

        return show

    def handler(self, handler: Callable[[Gateway, Request], Awaitable[ASGIApp]]) -> _Handle:
        """Give the API's ``handler`` for whom the session's token names."""

        async def answer(request: Request) -> ASGIApp:
            try:
                request.state.principal = await require_operator(self._gateway.rights, request)
                return await handler(self._gateway, request)
            except Exception as error:  # noqa: BLE001 - every error has an answer
                return self._refused(error, request)

        return answer

    def order(self, carry_out: _CarryOut) -> _Handle:
        """Give the handler of a form that changes something."""

        async def obey(request: Request) -> Response:
            try:
                require_own_origin(request)
                request.state.principal = await require_operator(self._gateway.rights, request)
                place = await carry_out(self._gateway, request)
            except Exception as error:  # noqa: BLE001 - every error has a page
                return self._refused(error, request)
            return RedirectResponse(place, HTTPStatus.SEE_OTHER)

        return obey

    async def login(self, request: Request) -> Response:
        """Ask for a token, and begin a session with one that may operate."""
        if request.method != "POST":
            return self._pages.login()
        answer = RedirectResponse("/console/", HTTPStatus.SEE_OTHER)
        try:
            require_own_origin(request)
            async with self._gateway.bodies.read(request, CONSOLE_FORM_BYTES_MAX) as body:
                token = parse_qs(body.decode("ascii", "replace")).get("token", [""])[0].strip()
            await begin_session(self._gateway.rights, request, token, answer)
        except Refusal as refusal:
            return self._pages.login(refusal.detail)
        return answer

    async def logout(self, request: Request) -> Response:
        """End the session."""
        try:
            require_own_origin(request)
        except Refusal as refusal:
            return self._pages.problem(refusal, request)
        answer = RedirectResponse("/console/login", HTTPStatus.SEE_OTHER)
        end_session(answer)
        return answer

    def _refused(self, error: Exception, request: Request) -> Response:
        if isinstance(error, InvariantError):
            self._gateway.fail(error)
        refusal = refusal_of(error)
        if refusal.code in _TO_LOGIN and request.method == "GET":
            return RedirectResponse("/console/login", HTTPStatus.SEE_OTHER)
        return self._pages.problem(refusal, request)


async def _redirect(target: str, request: Request) -> Response:
    del request
    return RedirectResponse(target, HTTPStatus.PERMANENT_REDIRECT)


def _static(path: Path) -> Route:
    """Serve one file that is part of the package, read once."""
    body, kind = path.read_bytes(), _KINDS[path.suffix]

    async def serve(request: Request) -> Response:
        del request
        return Response(body, HTTPStatus.OK, {**PAGE_HEADERS, "cache-control": "no-cache"}, kind)

    return Route(f"/console/static/{path.name}", serve)
