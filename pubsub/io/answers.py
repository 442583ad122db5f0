"""HTTP answers: JSON documents, problem documents, and which error becomes which problem."""

from http import HTTPStatus
from urllib.parse import quote

import msgspec
import structlog
from starlette.requests import ClientDisconnect, HTTPConnection
from starlette.responses import Response

from ledger.core.errors import (
    DecodeError,
    Forgotten,
    InvariantError,
    RejectCode,
    Rejected,
    Unavailable,
)
from pubsub.core.problems import HttpCode, NoLongerHeld, Refusal

__all__ = ["json_response", "problem_response", "refusal_of"]

_log = structlog.get_logger("gateway")
_encode = msgspec.json.Encoder().encode


def json_response(
    document: object, status: int = HTTPStatus.OK, headers: dict[str, str] | None = None
) -> Response:
    """Answer with a document."""
    return Response(_encode(document), status, headers, "application/json")


def problem_response(refusal: Refusal, request: HTTPConnection) -> Response:
    """Answer with a problem document."""
    return Response(
        _encode(refusal.problem(quote(request.url.path))),
        refusal.status,
        {"cache-control": "no-store", **refusal.headers},
        "application/problem+json",
    )


def refusal_of(error: Exception) -> Refusal:
    """Give what a client is told about any error; never how the code looks inside."""
    match error:
        case Refusal():
            return error
        case Rejected():
            return Refusal(error.code, error.detail or "see code")
        case DecodeError():
            return Refusal(RejectCode.MALFORMED, str(error))
        case Forgotten():
            return NoLongerHeld(error.first_held)
        case Unavailable():
            return Refusal(HttpCode.NODE_UNAVAILABLE, str(error))
        case ClientDisconnect():
            return Refusal(RejectCode.MALFORMED, "the client left before its body was complete")
    _log.error("request_failed", exc_info=error, fatal=isinstance(error, InvariantError))
    return Refusal(HttpCode.INTERNAL_ERROR, "the cause is in the gateway's log")
