"""Why the access node refuses a request, in TM Forum's terms (TMF630 3.4)."""

from http import HTTPStatus

from ledger.core.errors import ConcordatError

__all__ = ["TmfError"]


class TmfError(ConcordatError):
    """A request is refused; nothing was changed.

    Attributes:
        status: of HTTP.
        code: stable, for programs ("missing-attribute").
        reason: short, the same for every such error.
        message: one sentence that names the attribute or the rule.
    """

    def __init__(self, status: HTTPStatus, code: str, reason: str, message: str) -> None:
        super().__init__(f"{int(status)} {code}: {message}")
        self.status = status
        self.code = code
        self.reason = reason
        self.message = message
