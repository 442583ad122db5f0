"""What a socket gives is taken as it comes, on the loop of the server and on any other."""

import asyncio
import socket
from collections.abc import Iterator

import pytest
import trio

from pubsub.io.readiness import while_readable


class _Taker:
    """Takes from a socket until it ends; a full stop is a fault."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self.taken: list[bytes] = []

    def take(self) -> bool:
        data = self._connection.recv(100)
        self.taken.append(data)
        if data == b".":
            raise ValueError("a full stop")
        return bool(data)


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Give two connected sockets, the first of them not blocking."""
    near, far = socket.socketpair()
    near.setblocking(False)
    with near, far:
        yield near, far


async def _talk(taker: _Taker, far: socket.socket, pause: object) -> None:
    for number in range(3):
        far.send(b"%d" % number)
        while len(taker.taken) <= number:
            await pause(0.001)  # type: ignore[operator]
    far.shutdown(socket.SHUT_WR)


def test_all_is_taken_on_asyncio(pair: tuple[socket.socket, socket.socket]) -> None:
    """Each piece is taken when it comes, and it is over at the end."""
    near, far = pair
    taker = _Taker(near)

    async def run() -> None:
        async with asyncio.timeout(5):
            await asyncio.gather(while_readable(near, taker.take), _talk(taker, far, asyncio.sleep))
        assert not asyncio.get_running_loop().remove_reader(near)

    asyncio.run(run())
    assert taker.taken == [b"0", b"1", b"2", b""]


def test_fault_is_passed_on_by_asyncio(pair: tuple[socket.socket, socket.socket]) -> None:
    """What the call raises ends the watch and reaches whoever waits."""
    near, far = pair
    far.send(b".")

    async def run() -> None:
        async with asyncio.timeout(5):
            await while_readable(near, _Taker(near).take)

    with pytest.raises(ValueError, match="full stop"):
        asyncio.run(run())


def test_watch_ends_when_its_task_is_cancelled_on_asyncio(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    """A socket that nobody waits for any longer is not watched any longer."""
    near, far = pair
    taker = _Taker(near)

    async def run() -> None:
        task = asyncio.create_task(while_readable(near, taker.take))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task], timeout=5)
        assert not asyncio.get_running_loop().remove_reader(near)
        far.send(b"late")
        await asyncio.sleep(0.01)

    asyncio.run(run())
    assert taker.taken == []


async def test_all_is_taken_on_trio(pair: tuple[socket.socket, socket.socket]) -> None:
    """On another loop each piece is taken as well."""
    near, far = pair
    taker = _Taker(near)
    with trio.fail_after(5):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(while_readable, near, taker.take)
            await _talk(taker, far, trio.sleep)
    assert taker.taken == [b"0", b"1", b"2", b""]
