"""The first frame of a peer connection, in both directions.

Its four fields keep their places and types in every version of the protocol, so that a peer of
another version is recognised as that and not as garbage.
"""

from collections.abc import Callable
from typing import Final, Protocol

import trio

from consensus.core.frames import FrameSplitter, encode_frame
from consensus.core.messages import Lane
from ledger.core.certificate import IndexField
from ledger.core.codec import Codec, Hash32, Record, UInt
from ledger.core.errors import DecodeError, Offence, PeerFault
from ledger.core.limits import HELLO_BYTES_MAX

__all__ = ["Hello", "HelloStream", "greet", "greet_back"]

_RECEIVE_BYTES: Final = 1_024


class HelloStream(Protocol):
    """A connection, as far as a greeting needs one."""

    async def send_all(self, data: bytes, /) -> None:
        """Send all of ``data``."""
        ...

    async def receive_some(self, bytes_max: int, /) -> bytes | bytearray:
        """Wait for bytes; nothing at the end of the connection."""
        ...


class Hello(Record, frozen=True):
    """Who speaks, for which network, on which lane.

    ``index`` is of the speaker's own epoch, which may be another than the listener's. So it proves
    nothing: who speaks is proven by its TLS key alone.
    """

    version: UInt
    genesis_hash: Hash32
    lane: Lane
    index: IndexField


_codec = Codec(Hello)


async def greet(stream: HelloStream, mine: Hello) -> Hello:
    """Speak first, as the dialling end; give the answer.

    Raises:
        PeerFault: WRONG_VERSION, WRONG_CHAIN, or MALFORMED when it is no greeting at all.
        trio.BrokenResourceError: the connection was lost.
    """
    await stream.send_all(encode_frame(_codec.encode(mine)))
    other = await _receive(stream)
    _check(other, mine)
    return other


async def greet_back(stream: HelloStream, answer: Callable[[Lane], Hello]) -> Hello:
    """Hear the dialling end's greeting and answer it, also when it is then refused.

    So the other end learns of which network and version this one is. Raises as ``greet``.
    """
    other = await _receive(stream)
    mine = answer(other.lane)
    await stream.send_all(encode_frame(_codec.encode(mine)))
    _check(other, mine)
    return other


def _check(other: Hello, mine: Hello) -> None:
    if other.version != mine.version:
        raise PeerFault(Offence.WRONG_VERSION, f"speaks version {other.version}")
    if other.genesis_hash != mine.genesis_hash:
        raise PeerFault(Offence.WRONG_CHAIN, f"is of network {other.genesis_hash.hex()[:16]}")


async def _receive(stream: HelloStream) -> Hello:
    splitter = FrameSplitter(HELLO_BYTES_MAX)
    try:
        while True:
            data = await stream.receive_some(_RECEIVE_BYTES)
            if not data:
                raise trio.BrokenResourceError("closed before its greeting")
            frames = splitter.feed(data)
            if frames:
                break
        # Nobody speaks on before it was greeted back.
        if len(frames) > 1 or not splitter.is_empty:
            raise PeerFault(Offence.MALFORMED, "more than a greeting")
        return _codec.decode(frames[0])
    except DecodeError as error:
        raise PeerFault(Offence.MALFORMED, str(error)) from None
