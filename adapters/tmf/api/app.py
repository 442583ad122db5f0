"""The HTTP engine: one endpoint for all paths under ``/tmf-api``, driven by the registry.

Owns the way from a request to its answer and the form of whatever fails on the way, so that no
path, method or error escapes TM Forum's form. Never decides anything about an entity.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import partial

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route
from starlette.types import Receive, Scope, Send

from adapters.tmf.api.errors import error_response, not_allowed, not_found
from adapters.tmf.api.routing import ROOT, Answer, Paths, Place, Target
from ledger.core.errors import InvariantError

__all__ = ["Answers", "tmf_routes"]


@dataclass(frozen=True)
class Answers:
    """What answers where; an empty mapping of methods means that nothing is there.

    Attributes:
        of: gives the methods at a target of each kind.
        documents: what GET gives at fixed paths.
    """

    of: Mapping[Place, Callable[[Target], Mapping[str, Answer]]]
    documents: Mapping[str, Callable[[Request], Awaitable[Response]]]


class _Engine:
    """The endpoint."""

    def __init__(
        self, paths: Paths, answers: Answers, fail: Callable[[InvariantError], None]
    ) -> None:
        self._paths = paths
        self._answers = answers
        self._fail = fail

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        try:
            response = await self._answer(request)
        except Exception as error:  # noqa: BLE001 - every error has a document
            if isinstance(error, InvariantError):
                self._fail(error)
            response = error_response(error)
        if request.method == "HEAD":
            response.body = b""  # its length stays told
        await response(scope, receive, send)

    async def _answer(self, request: Request) -> Response:
        raw: bytes = request.scope.get("raw_path") or request.scope["path"].encode()
        path = raw.partition(b"?")[0].decode("ascii", "replace")
        answers = self._at(path)
        if not answers:
            raise not_found(f"there is nothing at {path[:200]}")
        method = "GET" if request.method == "HEAD" else request.method
        answer = answers.get(method)
        if answer is None:
            raise not_allowed({**answers, "HEAD": None} if "GET" in answers else answers)
        return await answer(request)

    def _at(self, path: str) -> Mapping[str, Callable[[Request], Awaitable[Response]]]:
        if (document := self._answers.documents.get(path)) is not None:
            return {"GET": document}
        target = self._paths.find(path)
        if target is None:
            return {}
        found = self._answers.of[target.place](target)
        return {method: partial(answer, target=target) for method, answer in found.items()}


def tmf_routes(
    paths: Paths, answers: Answers, fail: Callable[[InvariantError], None]
) -> list[BaseRoute]:
    """Give the routes of everything under ``/tmf-api``.

    Args:
        fail: is told of an error after which the process must end.
    """
    engine = _Engine(paths, answers, fail)
    return [Route(ROOT, engine), Route(ROOT + "/{rest:path}", engine)]
