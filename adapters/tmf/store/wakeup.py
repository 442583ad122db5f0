"""Waking tasks of any event loop from any thread after a commit.

Owns the newest number of the journal that this process knows of, and who waits for a newer one.
"""

from threading import Lock

import anyio
from anyio.lowlevel import EventLoopToken, current_token
from trio.lowlevel import TrioToken

__all__ = ["Wakeup"]


class Wakeup:
    """The newest change, and the tasks that wait for the next."""

    def __init__(self, newest: int) -> None:
        self._lock = Lock()
        self._newest = newest
        self._waiting: set[tuple[EventLoopToken, anyio.Event]] = set()

    def committed(self, number: int) -> None:
        """Tell everybody that the journal goes up to a number; from any thread."""
        with self._lock:
            if number <= self._newest:
                return
            self._newest = number
            waiting, self._waiting = self._waiting, set()
        for token, event in waiting:
            _set_soon(token, event)

    async def wait(self, after: int) -> None:
        """Return when the journal is known to go beyond a number."""
        mine = (current_token(), anyio.Event())
        with self._lock:
            if self._newest > after:
                return
            self._waiting.add(mine)
        try:
            await mine[1].wait()
        finally:
            with self._lock:
                self._waiting.discard(mine)


def _set_soon(token: EventLoopToken, event: anyio.Event) -> None:
    """Set an event of a loop of trio or asyncio; a loop that ended has nobody waiting."""
    loop = token.native_token
    run_soon = loop.run_sync_soon if isinstance(loop, TrioToken) else loop.call_soon_threadsafe  # type: ignore[attr-defined]
    try:
        run_soon(event.set)
    except RuntimeError:  # trio's RunFinishedError is one too
        return
