"""One task waits for many sockets; whose has something is called, and nobody else."""

import socket
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest
import trio
import trio.testing

from consensus.io.ready import ReadyPoll
from ledger.core.errors import InvariantError
from tests.consensus.io.loopback import WAIT_S, eventually, tcp_pair

_MANY = 1_000
RESET = struct.pack("ii", 1, 0)  # closing with this linger sends a reset


@dataclass
class Watcher:
    """Notes what it is told and reads all there is."""

    near: socket.socket
    far: socket.socket
    told: list[bytes | str] = field(default_factory=list)
    fault: Exception | None = None
    after: Callable[[], object] | None = None  # done when something was read

    def read(self) -> None:
        """Read."""
        if self.fault is not None:
            raise self.fault
        try:
            self.told.append(self.near.recv(100))
        except BlockingIOError:
            self.told.append("nothing")
        if self.after is not None:
            self.after()

    def end(self) -> None:
        """Note the end."""
        self.told.append("end")

    @property
    def handle(self) -> int:
        """Give the number of the socket that is watched."""
        return self.near.fileno()


def at_once(feed: Callable[[], None]) -> None:
    """Call back, with nobody who consumes what that brings."""
    feed()


async def make_watcher() -> Watcher:
    """Give a watcher of one end of a connection."""
    near, far = (socket.socket(fileno=end.socket.detach()) for end in await tcp_pair())
    near.settimeout(0)
    return Watcher(near, far)


@asynccontextmanager
async def watching(
    count: int, turn: Callable[[Callable[[], None]], None] = at_once
) -> AsyncIterator[tuple[ReadyPoll, list[Watcher]]]:
    """Run a poll that watches ``count`` sockets."""
    poll = ReadyPoll(turn)
    watchers = [await make_watcher() for _ in range(count)]
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(poll.run)
            for watcher in watchers:
                poll.add(watcher.handle, watcher)
            yield poll, watchers
            nursery.cancel_scope.cancel()
    finally:
        for watcher in watchers:
            watcher.near.close()
            watcher.far.close()


async def test_who_has_something_is_called() -> None:
    """What arrives is told to whom it concerns, and the end of a connection too."""
    async with watching(2) as (poll, (one, other)):
        one.far.send(b"hello")
        await eventually(lambda: one.told == [b"hello"])
        other.far.close()
        await eventually(lambda: b"" in other.told)
        poll.remove(other.handle)
        poll.remove(other.handle)
        assert one.told == [b"hello"]


async def test_what_comes_during_a_turn_is_served_before_other_tasks() -> None:
    """A message that the reader of another one caused does not wait for the event loop."""
    log: list[str] = []

    def turn(feed: Callable[[], None]) -> None:
        log.append("turn")
        feed()

    class Loop(trio.abc.Instrument):
        def before_io_wait(self, timeout: float) -> None:
            del timeout
            log.append("loop")

    async with watching(2, turn) as (_poll, (one, other)):
        one.after = lambda: other.far.send(b"at once")
        trio.lowlevel.add_instrument(Loop())
        one.far.send(b"first")
        await eventually(lambda: other.told == [b"at once"])
    first = log.index("turn")
    assert log[first : first + 2] == ["turn", "turn"]


async def test_others_have_their_turn_although_something_always_comes() -> None:
    """Sockets that are never empty do not hold up the tasks of the process."""
    async with watching(1) as (_poll, (one,)):
        one.after = lambda: one.far.send(b"again" if len(one.told) < _MANY else b"")
        one.far.send(b"first")
        await eventually(lambda: len(one.told) > 20)
        assert len(one.told) < _MANY
        one.after = None


async def test_paused_socket_is_not_read_until_it_is_resumed() -> None:
    """What comes meanwhile waits; a resume calls once though nothing has come, and not at once."""
    async with watching(2) as (poll, (one, other)):
        poll.pause(one.handle)
        one.far.send(b"early")
        other.far.send(b"other")
        await eventually(lambda: other.told == [b"other"])
        assert one.told == []
        poll.resume(one.handle)
        assert one.told == []
        await eventually(lambda: b"early" in one.told)
        poll.pause(other.handle)
        poll.resume(other.handle)
        await eventually(lambda: other.told == [b"other", "nothing"])


async def test_removed_socket_is_called_no_more() -> None:
    """Neither for a resume that came before nor for what arrives after."""
    async with watching(2) as (poll, (one, other)):
        poll.pause(one.handle)
        poll.resume(one.handle)
        poll.remove(one.handle)
        one.far.send(b"late")
        other.far.send(b"other")
        await eventually(lambda: other.told == [b"other"])
        await trio.testing.wait_all_tasks_blocked()
        assert one.told == []


async def test_paused_socket_that_breaks_is_told_of() -> None:
    """A reset is noticed though nobody may read."""
    async with watching(1) as (poll, (one,)):
        poll.pause(one.handle)
        one.far.send(b"unread")
        one.far.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        one.far.close()
        await eventually(lambda: "end" in one.told)
        assert set(one.told) == {"end"}
        poll.remove(one.handle)


async def test_nothing_is_watched_after_the_end() -> None:
    """A poll that has ended takes every call and makes none."""
    async with watching(1) as (poll, (one,)):
        pass
    poll.add(5, one)
    poll.pause(5)
    poll.resume(5)
    poll.remove(5)
    assert one.told == []


async def test_fault_of_one_connection_ends_that_one_alone() -> None:
    """Whatever it raises when it is called; the others are called on."""
    async with watching(2) as (poll, (one, other)):
        one.fault = ValueError("a bug")
        one.far.send(b"hello")
        await eventually(lambda: "end" in one.told)
        poll.remove(one.handle)
        other.far.send(b"other")
        await eventually(lambda: other.told == [b"other"])


async def test_connection_that_cannot_be_watched_again_ends_alone() -> None:
    """Who makes room for it is not hurt by it."""
    async with watching(2) as (poll, (one, other)):
        poll.pause(one.handle)
        poll._epoll.unregister(one.handle)  # so that the kernel refuses
        poll.resume(one.handle)
        assert one.told == ["end"]
        poll._epoll.register(one.handle)
        poll.remove(one.handle)
        other.far.send(b"other")
        await eventually(lambda: other.told == [b"other"])


async def test_broken_rule_is_no_fault_of_a_connection() -> None:
    """It goes on to who stops the process."""
    poll, watcher = ReadyPoll(at_once), await make_watcher()
    poll.add(watcher.handle, watcher)
    watcher.fault = InvariantError("broken")
    watcher.far.send(b"hello")
    with trio.fail_after(WAIT_S), pytest.raises(ExceptionGroup) as caught:
        await poll.run()
    watcher.near.close()
    watcher.far.close()
    assert caught.group_contains(InvariantError)
