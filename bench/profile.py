"""``python -m bench.profile``: where each microsecond of an event goes.

A network of four takes full load. In a first window the CPU of every thread is read from the
kernel, exactly. In a second one py-spy samples one node and one gateway with native frames, which
slows them, so it only says how each thread's CPU is spread over parts of the work. Beside it stands
what no design avoids on this machine: signatures, hashing, one copy to disk, one through loopback.
"""

import os
import shutil
import subprocess
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from pathlib import Path

import msgspec

from bench.load.bulk import Supply
from bench.load.events import EventSource
from bench.machine.description import ROOT
from bench.machine.stacks import ThreadCpu, costs, read_stacks
from bench.network.fresh import fresh_network
from bench.network.logs import Logs
from bench.network.sustained import LoadShape, Offer, measure_window
from bench.parts.baseline import measure_baseline
from bench.report.plots import Plot, Series
from bench.report.record import Page, Recorder, Table, command_parser, say, table_rows
from bench.report.results import Baseline, Throughput
from tests.support.processes import Part

__all__ = ["main"]

_PAGE = ROOT / "docs" / "performance.md"
_MARKS = ("<!-- bench.profile: begin -->", "<!-- bench.profile: end -->")
_CLIENTS = 16
_EVENTS = 500
_EVENTS_PER_S = 60_000  # more than the network takes: it must not run out
_WARM_UP_S = 3.0
_SAMPLES_PER_S = 100
_SMALL_US = 0.05
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")


class PartCost(msgspec.Struct, frozen=True):
    """CPU of one part of the work in one thread of one process."""

    process: str
    thread: str
    part: str
    us_per_event: float


class Profile(msgspec.Struct, frozen=True):
    """The whole run.

    Attributes:
        load: the window without sampling; its figures are exact.
        sampled_per_s: events per second while py-spy sampled.
        parts: of the sampled node and gateway; they add up to those processes' CPU.
        limit_us: what no design avoids, of one node, by part.
    """

    load: Throughput
    sampled_per_s: float
    parts: list[PartCost]
    baseline: Baseline
    limit_us: dict[str, float]


def main(arguments: list[str] | None = None) -> None:
    """Profile a network, write the record and the table of docs/performance.md."""
    parser = command_parser("profile", __doc__)
    parser.add_argument("--seconds", type=float, default=15, help="length of each window")
    chosen = parser.parse_args(arguments)
    spy = shutil.which("py-spy", path=str(Path(sys.executable).parent)) or shutil.which("py-spy")
    if spy is None:
        parser.error("py-spy is not installed: .venv/bin/pip install py-spy")
    recorder = Recorder("profile", chosen)
    result = _measure(recorder.out, 1.5 if chosen.quick else chosen.seconds, spy)
    page = _page(result)
    recorder.write(result, page)
    if chosen.record:
        _fill(_PAGE, page)


def _measure(out: Path, seconds: float, spy: str) -> Profile:
    with fresh_network(out) as (network, source), Logs.opened(network, range(4)) as logs:
        shape = LoadShape(_CLIENTS, _EVENTS, True, _WARM_UP_S, seconds)  # noqa: FBT003
        baseline = measure_baseline(source, out)
        pids = {part: network.pids()[0, part] for part in Part}
        say("full load, CPU of each thread")
        before: dict[Part, dict[int, ThreadCpu]] = {}

        def begin() -> None:
            time.sleep(_WARM_UP_S)
            before.update({part: _threads(pid) for part, pid in pids.items()})

        load = measure_window(network, logs, shape, _offer(source, seconds, begin))
        used = {part: _since(before[part], _threads(pid)) for part, pid in pids.items()}
        logs.wait_level()
        say("full load, sampled")
        spies: list[subprocess.Popen[bytes]] = []

        def sample() -> None:
            time.sleep(_WARM_UP_S)
            for part, pid in pids.items():
                spies.append(_sample(spy, pid, out / f"{part}.stacks", seconds))

        sampled = measure_window(network, logs, shape, _offer(source, seconds, sample))
        for child in spies:
            if child.wait():
                raise RuntimeError("py-spy failed; may this user trace other processes?")
        logs.wait_level()
        parts = [
            PartCost(part.value, *cost)
            for part in Part
            for cost in costs(_stacks(out / f"{part}.stacks"), used[part], load.events)
        ]
    return Profile(load, sampled.events_per_s, parts, baseline, _limit(baseline))


def _offer(source: EventSource, seconds: float, warm_up: Callable[[], None]) -> Offer:
    events = int((seconds + _WARM_UP_S) * _EVENTS_PER_S)
    return Offer(Supply(source.bodies(events, _EVENTS)), [], warm_up)


def _sample(spy: str, pid: int, path: Path, seconds: float) -> "subprocess.Popen[bytes]":
    command = [spy, "record", "--native", "--threads", "--format", "raw", "--output", str(path)]
    times = ["--rate", str(_SAMPLES_PER_S), "--duration", str(max(1, int(seconds)))]
    return subprocess.Popen(
        [*command, *times, "--pid", str(pid)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def _stacks(path: Path) -> dict[int, tuple[str, Counter[str]]]:
    found = read_stacks(path.read_text().splitlines())
    path.unlink()
    return found


def _threads(pid: int) -> dict[int, ThreadCpu]:
    """Read what each thread of a process used since it began."""
    threads = {}
    for stat in Path(f"/proc/{pid}/task").glob("*/stat"):
        # The command, in brackets, may hold spaces: count from its end.
        fields = stat.read_text().rpartition(")")[2].split()
        threads[int(stat.parent.name)] = ThreadCpu(
            int(fields[11]) / _TICKS_PER_S, int(fields[12]) / _TICKS_PER_S
        )
    return threads


def _since(before: dict[int, ThreadCpu], after: dict[int, ThreadCpu]) -> dict[int, ThreadCpu]:
    nothing = ThreadCpu(0.0, 0.0)
    return {
        number: ThreadCpu(
            use.user_s - before.get(number, nothing).user_s,
            use.kernel_s - before.get(number, nothing).kernel_s,
        )
        for number, use in after.items()
    }


def _limit(baseline: Baseline) -> dict[str, float]:
    """Give what one node cannot avoid, in CPU microseconds an event."""
    return {
        "signature": round(1e6 / baseline.verify_per_s, 2),
        "reading and identifying": round(1e6 / baseline.scan_per_s, 2),
        "hash of the log's leaf": round(1e6 / baseline.leaf_per_s, 2),
        "one copy to disk, synced in bulk": baseline.write_us,
        "one copy through loopback": baseline.loopback_us,
    }


def _page(result: Profile) -> Page:
    tables = []
    for process in Part:
        rows = [
            (cost.part, cost.thread, cost.us_per_event)
            for cost in result.parts
            if cost.process == process and cost.us_per_event >= _SMALL_US
        ]
        total = sum(cost.us_per_event for cost in result.parts if cost.process == process)
        tables.append(
            Table(
                ("part", "thread", "us CPU an event"),
                [*rows, ("all", "", round(total, 1))],
                f"One {process}",
            )
        )
    limit = [*result.limit_us.items(), ("all", round(sum(result.limit_us.values()), 2))]
    load = result.load
    nodes = sum(use.cpu_us_per_event for use in load.processes if use.name.startswith("node"))
    gateways = sum(use.cpu_us_per_event for use in load.processes) - nodes
    whole = [
        ("all nodes", round(nodes, 1)),
        ("all gateways", round(gateways, 1)),
        ("load generator", round(load.generator_cpu_share * 1e6 / load.events_per_s, 1)),
        ("limit of four nodes", round(4 * sum(result.limit_us.values()), 1)),
    ]
    tables += [
        Table(("what no design avoids, one node", "us CPU an event"), limit, "The limit"),
        Table(("", "us CPU an event"), whole, f"Together, {load.events_per_s:,.0f} events/s"),
    ]
    by_part: defaultdict[str, float] = defaultdict(float)
    for cost in result.parts:
        by_part[cost.part] += cost.us_per_event if cost.process == Part.NODE else 0.0
    top = sorted(by_part.items(), key=lambda item: -item[1])[:8]
    plot = Plot(
        "parts",
        "One node: CPU of an event",
        ("", "microseconds"),
        [Series("us", [], [us for _, us in top])],
        groups=[name.replace(" ", "\n", 1) for name, _ in top],
    )
    return Page("Where each microsecond goes", __doc__ or "", tables, [plot])


def _fill(path: Path, page: Page) -> None:
    """Put the tables between the marks of a page that people wrote."""
    begin, end = _MARKS
    before, _, rest = path.read_text().partition(begin)
    _, found, after = rest.partition(end)
    assert found, f"{path} has no marks"
    tables = "\n\n".join(f"### {t.title}\n\n" + "\n".join(table_rows(t)) for t in page.tables)
    path.write_text(f"{before}{begin}\n\n{tables}\n\n{end}{after}")


if __name__ == "__main__":
    main()
