"""The link to the node: it comes back by itself, and believes nothing malformed."""

from pathlib import Path

import anyio
import msgspec
import pytest
from anyio.abc import SocketStream

from consensus.core.control import Head, StatusReply, SubmitReply
from ledger.core.codec import encode
from ledger.core.errors import RejectCode, Rejected, Unavailable
from ledger.core.limits import CONTROL_BYTES_MAX, FRAME_BYTES_MAX
from pubsub.core.entries import Entries
from pubsub.io import node_link
from pubsub.io.node_link import NodeLink
from tests.pubsub.gateway_world import World, gateway_world


async def test_requests_are_matched_by_id(world: World) -> None:
    """Many requests at once each get their own answer."""
    world.node.judge = lambda data: data.decode()
    results: dict[int, tuple[str, ...]] = {}

    async def submit(number: int) -> None:
        results[number] = await world.gateway.link.submit(Entries.of(str(number).encode()))

    async with anyio.create_task_group() as group:
        for number in range(200):
            group.start_soon(submit, number)
    assert results == {number: (str(number),) for number in range(200)}


async def test_node_that_starts_later(tmp_path: Path) -> None:
    """A gateway that was there first connects when the node comes, and again after it went."""
    async with gateway_world(tmp_path, with_node=False) as world:
        world.node.judge = lambda _: ""
        assert not world.gateway.link.is_connected
        assert world.gateway.link.error is not None
        for _ in range(2):
            async with world.node.listening():
                await world.until_connected()
                assert await world.gateway.link.submit(Entries.of(b"x")) == ()
            await world.until_connected(connected=False)
            with pytest.raises(Unavailable):
                await world.gateway.link.submit(Entries.of(b"x"))


@pytest.mark.parametrize(
    "data",
    [
        (FRAME_BYTES_MAX + 1).to_bytes(4, "big"),
        b"\x00\x00\x00\x00",
        b"\x00\x00\x00\x03abc",
        b"\x00\x00\x00\x03\x93\x07\x01",
        b"\xff" * 100,
    ],
)
async def test_malformed_frames_drop_the_connection(world: World, data: bytes) -> None:
    """A frame that is too long or not canonical ends the connection; a new one is made."""
    (first,) = world.node.connections
    await world.node.send_bytes(first, data)
    with anyio.fail_after(5):
        while first in world.node.connections or not world.gateway.link.is_connected:  # noqa: ASYNC110
            await anyio.sleep(0.005)
    assert await world.gateway.link.status() == world.node.status


async def test_frame_in_pieces(world: World) -> None:
    """A frame that arrives byte by byte is one message."""
    heads: list[Head] = []
    world.gateway.link._on_head = heads.append
    (stream,) = world.node.connections
    frame = encode(msgspec.structs.replace(world.chain.head(), log_size=77))
    for byte in len(frame).to_bytes(4, "big") + frame:
        await world.node.send_bytes(stream, bytes([byte]))
    with anyio.fail_after(5):
        while not heads or heads[-1].log_size != 77:  # noqa: ASYNC110 - the first may be the node's
            await anyio.sleep(0.005)


async def test_answer_of_another_kind(world: World) -> None:
    """An answer to another question counts as none."""
    send = world.node.send

    async def confuse(stream: SocketStream, reply: object) -> None:
        if isinstance(reply, StatusReply):
            reply = SubmitReply(reply.request_id, ("",))
        await send(stream, reply)  # type: ignore[arg-type]

    world.node.send = confuse  # type: ignore[method-assign]
    with pytest.raises(Unavailable, match="another question"):
        await world.gateway.link.status()


async def test_unknown_ids_are_ignored(world: World) -> None:
    """Answers to requests that were given up change nothing."""
    (stream,) = world.node.connections
    await world.node.send(stream, SubmitReply(999, ("",)))
    assert await world.gateway.link.status() == world.node.status


async def test_answer_that_never_comes(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A request that gets no answer in time is given up, and nothing of it is kept."""
    monkeypatch.setattr(node_link, "CONTROL_TIMEOUT_MS", 20)
    world.node.is_silent = True
    with pytest.raises(Unavailable, match="may have taken"):
        await world.gateway.link.submit(Entries.of(b"x"))
    assert not world.gateway.link._pending


async def test_unsent_bytes_are_bounded(tmp_path: Path) -> None:
    """When the node stops reading, waiting bytes are bounded: more is refused as overloaded."""
    link = NodeLink(tmp_path / "control.sock", lambda _: None)
    link.is_connected = True
    link._unsent_bytes = CONTROL_BYTES_MAX
    with pytest.raises(Rejected) as caught:
        await link.submit(Entries.of(b"x"))
    assert caught.value.code is RejectCode.OVERLOADED


async def test_node_is_told_of_readers(tmp_path: Path) -> None:
    """The node learns when the first reader comes, the last has left, and again when it is back."""
    async with gateway_world(tmp_path, with_node=False) as world:
        for said in ([True], [True, True, False]):
            async with world.node.listening():
                await world.until_connected()
                world.gateway.begin_stream()
                if len(said) > 1:
                    world.gateway.end_stream()
                    world.gateway.end_stream()
                with anyio.fail_after(5):
                    while world.node.attends != said:  # noqa: ASYNC110 - nothing announces it
                        await anyio.sleep(0.005)
            await world.until_connected(connected=False)


async def test_more_than_a_socket_takes_is_sent(world: World) -> None:
    """A request larger than the socket's buffer arrives whole, and one behind it."""
    world.node.judge = lambda _: ""
    large = tuple(bytes([number]) * 100_000 for number in range(50))
    async with anyio.create_task_group() as group:
        group.start_soon(world.gateway.link.submit, Entries.of(*large))
        group.start_soon(world.gateway.link.submit, Entries.of(b"x"))
    assert sorted(world.node.submissions, key=len) == [(b"x",), large]
    assert world.gateway.link._unsent_bytes == 0


async def test_first_reader_is_told_of_at_once(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stream that opens does not wait for the gateway's next look at the store."""

    async def nothing() -> None: ...

    monkeypatch.setattr(world.gateway, "_advance", nothing)
    world.gateway.begin_stream()
    with anyio.fail_after(5):
        while world.node.attends != [True]:  # noqa: ASYNC110 - nothing announces it
            await anyio.sleep(0.005)
