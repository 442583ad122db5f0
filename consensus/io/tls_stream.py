"""One TLS connection over a socket, carried out by hand.

A round of consensus is a dozen records of a few hundred bytes. trio's own stream gives each of them
locks, task switches and several calls of the kernel; here a record that can leave at once leaves
within the call, and one wake-up takes in all that has arrived.

A connection ends when its socket does: frames have lengths, so a TLS farewell would say nothing,
and none is sent or asked for.
"""

import socket
import ssl
from typing import Final

import trio

__all__ = ["TlsStream"]

_RECORD_BYTES: Final = 16_384  # the most that one record holds
_HANDSHAKE_BYTES: Final = 16_384
# What TLS may answer of itself to one read, or while the other end reads nothing. Nobody's TLS asks
# for answers unless it is told to, and a hundred of them at once are a flood.
_ANSWERS_BYTES_MAX: Final = 4_096


class TlsStream:
    """One end of a connection. One task receives; one at a time sends.

    Every method but ``close`` may raise OSError or trio.ClosedResourceError (``network.LOST``): the
    connection is gone. TLS faults are among the first.
    """

    __slots__ = ("_incoming", "_is_ended", "_outgoing", "_socket", "_tls", "_unsent")

    def __init__(
        self, plain: trio.SocketStream, context: ssl.SSLContext, *, server_side: bool = False
    ) -> None:
        """Take over the socket of ``plain``, which is of no more use then."""
        self._socket = socket.socket(fileno=plain.socket.detach())
        self._socket.settimeout(0)
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side=server_side)
        self._unsent = memoryview(b"")
        self._is_ended = False

    def getpeercert(self, *, binary_form: bool) -> bytes | None:
        """Give the other end's certificate in DER, after the handshake."""
        assert binary_form, "only its bytes are of interest"
        return self._tls.getpeercert(binary_form=True)

    async def do_handshake(self) -> None:
        """Shake hands, before anything else."""
        while True:
            try:
                self._tls.do_handshake()
            except ssl.SSLWantReadError:
                await self._push_all()
            else:
                await self._push_all()
                return
            await self._fill(_HANDSHAKE_BYTES)
            if self._is_ended:
                raise trio.BrokenResourceError("closed in its handshake")

    async def receive_some(self, bytes_max: int) -> bytes:
        """Wait for bytes; give what has come, or nothing at the end of the connection.

        Args:
            bytes_max: most that is taken from the socket at one time.
        """
        received = self._early()
        while not received and not self._is_ended:
            await self._fill(bytes_max)
            received = self._decrypt()
        return b"".join(received)

    def receive_now(self, bytes_max: int) -> list[bytes]:
        """As :meth:`receive_some`, but give what is there, be it nothing; see ``is_ended``.

        It comes in the pieces in which it was sent, of at most 16 KiB.
        """
        received = self._early()
        if not received and not self._is_ended:
            self._take(bytes_max)
            received = self._decrypt()
        return received

    @property
    def is_ended(self) -> bool:
        """True when nothing more can come."""
        return self._is_ended

    def fileno(self) -> int:
        """Give the socket's number, to wait for it elsewhere; negative once it is closed."""
        return self._socket.fileno()

    def send_now(self, data: bytes | memoryview) -> bool:
        """Send as much as the socket takes at once. When False wait for :meth:`drain` first."""
        self._tls.write(data)
        return self._push()

    async def drain(self) -> None:
        """Wait until all is with the kernel; always a checkpoint."""
        await trio.lowlevel.checkpoint()
        while self._unsent:
            await trio.lowlevel.wait_writable(self._socket)
            self._send()

    async def send_all(self, data: bytes) -> None:
        """Send a little, and wait until all of it is with the kernel."""
        self.send_now(data)
        await self.drain()

    def close(self) -> None:
        """Let go of the socket at once; whoever waits for it is told. May be called again."""
        if self._socket.fileno() >= 0:
            trio.lowlevel.notify_closing(self._socket)
            self._socket.close()

    # --- helpers --------------------------------------------------------------------------

    async def _fill(self, bytes_max: int) -> None:
        """Wait for the socket and take what has arrived."""
        await trio.lowlevel.wait_readable(self._socket)
        self._take(bytes_max)

    def _early(self) -> list[bytes]:
        """Give what has come together with the end of the handshake."""
        return self._decrypt() if self._incoming.pending else []

    def _take(self, bytes_max: int) -> None:
        try:
            data = self._socket.recv(bytes_max)
        except BlockingIOError:  # the kernel thought better of it
            return
        self._incoming.write(data)
        self._is_ended = not data

    def _decrypt(self) -> list[bytes]:
        """Give what each complete record holds."""
        parts: list[bytes] = []
        read, incoming = self._tls.read, self._incoming
        try:
            while incoming.pending:  # to be told that nothing is left costs as much as a record
                part = read(_RECORD_BYTES)
                if not part:
                    self._is_ended = True  # the other end said farewell
                    break
                parts.append(part)
        except ssl.SSLWantReadError:
            pass
        if self._outgoing.pending > _ANSWERS_BYTES_MAX:
            raise trio.BrokenResourceError("it asks for more answers than it takes")
        if self._outgoing.pending and not self._unsent:
            self._push()  # an answer of TLS itself, such as to a change of keys
        return parts

    def _push(self) -> bool:
        """Send what TLS has made, behind what was not sent yet; say whether that is all."""
        made = self._outgoing.read()
        self._unsent = memoryview(b"".join((self._unsent, made)) if self._unsent else made)
        return self._send()

    async def _push_all(self) -> None:
        self._push()
        await self.drain()

    def _send(self) -> bool:
        try:
            sent = self._socket.send(self._unsent)
        except BlockingIOError:
            return False
        self._unsent = self._unsent[sent:]
        return not self._unsent
