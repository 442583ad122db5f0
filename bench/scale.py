"""``python -m bench.scale``: more validators, troubled ones, and events of other sizes.

For 4, 7 and 10 validators full load and low load, with all well, one slow, one flooded, one dead
and f dead; then for small and large events the same with 4 validators. Each network and each size
gets a ladder of offered rates, too. All validators share this machine's cores: what an event costs
in CPU can be compared, how many a second there are says as much of the machine as of the protocol.
"""

from collections.abc import Sequence
from pathlib import Path

import msgspec

from bench.load.events import ENTRY_BYTES, EventSource
from bench.network.fresh import fresh_network
from bench.network.latency import measure_low_load
from bench.network.offered import Ladder, measure_ladder
from bench.network.sustained import LoadShape, measure_sustained
from bench.network.troubles import Trouble, troubled
from bench.report.plots import Plot, Series
from bench.report.record import Page, Recorder, Table, command_parser, say
from bench.report.results import Latency, RatePoint, Throughput
from tests.support.processes import RealNetwork

__all__ = ["main"]

_SIZES = (100, 1_000, 4_096)
_REQUEST_BYTES = 500_000  # of a bulk request, whatever its events' size; at most _EVENTS of them
_EVENTS = 1_000
_CLIENTS = 32
_LASTING = (Trouble.ONE_SLOW, Trouble.ONE_DEAD, Trouble.F_DEAD)  # one network bears them in turn
_RATES = (1_000, 2_500, 5_000, 7_500, 10_000, 12_500, 15_000, 17_500, 20_000, 25_000, 30_000)
_LADDER_EVENTS = 100  # of one request


class Case(msgspec.Struct, frozen=True):
    """One network in one state.

    Attributes:
        entry_bytes: of each event.
        low_load: one client that publishes single events, one after the other.
        published_per_s: events of the measured clients that became final, per second; less than
            ``sustained.events_per_s`` where others publish, too.
        cpu_us_per_event: of all processes together; cpu_us_per_event_and_member: its share.
    """

    validators: int
    trouble: Trouble
    entry_bytes: int
    low_load: Latency
    sustained: Throughput
    published_per_s: float
    cpu_us_per_event: float
    cpu_us_per_event_and_member: float


class LadderCase(msgspec.Struct, frozen=True):
    """A ladder of offered rates, requests of `_LADDER_EVENTS` events each."""

    validators: int
    entry_bytes: int
    points: list[RatePoint]


class Scale(msgspec.Struct, frozen=True):
    """The whole run.

    Attributes:
        cpu_ratios: throughput per unit of CPU of each number of validators over that of the
            smallest, of all processes together.
        cpu_ratios_of_a_member: the same of one member's CPU.
    """

    cases: list[Case]
    ladders: list[LadderCase]
    cpu_ratios: dict[str, float]
    cpu_ratios_of_a_member: dict[str, float]


class _Plan(msgspec.Struct, frozen=True):
    validators: tuple[int, ...]
    sizes: tuple[int, ...]
    low_load_events: int
    warm_up_s: float
    window_s: float
    rates: tuple[int, ...]
    rate_s: float
    troubles: tuple[Trouble, ...]


def main(arguments: list[str] | None = None) -> None:
    """Run everything and write the record; leave no process."""
    parser = command_parser("scale", __doc__)
    parser.add_argument("--validators", type=int, nargs="+", default=[4, 7, 10])
    parser.add_argument("--seconds", type=float, default=15, help="length of a measured window")
    parser.add_argument("--sizes", type=int, nargs="*", default=_SIZES, help="beside 500 bytes")
    parser.add_argument("--troubles", type=Trouble, nargs="*", default=list(Trouble))
    chosen = parser.parse_args(arguments)
    wanted = tuple(chosen.troubles)
    validators, sizes = tuple(chosen.validators), tuple(chosen.sizes)
    plan = _Plan(validators, sizes, 100, 4.0, chosen.seconds, _RATES, 8.0, wanted)
    if chosen.quick:
        plan = _Plan(validators[:1], sizes[-1:], 5, 0.5, 1.5, (500,), 1.0, wanted)
    recorder = Recorder("scale", chosen)
    cases: list[Case] = []
    ladders: list[LadderCase] = []
    for number in plan.validators:
        _measure_network(recorder.out, plan, (number, ENTRY_BYTES), (cases, ladders))
    for entry_bytes in plan.sizes:
        sized = (plan.validators[0], entry_bytes)
        _measure_network(recorder.out, plan, sized, (cases, ladders))
    result = Scale(
        cases,
        ladders,
        _ratios([(case, case.cpu_us_per_event) for case in cases]),
        _ratios([(case, case.cpu_us_per_event_and_member) for case in cases]),
    )
    recorder.write(result, _page(result))


def _measure_network(
    out: Path,
    plan: _Plan,
    network_of: tuple[int, int],
    results: tuple[list[Case], list[LadderCase]],
) -> None:
    """Measure one network of (validators, entry bytes) in every state that it is asked for."""
    validators, entry_bytes = network_of
    cases, ladders = results
    where = f"{validators} validators, events of {entry_bytes} bytes"
    with fresh_network(out, validators=validators, entry_bytes=entry_bytes) as (network, source):
        say(f"{where}: offered rates")
        events = _per_request(source, _LADDER_EVENTS)
        ladder = Ladder(plan.rates, plan.rate_s, events)
        points = measure_ladder(network, range(validators), source, ladder)
        ladders.append(LadderCase(validators, source.entry_bytes, points))
        say(f"{where}: full load")
        cases.append(_measure_case((network, Trouble.NONE), source, plan))
        for trouble in _LASTING if entry_bytes == ENTRY_BYTES else ():
            is_another = trouble is not Trouble.F_DEAD or validators // 3 > 1
            if trouble in plan.troubles and is_another:
                say(f"{where}: {trouble}")
                cases.append(_measure_case((network, trouble), source, plan))
    if entry_bytes == ENTRY_BYTES and Trouble.ONE_FLOODED in plan.troubles:
        # What a flood leaves behind would slow what is measured after it.
        say(f"{where}: {Trouble.ONE_FLOODED}")
        with fresh_network(out, validators=validators) as (network, source):
            cases.append(_measure_case((network, Trouble.ONE_FLOODED), source, plan))


def _measure_case(state: tuple[RealNetwork, Trouble], source: EventSource, plan: _Plan) -> Case:
    network, trouble = state
    events = _per_request(source, _EVENTS)
    shape = LoadShape(_CLIENTS, events, True, plan.warm_up_s, plan.window_s)  # noqa: FBT003
    with troubled(network, trouble) as members:
        addresses = network.address(members[0]), network.address(members[1])
        low_load = measure_low_load(source, addresses, (1, plan.low_load_events), 0)
        sustained = measure_sustained(network, members, source, shape)
    cpu_us = sum(use.cpu_us_per_event for use in sustained.processes)
    return Case(
        validators=network.size,
        trouble=trouble,
        entry_bytes=source.entry_bytes,
        low_load=low_load.median,
        sustained=sustained,
        published_per_s=round(sustained.bulk_final.count * events / sustained.seconds, 1),
        cpu_us_per_event=round(cpu_us, 1),
        cpu_us_per_event_and_member=round(cpu_us * 2 / len(sustained.processes), 2),
    )


def _per_request(source: EventSource, most: int) -> int:
    return max(1, min(most, _REQUEST_BYTES // source.entry_bytes))


def _ratios(rows: Sequence[tuple[Case, float]]) -> dict[str, float]:
    """Give what the CPU of an event is for the fewest validators over that for each number."""
    whole = {
        case.validators: cpu_us
        for case, cpu_us in rows
        if (case.trouble, case.entry_bytes) == (Trouble.NONE, ENTRY_BYTES)
    }
    return {str(n): round(whole[min(whole)] / cpu_us, 3) for n, cpu_us in whole.items()}


def _page(result: Scale) -> Page:
    return Page("Scale, troubles and sizes", __doc__ or "", [*_tables(result)], [*_plots(result)])


def _tables(result: Scale) -> list[Table]:
    heads = ("network", "low p50 ms", "low p99 ms", "events/s", "of all well", "bulk p50 ms")
    more = ("CPU us/event", "per member", "disk B/event")
    healthy = {
        (case.validators, case.entry_bytes): case.published_per_s
        for case in result.cases
        if case.trouble is Trouble.NONE
    }
    rows = [
        (
            f"n={case.validators}, {case.entry_bytes} B, {case.trouble}",
            case.low_load.final.p50_ms,
            case.low_load.final.p99_ms,
            round(case.published_per_s),
            round(case.published_per_s / max(1.0, healthy[case.validators, case.entry_bytes]), 2),
            case.sustained.bulk_final.p50_ms,
            case.cpu_us_per_event,
            case.cpu_us_per_event_and_member,
            case.sustained.disk_bytes_per_event,
        )
        for case in result.cases
    ]
    ratios = [
        (f"n={n}", ratio, result.cpu_ratios_of_a_member[n])
        for n, ratio in result.cpu_ratios.items()
    ]
    return [
        Table((*heads, *more), rows, "Full load and low load"),
        Table(
            ("validators", "all processes", "one member"),
            ratios,
            "Events per unit of CPU, as a ratio to the fewest validators",
        ),
    ]


def _plots(result: Scale) -> list[Plot]:
    by_trouble = {
        trouble: {
            case.validators: case.published_per_s
            for case in result.cases
            if case.trouble is trouble and case.entry_bytes == ENTRY_BYTES
        }
        for trouble in Trouble
    }
    numbers = sorted(by_trouble[Trouble.NONE])
    bars = [
        # With four validators one dead is f dead.
        Series(trouble, [], [rates.get(n, by_trouble[Trouble.ONE_DEAD].get(n, 0)) for n in numbers])
        for trouble, rates in by_trouble.items()
    ]
    lines = [
        Series(
            f"n={case.validators}, {case.entry_bytes} B",
            [point.offered_per_s for point in case.points],
            [point.final.p99_ms for point in case.points],
        )
        for case in result.ladders
    ]
    return [
        Plot(
            "troubles",
            "Full load, 500-byte events",
            ("validators", "events/s"),
            bars,
            groups=[str(n) for n in numbers],
        ),
        Plot(
            "offered",
            "Finality p99 at offered rates (open loop, 100 events a request)",
            ("offered events/s", "ms"),
            lines,
            is_log=(False, True),
        ),
    ]


if __name__ == "__main__":
    main()
