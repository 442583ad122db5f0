"""The access node as a running thing: one ASGI application with its tasks, their start and end.

Owns the order. What tasks need is open before they start, tasks start before the first request, and
at the end requests stop first, then all tasks at once (whatever they do is safe to be interrupted
at), then connections, then the database. A task that fails ends the process: answers from a node
that no longer replicates or delivers would look as if all were well.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final, NamedTuple

import anyio
import structlog
from starlette.applications import Starlette
from starlette.routing import BaseRoute
from starlette.types import ASGIApp

from adapters.tmf.monitoring import Monitoring
from adapters.tmf.store.database import Store
from ledger.core.errors import InvariantError

__all__ = ["AccessNode", "Parts", "Task"]

_log: Final = structlog.get_logger("tmf")


class Task(NamedTuple):
    """What runs beside the requests until it is cancelled."""

    name: str
    run: Callable[[], Awaitable[None]]


@dataclass(frozen=True)
class Parts:
    """What a node is made of.

    Attributes:
        routes: the first that fits answers.
        tasks: started in this order.
        closes: closed at the end, in this order; the store is closed after them.
    """

    store: Store
    routes: Sequence[BaseRoute]
    tasks: Sequence[Task]
    closes: Sequence[Callable[[], Awaitable[None]]]
    monitoring: Monitoring


class AccessNode:
    """See ``pubsub.io.server.Served``.

    Attributes:
        fatal: why the process must end, or None.
        on_fatal: called when ``fatal`` was set.
    """

    def __init__(self, make: "Callable[[AccessNode], Parts]") -> None:
        """Put the parts together; they may be given :meth:`fail`."""
        self.fatal: InvariantError | None = None
        self.on_fatal: Callable[[], None] = lambda: None
        self._parts = make(self)

    @property
    def store(self) -> Store:
        """The database."""
        return self._parts.store

    def app(self) -> ASGIApp:
        """Give the application; its lifespan is the node's."""
        monitoring = self._parts.monitoring
        app = Starlette(routes=[*monitoring.routes(), *self._parts.routes], lifespan=self._lifespan)
        app.router.redirect_slashes = False
        return monitoring.counting(app)

    def fail(self, error: InvariantError) -> None:
        """End the process because of ``error``; the first one counts."""
        if self.fatal is None:
            _log.critical("access_node_stops", error=str(error))
            self.fatal = error
            self.on_fatal()

    def close(self) -> None:
        """Begin to end: nothing here goes on for ever but tasks, which end after the requests."""

    @asynccontextmanager
    async def _lifespan(self, _app: Starlette) -> AsyncIterator[None]:
        try:
            async with anyio.create_task_group() as group:
                for task in self._parts.tasks:
                    group.start_soon(self._run, task, name=task.name)
                yield
                group.cancel_scope.cancel()
        finally:
            with anyio.CancelScope(shield=True):
                for close in self._parts.closes:
                    await close()
            self._parts.store.close()

    async def _run(self, task: Task) -> None:
        try:
            await task.run()
        except* Exception as errors:  # noqa: BLE001 - whatever it is, the node must not go on
            error = _first(errors)
            if not isinstance(error, InvariantError):
                _log.error("task_failed", task=task.name, exc_info=error)
                error = InvariantError(f"{task.name} failed: {error!r}")
            self.fail(error)


def _first(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
