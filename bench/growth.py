"""``python -m bench.growth --events 10000000``: does a large ledger publish slower?

One network of four is filled through its gateways by bulk publishers that wait for finality. At
each size a window of the same load is measured; then the load pauses, and disk, memory and reads at
one gateway are. All events are signed before, by processes that have
ended, and wait in files; entities have random names, so that indexes are hit everywhere.

The windows lie minutes apart, in which a machine changes its speed. At the end the full ledger and
one of 100,000 events on a network of its own take turns, one loaded while the other one rests: the
ratio of two windows side by side says what the size costs. Only then a member of each is restarted:
some kernels drop at once what a process that ended had in the page cache.
"""

import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import NamedTuple

import msgspec

from bench.load.events import ENTRY_BYTES, EventSource, Subjects
from bench.load.signed_files import SignedFiles, sign_files
from bench.machine.usage import disk_bytes, read_processes
from bench.network.fresh import fresh_network
from bench.network.logs import Logs
from bench.network.reads import Reads, measure_reads
from bench.network.sustained import LoadShape, Offer, measure_window
from bench.report.plots import Plot, Series
from bench.report.record import Page, Recorder, Table, command_parser, say
from bench.report.results import Throughput
from tests.support.processes import Part, RealNetwork

__all__ = ["main"]

_VALIDATORS = 4
_SIZES = (10_000, 100_000, 300_000, 1_000_000, 3_000_000, 10_000_000, 30_000_000)
_STORED_BYTES = 1_200  # an event takes less than this of one member's disk
_RESERVE = 1.1
_SPARE_PER_S = 90_000  # events signed beyond the last size, for each second of the last window
_SHORT_PER_S = 15_000  # a window at a small ledger ends before it has doubled at this rate
_WINDOW_S_MIN = 2.0
_SIGNERS = 2
_READS = 300
_CLIENTS = 16
_EVENTS = 500
_PROBE_PAUSE_S = 0.1
_SMALL = 100_000
_TURNS = 5
_WARM_UP = 2 * _CLIENTS * _EVENTS  # events before a turn's window
_SAY_S = 30.0
_MIB = 2**20


class Size(msgspec.Struct, frozen=True):
    """One size of the ledger.

    Attributes:
        events: in the log when the window began.
        load: the window; cpu_us_per_event: of all its processes together.
        disk_bytes_per_event: of one member's stores, over all events so far.
        node_own_mib, gateway_own_mib: memory that is no file, of the largest.
    """

    events: int
    load: Throughput
    cpu_us_per_event: float
    disk_bytes_per_event: int
    node_own_mib: float
    gateway_own_mib: float
    reads: Reads


class Turn(msgspec.Struct, frozen=True):
    """A window of the small and one of the full ledger, one right after the other.

    Attributes:
        rate_ratio: events per second of the full ledger over those of the small one.
        cpu_ratio: the same of CPU per event.
    """

    small_events: int
    full_events: int
    small_per_s: float
    full_per_s: float
    rate_ratio: float
    cpu_ratio: float


class Growth(msgspec.Struct, frozen=True):
    """The whole run.

    Attributes:
        rate_ratio: the median of the turns'.
        cpu_ratio: the same of CPU per event.
        small_start_up_s, full_start_up_s: from the start of a member's processes until its
            gateway says it is ready.
    """

    sizes: list[Size]
    turns: list[Turn]
    rate_ratio: float
    cpu_ratio: float
    small_start_up_s: float
    full_start_up_s: float


def main(arguments: list[str] | None = None) -> None:
    """Fill a ledger, write the record, leave neither process nor file."""
    parser = command_parser("growth", __doc__)
    parser.add_argument("--events", type=int, default=10_000_000)
    parser.add_argument("--seconds", type=float, default=30, help="length of a measured window")
    parser.add_argument("--subjects", type=Subjects, default=Subjects.RANDOM, choices=Subjects)
    chosen = parser.parse_args(arguments)
    events, seconds = (20_000, 1.5) if chosen.quick else (chosen.events, chosen.seconds)
    recorder = Recorder("growth", chosen)
    needed = int(events * (_VALIDATORS * _STORED_BYTES + ENTRY_BYTES) * _RESERVE)
    free = shutil.disk_usage(recorder.out).free
    if free < needed:
        parser.error(f"needs {needed >> 30} GiB of free disk below {recorder.out}: {free >> 30}")
    shape = LoadShape(_CLIENTS, _EVENTS, True, 0.0, seconds)  # noqa: FBT003
    result = _measure(recorder.out, events, shape, chosen.subjects)
    recorder.write(result, _page(result))


class _Ledger(NamedTuple):
    network: RealNetwork
    source: EventSource
    logs: Logs
    files: SignedFiles


@contextmanager
def _ledger(out: Path, events: int, subjects: Subjects) -> Iterator[_Ledger]:
    """Run a network of its own, with so many events signed for it."""
    with (
        tempfile.TemporaryDirectory(prefix="signed-", dir=out) as directory,
        fresh_network(out, validators=_VALIDATORS) as (network, source),
        Logs.opened(network, range(_VALIDATORS)) as logs,
    ):
        say(f"signing {events:,} events into files")
        event = (network.testnet.genesis.chain_id, ENTRY_BYTES, subjects)
        key = network.testnet.publisher_keys["publisher0"]
        files = sign_files(Path(directory), key, event, (events, _EVENTS, _SIGNERS))
        yield _Ledger(network, source, logs, files)
        if files.take() is None:
            raise RuntimeError("too few events were signed; a last window may be short of them")


def _measure(out: Path, events: int, shape: LoadShape, subjects: Subjects) -> Growth:
    sizes = [*(size for size in _SIZES if size < events), events]
    turn = replace(shape, window_s=shape.window_s / 3)
    of_a_turn = int(turn.window_s * _SPARE_PER_S) + 2 * _WARM_UP
    spare = int(shape.window_s * _SPARE_PER_S) + _TURNS * of_a_turn
    small_size = min(_SMALL, events)
    with (
        _ledger(out, small_size + (_TURNS + 1) * of_a_turn, subjects) as small,
        _ledger(out, events + spare, subjects) as full,
    ):
        measured = []
        for size in sizes:
            say(f"filling up to {size:,} events")
            window_s = min(shape.window_s, max(_WINDOW_S_MIN, size / _SHORT_PER_S))
            load = _window(full, replace(shape, window_s=window_s), size)
            measured.append(_look(full.network, full.logs, load))
            say(f"{size:,}: {load.events_per_s:,.0f} events/s")
        _window(small, turn, small_size)
        turns = [_take_turn(small, full, turn) for _ in range(_TURNS)]
        return Growth(
            measured,
            turns,
            rate_ratio=median(each.rate_ratio for each in turns),
            cpu_ratio=median(each.cpu_ratio for each in turns),
            small_start_up_s=_start_up_s(small.network, _VALIDATORS - 1),
            full_start_up_s=_start_up_s(full.network, _VALIDATORS - 1),
        )


def _window(ledger: _Ledger, shape: LoadShape, size: int) -> Throughput:
    """Measure a window that begins when the log has ``size`` events."""
    probes = ledger.source.bodies(int(shape.window_s / _PROBE_PAUSE_S), 1)
    offer = Offer(ledger.files, probes, _until(ledger.logs, size))
    return measure_window(ledger.network, ledger.logs, shape, offer)


def _take_turn(small: _Ledger, full: _Ledger, shape: LoadShape) -> Turn:
    small_events, full_events = small.logs.wait_level(), full.logs.wait_level()
    small_load = _window(small, shape, small_events + _WARM_UP)
    full_load = _window(full, shape, full_events + _WARM_UP)
    say(f"{small_events:,}: {small_load.events_per_s:,.0f} events/s")
    say(f"{full_events:,}: {full_load.events_per_s:,.0f} events/s")
    return Turn(
        small_events,
        full_events,
        small_load.events_per_s,
        full_load.events_per_s,
        rate_ratio=round(full_load.events_per_s / small_load.events_per_s, 3),
        cpu_ratio=round(_cpu_us(full_load) / _cpu_us(small_load), 3),
    )


def _cpu_us(load: Throughput) -> float:
    return round(sum(use.cpu_us_per_event for use in load.processes), 1)


def _until(logs: Logs, size: int) -> Callable[[], None]:
    def wait() -> None:
        said_s = time.monotonic()
        while (now := min(logs.sizes())) < size:
            if time.monotonic() > said_s + _SAY_S:
                said_s = time.monotonic()
                say(f"{now:,} events")
            time.sleep(0.05)

    return wait


def _look(network: RealNetwork, logs: Logs, load: Throughput) -> Size:
    """Measure what can be measured while nobody publishes."""
    events = logs.wait_level()
    pids = {f"{part}{member}": pid for (member, part), pid in network.pids().items()}
    own = {name: use.anonymous_bytes / _MIB for name, use in read_processes(pids).items()}
    return Size(
        events=events - load.events,
        load=load,
        cpu_us_per_event=_cpu_us(load),
        disk_bytes_per_event=disk_bytes(network.chain_dir(0).parent) // events,
        node_own_mib=round(max(mib for name, mib in own.items() if name.startswith("node")), 1),
        gateway_own_mib=round(max(m for name, m in own.items() if name.startswith("gateway")), 1),
        reads=measure_reads(network, logs, _READS),
    )


def _start_up_s(network: RealNetwork, member: int) -> float:
    if faults := network.stop((member, Part.GATEWAY)) + network.stop((member, Part.NODE)):
        raise RuntimeError("; ".join(faults))
    begin = time.perf_counter()
    for part in Part:
        network.start(member, part)
    network.wait_ready([member], seconds=120.0)
    return round(time.perf_counter() - begin, 2)


def _page(result: Growth) -> Page:
    starts = ("small ledger", result.small_start_up_s), ("full ledger", result.full_start_up_s)
    start_ups = Table(("restart of a member", "s"), list(starts))
    tables = [_sizes_table(result), _turns_table(result), start_ups]
    plots = _plots(result)
    return Page("Growth of the ledger", __doc__ or "", tables, plots)


def _sizes_table(result: Growth) -> Table:
    heads = (
        *("events in the log", "events/s", "CPU us/event", "disk B/event", "node MiB"),
        *("gateway MiB", "by id p50 ms", "p99", "proof p50 ms", "p99"),
        *("page p50 ms", "p99", "generator's cores"),
    )
    rows = [
        (
            f"{size.events:,}",
            round(size.load.events_per_s),
            size.cpu_us_per_event,
            size.disk_bytes_per_event,
            size.node_own_mib,
            size.gateway_own_mib,
            *(size.reads.by_id.p50_ms, size.reads.by_id.p99_ms),
            *(size.reads.proof.p50_ms, size.reads.proof.p99_ms),
            *(size.reads.page.p50_ms, size.reads.page.p99_ms),
            size.load.generator_cpu_share,
        )
        for size in result.sizes
    ]
    return Table(heads, rows)


def _turns_table(result: Growth) -> Table:
    rows = [
        (
            *(f"{turn.small_events:,}", turn.small_per_s, f"{turn.full_events:,}", turn.full_per_s),
            *(turn.rate_ratio, turn.cpu_ratio),
        )
        for turn in result.turns
    ]
    medians = ("median", "", "", "", result.rate_ratio, result.cpu_ratio)
    heads = ("small ledger", "events/s", "full ledger", "events/s", "ratio", "of CPU an event")
    return Table(heads, [*rows, medians], "In turns: the full ledger against a small one")


def _plots(result: Growth) -> list[Plot]:
    xs = [size.events for size in result.sizes]
    axes = "events in the log"
    return [
        Plot(
            "rate",
            "Publishing at the same load",
            (axes, "events/s"),
            [Series("events/s", xs, [size.load.events_per_s for size in result.sizes])],
            is_log=(True, False),
        ),
        Plot(
            "reads",
            "Reading, p50",
            (axes, "ms"),
            [
                Series("by id", xs, [size.reads.by_id.p50_ms for size in result.sizes]),
                Series("proof", xs, [size.reads.proof.p50_ms for size in result.sizes]),
                Series("page of 100", xs, [size.reads.page.p50_ms for size in result.sizes]),
            ],
            is_log=(True, False),
        ),
    ]


if __name__ == "__main__":
    main()
