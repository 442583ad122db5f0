"""Reads one connection whenever something has come and its share of the inbox has room.

One read may bring tens of thousands of messages. They are taken in by portions, with everybody
else's turn in between, and no more of them than there is room for, but for one portion.
"""

from collections import deque
from collections.abc import Callable, Sequence

import trio

from consensus.core.frames import Frame, FrameSplitter
from consensus.io.inbox import Share
from consensus.io.network import LOST
from consensus.io.ready import ReadyPoll
from consensus.io.tls_stream import TlsStream
from ledger.core.errors import DecodeError, Offence, PeerFault
from ledger.core.limits import BULK_INPUTS_MAX, RECEIVE_BYTES_MAX

__all__ = ["Receiver"]


class _Arrived:
    """What was read and not yet taken in."""

    __slots__ = ("_frames", "_pieces", "_splitter")

    def __init__(self, splitter: FrameSplitter) -> None:
        self._splitter = splitter
        self._pieces: deque[bytes] = deque()
        self._frames: list[Frame] = []

    def __bool__(self) -> bool:
        return bool(self._frames or self._pieces)

    def put(self, pieces: Sequence[bytes]) -> None:
        """Put what was read, in pieces that hold a few thousand frames at worst."""
        self._pieces += pieces

    def take(self) -> list[Frame]:
        """Give the next frames. Raises PeerFault."""
        while self._pieces and len(self._frames) < BULK_INPUTS_MAX:
            try:
                self._frames += self._splitter.feed_pieces(self._pieces.popleft())
            except DecodeError as error:
                raise PeerFault(Offence.MALFORMED, str(error)) from None
        portion = self._frames[:BULK_INPUTS_MAX]
        del self._frames[:BULK_INPUTS_MAX]
        return portion


class Receiver:
    """Cuts what comes into frames, without a task of its own for it."""

    def __init__(
        self,
        stream: TlsStream,
        ready: ReadyPoll,
        share: Share,
        splitter: FrameSplitter,
        take_in: Callable[[int, Sequence[Frame]], None],
    ) -> None:
        """Call ``take_in(bytes read, frames completed)``, which may raise PeerFault.

        No more than BULK_INPUTS_MAX frames at one time.
        """
        self._stream = stream
        self._handle = stream.fileno()
        self._ready = ready
        self._share = share
        self._arrived = _Arrived(splitter)
        self._take_in = take_in
        self._ended = trio.Event()
        self._error: BaseException | None = None

    async def run(self, scope: trio.CancelScope) -> None:
        """Receive until the connection ends or ``scope``, which this is called in, is cancelled.

        Raises:
            PeerFault: what came is not of the protocol; OSError as in ``network.LOST``.
        """
        self._scope = scope
        self._ready.add(self._handle, self)
        try:
            if self._share.has_room:
                # What came with the greeting is not in the socket any more.
                self._ready.call_soon(self._handle)
            else:  # an older connection of the same source has used it up
                self._wait_for_room()
            await self._ended.wait()
        finally:
            self._ended.set()
            self._ready.remove(self._handle)
            self._share.forget(self._go_on)
        if self._error is not None:
            raise self._error

    def read(self) -> None:
        """Take in a portion of what has come."""
        if self._ended.is_set() or self._scope.cancel_called:
            return
        try:
            size = 0 if self._arrived else self._receive()
            if self._arrived:
                self._take_in(size, self._arrived.take())
        except (PeerFault, *LOST) as error:
            self._error = error
            self._ended.set()
            return
        if self._stream.is_ended and not self._arrived:
            self._ended.set()
        elif not self._share.has_room:
            self._wait_for_room()
        elif self._arrived:
            self._ready.call_soon(self._handle)

    def end(self) -> None:
        """End at once; what was not taken in yet is lost with the connection."""
        self._ended.set()

    def _wait_for_room(self) -> None:
        self._ready.pause(self._handle)
        self._share.when_room(self._go_on)

    def _go_on(self) -> None:
        self._ready.resume(self._handle)

    def _receive(self) -> int:
        pieces = self._stream.receive_now(RECEIVE_BYTES_MAX)
        self._arrived.put(pieces)
        return sum(map(len, pieces))
