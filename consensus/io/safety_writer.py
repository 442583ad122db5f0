"""Writes safety records: the thread behind the barrier ``Persist``.

Persists that waited while the disk was busy become one transaction: a record is a whole snapshot,
so the last one counts, with all proposals of the others. When it is durable, every one of them is.
"""

import struct
from collections.abc import Callable, Sequence
from typing import Final, Protocol

from consensus.core.effects import Persist
from consensus.core.safety_record import encode_record
from consensus.io.worker_thread import WorkerThread
from ledger.core.block import Proposal, block_id
from ledger.core.codec import encode
from ledger.core.ids import Height

__all__ = ["SafetyWriter", "StoresRecords", "proposal_key"]

_HEIGHT: Final = struct.Struct(">Q")


class StoresRecords(Protocol):
    """The safety store, or a fake of it."""

    def write(
        self, record: bytes, proposals: Sequence[tuple[bytes, bytes]], prune_height: Height
    ) -> None:
        """Write all of it in one transaction; durable when it returns."""
        ...


def proposal_key(proposal: Proposal) -> bytes:
    """Give the key of a stored proposal: height (8 bytes, big-endian), then block id."""
    return _HEIGHT.pack(proposal.block.height) + block_id(proposal.block)


class SafetyWriter:
    """The one writer of the safety store.

    Attributes:
        thread: run it in a nursery.
        writes: number of transactions since the start.
    """

    def __init__(self, store: StoresRecords, on_durable: Callable[[int], None]) -> None:
        """Call ``on_durable(k)``, in trio's thread, when ``k`` more Persists are durable."""
        self._store = store
        self._on_durable = on_durable
        self.thread: WorkerThread[Persist] = WorkerThread("safety", self._write)
        self.writes = 0

    def persist(self, effect: Persist) -> None:
        """Begin to write a record; never waits."""
        self.thread.put(effect)

    def _write(self, effects: list[Persist]) -> None:
        proposals = {proposal_key(p): p for effect in effects for p in effect.proposals}
        self._store.write(
            encode_record(effects[-1].record),
            [(key, encode(proposal)) for key, proposal in proposals.items()],
            max(effect.prune_height for effect in effects),
        )
        self.writes += 1
        count = len(effects)
        self.thread.post(lambda: self._on_durable(count))
