"""The node's Unix socket, where gateways submit, ask, and learn that the chain has grown.

Whoever may open the socket (mode 0600) is trusted to be of the same member and yet not to be
right: a malformed frame ends that connection alone, and each connection has a share of what may
wait. Submissions that arrive together become one input of the core.
"""

import os
import socket
import stat
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from itertools import count
from pathlib import Path

import structlog
import trio

from consensus.core.control import (
    ControlReply,
    Head,
    MetricsReply,
    MetricsRequest,
    StatusReply,
    StatusRequest,
    Submit,
    SubmitReply,
    decode_request,
    encode_control,
)
from consensus.core.effects import Reply
from consensus.core.frames import FrameSplitter, encode_frame
from consensus.core.inputs import Submitted
from consensus.io.inbox import Inbox, Share
from consensus.io.network import LOST
from ledger.core.errors import DecodeError, RejectCode, Unavailable
from ledger.core.ids import Height
from ledger.core.limits import (
    CONTROL_CLIENT_ENTRIES_MAX,
    CONTROL_CLIENTS_MAX,
    CONTROL_REPLY_BYTES_MAX,
    FRAME_BYTES_MAX,
    RECEIVE_BYTES_MAX,
    SOCKET_PATH_BYTES_MAX,
    SUBMIT_ENTRIES_MAX,
)

__all__ = ["ControlServer", "open_control_socket"]

_log = structlog.get_logger()


def open_control_socket(path: Path) -> trio.SocketListener:
    """Bind the socket, for this user only. The stores' locks say that no other node uses it.

    Raises:
        Unavailable: the path is too long, taken by something else, or not writable.
    """
    if len(os.fsencode(path)) > SOCKET_PATH_BYTES_MAX:
        raise Unavailable(f"{path}: a socket's path has at most {SOCKET_PATH_BYTES_MAX} bytes")
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        _make_way(path)
        listening.bind(os.fspath(path))
        path.chmod(0o600)  # before anybody can connect
        listening.listen()
    except OSError as error:
        listening.close()
        raise Unavailable(f"cannot open the control socket {path}: {error.strerror}") from error
    except Unavailable:
        listening.close()
        raise
    return trio.SocketListener(trio.socket.from_stdlib_socket(listening))


def _make_way(path: Path) -> None:
    """Remove the socket of a node that was killed, and nothing else."""
    with suppress(FileNotFoundError):
        if not stat.S_ISSOCK(path.lstat().st_mode):
            raise Unavailable(f"{path} is in the way of the control socket: move it")
        path.unlink()


class _Client:
    """One connection: what waits to be written to it, and what it waits for."""

    def __init__(self, head: Head) -> None:
        self._outgoing = bytearray()
        self._head: Head | None = head
        self._filled = trio.Event()
        self._filled.set()
        self.scope = trio.CancelScope()
        self.unanswered = Share(
            count_max=CONTROL_CLIENT_ENTRIES_MAX, bytes_max=FRAME_BYTES_MAX, is_urgent=False
        )

    def put(self, reply: ControlReply) -> None:
        self._outgoing += encode_frame(encode_control(reply))
        self._filled.set()
        if len(self._outgoing) > CONTROL_REPLY_BYTES_MAX:
            self.scope.cancel()  # it does not read what it asked for

    def put_head(self, head: Head) -> None:
        """Replace a head that was not written yet: only the newest is of interest."""
        self._head = head
        self._filled.set()

    async def take(self) -> bytes:
        """Wait for something to write."""
        await self._filled.wait()
        self._filled = trio.Event()
        if self._head is not None:
            self._outgoing += encode_frame(encode_control(self._head))
            self._head = None
        data = bytes(self._outgoing)
        self._outgoing.clear()
        return data


class _Ticket:
    """Requests that were submitted together, with the number of entries of each."""

    __slots__ = ("bytes_count", "client", "requests")

    def __init__(self, client: _Client) -> None:
        self.client = client
        self.requests: list[tuple[int, int]] = []
        self.bytes_count = 0


class ControlServer:
    """Serves gateways."""

    def __init__(
        self,
        inbox: Inbox,
        head: Head,
        status: Callable[[], bytes],
        metrics: Callable[[], bytes],
    ) -> None:
        """Put submissions into ``inbox``; answer with the given documents."""
        self._inbox = inbox
        self._head = head
        self._status = status
        self._metrics = metrics
        self._clients: set[_Client] = set()
        self._tickets: dict[int, _Ticket] = {}
        self._numbers = count()

    @property
    def clients_count(self) -> int:
        """Number of connected gateways."""
        return len(self._clients)

    async def run(self, listener: trio.SocketListener) -> None:
        """Serve until cancelled."""
        await trio.serve_listeners(self._serve, [listener])

    def on_head(self, height: Height, log_size: int) -> None:
        """Tell everybody that the chain store is durable up to here."""
        self._head = Head(height, log_size)
        for client in self._clients:
            client.put_head(self._head)

    def reply(self, effect: Reply) -> None:
        """Answer the requests of a ticket."""
        ticket = self._tickets.pop(effect.ticket)
        entries_count = sum(entries for _, entries in ticket.requests)
        codes = _codes(effect, entries_count)
        start = 0
        for request_id, entries in ticket.requests:
            part = codes[start : start + entries]
            ticket.client.put(SubmitReply(request_id, part if any(part) else ()))
            start += entries
        ticket.client.unanswered.release(entries_count, ticket.bytes_count)

    async def _serve(self, stream: trio.SocketStream) -> None:
        if len(self._clients) >= CONTROL_CLIENTS_MAX:
            _log.warning("control_refused", clients=len(self._clients))
            await trio.aclose_forcefully(stream)
            return
        client = _Client(self._head)
        self._clients.add(client)
        try:
            with client.scope:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self._read, stream, client)
                    nursery.start_soon(_write, stream, client)
        finally:
            self._clients.remove(client)
            await trio.aclose_forcefully(stream)

    async def _read(self, stream: trio.SocketStream, client: _Client) -> None:
        splitter = FrameSplitter(FRAME_BYTES_MAX)
        with suppress(*LOST):
            while data := await stream.receive_some(RECEIVE_BYTES_MAX):
                try:
                    requests = [decode_request(frame) for frame in splitter.feed(data)]
                except DecodeError as error:
                    _log.warning("control_malformed", error=str(error))
                    break
                submits = deque(r for r in requests if isinstance(r, Submit))
                await self._submit(client, submits)
                for request in requests:
                    if isinstance(request, StatusRequest):
                        client.put(StatusReply(request.request_id, self._status()))
                    elif isinstance(request, MetricsRequest):
                        client.put(MetricsReply(request.request_id, self._metrics()))
        client.scope.cancel()

    async def _submit(self, client: _Client, submits: deque[Submit]) -> None:
        while submits:
            ticket = _Ticket(client)
            entries: list[bytes] = []
            while submits and len(entries) + len(submits[0].entries) <= SUBMIT_ENTRIES_MAX:
                submit = submits.popleft()
                ticket.requests.append((submit.request_id, len(submit.entries)))
                entries += submit.entries
            ticket.bytes_count = sum(map(len, entries))
            await client.unanswered.wait_room()
            client.unanswered.use(len(entries), ticket.bytes_count)
            number = next(self._numbers)
            self._tickets[number] = ticket
            self._inbox.put_bulk(Submitted(number, tuple(entries)))


def _codes(effect: Reply, entries_count: int) -> tuple[str, ...]:
    """Give the code of each entry, or none when all were taken over."""
    verdicts = effect.verdicts
    if isinstance(verdicts, RejectCode):
        return (str(verdicts),) * entries_count
    if RejectCode not in set(map(type, verdicts)):
        return ()
    return tuple(str(v) if isinstance(v, RejectCode) else "" for v in verdicts)


async def _write(stream: trio.SocketStream, client: _Client) -> None:
    with suppress(*LOST):
        while True:
            await stream.send_all(await client.take())
    client.scope.cancel()
