"""The refusals of EBSI's JSON-RPC."""

from typing import Final

from ledger.core.errors import ConcordatError

__all__ = ["INVALID_PARAMS", "INVALID_REQUEST", "METHOD_NOT_FOUND", "PARSE_ERROR", "RpcRefused"]

PARSE_ERROR: Final = -32_700
INVALID_REQUEST: Final = -32_600
METHOD_NOT_FOUND: Final = -32_601
INVALID_PARAMS: Final = -32_602


class RpcRefused(ConcordatError):  # noqa: N818 - it is an answer
    """A call is refused and changed nothing.

    Attributes:
        message: what the client is told.
    """

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message
