"""Waiting until events are final: the store is the truth, heads only say when to look.

Owns the requests that wait. A look asks for one event of a request, and for the others only when
that one is decided, so that the cost does not grow with the time that a request needs.
"""

from ledger.core.errors import RejectCode, Rejected
from ledger.core.ids import Height
from ledger.core.limits import GATEWAY_WAITS_MAX
from ledger.core.proof import build_bundle
from ledger.io.chain_reader import ChainReader
from ledger.io.chain_schema import Receipt
from pubsub.core.entries import Named
from pubsub.io.decisions import Run, find_decisions, find_run
from pubsub.io.signal import Signal
from pubsub.io.store_access import StoreAccess

__all__ = ["Finality", "Wait"]


class Wait:
    """One request that waits.

    Attributes:
        run: where they all are, if they became final together.
    """

    __slots__ = (
        "_decisions",
        "_events",
        "_open",
        "done",
        "may_be_old",
        "run",
        "since",
        "with_proof",
    )

    def __init__(self, events: Named, since: Height, *, with_proof: bool, may_be_old: bool) -> None:
        """Wait for ``events``.

        Args:
            since: height of the chain before they were handed in: what blocks up to this height
                refused was an earlier attempt.
            with_proof: wait until there are proofs of them, too.
            may_be_old: some of them may be in the log already.
        """
        self._events = events
        self._open = list(range(len(events.ids)))
        self._decisions: list[Receipt | None] = [None] * len(events.ids)
        self.run: Run | None = None
        self.since = since
        self.with_proof = with_proof
        self.may_be_old = may_be_old
        self.done = Signal()

    @property
    def decisions(self) -> list[Receipt | None]:
        """What became of each event; None: nothing yet."""
        return self._decisions if self.run is None else self.run.decisions()

    def look(self, reader: ChainReader) -> bool:
        """Look at the last event that is open, then at all; say whether the wait is over."""
        if self._open:
            self._find(reader, self._open[-1:])
            if self._decisions[self._open[-1]] is None:
                return False
            self._find_all(reader)
        return not self._open and (not self.with_proof or self._is_provable(reader))

    def look_at_all(self, reader: ChainReader) -> None:
        """Look at all events that are open: nobody will look again."""
        self._find(reader, self._open)

    def _find_all(self, reader: ChainReader) -> None:
        """Look at all events that are open, for nearly always none of them still is."""
        if len(self._open) == len(self._decisions) > 1:
            self.run = find_run(reader, self._events)
        if self.run is not None:
            self._open = []
            return
        if len(self._decisions) > 1:
            self._find(reader, self._open)
        self._open = [row for row in self._open if self._decisions[row] is None]

    def _find(self, reader: ChainReader, rows: list[int]) -> None:
        if len(rows) == len(self._decisions):
            self._decisions = find_decisions(reader, self._events, self.since)
        elif rows:
            found = find_decisions(reader, self._events.at(rows), self.since)
            for row, decision in zip(rows, found, strict=True):
                self._decisions[row] = decision

    def _is_provable(self, reader: ChainReader) -> bool:
        """Say whether there are proofs: one of the last event is of a header behind all."""
        sequences = [found.sequence for found in self.decisions if found is not None]
        highest = max((each for each in sequences if each is not None), default=None)
        return highest is None or build_bundle(reader, highest) is not None


class Finality:
    """The waiting requests of one gateway."""

    def __init__(self, access: StoreAccess) -> None:
        self._access = access
        self._waits: set[Wait] = set()
        self._is_closing = False
        self._known_height = Height(0)

    def __len__(self) -> int:
        return len(self._waits)

    def require_room(self) -> None:
        """Refuse one wait more when there are too many; ask before the events are handed in.

        Raises:
            Rejected: too many requests wait already (OVERLOADED).
        """
        if len(self._waits) >= GATEWAY_WAITS_MAX:
            raise Rejected(RejectCode.OVERLOADED, "too many requests wait for finality")

    async def wait(self, wait: Wait, timeout_ms: int) -> None:
        """Return when each event is in the log or refused, the time is over, or all ends.

        Raises:
            Refusal: there is no store.
        """
        # What no block decided that anybody knows of is found when the next one comes.
        if wait.may_be_old or self._known_height > wait.since:
            with self._access.store.read() as reader:
                if wait.look(reader):
                    return
        if not self._is_closing:
            self._waits.add(wait)
            try:
                await wait.done.wait(timeout_ms)
            finally:
                self._waits.discard(wait)
        if wait.run is None and None in wait.decisions:
            with self._access.store.read() as reader:
                wait.look_at_all(reader)

    def note(self, height: Height) -> None:
        """Note that there are blocks up to here, which nobody has looked at."""
        self._known_height = max(self._known_height, height)

    def look(self, reader: ChainReader) -> None:
        """End the waits that are over; call it when the chain became longer."""
        self.note(reader.head_height())
        for wait in [wait for wait in self._waits if wait.look(reader)]:
            wait.done.set()
            self._waits.discard(wait)

    def close(self) -> None:
        """End all waits, now and later: the gateway is shutting down."""
        self._is_closing = True
        for wait in self._waits:
            wait.done.set()
