"""Reads one connection whenever something has come and its share of the inbox has room."""

from collections.abc import Callable, Sequence

import trio

from consensus.io.frames import FrameSplitter
from consensus.io.inbox import Share
from consensus.io.network import LOST
from consensus.io.ready import ReadyPoll
from consensus.io.tls_stream import TlsStream
from ledger.core.errors import DecodeError, Offence, PeerFault
from ledger.core.limits import RECEIVE_BYTES_MAX

__all__ = ["Receiver"]


class Receiver:
    """Cuts what comes into frames, without a task of its own for it."""

    def __init__(
        self,
        stream: TlsStream,
        ready: ReadyPoll,
        share: Share,
        splitter: FrameSplitter,
        take_in: Callable[[int, Sequence[bytes]], None],
    ) -> None:
        """Call ``take_in(bytes read, frames completed)``, which may raise PeerFault."""
        self._stream = stream
        self._handle = stream.fileno()
        self._ready = ready
        self._share = share
        self._splitter = splitter
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
                self.read()  # what came with the greeting is not in the socket any more
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
        """Take in what has come."""
        if self._ended.is_set() or self._scope.cancel_called:
            return
        try:
            data = self._stream.receive_now(RECEIVE_BYTES_MAX)
            if data:
                self._take_in(len(data), self._frames(data))
        except (PeerFault, *LOST) as error:
            self._error = error
            self._ended.set()
            return
        if self._stream.is_ended:
            self._ended.set()
        elif not self._share.has_room:
            self._wait_for_room()

    def end(self) -> None:
        """End while there is no room; what was not read yet is lost with the connection."""
        self._ended.set()

    def _wait_for_room(self) -> None:
        self._ready.pause(self._handle)
        self._share.when_room(self._go_on)

    def _go_on(self) -> None:
        self._ready.resume(self._handle)

    def _frames(self, data: bytes) -> Sequence[bytes]:
        try:
            return self._splitter.feed(data)
        except DecodeError as error:
            raise PeerFault(Offence.MALFORMED, str(error)) from None
