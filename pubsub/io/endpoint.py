"""One operation of the gateway and what answers it."""

from collections.abc import Awaitable, Callable
from typing import NamedTuple

from starlette.requests import Request
from starlette.types import ASGIApp

from pubsub.core.openapi import Operation
from pubsub.core.problems import Code, HttpCode
from pubsub.core.rights import Scope
from pubsub.io.state import Gateway

__all__ = ["Endpoint", "Handler"]

Handler = Callable[[Gateway, Request], Awaitable[ASGIApp]]


class Endpoint(NamedTuple):
    """One operation, what answers it, and the scope that whoever asks needs."""

    operation: Operation
    handler: Handler
    scope: Scope

    def described(self) -> Operation:
        """Give the operation as its description shows it: with its scope, and what lacks it."""
        operation = self.operation
        errors: tuple[Code, ...] = (HttpCode.UNAUTHENTICATED,)
        text = operation.description
        if self.scope is not Scope.PUBLIC:
            errors = (*errors, HttpCode.FORBIDDEN)
            text += f" Needs the scope `{self.scope}`."
        return operation._replace(
            description=text, errors=tuple(dict.fromkeys((*operation.errors, *errors)))
        )
