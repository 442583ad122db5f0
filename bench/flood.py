"""``python -m bench.flood --minutes 10``: is memory bounded under a client that never stops?

One client posts at one gateway as fast as that answers: new valid events, events once more, forged
signatures and noise, on eight connections, without heeding any answer. Beside it an honest client
at another gateway publishes single events, one after the other. Memory of every process is sampled
all the time; after a warm-up (a quarter of the run) a straight line through each process's own
memory says whether it grows: bounded means by less than a tenth in the rest of the run.
"""

import shutil
import threading
import time
from pathlib import Path

import msgspec

from bench.load.events import EventSource
from bench.load.flooder import start_flooder
from bench.load.http import Connection
from bench.machine.sampling import MemoryTrend, Sample, Sampler, memory_trends
from bench.machine.usage import disk_bytes
from bench.network.fresh import fresh_network
from bench.network.latency import publish_one
from bench.network.logs import Logs
from bench.report.plots import Plot, Series
from bench.report.record import Page, Recorder, Table, command_parser, say
from bench.report.results import Quantiles, quantiles
from tests.support.processes import RealNetwork

__all__ = ["main"]

_WARM_UP = 0.25
_SAMPLES = 300
_PAUSE_S = 0.05
_DISK_BYTES_PER_MINUTE = 6 << 30  # of all members together: seen 2 to 4 GiB


class Flood(msgspec.Struct, frozen=True):
    """The whole run.

    Attributes:
        flooded: the member whose gateway was flooded.
        answers: requests of the flooding client, by kind and status.
        final_events: that became final while it went on, of both clients.
        honest: finality of the honest client's events; honest_per_s: their rate.
        is_bounded: the memory of every process is.
    """

    minutes: float
    flooded: int
    answers: dict[str, int]
    final_events: int
    honest: Quantiles
    honest_per_s: float
    disk_bytes_of_a_member: int
    is_bounded: bool
    trends: list[MemoryTrend]
    samples: list[Sample]


class _Honest(threading.Thread):
    """Publishes single events with a pause after each, until told to end."""

    def __init__(self, network: RealNetwork, source: EventSource) -> None:
        super().__init__(daemon=True)
        self._connection = Connection(network.address(0))
        self._source = source
        self.ending = threading.Event()
        self.times_ms: list[float] = []
        self.fault: str | None = None

    def run(self) -> None:
        try:
            while not self.ending.wait(_PAUSE_S):
                _, begin, end = publish_one(self._connection, self._source.bodies(1, 1)[0])
                self.times_ms.append((end - begin) * 1000)
        except (OSError, RuntimeError) as error:
            self.fault = str(error)
        self._connection.close()


def main(arguments: list[str] | None = None) -> None:
    """Flood a network, say whether memory is bounded, leave no process."""
    parser = command_parser("flood", __doc__)
    parser.add_argument("--minutes", type=float, default=10.0)
    chosen = parser.parse_args(arguments)
    minutes = 0.1 if chosen.quick else chosen.minutes
    recorder = Recorder("flood", chosen)
    free = shutil.disk_usage(recorder.out).free
    if free < minutes * _DISK_BYTES_PER_MINUTE:
        parser.error(f"{free >> 30} GiB of free disk are too few for {minutes} minutes")
    result = _measure(recorder.out, minutes)
    recorder.write(result, _page(result))
    print("\nmemory is", "BOUNDED" if result.is_bounded else "NOT BOUNDED")


def _measure(out: Path, minutes: float) -> Flood:
    with fresh_network(out) as (network, source), Logs.opened(network, range(4)) as logs:
        flooded = network.size - 1
        key = network.testnet.publisher_keys["publisher1"]
        pids = {f"{part}{member}": pid for (member, part), pid in sorted(network.pids().items())}
        sampler = Sampler(
            pids,
            max(0.5, minutes * 60 / _SAMPLES),
            lambda: {f"log{member}": size for member, size in enumerate(logs.sizes())},
        )
        honest = _Honest(network, source)
        before = min(logs.sizes())
        flooder = start_flooder(network.address(flooded), key, network.testnet.genesis.chain_id)
        try:
            sampler.start()
            honest.start()
            _wait(minutes, sampler)
            honest.ending.set()
            honest.join()
            samples = sampler.finish()
            answers = flooder.stop()
        finally:
            flooder.kill()
        if honest.fault:
            raise RuntimeError(f"the honest client failed: {honest.fault}")
        trends = memory_trends(samples, minutes * 60 * _WARM_UP)
        return Flood(
            minutes=minutes,
            flooded=flooded,
            answers=dict(sorted(answers.items())),
            final_events=min(logs.sizes()) - before,
            honest=quantiles(honest.times_ms),
            honest_per_s=round(len(honest.times_ms) / (minutes * 60), 1),
            disk_bytes_of_a_member=disk_bytes(network.chain_dir(0)),
            is_bounded=all(trend.is_bounded for trend in trends),
            trends=trends,
            samples=samples,
        )


def _wait(minutes: float, sampler: Sampler) -> None:
    end_s = time.monotonic() + minutes * 60
    while (left_s := end_s - time.monotonic()) > 0:
        time.sleep(min(left_s, 30.0))
        if sampler.samples:
            last = sampler.samples[-1]
            say(f"second {last.second}; own MiB: {last.own_mib}; final events: {last.extra}")


def _page(result: Flood) -> Page:
    trends = [
        (
            trend.process,
            trend.median_mib,
            trend.peak_mib,
            trend.mib_per_minute,
            "yes" if trend.is_bounded else "NO",
        )
        for trend in result.trends
    ]
    honest = result.honest
    figures = [
        ("minutes", result.minutes),
        ("honest events final in: p50 ms", honest.p50_ms),
        ("honest events final in: p99 ms", honest.p99_ms),
        ("honest events final in: max ms", honest.max_ms),
        ("honest events/s (closed loop with pauses)", result.honest_per_s),
        ("final events/s of both", result.final_events / (result.minutes * 60)),
        *((f"flooding requests: {name}", count) for name, count in result.answers.items()),
    ]
    lines = [
        Series(
            process,
            [sample.second / 60 for sample in result.samples],
            [sample.own_mib[process] for sample in result.samples],
        )
        for process in ("node0", f"node{result.flooded}", "gateway0", f"gateway{result.flooded}")
    ]
    heads = ("process", "median MiB", "peak MiB", "MiB/minute", "bounded")
    return Page(
        "Flooding client",
        __doc__ or "",
        [Table(heads, trends, "Own memory"), Table(("", "value"), figures, "What went on")],
        [
            Plot("memory", "Own memory under a flooding client", ("minutes", "MiB"), lines),
            Plot(
                "events",
                "Final events of both clients",
                ("minutes", "events in the log"),
                [
                    Series(
                        name,
                        [sample.second / 60 for sample in result.samples],
                        [sample.extra[name] for sample in result.samples],
                    )
                    for name in ("log0", f"log{result.flooded}")
                ],
            ),
        ],
    )


if __name__ == "__main__":
    main()
