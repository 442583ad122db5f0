"""Who a request comes from: the way from HTTP to a ``Caller``, which others decide."""

from collections.abc import Awaitable, Callable
from typing import TypeAlias

from starlette.requests import Request

from adapters.tmf.caller import OPERATOR, Caller

__all__ = ["CallerOf", "everybody_operates"]

CallerOf: TypeAlias = Callable[[Request], Awaitable[Caller]]
"""Says who asks. Raises TmfError or HttpError when that cannot be believed."""


async def everybody_operates(_request: Request) -> Caller:
    """Take everybody for the operator: the open profile, for private networks and conformance."""
    return OPERATOR
