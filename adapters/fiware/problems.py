"""FIWARE's error documents: RFC 7807, as plain JSON."""

from http import HTTPStatus

from starlette.requests import Request
from starlette.responses import Response

from pubsub.io.answers import json_response

__all__ = ["problem_details"]


def problem_details(status: int, detail: str, _request: Request) -> Response:
    """Answer with FIWARE's ProblemDetails."""
    title = HTTPStatus(status).phrase
    document = {"type": "about:blank", "title": title, "status": int(status), "detail": detail}
    return json_response(document, status)
