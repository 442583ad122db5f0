"""The gateway's end of the node's control socket: requests, answers, and heads as they come.

Owns the connection: it dials, dials again with back-off, and matches answers to requests by id.
A connection that says something malformed is dropped. Everything is bounded: requests that wait,
their bytes, the length of a frame, and the time an answer may take.

An unanswered submission has no known outcome: the node may have taken it. Sending the same
entries again is always safe, because an event id is applied once.
"""

import socket
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TypeVar

import anyio
import structlog
from anyio.abc import SocketAttribute
from msgspec import Raw

from consensus.core.control import (
    Attend,
    ControlQuestion,
    ControlReply,
    EncodedSubmit,
    Head,
    MetricsReply,
    MetricsRequest,
    StatusReply,
    StatusRequest,
    SubmitReply,
    control_frame,
    decode_reply,
)
from consensus.core.frames import FrameSplitter
from ledger.core.errors import DecodeError, RejectCode, Rejected, Unavailable
from ledger.core.limits import (
    CONTROL_BYTES_MAX,
    CONTROL_RECONNECT_MS,
    CONTROL_RECONNECT_MS_MAX,
    CONTROL_REQUESTS_MAX,
    CONTROL_TIMEOUT_MS,
    FRAME_BYTES_MAX,
)
from pubsub.core.entries import Entries
from pubsub.io.readiness import while_readable
from pubsub.io.signal import Signal, call_soon

__all__ = ["NodeLink"]

_READ_BYTES = 65_536

_log = structlog.get_logger("gateway.node_link")
_Reply = TypeVar("_Reply", SubmitReply, StatusReply, MetricsReply)
_Answer = SubmitReply | StatusReply | MetricsReply


class _Pending:
    """A request that waits for its answer."""

    __slots__ = ("answer", "done")

    def __init__(self) -> None:
        self.done = Signal()
        self.answer: _Answer | None = None


class NodeLink:
    """A client of one node; ``run`` keeps it connected, the other methods may be used meanwhile.

    Attributes:
        is_connected: whether requests can be sent now.
        error: why not, for people; None while connected.
    """

    def __init__(self, path: Path, on_head: Callable[[Head], None]) -> None:
        """Prepare for the control socket at ``path``; ``on_head`` is called with every head."""
        self._path = path
        self._on_head = on_head
        self._pending: dict[int, _Pending] = {}
        self._unsent_bytes = 0
        self._next_id = 0
        self._outgoing: list[bytearray] = []
        self._unsent = memoryview(b"")  # of what the socket did not take as a whole
        self._connection: socket.socket | None = None
        self._blocked = Signal()  # set while the socket takes no more
        self._is_live = False
        self.is_connected = False
        self.error: str | None = f"{path}: not connected yet"

    async def run(self) -> None:
        """Stay connected until cancelled."""
        delay_ms = CONTROL_RECONNECT_MS
        while True:
            try:
                async with await anyio.connect_unix(self._path) as stream:
                    delay_ms = CONTROL_RECONNECT_MS
                    await self._serve(stream.extra(SocketAttribute.raw_socket))  # noqa: S610 - no database
                self.error = "the node closed the connection"
            except OSError as error:
                self.error = f"{self._path}: {error.strerror or error}"
            except DecodeError as error:
                self.error = f"the node sent something malformed: {error}"
                _log.warning("control_malformed", error=str(error))
            await anyio.sleep(delay_ms / 1000)
            delay_ms = min(2 * delay_ms, CONTROL_RECONNECT_MS_MAX)

    def attend(self, *, is_live: bool) -> None:
        """Tell the node whether somebody reads here as the log grows, when that has changed."""
        if is_live != self._is_live:
            self._is_live = is_live
            if self.is_connected:
                self._put(Attend(is_live))

    async def submit(self, entries: Entries, *, is_awaited: bool = False) -> tuple[str, ...]:
        """Hand in 1 to SUBMIT_ENTRIES_MAX entries; give one code for each, empty if taken over.

        No code at all says that the node took all of them over.

        Args:
            is_awaited: the blocks that decide about them are waited for, and not that code.

        Raises:
            Rejected: too much is waiting already (OVERLOADED).
            Unavailable: the node cannot be reached or did not answer; it may have taken them.
        """
        encoded = entries.encoded
        reply = await self._ask(
            lambda id_: EncodedSubmit(id_, Raw(encoded), is_awaited), SubmitReply, len(encoded)
        )
        codes = reply.codes
        if codes and len(codes) != len(entries):
            raise Unavailable("the node's answer does not fit the request")
        return codes if any(codes) else ()

    async def status(self) -> bytes:
        """Give the node's status as a JSON document. Raises Rejected, Unavailable."""
        return (await self._ask(StatusRequest, StatusReply, 0)).document

    async def metrics(self) -> bytes:
        """Give the node's metrics as Prometheus text. Raises Rejected, Unavailable."""
        return (await self._ask(MetricsRequest, MetricsReply, 0)).text

    async def _ask(
        self, make: Callable[[int], ControlQuestion], reply_type: type[_Reply], size: int
    ) -> _Reply:
        if not self.is_connected:
            raise Unavailable(f"the node cannot be reached: {self.error}")
        if (
            len(self._pending) >= CONTROL_REQUESTS_MAX
            or self._unsent_bytes + size > CONTROL_BYTES_MAX
        ):
            raise Rejected(RejectCode.OVERLOADED, "too many requests wait for the node")
        self._next_id += 1
        id_ = self._next_id
        pending = self._pending[id_] = _Pending()
        try:
            self._put(make(id_))
            await pending.done.wait(CONTROL_TIMEOUT_MS)
        finally:
            del self._pending[id_]
        if pending.answer is None:
            raise Unavailable("the node did not answer; it may have taken the request all the same")
        if not isinstance(pending.answer, reply_type):
            raise Unavailable("the node answered another question")
        return pending.answer

    def _put(self, request: ControlQuestion | Attend) -> None:
        """Have a request sent, together with others of the same turn of the loop."""
        frame = control_frame(request)
        self._outgoing.append(frame)
        self._unsent_bytes += len(frame)
        if len(self._outgoing) == 1:  # those behind it leave with it
            call_soon(self._send)

    def _send(self) -> None:
        """Send what waits, many small frames in one piece, as far as the socket takes it."""
        connection = self._connection
        if connection is None or self._blocked.is_set:
            return
        while self._unsent or self._outgoing:
            if not self._unsent:
                frames, self._outgoing = self._outgoing, []
                self._unsent = memoryview(frames[0] if len(frames) == 1 else b"".join(frames))
            try:
                sent = connection.send(self._unsent)
            except BlockingIOError:
                self._blocked.set()
                return
            except OSError:
                return  # whoever reads learns of it
            self._unsent_bytes -= sent
            self._unsent = self._unsent[sent:]

    async def _serve(self, connection: socket.socket) -> None:
        """Use one connection until it ends. Raises DecodeError, OSError."""
        self._outgoing.clear()
        self._unsent, self._unsent_bytes = memoryview(b""), 0
        self._connection, self._blocked = connection, Signal()
        self.is_connected, self.error = True, None
        if self._is_live:
            self._put(Attend(is_live=True))
        _log.info("control_connected", path=str(self._path))
        try:
            async with anyio.create_task_group() as group:
                group.start_soon(self._drain, connection)
                splitter = FrameSplitter(FRAME_BYTES_MAX)
                await while_readable(connection, partial(self._read, connection, splitter))
                group.cancel_scope.cancel()
        except BaseExceptionGroup as errors:
            raise errors.exceptions[0] from None
        finally:
            self.is_connected, self._connection = False, None
            for pending in self._pending.values():
                pending.done.set()
            _log.info("control_disconnected", path=str(self._path))

    async def _drain(self, connection: socket.socket) -> None:
        """Send what the socket did not take, whenever it takes it."""
        while True:
            await self._blocked.wait()
            await anyio.wait_writable(connection)
            self._blocked = Signal()
            self._send()

    def _read(self, connection: socket.socket, splitter: FrameSplitter) -> bool:
        """Take what came apart; False: the node closed. Raises DecodeError, OSError."""
        try:
            data = connection.recv(_READ_BYTES)
        except BlockingIOError:
            return True
        for frame in splitter.feed(data):
            self._on_reply(decode_reply(frame))
        return bool(data)

    def _on_reply(self, reply: ControlReply) -> None:
        if isinstance(reply, Head):
            self._on_head(reply)
            return
        pending = self._pending.get(reply.request_id)
        if pending is not None:  # else it was given up
            pending.answer = reply
            pending.done.set()
