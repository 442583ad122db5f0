"""The error documents of DOME's trust registry."""

from starlette.requests import Request
from starlette.responses import Response

from pubsub.io.answers import json_response

__all__ = ["wrong_request"]


def wrong_request(status: int, detail: str, _request: Request) -> Response:
    """Answer with the registry's error document."""
    return json_response({"errCode": int(status), "errMessage": detail}, status)
