"""A reader's connection as the fan-out sees it: it takes finished bytes and never makes it wait.

Our server's protocols are pipes themselves and hand themselves to the application in the ASGI
scope. So one event costs a stream one write of bytes that all streams share: no task is woken, no
message is made, and no layer between copies anything.
"""

from collections.abc import Callable, Sequence
from typing import Final, Protocol

from starlette.types import Scope

__all__ = ["PIPE_EXTENSION", "Answering", "Pipe", "answering_of", "pipe_of"]

PIPE_EXTENSION: Final = "concordat.pipe"


class Pipe(Protocol):
    """One open connection.

    Attributes:
        on_lost: called once when the connection is no more; may be set once.
    """

    on_lost: Callable[[], None] | None

    @property
    def is_lost(self) -> bool:
        """Whether the connection is no more, or ends."""
        ...

    @property
    def is_blocked(self) -> bool:
        """Whether its reader must first take what it was given."""
        ...

    def write(self, data: bytes) -> None:
        """Hand over bytes in the form of the connection's protocol; a lost one drops them."""
        ...

    def beat(self, data: bytes) -> None:
        """Write a sign of life; cut the connection if its reader owes an answer to the last."""
        ...

    async def drained(self) -> None:
        """Wait until it is not blocked any longer, or lost."""
        ...

    def cut(self) -> None:
        """End the connection at once."""
        ...


class Answering(Protocol):
    """The connection of a request, which takes a whole answer at once."""

    @property
    def has_body(self) -> bool:
        """Whether all of the request's body is here, so that reading it waits for nothing."""
        ...

    def answer(self, status: int, headers: Sequence[tuple[bytes, bytes]], body: bytes) -> bool:
        """Answer the request; say whether that was possible."""
        ...


def pipe_of(scope: Scope) -> Pipe:
    """Give the pipe of a request that our server received."""
    pipe: Pipe = scope["extensions"][PIPE_EXTENSION]["pipe"]
    return pipe


def answering_of(scope: Scope) -> Answering | None:
    """Give the connection of an HTTP request, or None when another server received it."""
    extensions = scope.get("extensions") or {}
    found: Answering | None = extensions.get(PIPE_EXTENSION, {}).get("pipe")
    return found
