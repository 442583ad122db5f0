"""What one epoch's core leaves to the next: entries that are not ordered, and whoever asked late.

Batches of an epoch are worth nothing in the next one, because their certificates are not and
indexes may have moved. So their entries are handed over, and batched anew.
"""

from collections.abc import Iterable, Iterator
from typing import Final

from consensus.core.batchbook import BatchBook
from consensus.core.effects import EndEpoch
from consensus.core.inputs import Submitted
from consensus.core.mempool import Mempool
from ledger.core.block import decode_batch
from ledger.core.ids import NodeIndex
from ledger.core.limits import BATCH_ENTRIES_MAX, SUBMISSIONS_HELD_MAX

__all__ = ["CARRIED", "Handover", "portions"]

CARRIED: Final = -1
"""Ticket under which entries of the epoch before are examined again: no client waits for it."""


class Handover:
    """Collects what the next core takes over.

    Attributes:
        is_closed: no batch is made, taken in or stored any more, or ever, by an observer.
    """

    def __init__(
        self, index: NodeIndex, book: BatchBook, mempool: Mempool, *, observes: bool
    ) -> None:
        self._index = index
        self._book = book
        self._mempool = mempool
        self._observes = observes
        self._submitted: list[Submitted] = []
        self.is_closed = observes

    def hold(self, ticket: int, entries: tuple[bytes, ...]) -> bool:
        """Keep a submission for the next core; False when it cannot wait."""
        if self._observes or len(self._submitted) >= SUBMISSIONS_HELD_MAX:
            return False
        self._submitted.append(Submitted(ticket, entries))
        return True

    def leftovers(self) -> EndEpoch | None:
        """Give own entries that are not ordered, oldest first, and the submissions held.

        None while a client waits for a verdict here.
        """
        if self._mempool.is_examining:
            return None
        carried = (*_own_entries(self._book, self._index), *self._mempool.entries())
        return EndEpoch(carried, tuple(self._submitted))


def _own_entries(book: BatchBook, index: NodeIndex) -> Iterator[bytes]:
    for held in book.held.values():
        if held.sender == index == held.origin and held.encoded is not None:
            yield from decode_batch(held.encoded).entries


def portions(carried: Iterable[bytes]) -> Iterator[tuple[bytes, ...]]:
    """Cut carried entries, each once, into what is examined at a time."""
    entries = tuple(dict.fromkeys(carried))
    for begin in range(0, len(entries), BATCH_ENTRIES_MAX):
        yield entries[begin : begin + BATCH_ENTRIES_MAX]
