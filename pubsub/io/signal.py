"""What one task waits for, once, and not longer than a time.

On asyncio's loop, which serves every request, it is a bare future and a timer: an event and a
deadline of anyio find out anew at each step on which loop they are, which cost a small request a
fifth of all that it costs. Any other loop gets anyio's.
"""

import asyncio
from collections.abc import Callable

import anyio

__all__ = ["Signal", "call_soon"]


class Signal:
    """Set once, by anybody; one task waits for it.

    Attributes:
        is_set: what is waited for has come.
    """

    __slots__ = ("_wake", "is_set")

    def __init__(self) -> None:
        self.is_set = False
        self._wake: Callable[[], object] | None = None

    def set(self) -> None:
        """Let whoever waits go on."""
        self.is_set = True
        if self._wake is not None:
            self._wake()

    async def wait(self, timeout_ms: int | None = None) -> None:
        """Return when it is set, or when the time is over, if there is one."""
        if self.is_set:
            return
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            await self._wait_elsewhere(timeout_ms)
            return
        future: asyncio.Future[None] = loop.create_future()
        self._wake = lambda: _settle(future)
        if timeout_ms is None:
            await future
            return
        timer = loop.call_later(timeout_ms / 1000, _settle, future)
        try:
            await future
        finally:
            timer.cancel()

    async def _wait_elsewhere(self, timeout_ms: int | None) -> None:
        event = anyio.Event()
        self._wake = event.set
        with anyio.move_on_after(None if timeout_ms is None else timeout_ms / 1000):
            await event.wait()


def call_soon(call: Callable[[], object]) -> None:
    """Call when those who are to go on in this turn of the loop have; at once on other loops."""
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        call()
    else:
        loop.call_soon(call)


def _settle(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
