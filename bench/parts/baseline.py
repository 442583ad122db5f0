"""What one core does of the work that no design avoids: verify, decode, hash, sync."""

import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from bench.load.events import EventSource
from bench.report.results import Baseline
from ledger.core.event import open_entry, signature_check
from ledger.core.merkle import leaf_hash
from ledger.core.signing import verify_many

__all__ = ["measure_baseline"]

_EVENTS = 512
_REPEATS = 7
_SYNCS = 50


def measure_baseline(source: EventSource, directory: Path) -> Baseline:
    """Measure this machine, with a file in ``directory`` for the syncs."""
    entries = [opened.entry for opened in source.entries(_EVENTS)]
    checks = [signature_check(open_entry(entry)) for entry in entries]
    return Baseline(
        verify_per_s=_rate(lambda: verify_many(checks)),
        open_per_s=_rate(lambda: [open_entry(entry) for entry in entries]),
        leaf_per_s=_rate(lambda: [leaf_hash(entry) for entry in entries]),
        fsync_ms=_fsync_ms(directory),
    )


def _rate(work: Callable[[], object]) -> int:
    """Give events per second of ``work`` over _EVENTS events: the median of some repeats."""
    seconds = []
    for _ in range(_REPEATS):
        begin = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - begin)
    return round(_EVENTS / statistics.median(seconds))


def _fsync_ms(directory: Path) -> float:
    times = []
    with tempfile.TemporaryFile(dir=directory) as file:
        for _ in range(_SYNCS):
            begin = time.perf_counter()
            os.pwrite(file.fileno(), bytes(4096), 0)
            os.fdatasync(file.fileno())
            times.append((time.perf_counter() - begin) * 1000)
    return round(statistics.median(times), 3)
