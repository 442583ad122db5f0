"""Writes safety records: what stands behind the barrier ``Persist``.

It writes in the thread of the loop, which waits for the disk. Nothing that the node signs could
leave earlier anyway, and handing the write to a thread and back costs more than the write itself
takes on a local disk (docs/decisions/0001-foundation.md).
"""

import time
from collections.abc import Sequence
from typing import Protocol

from consensus.core.effects import Persist
from consensus.core.safety_record import encode_record
from consensus.io.timings import Timings
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
        timings: how long the transactions took.
    """

    def __init__(self, store: StoresRecords) -> None:
        self._store = store
        self.timings = Timings()

    def persist(self, effect: Persist) -> None:
        """Write a record and its proposals; durable when it returns.

        Raises:
            StorageError: it is not durable; nothing that it covers may leave the process.
        """
        began = time.perf_counter()
        self._store.write(
            encode_record(effect.record),
            [
                (proposal_key(p.block.height, block_id(p.block)), encode(p))
                for p in effect.proposals
            ],
            effect.prune_height,
        )
        self.timings.observe(time.perf_counter() - began)
