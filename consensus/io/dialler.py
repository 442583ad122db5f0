"""One outgoing connection: dials one peer for one lane, for ever, and sends what is queued.

Only the dialling end sends after the greetings, so anything that comes back is an end: a peer
whose process died is noticed by its kernel's reset, not by a timer.
"""

import random
from collections.abc import Callable
from contextlib import suppress
from typing import Final

import structlog
import trio

from consensus.core.messages import Lane
from consensus.io.hello import greet
from consensus.io.network import LOST, Network, TransportCounters, tune_socket
from consensus.io.send_queue import SendQueue
from consensus.io.tls import peer_key
from consensus.io.tls_stream import TlsStream
from ledger.core.errors import Offence, PeerFault
from ledger.core.ids import NodeIndex
from ledger.core.limits import (
    DIAL_BACKOFF_MS,
    DIAL_BACKOFF_MS_MAX,
    HANDSHAKE_MS_MAX,
)

__all__ = ["Dialler", "backoff_s"]

_log = structlog.get_logger()
_DOUBLINGS_MAX: Final = 16
_WATCH_BYTES: Final = 1_024


def backoff_s(failures_count: int, jitter: float) -> float:
    """Give the wait in seconds before dialling again.

    Args:
        failures_count: failures in a row, 1 or more.
        jitter: 0.0 to 1.0; the wait is between half and all of the step, so that nodes that
            lost each other at one moment do not come back at one moment.
    """
    step_ms = min(DIAL_BACKOFF_MS_MAX, DIAL_BACKOFF_MS << min(failures_count - 1, _DOUBLINGS_MAX))
    return step_ms * (1 + jitter) / 2_000


class Dialler:
    """Keeps one lane to one peer connected.

    What is queued leaves with ``flush``, within the call as far as the socket takes it at once; a
    task sends the rest.

    Attributes:
        queue: what it sends.
        is_up: True while the peer has greeted back and nothing was lost.
    """

    def __init__(
        self,
        network: Network,
        peer: NodeIndex,
        lane: Lane,
        counters: TransportCounters,
        on_change: Callable[[NodeIndex], None],
    ) -> None:
        """Dial ``peer`` for ``lane``; ``on_change(peer)`` is called when ``is_up`` changed."""
        self._network = network
        self._peer = peer
        self._lane = lane
        self._counters = counters
        self._on_change = on_change
        self._last_fault = ""
        self._pause = trio.CancelScope()
        self._stream: TlsStream | None = None  # while it can be sent to
        self._session_scope = trio.CancelScope()
        self._has_rest = trio.Event()  # the task is sending, and nobody else may
        self.queue = SendQueue(lane)
        self.is_up = False

    async def run(self) -> None:
        """Dial, send, and dial again, until cancelled."""
        failures_count = 0
        while True:
            started = trio.current_time()
            try:
                await self._session()
            except PeerFault as fault:
                self._counters.count_fault(fault.offence)
                self._report(str(fault))
            except (*LOST, trio.TooSlowError, UnicodeError) as error:
                # UnicodeError: no host can have such a name. The governors set it, and one wrong
                # name must not end every node at once, for ever.
                self._report(repr(error))
            # A connection that held is no failure; one that was cut at once is.
            held = trio.current_time() - started > DIAL_BACKOFF_MS_MAX / 1_000
            failures_count = 1 if held else failures_count + 1
            wait_s = backoff_s(failures_count, random.random())  # noqa: S311 - jitter
            with trio.move_on_after(wait_s) as self._pause:
                await trio.sleep_forever()

    def hurry(self) -> None:
        """End a wait before the next attempt: the peer has just shown that it is there."""
        self._pause.cancel()

    def flush(self) -> None:
        """Send what is queued; never waits and never fails."""
        stream = self._stream
        if stream is None or self._has_rest.is_set():
            return
        try:
            piece = self.queue.take()
            if piece:
                self._counters.bytes_sent += len(piece)
                if not stream.send_now(piece) or not self.queue.is_empty:
                    self._has_rest.set()
        except LOST:
            self._stream = None
            self._session_scope.cancel()

    async def _session(self) -> None:
        with trio.fail_after(HANDSHAKE_MS_MAX / 1_000):
            plain = await trio.open_tcp_stream(*self._network.addresses[self._peer])
        tune_socket(plain)
        stream = TlsStream(plain, self._network.identity.client)
        try:
            with trio.fail_after(HANDSHAKE_MS_MAX / 1_000):
                await self._authenticate(stream)
            async with trio.open_nursery() as nursery:
                self._session_scope = nursery.cancel_scope
                self._has_rest.set()  # what was queued meanwhile
                self._stream = stream
                self._set_up(is_up=True)
                nursery.start_soon(_watch, stream, nursery.cancel_scope)
                nursery.start_soon(self._send, stream, nursery.cancel_scope)
        finally:
            self._stream = None
            self._set_up(is_up=False)
            stream.close()

    async def _authenticate(self, stream: TlsStream) -> None:
        await stream.do_handshake()
        if peer_key(stream) != self._network.keys[self._peer]:
            raise PeerFault(Offence.WRONG_IDENTITY, "another key than the pinned one")
        other = await greet(stream, self._network.hello(self._lane))
        if other.lane is not self._lane:
            raise PeerFault(Offence.WRONG_IDENTITY, f"answers on lane {other.lane.name}")

    async def _send(self, stream: TlsStream, scope: trio.CancelScope) -> None:
        with suppress(*LOST):
            while True:
                await self._has_rest.wait()
                await stream.drain()
                while piece := self.queue.take():
                    self._counters.bytes_sent += len(piece)
                    stream.send_now(piece)
                    await stream.drain()
                self._has_rest = trio.Event()
        scope.cancel()

    def _set_up(self, *, is_up: bool) -> None:
        if self.is_up == is_up:
            return
        self.is_up = is_up
        self.queue.set_open(is_open=is_up)
        if is_up:
            self._last_fault = ""
        _log.info("peer_lane", peer=self._peer, lane=self._lane.name.lower(), up=is_up)
        self._on_change(self._peer)

    def _report(self, fault: str) -> None:
        self._counters.dials_failed += 1
        if fault != self._last_fault:  # a peer that stays away is one line, not one a second
            self._last_fault = fault
            _log.info(
                "peer_dial_failed", peer=self._peer, lane=self._lane.name.lower(), fault=fault
            )


async def _watch(stream: TlsStream, scope: trio.CancelScope) -> None:
    with suppress(*LOST):
        await stream.receive_some(_WATCH_BYTES)
    scope.cancel()
