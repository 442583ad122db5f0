"""EBSI's error documents: RFC 7807, with a list of faults as text where a request is malformed."""

import json
from http import HTTPStatus

from starlette.responses import Response

from ledger.core.errors import ConcordatError

__all__ = ["EbsiProblem", "bad_request", "not_found", "problem_response"]


class EbsiProblem(ConcordatError):  # noqa: N818 - like Rejected, it is an answer
    """A request is answered with a problem document in EBSI's form."""

    def __init__(self, status: int, title: str, detail: str) -> None:
        super().__init__(f"{title}: {detail}")
        self.status = status
        self.title = title
        self.detail = detail


def bad_request(*faults: str) -> EbsiProblem:
    """Give the problem that lists what is wrong with a request."""
    detail = json.dumps(faults, separators=(",", ":"), ensure_ascii=False)
    return EbsiProblem(HTTPStatus.BAD_REQUEST, "Bad Request", detail)


def not_found(what: str, detail: str) -> EbsiProblem:
    """Give the problem ``<what> Not Found``."""
    return EbsiProblem(HTTPStatus.NOT_FOUND, f"{what} Not Found", detail)


def problem_response(problem: EbsiProblem) -> Response:
    """Answer with a problem document."""
    document = {
        "title": problem.title,
        "status": int(problem.status),
        "detail": problem.detail,
        "type": "about:blank",
    }
    body = json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode()
    headers = {"cache-control": "no-store"}
    return Response(body, problem.status, headers, "application/problem+json")
