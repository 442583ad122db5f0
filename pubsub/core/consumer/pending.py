"""The events that a consumer gave out and that are not settled, and when each is due.

Owns the timetable. Each event is either *out* (somebody has it; due is when its wait is over) or
*waiting* for another attempt (due is when it may be given out again). It is never anything else,
and it leaves only by :meth:`Timetable.remove`.
"""

from collections.abc import Iterable
from heapq import heapify, heappop, heappush

from ledger.core.ids import Sequence

__all__ = ["Pending", "Timetable"]

_SPARE = 64  # outdated rows of the heap beyond its double length, before it is made anew


class Pending:
    """One event.

    Attributes:
        deliveries: how often it was given out.
        failures: how many of these failed; when an ordered consumer goes back, what was given out
            behind the event that failed has not failed itself.
        due_ms: end of its wait, see the module.
        is_out: somebody has it.
    """

    __slots__ = ("deliveries", "due_ms", "failures", "is_out")

    def __init__(self, deliveries: int, failures: int, due_ms: int, *, is_out: bool) -> None:
        self.deliveries = deliveries
        self.failures = failures
        self.due_ms = due_ms
        self.is_out = is_out


class Timetable:
    """Events by sequence.

    Attributes:
        rows: all of them; change them only through the methods.
        ready: those that wait no longer, as far as :meth:`pop_due` has seen.
        out_count: how many are out.
    """

    def __init__(self, rows: Iterable[tuple[Sequence, Pending]] = ()) -> None:
        self.rows: dict[Sequence, Pending] = dict(rows)
        self.ready: set[Sequence] = set()
        self.out_count = sum(pending.is_out for pending in self.rows.values())
        self._heap = [(pending.due_ms, sequence) for sequence, pending in self.rows.items()]
        heapify(self._heap)

    def __len__(self) -> int:
        return len(self.rows)

    def add(self, sequence: Sequence, pending: Pending) -> None:
        """Add an event that is not there."""
        assert sequence not in self.rows
        self.rows[sequence] = pending
        self.out_count += pending.is_out
        self._push(pending.due_ms, sequence)

    def remove(self, sequence: Sequence) -> Pending | None:
        """Take an event away; None when it is not there."""
        pending = self.rows.pop(sequence, None)
        if pending is not None:
            self.out_count -= pending.is_out
            self.ready.discard(sequence)
        return pending

    def move(self, sequence: Sequence, due_ms: int, *, is_out: bool) -> None:
        """Make an event be out, or wait, until ``due_ms``."""
        pending = self.rows[sequence]
        self.out_count += is_out - pending.is_out
        pending.is_out, pending.due_ms = is_out, due_ms
        self.ready.discard(sequence)
        self._push(due_ms, sequence)

    def pop_due(self, now_ms: int) -> tuple[Sequence, Pending] | None:
        """Give the next event that is out and whose wait is over at ``now_ms``, the oldest first.

        It is given once for each wait. Events whose waiting is over become ``ready`` on the way.
        """
        while self._heap and self._heap[0][0] <= now_ms:
            due_ms, sequence = heappop(self._heap)
            pending = self.rows.get(sequence)
            if pending is None or pending.due_ms != due_ms:
                continue
            if pending.is_out:
                return sequence, pending
            self.ready.add(sequence)
        return None

    def next_due_ms(self) -> int | None:
        """Give when the next event is due, or None; ask after :meth:`pop_due` gave all."""
        while self._heap:
            due_ms, sequence = self._heap[0]
            pending = self.rows.get(sequence)
            if pending is not None and pending.due_ms == due_ms:
                return due_ms
            heappop(self._heap)
        return None

    def _push(self, due_ms: int, sequence: Sequence) -> None:
        heappush(self._heap, (due_ms, sequence))
        if len(self._heap) > 2 * len(self.rows) + _SPARE:
            self._heap = [
                (pending.due_ms, number)
                for number, pending in self.rows.items()
                if number not in self.ready
            ]
            heapify(self._heap)
