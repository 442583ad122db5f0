"""Full load: several clients that publish in bulk, as fast as the network takes it.

Each client is one thread with one connection and one request under way. What the node refuses
because it is full is sent again after a pause, so nothing is lost and nobody is pushed.
"""

import threading
import time
from collections import deque
from collections.abc import Iterable, Sequence
from typing import Protocol

import msgspec

from bench.load.events import MEDIA_BULK
from bench.load.http import Address, Answer, Connection
from bench.load.receipts import REFUSED, read_receipts

__all__ = ["Bodies", "BulkClient", "Supply", "start_clients", "stop_clients"]

_OK = (200, 202)
_TRY_AGAIN = (429, 503)
_BRIEF = "prefer: return=minimal\r\n"  # as a peer answers: that it is done, and where
_REFUSED = b'"refused"'
_PAUSE_S = 0.01  # first pause of a client whose request was not taken; doubles
_PAUSE_S_MAX = 0.5


class Bodies(Protocol):
    """Request bodies that nobody has sent yet; for several threads."""

    def take(self) -> bytes | None:
        """Give the next one; None when there are no more."""


class Supply:
    """Request bodies in memory."""

    def __init__(self, bodies: Iterable[bytes]) -> None:
        """Offer ``bodies`` in their order."""
        self._bodies = deque(bodies)

    def take(self) -> bytes | None:
        """Give the next body; None when there are no more."""
        try:
            return self._bodies.popleft()
        except IndexError:
            return None


_read_entries = msgspec.msgpack.Decoder(list[bytes]).decode


class BulkClient(threading.Thread):
    """One client.

    Attributes:
        finished: (when it was answered, how long it took in ms) of each request.
        overloaded: requests that had to be sent again, in whole or in part.
        is_starved: the supply was empty before anybody said stop.
        fault: what ended the client before its time, or None.
    """

    def __init__(self, address: Address, supply: Bodies, *, wait: bool) -> None:
        """Publish what is in ``supply`` at the gateway at ``address``; ``wait`` for finality."""
        super().__init__(daemon=True)
        self._connection = Connection(address)
        self._supply = supply
        self._path = "/v1/events?wait=final&timeout_ms=60000" if wait else "/v1/events"
        self._stopping = threading.Event()
        self.finished: list[tuple[float, float]] = []
        self.overloaded = 0
        self.is_starved = False
        self.fault: str | None = None

    def run(self) -> None:
        """Publish until :meth:`stop` or the end of the supply."""
        try:
            while not self._stopping.is_set():
                body = self._supply.take()
                if body is None:
                    self.is_starved = True
                    return
                self._publish(body)
        except (OSError, RuntimeError, msgspec.MsgspecError) as error:
            self.fault = f"{type(error).__name__}: {error}"
        finally:
            self._connection.close()

    def stop(self) -> None:
        """End after the request under way."""
        self._stopping.set()

    def _publish(self, body: bytes) -> None:
        begin = time.perf_counter()
        pause_s = _PAUSE_S
        while not self._stopping.is_set():
            left = self._left(body, self._connection.post(self._path, body, MEDIA_BULK, _BRIEF))
            if left is None:
                end = time.perf_counter()
                self.finished.append((end, (end - begin) * 1000))
                return
            body = left
            self.overloaded += 1
            self._stopping.wait(pause_s)
            pause_s = min(2 * pause_s, _PAUSE_S_MAX)

    def _left(self, body: bytes, answer: Answer) -> bytes | None:
        """Give the part of a body that the node did not take, or None."""
        if answer.status not in _OK + _TRY_AGAIN:
            raise RuntimeError(f"{answer.status}: {answer.body[:300].decode()}")
        if answer.status in _OK and _REFUSED not in answer.body:
            return None
        receipts = read_receipts(answer.body)
        if not receipts:
            return body
        left = [
            entry
            for entry, receipt in zip(_read_entries(body), receipts, strict=True)
            if receipt.status == REFUSED
        ]
        if any(receipt.code not in ("", "overloaded", "duplicate") for receipt in receipts):
            raise RuntimeError(f"refused: {answer.body[:300].decode()}")
        return msgspec.msgpack.encode(left) if left else None


def start_clients(
    addresses: Sequence[Address], count: int, supply: Bodies, *, wait: bool
) -> list[BulkClient]:
    """Start ``count`` clients, spread over the gateways at ``addresses``."""
    clients = [BulkClient(addresses[i % len(addresses)], supply, wait=wait) for i in range(count)]
    for client in clients:
        client.start()
    return clients


def stop_clients(clients: Sequence[BulkClient]) -> None:
    """End all clients.

    Raises:
        RuntimeError: one had ended before, by a fault or without supply.
    """
    for client in clients:
        client.stop()
    for client in clients:
        client.join()
    if faults := [client.fault for client in clients if client.fault]:
        raise RuntimeError("; ".join(faults))
