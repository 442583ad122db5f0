"""What one core does of the work that no design avoids: verify, decode, hash, sync."""

import os
import socket
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from bench.load.events import EventSource
from bench.report.results import Baseline
from ledger.core.block import Batch
from ledger.core.codec import encode
from ledger.core.event import open_entry, signature_check
from ledger.core.ids import NodeIndex
from ledger.core.merkle import leaf_hash
from ledger.core.scanning import scan_batches
from ledger.core.signing import verify_many

__all__ = ["measure_baseline"]

_EVENTS = 512
_REPEATS = 7
_SYNCS = 50
_PIECE_BYTES = 1 << 16


def measure_baseline(source: EventSource, directory: Path) -> Baseline:
    """Measure this machine, with a file in ``directory`` for the syncs."""
    entries = [opened.entry for opened in source.entries(_EVENTS)]
    checks = [signature_check(open_entry(entry)) for entry in entries]
    batch = encode(Batch(NodeIndex(0), 1, tuple(entries)))
    return Baseline(
        verify_per_s=_rate(lambda: verify_many(checks)),
        open_per_s=_rate(lambda: [open_entry(entry) for entry in entries]),
        scan_per_s=_rate(lambda: scan_batches([batch]).ids()),
        leaf_per_s=_rate(lambda: [leaf_hash(entry) for entry in entries]),
        fsync_ms=_fsync_ms(directory),
        write_us=_write_us(b"".join(entries), directory),
        loopback_us=_loopback_us(b"".join(entries)),
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


def _write_us(entries: bytes, directory: Path) -> float:
    """Give CPU microseconds an event: all of them in one synced write, again and again."""
    with tempfile.TemporaryFile(dir=directory) as file:
        begin = time.process_time()
        for number in range(_SYNCS):
            os.pwrite(file.fileno(), entries, number * len(entries))
            os.fdatasync(file.fileno())
        seconds = time.process_time() - begin
    return round(seconds * 1e6 / (_SYNCS * _EVENTS), 3)


def _loopback_us(entries: bytes) -> float:
    """Give CPU microseconds an event of both ends of a TCP connection on this machine."""
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        socket.create_connection(listener.getsockname()) as sender,
        listener.accept()[0] as receiver,
    ):
        begin = time.process_time()
        for _ in range(_SYNCS):
            unsent, left = memoryview(entries), len(entries)
            while left:
                if unsent:
                    unsent = unsent[sender.send(unsent[:_PIECE_BYTES]) :]
                left -= len(receiver.recv(_PIECE_BYTES))
        seconds = time.process_time() - begin
    return round(seconds * 1e6 / (_SYNCS * _EVENTS), 3)
