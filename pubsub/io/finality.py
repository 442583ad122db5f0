"""Waiting until events are final: the store is the truth, heads only say when to look.

Owns the requests that wait. Each waits for a list of events; a look goes on in the list where the
last one stopped, so that the cost does not grow with the time that an event needs.
"""

import anyio

from ledger.core.errors import RejectCode, Rejected
from ledger.core.ids import EventId, Height, Sequence
from ledger.core.limits import GATEWAY_WAITS_MAX
from ledger.core.proof import build_bundle
from ledger.io.chain_reader import ChainReader
from ledger.io.chain_schema import Receipt
from pubsub.io.store_access import StoreAccess

__all__ = ["Finality", "decided"]


def decided(reader: ChainReader, id_: EventId, since: Height) -> Receipt | None:
    """Give what became of an event handed in after the block at height ``since``, or None."""
    receipt = reader.receipt(id_)
    if receipt is not None and receipt.sequence is None and receipt.height <= since:
        return None
    return receipt


class _Wait:
    """One request that waits.

    Attributes:
        ids: events still to be looked for are those from ``position`` on.
        since: refusals of blocks up to this height are of an earlier attempt.
        highest: the last of them in the log, whose proof must exist if proofs are wanted.
    """

    __slots__ = ("done", "highest", "ids", "position", "since", "with_proof")

    def __init__(self, ids: list[EventId], since: Height, *, with_proof: bool) -> None:
        self.ids = ids
        self.since = since
        self.with_proof = with_proof
        self.position = 0
        self.highest: Sequence | None = None
        self.done = anyio.Event()

    def look(self, reader: ChainReader) -> bool:
        """Look as far as the store knows; say whether the wait is over."""
        while self.position < len(self.ids):
            receipt = decided(reader, self.ids[self.position], self.since)
            if receipt is None:
                return False
            if receipt.sequence is not None:
                self.highest = max(self.highest or Sequence(0), receipt.sequence)
            self.position += 1
        # A proof of the last event is one of a header behind all of them.
        if self.with_proof and self.highest is not None:
            return build_bundle(reader, self.highest) is not None
        return True


class Finality:
    """The waiting requests of one gateway."""

    def __init__(self, access: StoreAccess) -> None:
        self._access = access
        self._waits: set[_Wait] = set()
        self._is_closing = False

    def __len__(self) -> int:
        return len(self._waits)

    def require_room(self) -> None:
        """Refuse one wait more when there are too many; ask before the events are handed in.

        Raises:
            Rejected: too many requests wait already (OVERLOADED).
        """
        if len(self._waits) >= GATEWAY_WAITS_MAX:
            raise Rejected(RejectCode.OVERLOADED, "too many requests wait for finality")

    async def wait(
        self, ids: list[EventId], since: Height, timeout_ms: int, *, with_proof: bool
    ) -> None:
        """Return when each event is in the log or refused, the time is over, or all ends.

        Args:
            since: height of the chain before the events were handed in.

        Raises:
            Refusal: there is no store.
        """
        wait = _Wait(ids, since, with_proof=with_proof)
        with self._access.store.read() as reader:
            if wait.look(reader) or self._is_closing:
                return
        self._waits.add(wait)
        try:
            with anyio.move_on_after(timeout_ms / 1000):
                await wait.done.wait()
        finally:
            self._waits.discard(wait)

    def look(self, reader: ChainReader) -> None:
        """End the waits that are over; call it when the chain became longer."""
        for wait in [wait for wait in self._waits if wait.look(reader)]:
            wait.done.set()
            self._waits.discard(wait)

    def close(self) -> None:
        """End all waits, now and later: the gateway is shutting down."""
        self._is_closing = True
        for wait in self._waits:
            wait.done.set()
