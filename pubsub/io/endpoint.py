"""One operation of the gateway and what answers it."""

from collections.abc import Awaitable, Callable
from typing import NamedTuple

from starlette.requests import Request
from starlette.types import ASGIApp

from pubsub.core.openapi import Operation
from pubsub.io.state import Gateway

__all__ = ["Endpoint", "Handler"]

Handler = Callable[[Gateway, Request], Awaitable[ASGIApp]]


class Endpoint(NamedTuple):
    """One operation and what answers it."""

    operation: Operation
    handler: Handler
