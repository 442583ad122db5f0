"""What facades over HTTP share: one path with its methods, bodies, and errors in any world's form.

Owns the way from a route to a handler and back: whatever a handler raises becomes a status and a
sentence, which the facade's own form turns into a document. Never tells how the code looks inside.
"""

import time
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from typing import TypeVar

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from adapters.lists import Lists
from ledger.core.errors import ConcordatError, DecodeError, InvariantError
from ledger.core.limits import REGISTRY_BODY_BYTES_MAX
from ledger.io.chain_reader import ChainReader
from ledger.io.chain_store import ChainStore
from pubsub.core.strict_json import require_strict_json
from pubsub.io.answers import refusal_of
from pubsub.io.state import Gateway

__all__ = [
    "Answer",
    "Form",
    "HttpError",
    "in_snapshot",
    "name_of",
    "origin_of",
    "present_ms",
    "read_json",
    "route",
]

T = TypeVar("T")
Answer = Callable[[Request], Awaitable[Response]]
Form = Callable[[int, str, Request], Response]
"""(status, what happened, request) -> the error document of an outside world."""


class HttpError(ConcordatError):
    """A request is answered with an error status.

    Attributes:
        detail: one sentence for people.
        headers: further response headers.
    """

    def __init__(self, status: int, detail: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(f"{status}: {detail}")
        self.status = status
        self.detail = detail
        self.headers = dict(headers or {})


class _Endpoint:
    """One path with all its methods: also what is not allowed is answered in the facade's form."""

    def __init__(
        self, gateway: Gateway, label: str, form: Form, answers: Mapping[str, Answer]
    ) -> None:
        self._gateway = gateway
        self._label = label
        self._form = form
        self._answers = dict(answers)
        if "GET" in answers:
            self._answers.setdefault("HEAD", answers["GET"])

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        try:
            response = await self._find(request.method)(request)
        except Exception as error:  # noqa: BLE001 - every error has a document
            response = self._refuse(error, request)
        self._gateway.metrics.requests.labels(self._label, response.status_code).inc()
        await response(scope, receive, send)

    def _find(self, method: str) -> Answer:
        answer = self._answers.get(method)
        if answer is None:
            allow = ", ".join(sorted(self._answers))
            detail = f"allowed: {allow}"
            raise HttpError(HTTPStatus.METHOD_NOT_ALLOWED, detail, {"allow": allow})
        return answer

    def _refuse(self, error: Exception, request: Request) -> Response:
        if isinstance(error, InvariantError):
            self._gateway.fail(error)
        if not isinstance(error, HttpError):
            refusal = refusal_of(error)
            status = HTTPStatus(refusal.status)
            if status is HTTPStatus.UNPROCESSABLE_ENTITY:
                status = HTTPStatus.BAD_REQUEST  # no outside world knows the finer one
            error = HttpError(status, refusal.detail, refusal.headers)
        response = self._form(error.status, error.detail, request)
        response.headers.update(error.headers | {"cache-control": "no-store"})
        return response


def route(gateway: Gateway, path: str, form: Form, answers: Mapping[str, Answer]) -> Route:
    """Make the route of one path.

    Args:
        answers: what each method does.
    """
    return Route(path, _Endpoint(gateway, path, form, answers))


async def in_snapshot(gateway: Gateway, read: Callable[[ChainReader, Lists], T]) -> T:
    """Read the lists in one consistent snapshot, in a reader thread."""

    def run(store: ChainStore) -> T:
        with store.read() as reader:
            return read(reader, Lists(reader))

    return await gateway.access.in_thread(run)


async def read_json(gateway: Gateway, request: Request, type_: type[T]) -> T:
    """Read the body as a typed JSON document.

    Raises:
        HttpError: it is none.
        pubsub.core.problems.Refusal: it is too long, late or encoded.
    """
    async with gateway.bodies.read(request, REGISTRY_BODY_BYTES_MAX) as body:
        try:
            require_strict_json(body)
            return msgspec.json.decode(body, type=type_)
        except (DecodeError, msgspec.MsgspecError, RecursionError) as error:
            raise HttpError(HTTPStatus.BAD_REQUEST, str(error)) from None


def present_ms(lists: Lists) -> int:
    """Give the time by which validity is judged: a chain at rest prolongs nobody's trust."""
    return max(lists.time_ms, time.time_ns() // 1_000_000)


def origin_of(request: Request, base_url: str | None) -> str:
    """Give what links begin with: the configured URL, or else what the client called."""
    return base_url.rstrip("/") if base_url else f"{request.url.scheme}://{request.url.netloc}"


def name_of(request: Request, parameter: str) -> str:
    """Give the name at the end of a path, with or without a slash behind it.

    Some clients put a DID behind the slash as it is, others encode it first, and both are the same
    but for a DID with a ``%`` of its own. It is taken as it stands when it looks like a DID there
    whose ``%`` nobody encoded.
    """
    decoded: str = request.path_params[parameter]
    raw: bytes = request.scope.get("raw_path") or b""
    path = raw.partition(b"?")[0]
    if path.endswith(b"/"):
        decoded = decoded.removesuffix("/")
    last = path.rstrip(b"/").rpartition(b"/")[2].decode("ascii", "replace")
    return last if last.startswith("did:") and "%" in last and "%25" not in last else decoded
