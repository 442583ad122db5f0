"""Which batches this node has found valid, and what it has read of them until they are executed.

A batch is named by the digest of its bytes, so a mark never holds for other bytes. A scan is kept
to save work: it may be forgotten at any time. Only trio's thread changes what is kept; any may ask.
"""

from collections import OrderedDict

from ledger.core.ids import BatchId
from ledger.core.limits import CHECKED_BATCHES_REMEMBERED
from ledger.core.scanning import Scan

__all__ = ["CheckedBatches"]


class CheckedBatches:
    """Batches whose every signature was verified here: the latest ones.

    Attributes:
        scans: of some of them, none of whose entries was refused; to be read, never changed.
    """

    def __init__(self) -> None:
        self._ids: OrderedDict[BatchId, None] = OrderedDict()
        self._bytes = 0  # of all scans together
        self.scans: dict[BatchId, Scan] = {}

    def __contains__(self, batch_id: BatchId) -> bool:
        return batch_id in self._ids

    def __len__(self) -> int:
        return len(self._ids)

    def add(self, batch_id: BatchId, scan: Scan | None = None) -> None:
        """Remember a valid batch, and forget the oldest ones and scans beyond the limits."""
        batches_max, bytes_max = CHECKED_BATCHES_REMEMBERED
        self._ids[batch_id] = None
        if len(self._ids) > batches_max:
            self._ids.popitem(last=False)
        if scan is not None and batch_id not in self.scans:
            self.scans[batch_id] = scan
            self._bytes += scan.bytes_held
            while self._bytes > bytes_max:
                self.forget_scan(next(iter(self.scans)))

    def forget_scan(self, batch_id: BatchId) -> None:
        """Forget what was read of a batch, which is executed now."""
        scan = self.scans.pop(batch_id, None)
        if scan is not None:
            self._bytes -= scan.bytes_held
