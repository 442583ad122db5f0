"""Peers find, know, hear and lose each other, whatever the other end does."""

from contextlib import suppress

import pytest
import trio

from consensus.core.frames import encode_frame
from consensus.core.inputs import PeerDown, PeerMessage, PeerMisbehaved, PeerUp
from consensus.core.messages import (
    BatchMessage,
    BlocksRequest,
    Lane,
    Message,
    ProposalRequest,
    encode_message,
)
from consensus.io import dialler as dialler_module
from consensus.io import listener as listener_module
from consensus.io.dialler import backoff_s
from consensus.io.hello import Hello, greet_back
from consensus.io.network import LOST
from consensus.io.tls import PeerIdentity
from ledger.core.codec import encode
from ledger.core.errors import Offence
from ledger.core.ids import BlockId, Height, NodeIndex
from ledger.core.limits import (
    BULK_INPUTS_MAX,
    INBOX_FRAMES_MAX,
    PEER_COOLDOWN_MS,
    PROTOCOL_VERSION,
    RECEIVE_BYTES_MAX,
)
from tests.consensus.io.loopback import (
    GENESIS_HASH,
    WAIT_S,
    Peer,
    address,
    dial,
    dial_and_greet,
    eventually,
    networks,
    running,
    seed,
)

ALL = (Lane.CONSENSUS, Lane.BULK)


def urgent(number: int) -> Message:
    """Give a small message of the consensus lane."""
    return ProposalRequest(BlockId(number.to_bytes(32, "big")))


async def until_closed(stream: trio.abc.ReceiveStream) -> None:
    """Wait until the other end has cut the connection."""
    with trio.fail_after(WAIT_S), suppress(*LOST):
        while await stream.receive_some(1_000):
            pass


async def test_all_peers_come_up_and_hear_each_other() -> None:
    """Both lanes of each pair connect; a broadcast reaches every peer and names its sender."""
    async with running(4) as peers:
        for peer in peers:
            await peer.until(3, PeerUp)
        peers[2].broadcast(urgent(7))
        peers[2].broadcast(BatchMessage(b"bulk"))
        for index in (0, 1, 3):
            heard = await peers[index].until(2, PeerMessage)
            assert {item.message for item in heard} == {urgent(7), BatchMessage(b"bulk")}
            assert {item.peer for item in heard} == {2}
        peers[0].send(NodeIndex(1), urgent(8))
        assert (await peers[1].until(3, PeerMessage))[-1] == PeerMessage(NodeIndex(0), urgent(8))
        assert peers[0].transport.peers_up == {1, 2, 3}


async def test_whom_all_wait_for_is_sent_to_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """What one step says leaves for the awaited peer before it leaves for the others."""
    async with running(4) as peers:
        await peers[1].until(3, PeerUp)
        transport = peers[1].transport
        left: list[NodeIndex] = []
        monkeypatch.setattr(dialler_module.Dialler, "flush", lambda self: left.append(self._peer))
        transport.broadcast(urgent(7))
        transport.send(NodeIndex(2), BatchMessage(b"bulk"))
        transport.flush(NodeIndex(3))
        assert left == [3, 0, 2, 2]
        transport.broadcast(urgent(8))
        transport.flush(NodeIndex(1))
        assert left[4:] == [0, 2, 3], "itself is no peer"


async def test_order_is_kept_over_many_frames_and_large_ones() -> None:
    """Small and large messages of a lane arrive complete and in the order of sending."""
    sent: list[Message] = [BatchMessage(bytes([n]) * (1 + 150_000 * (n % 3))) for n in range(40)]
    async with running(2) as peers:
        await peers[0].until(1, PeerUp)
        for message in sent:
            peers[0].send(NodeIndex(1), message)
        heard = await peers[1].until(len(sent), PeerMessage)
        assert [item.message for item in heard] == sent


async def test_lost_lane_is_reported_and_comes_back() -> None:
    """When a peer cuts one lane it is down at once, and up again after a new dial."""
    async with running(2) as peers:
        await peers[0].until(1, PeerUp)
        inbound = peers[1].transport._listener._connected
        inbound[NodeIndex(0), Lane.BULK].cancel()
        assert await peers[0].until(1, PeerDown) == [PeerDown(NodeIndex(1))]
        await peers[0].until(2, PeerUp)


async def test_peer_that_starts_late_is_found_and_gets_what_was_said() -> None:
    """Dialling goes on while a peer is absent; what it was told meanwhile arrives."""
    async with running(2, only=[0]) as peers, trio.open_nursery() as nursery:
        peers[0].send(NodeIndex(1), urgent(1))
        peers[0].send(NodeIndex(1), BatchMessage(b"early"))
        with trio.move_on_after(0.2):
            await peers[0].until(1, PeerUp)
        assert not peers[0].seen
        nursery.start_soon(peers[1].transport.run, peers[1].listeners)
        await peers[0].until(1, PeerUp)
        heard = await peers[1].until(2, PeerMessage)
        assert {item.message for item in heard} == {urgent(1), BatchMessage(b"early")}
        nursery.cancel_scope.cancel()


async def test_peer_that_dials_is_dialled_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A peer that comes back is heard and spoken to without waiting for the back-off."""
    monkeypatch.setattr(dialler_module, "backoff_s", lambda *_: 60.0)
    async with running(2, only=[]) as peers, trio.open_nursery() as nursery:
        addresses = peers[0].network.addresses
        addresses[NodeIndex(1)] = ("127.0.0.1", 1)  # type: ignore[index]
        nursery.start_soon(peers[0].transport.run, peers[0].listeners)
        await eventually(lambda: peers[0].transport.counters.dials_failed == 2)
        addresses[NodeIndex(1)] = address(peers[1].listeners)  # type: ignore[index]
        nursery.start_soon(peers[1].transport.run, peers[1].listeners)
        await peers[0].until(1, PeerUp)
        nursery.cancel_scope.cancel()


async def test_a_name_that_no_host_can_have_ends_nothing() -> None:
    """The governors may name a member's host wrongly: the others go on without it."""
    async with running(3, only=[]) as peers, trio.open_nursery() as nursery:
        peers[0].network.addresses[NodeIndex(2)] = ("node..example", 1)  # type: ignore[index]
        for peer in peers[:2]:
            nursery.start_soon(peer.transport.run, peer.listeners)
        await eventually(lambda: peers[0].transport.counters.dials_failed >= 2)
        await peers[0].until(1, PeerUp)
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize(("failures", "full_ms"), [(1, 50), (2, 100), (6, 1600), (7, 2000)])
def test_backoff_doubles_up_to_its_cap(failures: int, full_ms: int) -> None:
    """Waits double from 50 ms to 2 s, each spread over the upper half of its step."""
    assert backoff_s(failures, 1.0) == full_ms / 1_000
    assert backoff_s(failures, 0.0) == full_ms / 2_000
    assert backoff_s(10**9, 1.0) == 2.0


@pytest.mark.parametrize("garbage", [
    b"\xff" * 100,  # a length beyond every limit
    b"\0\0\0\0",  # an empty frame
    encode_frame(b"\xc1 no message"),
    encode_frame(encode_message(BatchMessage(b"wrong lane"))),
    encode_frame(encode_message(urgent(1)))[:-1] + b"x" + b"\0\0\0\x01\xc0",
], ids=["length", "empty", "no message", "lane", "second"])  # fmt: skip
async def test_garbage_of_a_peer_is_counted_and_cut(garbage: bytes) -> None:
    """A known peer that talks nonsense is disconnected and named to the core; nothing else ends."""
    async with running(2, only=[0]) as peers:
        stream = await dial_and_greet(peers[1].network, address(peers[0].listeners), Lane.CONSENSUS)
        await stream.send_all(garbage)
        misbehaved = await peers[0].until(1, PeerMisbehaved)
        assert misbehaved == [PeerMisbehaved(NodeIndex(1), Offence.MALFORMED)]
        await until_closed(stream)
        assert peers[0].transport.counters.faults == {Offence.MALFORMED: 1}


async def test_truncated_frame_is_only_a_lost_connection() -> None:
    """A connection that ends inside a frame is no offence, and delivers nothing."""
    async with running(2, only=[0]) as peers:
        place = address(peers[0].listeners)
        stream = await dial_and_greet(peers[1].network, place, Lane.CONSENSUS)
        await stream.send_all(encode_frame(encode_message(urgent(1)))[:-5])
        await trio.aclose_forcefully(stream)
        again = await dial_and_greet(peers[1].network, place, Lane.CONSENSUS)
        await again.send_all(encode_frame(encode_message(urgent(2))))
        assert await peers[0].until(1, PeerMessage) == [PeerMessage(NodeIndex(1), urgent(2))]
        assert not peers[0].transport.counters.faults


async def test_misbehaving_peer_is_heard_again_after_its_cooldown() -> None:
    """Silence is bounded: a validator is never shut out of quorums for good."""
    async with running(2) as peers:
        await peers[1].until(1, PeerUp)
        peers[0].transport.silence(NodeIndex(1))
        await peers[1].until(1, PeerDown)
        silenced = trio.current_time()
        await peers[1].until(2, PeerUp)
        assert trio.current_time() - silenced > 0.9 * PEER_COOLDOWN_MS / 1_000
        peers[1].send(NodeIndex(0), urgent(3))
        assert (await peers[0].until(1, PeerMessage))[0].message == urgent(3)


@pytest.mark.parametrize(("changes", "offence"), [
    ({"version": 99}, Offence.WRONG_VERSION),
    ({"genesis_hash": bytes(32)}, Offence.WRONG_CHAIN),
])  # fmt: skip
async def test_wrong_greetings_are_refused(changes: dict[str, object], offence: Offence) -> None:
    """Another version or network: counted, refused, told to the core."""
    async with running(3, only=[0]) as peers:
        with suppress(Exception):  # the refusal may reach the dialling end as a fault of its own
            stream = await dial_and_greet(
                peers[1].network, address(peers[0].listeners), Lane.BULK, **changes
            )
            await until_closed(stream)
        assert await peers[0].until(1, PeerMisbehaved) == [PeerMisbehaved(NodeIndex(1), offence)]


async def test_stranger_is_refused_without_a_trace() -> None:
    """A key that no validator has gets nothing, and no peer is blamed for it."""
    async with running(2, only=[0]) as peers:
        stranger = networks([("127.0.0.1", 1)] * 9)[8]
        with suppress(*LOST):
            await until_closed(await dial(stranger, address(peers[0].listeners)))
        assert peers[0].transport.counters.faults == {Offence.WRONG_IDENTITY: 1}
        assert not peers[0].inbox.take()


async def test_impostor_at_a_peers_address_is_refused() -> None:
    """A dialled node that shows another key than the pinned one is sent nothing."""
    async with running(3, only=[0, 2]) as peers:
        # Node 2 answers where node 1 is expected.
        peers[0].network.addresses[NodeIndex(1)] = address(peers[2].listeners)  # type: ignore[index]
        await peers[0].until(1, PeerUp)
        await eventually(lambda: Offence.WRONG_IDENTITY in peers[0].transport.counters.faults)
        assert peers[0].transport.peers_up == {2}


async def test_answering_end_must_have_the_key() -> None:
    """A foreign key that greets well is sent nothing."""
    greetings: list[bytes | bytearray] = []
    identity = PeerIdentity(seed(8))

    async def answer(socket_stream: trio.SocketStream) -> None:
        stream = trio.SSLStream(
            socket_stream, identity.server, server_side=True, https_compatible=True
        )
        with suppress(*LOST):
            await greet_back(
                stream, lambda lane: Hello(PROTOCOL_VERSION, GENESIS_HASH, lane, NodeIndex(1))
            )
            greetings.append(await stream.receive_some(1))
        await trio.aclose_forcefully(stream)

    async with running(3, only=[0]) as peers, trio.open_nursery() as nursery:
        peers[0].send(NodeIndex(1), urgent(1))
        nursery.start_soon(trio.serve_listeners, answer, peers[1].listeners)
        await eventually(lambda: Offence.WRONG_IDENTITY in peers[0].transport.counters.faults)
        nursery.cancel_scope.cancel()
    assert not any(greetings)
    assert peers[0].transport.peers_up == set()


async def test_speaking_before_the_greeting_is_answered_is_refused() -> None:
    """A connection whose first frame is followed by more at once is malformed."""
    async with running(2, only=[0]) as peers:
        stream = await dial(peers[1].network, address(peers[0].listeners))
        hello = encode_frame(encode(peers[1].network.hello(Lane.CONSENSUS)))
        await stream.send_all(hello + encode_frame(encode_message(urgent(1))))
        misbehaved = await peers[0].until(1, PeerMisbehaved)
        assert misbehaved == [PeerMisbehaved(NodeIndex(1), Offence.MALFORMED)]


async def test_plain_bytes_and_silence_do_not_keep_peers_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Strangers that never finish their handshake give way to those who come later."""
    monkeypatch.setattr(listener_module, "PENDING_CONNECTIONS_MAX", 2)
    monkeypatch.setattr(listener_module, "HANDSHAKE_MS_MAX", 60_000)
    async with running(2, only=[0]) as peers:
        place = address(peers[0].listeners)
        idle = [await trio.open_tcp_stream(*place) for _ in range(5)]
        await idle[-1].send_all(b"GET / HTTP/1.1\r\n\r\n")
        stream = await dial_and_greet(peers[1].network, place, Lane.CONSENSUS)
        await stream.send_all(encode_frame(encode_message(urgent(4))))
        await peers[0].until(1, PeerMessage)
        assert peers[0].transport.counters.connections_evicted >= 3
        await until_closed(idle[0])
        for connection in idle:
            await connection.aclose()


async def test_newer_connection_replaces_the_older() -> None:
    """A peer that restarted is heard on its new connection; the old one is cut."""
    async with running(2, only=[0]) as peers:
        place = address(peers[0].listeners)
        old = await dial_and_greet(peers[1].network, place, Lane.CONSENSUS)
        new = await dial_and_greet(peers[1].network, place, Lane.CONSENSUS)
        await until_closed(old)
        await new.send_all(encode_frame(encode_message(urgent(5))))
        assert await peers[0].until(1, PeerMessage) == [PeerMessage(NodeIndex(1), urgent(5))]


async def test_newer_connection_is_heard_though_the_older_one_waited_for_room() -> None:
    """A peer that comes back while its share is used up is heard when there is room again."""
    count = INBOX_FRAMES_MAX[Lane.CONSENSUS]
    async with running(2, only=[0]) as peers:
        place = address(peers[0].listeners)
        old = await dial_and_greet(peers[1].network, place, Lane.CONSENSUS)
        await old.send_all(b"".join(encode_frame(encode_message(urgent(n))) for n in range(count)))
        share = peers[0].transport._listener._shares[NodeIndex(1), Lane.CONSENSUS]
        await eventually(lambda: not share.has_room)
        new = await dial_and_greet(peers[1].network, place, Lane.CONSENSUS)
        await until_closed(old)
        await peers[0].until(count, PeerMessage)
        await new.send_all(encode_frame(encode_message(urgent(count))))
        heard = await peers[0].until(count + 1, PeerMessage)
        assert heard[-1].message == urgent(count)


async def _fill(peer: Peer, count: int) -> None:
    for _ in range(count):
        peer.send(NodeIndex(0), BatchMessage(bytes(400_000)))
        await trio.lowlevel.checkpoint()


async def test_full_inbox_stops_reading_bulk_and_votes_still_pass() -> None:
    """When nobody takes bulk any more the sender is held back by TCP; votes are not delayed."""
    async with running(2) as peers:
        await peers[1].until(1, PeerUp)
        await _fill(peers[1], 70)
        share = peers[0].transport._listener._shares[NodeIndex(1), Lane.BULK]
        await eventually(lambda: bool(share._when_room))  # the reader waits for room
        received = peers[0].transport.counters.bytes_received
        assert received < 20_000_000
        peers[1].send(NodeIndex(0), urgent(6))
        await eventually(lambda: bool(peers[0].inbox._urgent))
        # Once somebody takes again, everything that was queued arrives.
        heard = await peers[0].until(71, PeerMessage)
        assert next(i for i, item in enumerate(heard) if item.message == urgent(6)) == 0


async def test_small_messages_in_bulk_do_not_delay_votes() -> None:
    """However many of them one read brings, little is done before votes are looked for again."""
    frame = encode_frame(encode_message(BlocksRequest(Height(1))))
    count = RECEIVE_BYTES_MAX // len(frame)
    async with running(2, only=[0]) as peers:
        inbox = peers[0].inbox
        place = address(peers[0].listeners)
        stream = await dial_and_greet(peers[1].network, place, Lane.BULK)
        seen = 0
        async with trio.open_nursery() as nursery:
            nursery.start_soon(stream.send_all, frame * count)
            while seen < count:
                await inbox.wait()
                assert len(inbox) <= INBOX_FRAMES_MAX[Lane.BULK] + BULK_INPUTS_MAX
                taken = inbox.take()
                assert len(taken) <= BULK_INPUTS_MAX
                seen += len(taken)
        assert seen == count


async def test_bulk_queue_refuses_the_newest_when_full() -> None:
    """A peer that takes nothing costs a bounded queue; what does not fit is counted."""
    async with running(2) as peers:
        await peers[1].until(1, PeerUp)
        await _fill(peers[1], 200)
        frames, size, dropped = peers[1].transport.queues()[Lane.BULK]
        assert dropped > 0
        assert size <= 32 * 2**20
        assert frames > 0
