"""Writes safety records: the thread behind the barrier ``Persist``.

Persists that waited while the disk was busy become one transaction: a record is a whole snapshot,
so the last one counts, with all proposals of the others. When it is durable, every one of them is.
"""

import time
from collections.abc import Callable, Sequence
from typing import Protocol

from consensus.core.effects import Persist
from consensus.core.safety_record import encode_record
from consensus.io.worker_thread import WorkerThread
from ledger.core.block import block_id
from ledger.core.codec import encode
from ledger.core.ids import Height
from ledger.io.safety_store import proposal_key

__all__ = ["SafetyWriter", "StoresRecords"]


class StoresRecords(Protocol):
    """The safety store, or a fake of it."""

    def write(
        self, record: bytes, proposals: Sequence[tuple[bytes, bytes]], prune_height: Height
    ) -> None:
        """Write all of it in one transaction; durable when it returns."""
        ...


class SafetyWriter:
    """The one writer of the safety store.

    Attributes:
        thread: run it in a nursery.
        writes: number of transactions since the start; write_s: the seconds that they took.
    """

    def __init__(self, store: StoresRecords, on_durable: Callable[[int], None]) -> None:
        """Call ``on_durable(k)``, in trio's thread, when ``k`` more Persists are durable."""
        self._store = store
        self._on_durable = on_durable
        self.thread: WorkerThread[Persist] = WorkerThread("safety", self._write)
        self.writes = 0
        self.write_s = 0.0

    def persist(self, effect: Persist) -> None:
        """Begin to write a record; never waits."""
        self.thread.put(effect)

    def _write(self, effects: list[Persist]) -> None:
        began = time.perf_counter()
        proposals = {
            proposal_key(p.block.height, block_id(p.block)): p
            for effect in effects
            for p in effect.proposals
        }
        self._store.write(
            encode_record(effects[-1].record),
            [(key, encode(proposal)) for key, proposal in proposals.items()],
            max(effect.prune_height for effect in effects),
        )
        self.writes += 1
        self.write_s += time.perf_counter() - began
        count = len(effects)
        self.thread.post(lambda: self._on_durable(count))
