"""A connection is read while its share has room, and its end is noticed whether it has or not."""

import socket
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

import trio
import trio.testing

from consensus.core.frames import Frame, FrameSplitter, encode_frame
from consensus.core.inputs import Input, PeerUp
from consensus.io.inbox import Inbox, Share
from consensus.io.network import LOST
from consensus.io.ready import ReadyPoll
from consensus.io.receiver import Receiver
from consensus.io.tls_stream import TlsStream
from ledger.core.ids import NodeIndex
from ledger.core.limits import BULK_INPUTS_MAX, FRAME_BYTES_MAX
from tests.consensus.io.loopback import eventually, tls_pair
from tests.consensus.io.test_ready import RESET, at_once

ROOM = 4  # inputs of a share
FAULTY = 255  # what is taken in with an exception


@dataclass
class Hearing:
    """What the connections of one peer and lane share, and what they have heard."""

    nursery: trio.Nursery
    ready: ReadyPoll = field(default_factory=lambda: ReadyPoll(at_once))
    inbox: Inbox = field(default_factory=Inbox)
    share: Share = field(
        default_factory=lambda: Share(count_max=ROOM, bytes_max=2**20, is_urgent=True)
    )
    heard: list[bytes] = field(default_factory=list)
    portions: list[int] = field(default_factory=list)

    def take_in(self, _: int, given: Sequence[Frame]) -> None:
        """Put one input for each frame."""
        frames = [frame if isinstance(frame, bytes) else frame.whole() for frame in given]
        if bytes([FAULTY]) in frames:
            raise ValueError("a bug")
        if frames:
            self.heard += frames
            self.portions.append(len(frames))
            inputs: list[Input] = [PeerUp(NodeIndex(0)) for _ in frames]
            self.inbox.put(self.share, inputs, sum(map(len, frames)))

    async def until(self, count: int) -> None:
        """Wait until so many frames were heard."""
        await eventually(lambda: len(self.heard) >= count)

    def hear(self, stream: TlsStream) -> "Connection":
        """Begin to hear a connection."""
        receiver = Receiver(
            stream, self.ready, self.share, FrameSplitter(FRAME_BYTES_MAX), self.take_in
        )
        connection = Connection(receiver)
        self.nursery.start_soon(connection.run)
        return connection


@dataclass
class Connection:
    """A receiver and how it ended."""

    receiver: Receiver
    scope: trio.CancelScope = field(default_factory=trio.CancelScope)
    error: BaseException | None = None
    has_ended: bool = False

    async def run(self) -> None:
        """Receive until the end."""
        with self.scope:
            try:
                await self.receiver.run(self.scope)
            except LOST as error:
                self.error = error
        self.has_ended = True

    def is_over(self) -> bool:
        """Say whether it has ended."""
        return self.has_ended


@asynccontextmanager
async def hearing() -> AsyncIterator[Hearing]:
    """Run what receivers need."""
    async with trio.open_nursery() as nursery:
        its = Hearing(nursery)
        nursery.start_soon(its.ready.run)
        yield its
        nursery.cancel_scope.cancel()


def frames(*numbers: int) -> bytes:
    """Give small frames as they are sent."""
    return b"".join(encode_frame(bytes([number])) for number in numbers)


async def test_is_read_on_when_there_is_room_again() -> None:
    """A used up share stops the reading; what is taken lets it go on, in order."""
    async with tls_pair() as (near, far), hearing() as its:
        connection = its.hear(far)
        near.send_now(frames(*range(ROOM)))
        await its.until(ROOM)
        near.send_now(frames(100))
        await trio.testing.wait_all_tasks_blocked(0.02)
        assert len(its.heard) == ROOM
        its.inbox.take()
        await its.until(ROOM + 1)
        assert its.heard == [bytes([n]) for n in (*range(ROOM), 100)]
        assert not connection.is_over()


async def test_newer_connection_is_heard_when_the_older_one_ended_without_room() -> None:
    """An end concerns its own connection alone: the newer one is told of room all the same."""
    async with tls_pair() as (near, far), tls_pair() as (near_2, far_2), hearing() as its:
        older = its.hear(far)
        near.send_now(frames(*range(ROOM)))
        await its.until(ROOM)
        near_2.send_now(frames(100))
        newer = its.hear(far_2)
        await trio.testing.wait_all_tasks_blocked(0.02)
        older.scope.cancel()
        await eventually(older.is_over)
        assert len(its.heard) == ROOM  # it does not use up more than it has found
        its.inbox.take()
        await its.until(ROOM + 1)
        assert its.heard[-1] == bytes([100])
        assert not newer.is_over()


async def test_reset_is_noticed_without_room() -> None:
    """A connection that is broken ends though its share stays used up."""
    async with tls_pair() as (near, far), hearing() as its:
        connection = its.hear(far)
        near.send_now(frames(*range(ROOM)))
        await its.until(ROOM)
        near._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        near.close()
        await eventually(connection.is_over)
        assert not its.share.has_room


async def test_end_behind_what_was_sent_is_noticed_when_there_is_room() -> None:
    """What a peer said before it closed is heard; then the connection is over."""
    async with tls_pair() as (near, far), hearing() as its:
        connection = its.hear(far)
        near.send_now(frames(*range(ROOM)))
        await its.until(ROOM)
        near.send_now(frames(100))
        near.close()
        await trio.testing.wait_all_tasks_blocked(0.02)
        assert not connection.is_over()
        its.inbox.take()
        await eventually(connection.is_over)
        assert its.heard[-1] == bytes([100])
        assert connection.error is None


async def test_many_messages_of_one_read_are_taken_in_by_portions() -> None:
    """Each portion is small and waits for room; in between others have their turn."""
    count = 5 * BULK_INPUTS_MAX
    turns: list[int] = []
    async with tls_pair() as (near, far), hearing() as its:
        near.send_now(frames(*(n % 200 for n in range(count))))
        connection = its.hear(far)
        await its.until(1)
        near.close()
        while len(its.heard) < count:
            turns.append(len(its.heard))
            assert not its.share.has_room
            its.inbox.take()
            await its.until(sum(its.portions) + 1)
        its.inbox.take()
        await eventually(connection.is_over)
        assert its.heard == [bytes([n % 200]) for n in range(count)]
        assert its.portions == [BULK_INPUTS_MAX] * 5
        assert turns == [BULK_INPUTS_MAX * n for n in range(1, 5)]


async def test_farewell_in_the_same_read_does_not_cut_what_came_before() -> None:
    """A connection is over when all that arrived with its end was taken in."""
    async with tls_pair() as (near, far), hearing() as its:
        near._tls.write(frames(*bytes(2 * BULK_INPUTS_MAX)))
        with suppress(ssl.SSLWantReadError):
            near._tls.unwrap()
        near._push()
        connection = its.hear(far)
        await its.until(1)
        its.inbox.take()
        await eventually(connection.is_over)
        assert len(its.heard) == 2 * BULK_INPUTS_MAX


async def test_portions_follow_each_other_when_there_is_room() -> None:
    """What was read already is taken in though nothing more arrives, a portion a turn."""
    share = Share(count_max=10_000, bytes_max=2**20, is_urgent=False)
    async with tls_pair() as (near, far), hearing() as its:
        its.share = share
        near.send_now(frames(*bytes(3 * BULK_INPUTS_MAX)))
        its.hear(far)
        await its.until(3 * BULK_INPUTS_MAX)
        assert its.portions == [BULK_INPUTS_MAX] * 3


async def test_frame_larger_than_a_read_arrives_whole() -> None:
    """However it is cut on the way."""
    large = bytes(range(256)) * 4_096
    async with tls_pair() as (near, far), hearing() as its:
        its.hear(far)
        near.send_now(encode_frame(large) + frames(1))
        its.nursery.start_soon(near.drain)
        await its.until(1)
        its.inbox.take()
        await its.until(2)
        assert its.heard == [large, bytes([1])]


async def test_fault_in_what_takes_in_is_a_lost_connection() -> None:
    """Also for what came together with the greeting; other connections go on."""
    async with tls_pair() as (near, far), tls_pair() as (near_2, far_2), hearing() as its:
        near.send_now(frames(FAULTY))
        connection = its.hear(far)
        await eventually(connection.is_over)
        its.hear(far_2)
        near_2.send_now(frames(1))
        await its.until(1)
