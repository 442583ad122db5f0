"""``python -m bench.wan``: four validators far from each other.

Each member lives in a network namespace of its own; packets between members are late, and some are
lost, as a profile says. Clients reach their member without delay. Where the kernel has no netem,
the switch of the chaos tests carries the packets, a program that takes CPU itself: its share is
told, and the profile `none` shows what it costs. Everything ends with this command's namespaces.
"""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from bench.machine.usage import read_processes
from bench.network.fresh import source_for
from bench.network.latency import measure_low_load
from bench.network.offered import Ladder, measure_ladder
from bench.network.sustained import LoadShape, measure_sustained
from bench.report.plots import Plot, Series
from bench.report.record import Page, Recorder, Table, command_parser, say
from bench.report.results import Latency, RatePoint, Throughput
from tests.chaos.network import FragileNetwork, move_into_namespaces
from tests.chaos.surroundings import enter_namespaces, look_around
from tests.chaos.switch import Link
from tests.chaos.wire import Wire

__all__ = ["main"]

_CLIENTS = 16
_EVENTS = 500
_RATES = (50, 200, 500, 1_000, 1_500, 2_000)
_SEED = 1


class Profile(msgspec.Struct, frozen=True):
    """How packets travel between any two members.

    Attributes:
        round_trip_ms: two ways; jitter_ms: up to so much more for each way.
        loss: share of packets that vanish on each way.
        round_timeout_ms: setting of every node.
    """

    name: str
    round_trip_ms: float
    jitter_ms: float
    loss: float
    round_timeout_ms: int

    @property
    def link(self) -> Link:
        """One way."""
        return Link(self.round_trip_ms / 2_000, self.jitter_ms / 1_000, self.loss)


PROFILES = (
    Profile("none", 0.0, 0.0, 0.0, 400),
    Profile("region", 5.0, 0.5, 0.0, 400),
    Profile("europe", 20.0, 1.0, 0.0, 400),
    Profile("europe, 1 % lost", 20.0, 1.0, 0.01, 400),
    Profile("world", 100.0, 5.0, 0.0, 1_000),
    Profile("world, 1 % lost", 100.0, 5.0, 0.01, 1_000),
)


class WanCase(msgspec.Struct, frozen=True):
    """One profile.

    Attributes:
        low_load: one client, single events, one after the other.
        offered: single events at given rates, open loop.
        switch_cpu_share: cores that the switch took under full load.
    """

    profile: Profile
    low_load: Latency
    offered: list[RatePoint]
    sustained: Throughput
    switch_cpu_share: float


class Wan(msgspec.Struct, frozen=True):
    """The whole run; ``netem`` says why the kernel's own delays were not used."""

    netem: str
    cases: list[WanCase]


class _Plan(msgspec.Struct, frozen=True):
    profiles: tuple[Profile, ...]
    low_load_events: int
    ladder: tuple[tuple[int, ...], float]
    warm_up_s: float
    window_s: float


def main(arguments: list[str] | None = None) -> None:
    """Measure all profiles, write the record, leave neither process nor namespace."""
    parser = command_parser("wan", __doc__)
    parser.add_argument("--seconds", type=float, default=20, help="length of a measured window")
    names = [profile.name for profile in PROFILES]
    parser.add_argument("--profiles", nargs="+", default=names, choices=names)
    chosen = parser.parse_args(arguments)
    enter_namespaces("bench.wan", sys.argv[1:])
    if not look_around().has_namespaces:
        print("bench.wan is skipped: no network namespaces can be made here (needs root or user")
        print("namespaces, /dev/net/tun, and the programs ip, unshare and mount)")
        return
    profiles = tuple(profile for profile in PROFILES if profile.name in chosen.profiles)
    plan = _Plan(profiles, 60, (_RATES, 8.0), 5.0, chosen.seconds)
    if chosen.quick:
        plan = _Plan(profiles[-1:], 5, ((50,), 1.0), 0.5, 1.5)
    recorder = Recorder("wan", chosen)
    netem = _netem()
    say(f"netem: {netem}")
    cases = [_measure(recorder.out, profile, plan) for profile in plan.profiles]
    result = Wan(netem, cases)
    recorder.write(result, _page(result))


def _netem() -> str:
    """Say whether this kernel could delay packets itself; try it on this namespace's loopback."""
    device = ["dev", "lo", "root", "netem"]
    try:
        tried = subprocess.run(
            ["tc", "qdisc", "add", *device, "delay", "1ms"],
            check=False,
            capture_output=True,
            text=True,
        )
    except OSError as error:
        return f"skipped: {error}"
    if tried.returncode:
        return f"skipped: {tried.stderr.strip()}"
    subprocess.run(["tc", "qdisc", "del", *device], check=True)
    return "there, but not used: the switch gives the same delays on every machine"


@contextmanager
def _far_network(out: Path, profile: Profile) -> Iterator[FragileNetwork]:
    with tempfile.TemporaryDirectory(prefix="bench-", dir=out) as directory:
        network = FragileNetwork.create(
            Path(directory) / "network",
            publishers=2,
            settings={
                "log": {"level": "warning"},
                "consensus": {"round_timeout_ms": profile.round_timeout_ms},
            },
        )
        assert isinstance(network, FragileNetwork)
        network.wire = Wire(network.size, profile.link, _SEED)
        try:
            move_into_namespaces(network, network.wire)
            network.start_all()
            network.wait_ready(seconds=60.0)
            yield network
            if faults := network.stop_all():
                raise RuntimeError("; ".join(faults))
        finally:
            network.close()


def _measure(out: Path, profile: Profile, plan: _Plan) -> WanCase:
    with _far_network(out, profile) as network:
        assert network.wire is not None
        source = source_for(network)
        members = range(network.size)
        addresses = network.address(0), network.address(1)
        say(f"{profile.name}: low load")
        low_load = measure_low_load(source, addresses, (1, plan.low_load_events), 0)
        say(f"{profile.name}: offered rates")
        offered = measure_ladder(network, members, source, Ladder(*plan.ladder))
        say(f"{profile.name}: full load")
        shape = LoadShape(_CLIENTS, _EVENTS, True, plan.warm_up_s, plan.window_s)  # noqa: FBT003
        switch = {"switch": network.wire.pid}
        begin, before = time.perf_counter(), read_processes(switch)["switch"]
        sustained = measure_sustained(network, members, source, shape)
        used_s = read_processes(switch)["switch"].cpu_s - before.cpu_s
        seconds = time.perf_counter() - begin
    return WanCase(profile, low_load.median, offered, sustained, round(used_s / seconds, 3))


def _page(result: Wan) -> Page:
    heads = (
        *("profile", "round trip ms", "loss", "low p50 ms", "low p99 ms", "delivered p50 ms"),
        *("events/s", "bulk p50 ms", "bulk p99 ms", "switch's cores"),
    )
    rows = [
        (
            case.profile.name,
            case.profile.round_trip_ms,
            case.profile.loss,
            case.low_load.final.p50_ms,
            case.low_load.final.p99_ms,
            case.low_load.delivered.p50_ms,
            round(case.sustained.events_per_s),
            case.sustained.bulk_final.p50_ms,
            case.sustained.bulk_final.p99_ms,
            case.switch_cpu_share,
        )
        for case in result.cases
    ]
    lines = [
        Series(
            case.profile.name,
            [point.offered_per_s for point in case.offered],
            [point.final.p50_ms for point in case.offered],
        )
        for case in result.cases
    ]
    return Page(
        "Members far from each other",
        f"{__doc__}\nnetem: {result.netem}. {os.cpu_count()} cores carry all members, the switch "
        "and the clients.",
        [Table(heads, rows)],
        [
            Plot(
                "offered",
                "Finality p50, single events at offered rates (open loop)",
                ("offered events/s", "ms"),
                lines,
                is_log=(True, True),
            )
        ],
    )


if __name__ == "__main__":
    main()
