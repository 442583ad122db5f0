"""A signal wakes the task that waits for it, on the loop of the server and on any other."""

import asyncio
import time

import trio
import trio.testing

from pubsub.io.signal import Signal

LONG_MS = 60_000


def test_set_signal_wakes_on_asyncio() -> None:
    """Whoever waits goes on when it is set, however often, and keeps no timer behind."""

    async def run() -> None:
        signal = Signal()
        task = asyncio.create_task(signal.wait(LONG_MS))
        await asyncio.sleep(0)
        assert not task.done()
        signal.set()
        signal.set()
        await asyncio.wait_for(task, 5)
        assert signal.is_set
        assert not any(not timer.cancelled() for timer in asyncio.get_running_loop()._scheduled)  # type: ignore[attr-defined]

    asyncio.run(run())


def test_time_is_over_on_asyncio() -> None:
    """A signal that never comes is waited for as long as was said; it may still come later."""

    async def run() -> None:
        signal = Signal()
        begun = time.monotonic()
        await signal.wait(20)
        assert 0.015 < time.monotonic() - begun < 5
        assert not signal.is_set
        signal.set()
        await signal.wait(LONG_MS)

    asyncio.run(run())


def test_waiting_task_may_be_cancelled_on_asyncio() -> None:
    """A task that is cancelled while it waits ends, and to set the signal then harms nobody."""

    async def run() -> None:
        signal = Signal()
        task = asyncio.create_task(signal.wait(LONG_MS))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task], timeout=5)
        assert task.cancelled()
        signal.set()

    asyncio.run(run())


async def test_set_signal_wakes_on_trio() -> None:
    """On another loop it wakes as well."""
    signal = Signal()
    with trio.fail_after(5):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(signal.wait, LONG_MS)
            await trio.testing.wait_all_tasks_blocked()
            signal.set()
        await signal.wait(LONG_MS)


async def test_time_is_over_on_trio() -> None:
    """On another loop the time ends, too."""
    signal = Signal()
    with trio.fail_after(5):
        await signal.wait(10)
    assert not signal.is_set
