"""A connection carries bytes both ways, in any portions, until either end is gone."""

import _ssl
import ctypes

import pytest
import trio
import trio.testing

from consensus.io.network import LOST
from consensus.io.tls import peer_key
from consensus.io.tls_stream import TlsStream
from tests.consensus.io.loopback import ALICE, BOB, tcp_pair, tls_pair

CHUNK = 65_536
_HANDLE_OFFSET = 24  # of the OpenSSL connection in what CPython makes of it


async def _receive(stream: TlsStream, count: int) -> bytes:
    received = b""
    while len(received) < count and (more := await stream.receive_some(CHUNK)):
        received += more
    return received


async def test_ends_know_each_other_and_speak_both_ways() -> None:
    """Each sees the other's key; what is sent at once arrives together and in order."""
    async with tls_pair() as (near, far):
        assert (peer_key(near), peer_key(far)) == (BOB.public_key, ALICE.public_key)
        assert near.send_now(b"one")
        assert near.send_now(b"two")
        assert await _receive(far, 6) == b"onetwo"
        await far.send_all(b"three")
        assert await near.receive_some(CHUNK) == b"three"


async def test_understands_other_implementations() -> None:
    """The other end may be trio's own stream, and speak together with its handshake."""
    plain, far = await tcp_pair()
    near = trio.SSLStream(plain, ALICE.client, https_compatible=True)
    stream = TlsStream(far, BOB.server, server_side=True)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(near.send_all, b"at once")
        await stream.do_handshake()
        assert await stream.receive_some(CHUNK) == b"at once"
    assert stream.send_now(b"answer")
    assert await near.receive_some(100) == b"answer"
    await trio.aclose_forcefully(near)
    stream.close()


async def test_what_the_socket_does_not_take_is_sent_later() -> None:
    """A reader that is slow makes the sender wait, and loses nothing."""
    sent = bytes(range(256)) * 4_096
    async with tls_pair() as (near, far):
        pieces = 0
        while near.send_now(sent):
            pieces += 1
            assert pieces < 1_000
        with trio.move_on_after(0.05) as scope:
            await near.drain()
        assert scope.cancelled_caught
        async with trio.open_nursery() as nursery:
            nursery.start_soon(near.drain)
            assert await _receive(far, len(sent) * (pieces + 1)) == sent * (pieces + 1)


async def test_end_of_the_connection_is_no_bytes() -> None:
    """Bytes in front of the end arrive; after it there are none, however often one asks."""
    async with tls_pair() as (near, far):
        near.send_now(b"last")
        near.close()
        near.close()
        assert await far.receive_some(CHUNK) == b"last"
        assert await far.receive_some(CHUNK) == b""
        assert await far.receive_some(CHUNK) == b""


async def test_who_waits_is_told_when_the_stream_is_closed() -> None:
    """Closing wakes the task that receives."""
    async with tls_pair() as (near, far), trio.open_nursery() as nursery:

        async def receive() -> None:
            with pytest.raises(trio.ClosedResourceError):
                await near.receive_some(CHUNK)

        nursery.start_soon(receive)
        await trio.testing.wait_all_tasks_blocked()
        near.close()
        assert await far.receive_some(CHUNK) == b""


@pytest.mark.parametrize("garbage", [b"GET / HTTP/1.1\r\n\r\n", b"\x17\x03\x03\x00\x02ab", b""])
async def test_what_is_no_handshake_is_a_lost_connection(garbage: bytes) -> None:
    """Whatever a stranger says instead, or when it goes away: one of the errors of a loss."""
    plain, far = await tcp_pair()
    stream = TlsStream(far, BOB.server, server_side=True)
    await plain.send_all(garbage)
    await plain.send_eof()
    with pytest.raises(LOST):
        await stream.do_handshake()
    stream.close()
    await plain.aclose()


async def test_forged_record_is_a_lost_connection() -> None:
    """Bytes that are not of the other end's key end the connection; nothing of them is given."""
    plain, far = await tcp_pair()
    near, stream = (
        TlsStream(plain, ALICE.client),
        TlsStream(far, BOB.server, server_side=True),
    )
    async with trio.open_nursery() as nursery:
        nursery.start_soon(near.do_handshake)
        nursery.start_soon(stream.do_handshake)
    near._socket.send(b"\x17\x03\x03\x00\x20" + bytes(32))
    with pytest.raises(LOST):
        await stream.receive_some(CHUNK)
    near.close()
    stream.close()


def _change_keys(stream: TlsStream, count: int) -> None:
    """Change the keys so often, and ask the other end for as much; Python's ssl cannot."""
    library = ctypes.CDLL(_ssl.__file__)  # which is linked with the OpenSSL that it uses
    for call in (library.SSL_key_update, library.SSL_do_handshake):
        call.argtypes = [ctypes.c_void_p] + [ctypes.c_int] * (call is library.SSL_key_update)
    # In front of it are the head of the Python object and the socket that it does not have.
    handle = ctypes.c_void_p.from_address(id(vars(stream._tls)["_sslobj"]) + _HANDLE_OFFSET)
    for _ in range(count):
        assert library.SSL_key_update(handle, 1) == 1
        assert library.SSL_do_handshake(handle) == 1


async def test_keys_may_be_changed() -> None:
    """A change of keys is answered, and both ends go on."""
    async with tls_pair() as (near, far):
        _change_keys(near, 3)
        near.send_now(b"after")
        assert await far.receive_some(CHUNK) == b"after"
        far.send_now(b"answer")
        assert await near.receive_some(CHUNK) == b"answer"


async def _flood(near: TlsStream, far: TlsStream, *, at_once: int) -> None:
    for _ in range(1_000 // at_once):
        _change_keys(near, at_once)
        near.send_now(b"after")
        await far.receive_some(CHUNK)


async def test_asking_for_many_answers_at_once_is_a_lost_connection() -> None:
    """What TLS would answer to changes of keys in one read is bounded."""
    async with tls_pair() as (near, far):
        with pytest.raises(LOST):
            await _flood(near, far, at_once=1_000)


async def test_asking_for_answers_and_not_taking_them_is_a_lost_connection() -> None:
    """What waits to be answered to a peer that reads nothing is bounded over many reads."""
    async with tls_pair() as (near, far):
        far.send_now(bytes(16 * 2**20))  # more than the kernel takes for a peer that does not read
        with pytest.raises(LOST):
            await _flood(near, far, at_once=1)
