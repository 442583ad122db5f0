"""Waits for many sockets at once and calls those who have something to read.

A task for each socket would be woken, scheduled and entered anew for every message; a round brings
several of them at nearly the same time, from different peers. What arrives while the others are
served is served at once, too: a round of trio's loop costs about as much as a message.
"""

import select
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final, Protocol

import structlog
import trio

from ledger.core.errors import InvariantError

__all__ = ["ReadyPoll", "Watcher"]

_log = structlog.get_logger()
_TURNS_MAX: Final = 3  # and then everybody else of the process has his


class Watcher(Protocol):
    """Who reads a socket. Neither method may wait; both may use the poll's methods."""

    def read(self) -> None:
        """Read: the socket has become readable or has ended, or this was asked for.

        What it raises, which is a fault of ours, ends this connection and no other.
        """
        ...

    def end(self) -> None:
        """End the connection: it is broken, or can be watched no more. Must not raise."""
        ...


class ReadyPoll:
    """Calls back for each socket that has become readable, or has ended."""

    def __init__(self, turn: Callable[[Callable[[], None]], None]) -> None:
        """Call back within ``turn``, all that have something at the same time in one."""
        self._turn = turn
        self._epoll = select.epoll()
        self._watchers: dict[int, Watcher] = {}
        self._due: dict[int, None] = {}  # to be called whatever their sockets do
        self._has_due = trio.Event()

    def add(self, handle: int, watcher: Watcher) -> None:
        """Begin to watch a socket. Raises OSError when the kernel can watch no more."""
        if not self._epoll.closed:
            self._epoll.register(handle, select.EPOLLIN)
            self._watchers[handle] = watcher

    def pause(self, handle: int) -> None:
        """Read a watched socket no more until ``resume``; that it breaks is told all the same."""
        self._due.pop(handle, None)
        if not self._epoll.closed:
            self._epoll.modify(handle, 0)

    def resume(self, handle: int) -> None:
        """Read a paused socket again, and once in any case, soon; never within this call.

        Never raises: who makes room for one connection must not be hurt by it.
        """
        if self._epoll.closed:
            return
        try:
            self._epoll.modify(handle, select.EPOLLIN)
        except OSError:
            _log.exception("connection_fault")
            self._watchers[handle].end()
        else:
            self.call_soon(handle)

    def call_soon(self, handle: int) -> None:
        """Read a socket once whatever has come, when others had their turn."""
        self._due[handle] = None
        self._has_due.set()

    def remove(self, handle: int) -> None:
        """Watch a socket no more; before it is closed, and as often as one likes."""
        self._due.pop(handle, None)
        if self._watchers.pop(handle, None) is not None and not self._epoll.closed:
            self._epoll.unregister(handle)

    async def run(self) -> None:
        """Call back until cancelled; then nothing is watched any more."""
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._call_due)
                while True:
                    await trio.lowlevel.wait_readable(self._epoll.fileno())
                    for _ in range(_TURNS_MAX):
                        ready = self._epoll.poll(0)
                        if not ready:
                            break
                        self._turn(partial(self._call_ready, ready))
        finally:
            self._epoll.close()

    async def _call_due(self) -> None:
        while True:
            await self._has_due.wait()
            self._has_due = trio.Event()
            self._turn(self._call_those_due)

    def _call_ready(self, ready: Sequence[tuple[int, int]]) -> None:
        for handle, events in ready:
            self._call(handle, events)

    def _call_those_due(self) -> None:
        for handle in tuple(self._due):
            if handle in self._due:  # an earlier one of these has not removed it
                del self._due[handle]
                self._call(handle, select.EPOLLIN)

    def _call(self, handle: int, events: int) -> None:
        watcher = self._watchers.get(handle)
        if watcher is None:  # an earlier one of the same turn has removed it
            return
        if not events & select.EPOLLIN:
            watcher.end()  # the kernel tells that it broke whatever one asks for
            return
        try:
            watcher.read()
        except InvariantError:
            raise
        except Exception:  # noqa: BLE001 - a bug that one peer found must not cost the others
            _log.exception("connection_fault")
            watcher.end()
