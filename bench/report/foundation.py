"""The report of a run: a table for people, JSON for programs, a page for the record."""

from collections.abc import Iterator, Sequence

import msgspec

from bench.load.events import ENTRY_BYTES
from bench.network.fan_out import fan_out_rows
from bench.parts.tmf_usage import usage_rows
from bench.report.plots import Plot, Series
from bench.report.results import InFlight, LowLoad, RatePoint, Run, Throughput

__all__ = ["to_json", "to_markdown", "to_plots", "to_table"]

_MIB = 2**20


def to_json(run: Run) -> bytes:
    """Give the whole run as JSON."""
    return msgspec.json.format(msgspec.json.encode(run), indent=2) + b"\n"


def to_table(run: Run) -> str:
    """Give the numbers that people look for, aligned."""
    rows = [
        ("", "p50 ms", "p99 ms", ""),
        *_latency_rows("finality, closed loop", run.closed_loop),
        *_latency_rows("finality, paced", run.paced),
        _in_flight_row(run.in_flight),
        ("", "p50 ms", "p99 ms", ""),
        *_offered_rows("single events", run.offered),
        *_offered_rows("requests of 100", run.offered_bulk),
        ("", "events/s", "ratio", ""),
        _throughput_row("sustained", run.sustained, 1.0),
        _throughput_row("one validator dead", run.one_dead, run.one_dead_ratio),
        ("", "us CPU/event", "RSS MiB", "own MiB"),
        *_process_rows(run.sustained),
        ("one core alone", "events/s", "", ""),
        ("verify signatures", f"{run.baseline.verify_per_s:,}", "", ""),
        ("read and identify (kernel)", f"{run.baseline.scan_per_s:,}", "", ""),
        ("decode and identify", f"{run.baseline.open_per_s:,}", "", ""),
        ("hash log leaves", f"{run.baseline.leaf_per_s:,}", "", ""),
        ("fsync of 4 KiB", f"{run.baseline.fsync_ms} ms", "", ""),
        *fan_out_rows(run.fan_out),
        *usage_rows(run.usage),
    ]
    return "\n".join(_aligned(rows))


def to_markdown(run: Run) -> str:
    """Give the page for docs/benchmarks."""
    machine = ", ".join(f"{name} {value}" for name, value in run.machine.items())
    settings = ", ".join(f"{name} {value}" for name, value in run.settings.items())
    return (
        f"# Foundation, {run.date}\n\n"
        f"Four validators, each a node and a gateway as processes of their own, on one machine; "
        f"real sockets, TLS and fsync; {ENTRY_BYTES}-byte signed events, signed before the clock "
        f"starts. Events count when they are final in the log of the slowest live member.\n\n"
        f"- machine: {machine}\n"
        f"- commit: {run.commit}\n"
        f"- command: `{run.command}`\n"
        f"- settings: {settings}\n\n"
        f"![Single events at offered rates]({run.date}-foundation-singles.svg)\n"
        f"![Bulk requests at offered rates]({run.date}-foundation-bulk.svg)\n\n"
        f"```text\n{to_table(run)}\n```\n\n"
        f"The load generator ran on the same cores and took "
        f"{run.sustained.generator_cpu_share} of one. Low load: medians over "
        f"{len(run.closed_loop.repeats)} repeats; `paced` waits up to "
        f"{run.paced.pause_ms} ms (random) between events, `closed loop` does not wait. "
        f"Offered rates are open loop: latencies count from when a request was meant to leave. "
        f"`delivered` is what a subscriber at another member's gateway sees. The JSON beside "
        f"this page has every number.\n"
    )


def to_plots(run: Run) -> list[Plot]:
    """Give finality against offered rates, for single events and for bulk requests."""
    return [
        Plot(
            name,
            f"{title} at offered rates (open loop)",
            ("offered events/s", "ms"),
            [
                Series(label, [point.offered_per_s for point in points], quantile)
                for label, quantile in (
                    ("final p50", [point.final.p50_ms for point in points]),
                    ("final p99", [point.final.p99_ms for point in points]),
                    ("final p99.9", [point.final.p999_ms for point in points]),
                    ("delivered p50", [point.delivered.p50_ms for point in points]),
                    ("delivered p99", [point.delivered.p99_ms for point in points]),
                )
            ],
            is_log=(True, True),
        )
        for name, title, points in (
            ("singles", "Single events", run.offered),
            ("bulk", "Requests of 100 events", run.offered_bulk),
        )
    ]


def _latency_rows(name: str, load: LowLoad) -> Iterator[tuple[str, str, str, str]]:
    final, delivered = load.median.final, load.median.delivered
    yield f"{name}: answered", f"{final.p50_ms}", f"{final.p99_ms}", ""
    yield f"{name}: delivered", f"{delivered.p50_ms}", f"{delivered.p99_ms}", ""


def _offered_rows(name: str, points: Sequence[RatePoint]) -> Iterator[tuple[str, str, str, str]]:
    for point in points:
        kept = "" if point.is_kept else f"; FULL: {point.final_per_s:,.0f} events/s final in time"
        yield (
            f"{name}, {point.offered_per_s:,.0f} events/s offered",
            f"{point.final.p50_ms}",
            f"{point.final.p99_ms}",
            f"p99.9 {point.final.p999_ms} ms; delivered p99 {point.delivered.p99_ms} ms{kept}",
        )


def _in_flight_row(part: InFlight) -> tuple[str, str, str, str]:
    name = f"finality, {part.in_flight} in flight"
    return (
        name,
        f"{part.final.p50_ms}",
        f"{part.final.p99_ms}",
        f"{part.events_per_s:,.0f} events/s",
    )


def _throughput_row(name: str, part: Throughput, ratio: float) -> tuple[str, str, str, str]:
    under_load = part.final_under_load
    return (
        name,
        f"{part.events_per_s:,.0f}",
        f"{ratio:.2f}",
        (
            f"single event beside it: p50 {under_load.p50_ms} ms, p99 {under_load.p99_ms} ms; "
            f"disk {part.disk_bytes_per_event} B/event"
        ),
    )


def _process_rows(part: Throughput) -> Iterator[tuple[str, str, str, str]]:
    for use in part.processes:
        yield (
            use.name,
            f"{use.cpu_us_per_event}",
            f"{use.rss_bytes / _MIB:.0f}",
            f"{use.anonymous_bytes / _MIB:.0f}",
        )


def _aligned(rows: Sequence[tuple[str, str, str, str]]) -> Iterator[str]:
    width = max(len(row[0]) for row in rows)
    for name, second, third, rest in rows:
        if not name or name.startswith("one core"):
            yield ""
        yield f"{name:<{width}}  {second:>12}  {third:>9}  {rest}".rstrip()
