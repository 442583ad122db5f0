"""Submitted entries on their way into this validator's next batch. Bounded in count and bytes."""

from collections import deque
from collections.abc import Iterable

from ledger.core.admission import ExaminedEntry, Verdict
from ledger.core.errors import RejectCode
from ledger.core.ids import EventId
from ledger.core.limits import (
    BATCH_BYTES_MAX,
    BATCH_ENTRIES_MAX,
    MEMPOOL_BYTES_MAX,
    MEMPOOL_ENTRIES_MAX,
)

__all__ = ["Mempool"]


class Mempool:
    """Entries in order of arrival, and the ids of all that are not yet ordered."""

    def __init__(self) -> None:
        self._entries: deque[ExaminedEntry] = deque()
        self._pending: set[EventId] = set()
        self._reserved_entries = 0
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def bytes_count(self) -> int:
        """Sum of the lengths of the waiting entries."""
        return self._bytes

    def reserve(self, entries_count: int) -> bool:
        """Take room for a submission that is being examined; False when there is none."""
        total = len(self._entries) + self._reserved_entries + entries_count
        if total > MEMPOOL_ENTRIES_MAX or self._bytes >= MEMPOOL_BYTES_MAX:
            return False
        self._reserved_entries += entries_count
        return True

    def take_back(self, entries_count: int) -> None:
        """Take room for entries that were admitted once already, however little there is."""
        self._reserved_entries += entries_count

    @property
    def is_examining(self) -> bool:
        """True while a reserved submission has no verdict."""
        return self._reserved_entries > 0

    def entries(self) -> list[bytes]:
        """Give the waiting entries, oldest first."""
        return [item.entry for item in self._entries]

    def add(self, verdicts: tuple[Verdict, ...]) -> tuple[Verdict, ...]:
        """Take over the admitted entries of a reserved submission.

        Gives the verdicts back, with DUPLICATE for entries that are already waiting here.
        """
        self._reserved_entries -= len(verdicts)
        pending = self._pending
        taken: list[ExaminedEntry] = []
        for verdict in verdicts:
            if not isinstance(verdict, RejectCode) and (id_ := verdict.id) not in pending:
                pending.add(id_)
                taken.append(verdict)
        self._entries += taken
        self._bytes += sum([len(item.entry) for item in taken])
        return verdicts if len(taken) == len(verdicts) else _with_duplicates(verdicts, taken)

    @property
    def fills_a_batch(self) -> bool:
        """True when waiting longer would not make the next batch larger."""
        return self._bytes >= BATCH_BYTES_MAX or len(self._entries) >= BATCH_ENTRIES_MAX

    def cut(self) -> list[ExaminedEntry]:
        """Take the entries of one batch; at least one when any wait."""
        if self._bytes <= BATCH_BYTES_MAX and len(self._entries) <= BATCH_ENTRIES_MAX:
            everything = list(self._entries)
            self._entries.clear()
            self._bytes = 0
            return everything
        taken: list[ExaminedEntry] = []
        size = 0
        while self._entries and len(taken) < BATCH_ENTRIES_MAX:
            size += len(self._entries[0].entry)
            if taken and size > BATCH_BYTES_MAX:
                break
            entry = self._entries.popleft()
            self._bytes -= len(entry.entry)
            taken.append(entry)
        return taken

    def settle(self, ids: Iterable[EventId]) -> None:
        """Forget the ids of entries that are ordered now."""
        self._pending.difference_update(ids)


def _with_duplicates(
    verdicts: tuple[Verdict, ...], taken: list[ExaminedEntry]
) -> tuple[Verdict, ...]:
    """Give the verdicts with DUPLICATE for the admitted entries that were not taken."""
    rest = deque(taken)
    given: list[Verdict] = []
    for verdict in verdicts:
        if isinstance(verdict, RejectCode):
            given.append(verdict)
        else:
            is_taken = bool(rest) and verdict is rest[0]
            given.append(rest.popleft() if is_taken else RejectCode.DUPLICATE)
    return tuple(given)
