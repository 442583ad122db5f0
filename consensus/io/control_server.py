"""The node's Unix socket, where gateways submit, ask, and learn that the chain has grown.

Whoever may open the socket (mode 0600) is trusted to be of the same member and yet not to be
right: a malformed frame ends that connection alone, and each connection has a share of what may
wait. Submissions that arrive together become one input of the core.

An event that is published alone passes here twice, and its publisher waits meanwhile: what comes is
given to the core in the turn in which it is read, and what is said leaves within the call. What
nobody waits for is said a little later, with something else if possible.
"""

import os
import socket
import stat
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from itertools import count
from pathlib import Path

import structlog
import trio

from consensus.core.control import (
    AWAITED_MS,
    TOLD_WITHIN_MS,
    Attend,
    ControlReply,
    ControlRequest,
    Head,
    MetricsReply,
    MetricsRequest,
    StatusReply,
    StatusRequest,
    Submit,
    SubmitReply,
    control_frame,
    decode_request,
)
from consensus.core.effects import Reply
from consensus.core.frames import FrameSplitter
from consensus.core.inputs import Submitted
from consensus.io.driver import wall_clock_ms
from consensus.io.inbox import Inbox, Share
from consensus.io.network import LOST
from consensus.io.ready import ReadyPoll
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
    """One connection: what waits to be written to it, and what it waits for.

    Attributes:
        go_on: has it read again, after a pause.
        scope: cancelled to end it.
        unanswered: the entries that it handed in and that the core has not answered.
    """

    def __init__(
        self,
        plain: trio.SocketStream,
        head: Head,
        take_in: Callable[["_Client", Sequence[ControlRequest]], None],
    ) -> None:
        """Take over the socket of ``plain``; give what comes to ``take_in``."""
        self._socket = socket.socket(fileno=plain.socket.detach())
        self._socket.settimeout(0)
        self._splitter = FrameSplitter(FRAME_BYTES_MAX)
        self._take_in = take_in
        self._outgoing = bytearray()
        self._head: Head | None = head
        self._told_size = head.log_size
        self._is_attending = False
        self._awaits_until = 0.0
        self._is_blocked = trio.Event()  # set while the socket takes no more
        self.go_on: Callable[[], None] = lambda: None
        self.scope = trio.CancelScope()
        self.unanswered = Share(
            count_max=CONTROL_CLIENT_ENTRIES_MAX, bytes_max=FRAME_BYTES_MAX, is_urgent=False
        )

    def fileno(self) -> int:
        """Give the socket's number, to wait for it elsewhere."""
        return self._socket.fileno()

    def read(self) -> None:
        """Take in what has come; the end of the connection, or nonsense, ends it."""
        if self.scope.cancel_called:  # it was ended, and its task has not had its turn yet
            return
        try:
            data = self._socket.recv(RECEIVE_BYTES_MAX)
            requests = [decode_request(frame) for frame in self._splitter.feed(data)]
        except BlockingIOError:  # the kernel thought better of it
            return
        except OSError:
            self.end()
            return
        except DecodeError as error:
            _log.warning("control_malformed", error=str(error))
            self.end()
            return
        self._take_in(self, requests)
        if not data:
            self.end()

    def end(self) -> None:
        """End the connection."""
        self.scope.cancel()

    @property
    def is_awaited(self) -> bool:
        """True while somebody there waits for what the next blocks decide."""
        return self._is_attending or trio.current_time() < self._awaits_until

    def attend(self, *, is_live: bool) -> None:
        """Note whether somebody reads there as the log grows; what is not told yet is due then."""
        self._is_attending = is_live
        if is_live:
            self.send()

    def await_blocks(self) -> None:
        """Note that somebody waits there for what the next blocks decide."""
        self._awaits_until = trio.current_time() + AWAITED_MS / 1_000

    def put(self, reply: ControlReply) -> None:
        """Have an answer leave with the next :meth:`send`."""
        self._outgoing += control_frame(reply)
        if len(self._outgoing) > CONTROL_REPLY_BYTES_MAX:
            self.end()  # it does not read what it asked for

    def put_head(self, head: Head) -> bool:
        """Replace a head that did not leave yet; say whether somebody waits for this one."""
        self._head = head
        has_grown = head.log_size > self._told_size
        return (self._is_attending and has_grown) or trio.current_time() < self._awaits_until

    def send(self) -> None:
        """Send what waits, as far as the socket takes it at once."""
        if self._is_blocked.is_set():
            return
        if self._head is not None:
            self._told_size = self._head.log_size
            self._outgoing += control_frame(self._head)
            self._head = None
        try:
            while self._outgoing:
                del self._outgoing[: self._socket.send(self._outgoing)]
        except BlockingIOError:
            self._is_blocked.set()
        except OSError:
            self.end()

    async def drain(self) -> None:
        """Send what the socket did not take, whenever it takes it, until cancelled."""
        while True:
            await self._is_blocked.wait()
            await trio.lowlevel.wait_writable(self._socket)
            self._is_blocked = trio.Event()
            self.send()

    def close(self) -> None:
        """Let go of the socket."""
        trio.lowlevel.notify_closing(self._socket)
        self._socket.close()


class _Ticket:
    """Requests that were submitted together, with the number of entries of each."""

    __slots__ = ("bytes_count", "client", "requests")

    def __init__(self, client: _Client) -> None:
        self.client = client
        self.requests: list[Submit] = []
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
        self._ready = ReadyPoll(inbox.turn)
        self._clients: set[_Client] = set()
        self._tickets: dict[int, _Ticket] = {}
        self._numbers = count()
        self._has_late = trio.Event()  # something is to be said that nobody waits for

    @property
    def clients_count(self) -> int:
        """Number of connected gateways."""
        return len(self._clients)

    def is_awaited(self) -> bool:
        """Say whether somebody waits at a gateway for what the next blocks decide."""
        return any(client.is_awaited for client in self._clients)

    async def run(self, listener: trio.SocketListener) -> None:
        """Serve until cancelled."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._ready.run)
            nursery.start_soon(self._send_late)
            nursery.start_soon(trio.serve_listeners, self._serve, [listener])

    def on_head(self, height: Height, log_size: int) -> None:
        """Tell that the chain store is durable up to here: at once whom it concerns."""
        before = self._head
        grown = (before.grown_height, before.grown_ms)
        if log_size > before.log_size:
            grown = (height, wall_clock_ms())
        self._head = Head(height, log_size, *grown)
        for client in self._clients:
            if client.put_head(self._head):
                client.send()
            else:
                self._has_late.set()

    def reply(self, effect: Reply) -> None:
        """Answer the requests of a ticket; later, if all of them wait for something further."""
        ticket = self._tickets.pop(effect.ticket)
        entries_count = sum(len(submit.entries) for submit in ticket.requests)
        codes = _codes(effect, entries_count)
        client, start, is_late = ticket.client, 0, True
        for submit in ticket.requests:
            end = start + len(submit.entries)
            part = codes[start:end]
            if not any(part):
                part = ()
            client.put(SubmitReply(submit.request_id, part))
            is_late = is_late and submit.is_awaited and not part
            start = end
        client.unanswered.release(entries_count, ticket.bytes_count)
        if is_late:
            self._has_late.set()
        else:
            client.send()

    async def _send_late(self) -> None:
        """Say what nobody waits for, all of it at one time."""
        while True:
            await self._has_late.wait()
            await trio.sleep(TOLD_WITHIN_MS / 1_000)
            self._has_late = trio.Event()
            for client in self._clients:
                client.send()

    async def _serve(self, stream: trio.SocketStream) -> None:
        if len(self._clients) >= CONTROL_CLIENTS_MAX:
            _log.warning("control_refused", clients=len(self._clients))
            await trio.aclose_forcefully(stream)
            return
        client = _Client(stream, self._head, self._take_in)
        handle = client.fileno()
        client.go_on = partial(self._ready.resume, handle)
        self._clients.add(client)
        try:
            with suppress(*LOST), client.scope:
                self._ready.add(handle, client)
                client.send()
                await client.drain()
        finally:
            self._ready.remove(handle)
            client.unanswered.forget(client.go_on)
            self._clients.remove(client)
            client.close()

    def _take_in(self, client: _Client, requests: Sequence[ControlRequest]) -> None:
        """Do what a gateway asks for, and read no more of it while too much waits."""
        self._submit(client, deque(r for r in requests if isinstance(r, Submit)))
        for request in requests:
            if client.scope.cancel_called:
                return
            if isinstance(request, StatusRequest):
                client.put(StatusReply(request.request_id, self._status()))
                client.send()
            elif isinstance(request, MetricsRequest):
                client.put(MetricsReply(request.request_id, self._metrics()))
                client.send()
            elif isinstance(request, Attend):
                client.attend(is_live=request.is_live)
        if not client.unanswered.has_room:
            self._ready.pause(client.fileno())
            client.unanswered.when_room(client.go_on)

    def _submit(self, client: _Client, submits: deque[Submit]) -> None:
        while submits:
            ticket = _Ticket(client)
            entries: list[bytes] = []
            while submits and len(entries) + len(submits[0].entries) <= SUBMIT_ENTRIES_MAX:
                submit = submits.popleft()
                ticket.requests.append(submit)
                entries += submit.entries
                if submit.is_awaited:
                    client.await_blocks()
            ticket.bytes_count = sum(map(len, entries))
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
