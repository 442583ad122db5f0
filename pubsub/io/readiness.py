"""A socket whose bytes are taken as they come, by a call and not by a task.

On asyncio's loop, which the gateway runs on, the socket is watched once for as long as it lasts:
anyio watches it anew for each piece, and wakes a task for it. On any other loop anyio does it.
"""

import asyncio
import socket
from collections.abc import Callable

import anyio

__all__ = ["while_readable"]


async def while_readable(connection: socket.socket, take: Callable[[], bool]) -> None:
    """Call ``take`` whenever ``connection`` has bytes or ended, until it gives False or raises."""
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        await anyio.wait_readable(connection)
        while take():
            await anyio.wait_readable(connection)
        return
    over: asyncio.Future[None] = loop.create_future()
    loop.add_reader(connection, _take, take, over)
    try:
        await over
    finally:
        loop.remove_reader(connection)


def _take(take: Callable[[], bool], over: asyncio.Future[None]) -> None:
    if over.done():
        return
    try:
        goes_on = take()
    except Exception as error:  # noqa: BLE001 - whoever waits gets it, whatever it is
        over.set_exception(error)
        return
    if not goes_on:
        over.set_result(None)
