"""Errors as TMF630 has them: one form for all that this node refuses or fails at.

Owns which error becomes which status and document. Never tells how the code looks inside.
"""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Final, NamedTuple

import msgspec
import structlog
from starlette.requests import ClientDisconnect
from starlette.responses import Response

from adapters.http import HttpError
from adapters.tmf.refusal import TmfError
from ledger.core.errors import DecodeError, InvariantError, Unavailable
from pubsub.core.problems import Refusal
from pubsub.io.answers import refusal_of

__all__ = ["JSON", "error_response", "not_allowed", "not_found", "unsupported_media"]

JSON: Final = "application/json;charset=utf-8"

_log: Final = structlog.get_logger("tmf")
_encode = msgspec.json.Encoder().encode


class _Answer(NamedTuple):
    error: TmfError
    headers: Mapping[str, str]


class _WithHeaders(TmfError):  # noqa: N818 - a refusal, as TmfError is
    """A refusal that HTTP wants more headers for."""

    def __init__(self, error: TmfError, headers: Mapping[str, str]) -> None:
        super().__init__(error.status, error.code, error.reason, error.message)
        self.headers = dict(headers)


def error_response(error: Exception) -> Response:
    """Answer with the document of any error."""
    refused, headers = _answer_of(error)
    document = {
        "@type": "Error",
        "code": refused.code,
        "reason": refused.reason,
        "message": refused.message,
        "status": str(int(refused.status)),
    }
    return Response(
        _encode(document),
        int(refused.status),
        {**headers, "cache-control": "no-store"},
        JSON,
    )


def not_found(message: str) -> TmfError:
    """Refuse a path or an id that is not there."""
    return TmfError(HTTPStatus.NOT_FOUND, "not-found", "Not found", message)


def not_allowed(methods: Mapping[str, object]) -> TmfError:
    """Refuse a method where others are allowed."""
    allow = ", ".join(sorted(methods))
    status = HTTPStatus.METHOD_NOT_ALLOWED
    error = TmfError(status, "method-not-allowed", "Method not allowed", f"allowed: {allow}")
    return _WithHeaders(error, {"allow": allow})


def unsupported_media(found: str, accepted: tuple[str, ...], header: str) -> TmfError:
    """Refuse a body in a form that is not read here; ``header`` tells which are."""
    forms = ", ".join(accepted)
    message = f"Content-Type is {found or 'missing'}; this resource takes {forms}"
    status = HTTPStatus.UNSUPPORTED_MEDIA_TYPE
    error = TmfError(status, "unsupported-media-type", "Unsupported media type", message)
    return _WithHeaders(error, {header: forms})


def _answer_of(error: Exception) -> _Answer:
    match error:
        case _WithHeaders():
            return _Answer(error, error.headers)
        case TmfError():
            return _Answer(error, {})
        case HttpError():
            status = HTTPStatus(error.status)
            return _Answer(_plain(status, _code(status), error.detail), error.headers)
        case DecodeError():
            return _Answer(_plain(HTTPStatus.BAD_REQUEST, "malformed", str(error)), {})
        case Unavailable():
            _log.warning("request_waits", reason=str(error))
            status = HTTPStatus.SERVICE_UNAVAILABLE
            message = "something that this node needs cannot be reached; try again later"
            return _Answer(_plain(status, "unavailable", message), {"retry-after": "1"})
        case Refusal() | ClientDisconnect():
            return _of_refusal(error)
    _log.error("request_failed", exc_info=error, fatal=isinstance(error, InvariantError))
    message = "the cause is in the node's log"
    return _Answer(_plain(HTTPStatus.INTERNAL_SERVER_ERROR, "internal-error", message), {})


def _of_refusal(error: Exception) -> _Answer:
    refusal = refusal_of(error)
    code = str(refusal.code).replace("_", "-")
    return _Answer(_plain(HTTPStatus(refusal.status), code, refusal.detail), refusal.headers)


def _plain(status: HTTPStatus, code: str, message: str) -> TmfError:
    return TmfError(status, code, status.phrase, message)


def _code(status: HTTPStatus) -> str:
    return status.phrase.lower().replace(" ", "-")
