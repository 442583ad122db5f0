"""``python -m bench``: measure a four-validator network of real processes on this machine."""

import argparse
import datetime as dt
import shlex
import signal
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from bench.load.events import EventSource
from bench.machine.description import ROOT, commit_id, describe_machine
from bench.network.fan_out import measure_fan_out
from bench.network.in_flight import measure_in_flight
from bench.network.latency import measure_low_load
from bench.network.offered import Ladder, measure_ladder
from bench.network.sustained import LoadShape, measure_sustained
from bench.parts.baseline import measure_baseline
from bench.parts.tmf_usage import measure_usage
from bench.report.foundation import to_json, to_markdown, to_plots, to_table
from bench.report.plots import render
from bench.report.record import say
from bench.report.results import Run
from tests.support.processes import Part, RealNetwork

__all__ = ["main"]

_PAUSE_MS = 100
_IN_FLIGHT = 100
_RATES = (25, 100, 250, 500, 1_000, 1_500, 2_000, 3_000, 4_500)  # single events a second
_BULK_RATES = (1_000, 2_500, 5_000, 7_500, 10_000, 12_500, 15_000, 17_500, 20_000, 25_000, 30_000)
_ARRIVAL_EVENTS = 100  # of one request where requests are bulk


@dataclass(frozen=True, slots=True)
class _Plan:
    repeats: int
    events: int
    in_flight: tuple[int, float]
    ladders: tuple[Ladder, Ladder]
    load: LoadShape
    fan_out: tuple[int, int]
    usage_records: int


def main(arguments: list[str] | None = None) -> None:
    """Run everything, print the table, write the JSON; leave no process."""
    chosen = _parse(arguments)
    # Turned into SystemExit, so that the network is ended on the way out.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    chosen.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="bench-", dir=chosen.out) as directory:
        run = _measure(Path(directory), _plan(chosen))
    print(to_table(run))
    stem = f"{run.date}-foundation"
    for records in [chosen.out, *([ROOT / "docs" / "benchmarks"] if chosen.record else [])]:
        (records / f"{stem}.json").write_bytes(to_json(run))
        (records / f"{stem}.md").write_text(to_markdown(run))
        for plot in to_plots(run):
            (records / f"{stem}-{plot.name}.svg").write_bytes(render(plot))


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="seconds instead of minutes")
    parser.add_argument("--record", action="store_true", help="write docs/benchmarks too")
    parser.add_argument("--out", type=Path, default=Path("bench-out"), help="for JSON and homes")
    parser.add_argument("--seconds", type=float, default=25, help="length of a measured window")
    parser.add_argument("--clients", type=int, default=16, help="bulk publishers")
    parser.add_argument("--bulk", type=int, default=500, help="events of one bulk request")
    parser.add_argument(
        "--no-wait", action="store_true", help="bulk publishers do not wait for finality"
    )
    return parser.parse_args(arguments)


def _plan(chosen: argparse.Namespace) -> _Plan:
    if chosen.quick:
        load = LoadShape(4, 100, not chosen.no_wait, 0.5, 2.0)
        ladders = Ladder((50,), 1.0), Ladder((500,), 1.0, _ARRIVAL_EVENTS)
        return _Plan(2, 10, (8, 1.0), ladders, load, (50, 5), 20_000)
    return _Plan(
        5,
        200,
        (_IN_FLIGHT, 10.0),
        (Ladder(_RATES, 8.0), Ladder(_BULK_RATES, 8.0, _ARRIVAL_EVENTS)),
        LoadShape(chosen.clients, chosen.bulk, not chosen.no_wait, 5.0, chosen.seconds),
        (1_000, 100),
        1_000_000,
    )


def _measure(directory: Path, plan: _Plan) -> Run:
    network = RealNetwork.create(directory / "network", settings={"log": {"level": "warning"}})
    did, signer = network.publisher(0)
    source = EventSource(did, signer, network.testnet.genesis.chain_id)
    machine = describe_machine()
    baseline = measure_baseline(source, directory)
    everybody = range(network.size)
    shape = (plan.repeats, plan.events)
    addresses = (network.address(0), network.address(1))
    with network.running():
        network.wait_ready()
        say("one client, single events, one after the other")
        closed_loop = measure_low_load(source, addresses, shape, 0)
        say("the same with pauses")
        paced = measure_low_load(source, addresses, (plan.repeats, plan.events // 2), _PAUSE_MS)
        say(f"{plan.in_flight[0]} single events under way")
        all_addresses = [network.address(member) for member in everybody]
        in_flight = measure_in_flight(source, all_addresses, *plan.in_flight)
        say("single events at offered rates, open loop")
        offered = measure_ladder(network, everybody, source, plan.ladders[0])
        say(f"requests of {_ARRIVAL_EVENTS} events at offered rates, open loop")
        offered_bulk = measure_ladder(network, everybody, source, plan.ladders[1])
        say(f"{plan.fan_out[0]:,} streams of one gateway, as server-sent events and WebSockets")
        fan_out = measure_fan_out(network, source, *plan.fan_out)
        say(f"full load, {plan.load.window_s:.0f} s after a warm-up")
        sustained = measure_sustained(network, everybody, source, plan.load)
        victim = everybody[-1]
        network.kill((victim, Part.NODE), (victim, Part.GATEWAY))
        say("the same with one validator killed")
        one_dead = measure_sustained(network, everybody[:-1], source, plan.load)
        if faults := network.stop_all():
            raise RuntimeError("; ".join(faults))
    say(f"{plan.usage_records} usage records condensed, without the network")
    usage = measure_usage(plan.usage_records, directory)
    return Run(
        date=dt.datetime.now(dt.UTC).date().isoformat(),
        commit=commit_id(),
        command=shlex.join(["python", "-m", "bench", *sys.argv[1:]]),
        machine=machine,
        settings={
            "clients": plan.load.clients,
            "events_per_request": plan.load.events_per_request,
            "wait_final": int(plan.load.wait),
        },
        baseline=baseline,
        closed_loop=closed_loop,
        paced=paced,
        in_flight=in_flight,
        offered=offered,
        offered_bulk=offered_bulk,
        sustained=sustained,
        one_dead=one_dead,
        one_dead_ratio=round(one_dead.events_per_s / max(sustained.events_per_s, 1.0), 3),
        fan_out=fan_out,
        usage=usage,
    )


if __name__ == "__main__":
    main()
