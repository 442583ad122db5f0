"""Measures forgetting: what a ledger takes before, after ``prune`` and after ``compact``.

Run as ``python -m bench.parts.pruning --events 200000``. A chain store with that many events of 500
bytes is made with the code of a node, in blocks of 4,000. All but the newest thousand are forgotten
twice: on the day that they were made, when the check for duplicates still needs their keys, and
more than a day later.
"""

import argparse
import json
import tempfile
import time
from pathlib import Path

from bench.load.events import ENTRY_BYTES
from bench.machine.description import commit_id, describe_machine
from bench.parts.ledger_path import next_block
from bench.parts.snapshot import make_ledger
from ledger.core.block import block_id
from ledger.core.execute import execute_block
from ledger.core.genesis import Genesis
from ledger.core.limits import EVENT_AGE_MS_MAX
from ledger.io.chain_compaction import compact_chain
from ledger.io.chain_store import ChainStore
from ledger.io.store_copy import store_bytes
from tests.support.processes import RealNetwork

__all__ = ["main", "measure_pruning"]

_KEPT_EVENTS = 1_000
_MIB = 2**20


def main() -> None:
    """Print the figures as JSON; leave nothing behind."""
    parser = argparse.ArgumentParser(prog="python -m bench.parts.pruning", description=__doc__)
    parser.add_argument("--events", type=int, default=200_000)
    parser.add_argument("--out", type=Path, help="directory for the temporary files")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-pruning-", dir=chosen.out) as directory:
        figures = measure_pruning(Path(directory), chosen.events)
    print(json.dumps(figures, indent=2))


def measure_pruning(directory: Path, events: int) -> dict[str, object]:
    """Make a ledger of ``events`` in ``directory`` and forget nearly all; give the figures."""
    network = RealNetwork.create(directory / "network", settings={"log": {"level": "warning"}})
    genesis, path = network.testnet.genesis, network.chain_dir(0)
    make_ledger(network, events)
    figures: dict[str, object] = {
        "commit": commit_id(),
        "machine": describe_machine(),
        "events": events,
        "entry_bytes": ENTRY_BYTES,
        "kept_events": _KEPT_EVENTS,
        "mib_before": _mib(path),
        "mib_before_compacted": _compact(path, genesis),
        "same_day": _prune(path, genesis, events),
    }
    with ChainStore.open(path, genesis) as store, store.write() as writer:
        later_ms = writer.reader.head().time_ms + EVENT_AGE_MS_MAX + 60_000
        block = next_block(writer, [], later_ms)
        writer.apply(execute_block(writer, block_id(block), block, lambda _: True))
    figures["a_day_later"] = _prune(path, genesis, events)
    return figures


def _prune(path: Path, genesis: Genesis, events: int) -> dict[str, object]:
    """Forget, sweep, compact."""
    longest = 0.0
    begin = time.perf_counter()
    with ChainStore.open(path, genesis) as store:
        pruner = store.pruner()
        first = pruner.forget_below(events - _KEPT_EVENTS)
        last = time.perf_counter()
        rows = 0
        for deleted in pruner.sweep():
            rows += deleted
            now = time.perf_counter()
            longest, last = max(longest, now - last), now
    seconds = time.perf_counter() - begin
    return {
        "first_held": first,
        "rows": rows,
        "seconds": round(seconds, 2),
        "longest_step_ms": round(longest * 1e3),
        "mib_pruned": _mib(path),
        "mib_compacted": _compact(path, genesis),
        "bytes_for_each_forgotten": round(store_bytes(path) / first),
    }


def _compact(path: Path, genesis: Genesis) -> float:
    compact_chain(path, genesis, lambda *_: None)
    return _mib(path)


def _mib(path: Path) -> float:
    return round(store_bytes(path) / _MIB, 1)


if __name__ == "__main__":
    main()
