"""One task that waits for many sockets and calls those who have something to read.

A task for each socket would be woken, scheduled and entered anew for every message; a round brings
several of them at nearly the same time, from different peers.
"""

import select
from collections.abc import Callable

import trio

__all__ = ["ReadyPoll"]


class ReadyPoll:
    """Calls back for each socket that has become readable, or has ended."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._calls: dict[int, Callable[[], None]] = {}

    def add(self, handle: int, call: Callable[[], None]) -> None:
        """Begin to watch a socket. ``call`` must not raise nor wait; it may use these methods."""
        if not self._epoll.closed:
            self._calls[handle] = call
            self._epoll.register(handle, select.EPOLLIN)

    def remove(self, handle: int) -> None:
        """Watch a socket no more; before it is closed, and as often as one likes."""
        if self._calls.pop(handle, None) is not None and not self._epoll.closed:
            self._epoll.unregister(handle)

    async def run(self) -> None:
        """Call back until cancelled; then nothing is watched any more."""
        try:
            while True:
                await trio.lowlevel.wait_readable(self._epoll.fileno())
                for handle, _ in self._epoll.poll(0):
                    call = self._calls.get(handle)
                    if call is not None:  # an earlier one of these has not removed it
                        call()
        finally:
            self._epoll.close()
