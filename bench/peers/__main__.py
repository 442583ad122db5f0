"""``python -m bench.peers``: Concordat, etcd, NATS and RabbitMQ measured in one run.

Each round measures every system once, one after the other, with fresh data, and begins with another
one; what is not installed is skipped and said so. Needs nothing but the programs:
`docs/benchmarks/peers.md`.
"""

import argparse
import datetime as dt
import os
import shlex
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bench.machine.description import ROOT, commit_id, describe_machine
from bench.network.sustained import LoadShape
from bench.peers import etcd, nats, ours, rabbitmq
from bench.peers.cluster import Cluster, Unavailable
from bench.peers.measure import Plan, Step, measure_cluster
from bench.peers.plot import write_plots
from bench.peers.report import to_json, to_markdown, to_table
from bench.peers.results import PeersRun, Ratio, Round, System, medians, ratios
from bench.peers.wire import PublishError

__all__ = ["Contender", "contenders", "main", "run_rounds"]

_OURS = "Concordat"
_PAYLOADS = 2_000
_BULK_WINDOWS = 2.5
_CRASHES = "survives the crash of one of three; no lying server, no client signatures, no proofs"
_STEPS = (
    Step(1, 1),
    Step(100, 4),
    Step(400, 8),
    Step(1_600, 16),
    Step(6_400, 16),
    Step(25_600, 16),
)
_BATCHED = (Step(16, 16, 100), Step(64, 16, 100))


@dataclass(slots=True)
class Contender:
    """A system that may take part.

    Attributes:
        version, settings: raise Unavailable when it cannot.
        measure: one round, in a directory that does not exist yet.
        skipped: why it takes no part any more.
    """

    name: str
    tolerates: str
    version: Callable[[], str]
    settings: Callable[[], dict[str, str]]
    measure: Callable[[Path, Plan], Round]
    rounds: list[Round] = field(default_factory=list)
    skipped: str = ""

    def take_turn(self, directory: Path, plan: Plan) -> None:
        """Add a round, or note why there is none; a round that fails costs the run only itself."""
        if self.skipped:
            return
        try:
            self.version()
            self.rounds.append(self.measure(directory, plan))
        except Unavailable as error:
            self.skipped = str(error)
            self.rounds.clear()
        except (RuntimeError, OSError, PublishError) as error:
            load = round(os.getloadavg()[0], 2)
            self.rounds.append(Round([], 0, 0, 0.0, load, [f"a round failed: {error}"]))

    def result(self) -> System:
        """Give what was measured."""
        levels = medians(self.rounds)
        if not levels:
            reason = self.skipped or "; ".join(note for each in self.rounds for note in each.notes)
            return System(self.name, "", {}, self.tolerates, reason, [], [])
        version, settings = self.version(), self.settings()
        return System(self.name, version, settings, self.tolerates, "", levels, self.rounds)


def contenders() -> list[Contender]:
    """Give all systems, ours first."""
    tolerates = "survives one of four that crashes or lies; checks client signatures; proves"
    return [
        Contender(_OURS, tolerates, commit_id, lambda: ours.SETTINGS, ours.measure_ours),
        Contender("etcd", _CRASHES, etcd.version, lambda: etcd.SETTINGS, _etcd_round),
        Contender("NATS JetStream", _CRASHES, nats.version, nats.settings, _nats_round),
        Contender("RabbitMQ", _CRASHES, rabbitmq.version, lambda: rabbitmq.SETTINGS, _rabbit_round),
    ]


def run_rounds(systems: Sequence[Contender], directory: Path, plan: Plan) -> list[System]:
    """Let each system take its turn in each round; give their results in the order given.

    Each round begins with another one, as the machine is not the same for the first and the last.
    """
    for number in range(plan.rounds):
        begin = number % max(1, len(systems))
        for system in [*systems[begin:], *systems[:begin]]:
            _say(f"round {number + 1} of {plan.rounds}: {system.name}")
            home = directory / f"{number}-{system.name.split()[0]}"
            system.take_turn(home, plan)
            # One system's files must not be written back in the next one's time.
            shutil.rmtree(home, ignore_errors=True)
            os.sync()
    return [system.result() for system in systems]


def all_ratios(systems: Sequence[System]) -> dict[str, dict[str, Ratio]]:
    """Compare the first system with each other one that ran."""
    mine, *others = systems
    return {other.name: ratios(mine, other) for other in others if other.rounds and mine.rounds}


def main(arguments: list[str] | None = None) -> None:
    """Run everything, print the tables, write the JSON; leave no process."""
    chosen = _parse(arguments)
    # Turned into SystemExit, so that the clusters are ended on the way out.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    chosen.out.mkdir(parents=True, exist_ok=True)
    machine = describe_machine()
    wanted = [each for each in contenders() if _is_wanted(each.name, chosen.only)]
    with tempfile.TemporaryDirectory(prefix="peers-", dir=chosen.out.resolve()) as name:
        directory = Path(name)
        plan = _plan(chosen, directory)
        systems = run_rounds(wanted, directory, plan)
    run = PeersRun(
        date=dt.datetime.now(dt.UTC).date().isoformat(),
        commit=commit_id(),
        command=shlex.join(["python", "-m", "bench.peers", *sys.argv[1:]]),
        machine=machine,
        payload_bytes=len(plan.payloads[0]),
        seconds={
            "warm-up": plan.warm_up_s,
            "window": plan.window_s,
            "window of bulk requests": plan.bulk[0].window_s,
        },
        systems=systems,
        ratios=all_ratios(systems),
    )
    (chosen.out / f"{run.date}-peers.json").write_bytes(to_json(run))
    print(to_table(run))
    if chosen.record:
        _record(run, ROOT / "docs" / "benchmarks")


def _record(run: PeersRun, directory: Path) -> None:
    directory.mkdir(exist_ok=True)
    (directory / f"{run.date}-peers.json").write_bytes(to_json(run))
    plots = write_plots(run, directory)
    (directory / "peers.md").write_text(to_markdown(run, plots))


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.peers", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one round of one-second windows")
    parser.add_argument("--record", action="store_true", help="write docs/benchmarks too")
    parser.add_argument("--out", type=Path, default=Path("bench-out"), help="for JSON and data")
    parser.add_argument("--rounds", type=int, default=3, help="of all systems")
    parser.add_argument(
        "--clients", type=int, nargs="+", default=[16, 32, 64], help="bulk publishers of Concordat"
    )
    parser.add_argument("--bulk", type=int, default=1_000, help="events of one bulk request")
    parser.add_argument("--only", default="", help="names of systems, by commas")
    return parser.parse_args(arguments)


def _plan(chosen: argparse.Namespace, directory: Path) -> Plan:
    payloads = ours.some_payloads(directory / "payloads", _PAYLOADS)
    rounds, warm_up_s, window_s = (1, 0.5, 1.0) if chosen.quick else (chosen.rounds, 1.0, 3.0)
    # Concordat's blocks are large: its state is steady later, and a window holds fewer of them.
    bulk = [
        LoadShape(
            clients,
            chosen.bulk,
            wait=True,
            warm_up_s=2 * warm_up_s,
            window_s=_BULK_WINDOWS * window_s,
        )
        for clients in chosen.clients
    ]
    return Plan(rounds, warm_up_s, window_s, bulk, _STEPS, _BATCHED, payloads)


def _is_wanted(name: str, only: str) -> bool:
    parts = [part.strip().lower() for part in only.split(",") if part.strip()]
    return not parts or any(part in name.lower() for part in parts)


def _round(
    make: Callable[[Path], Cluster], steps: Sequence[Step], place: Path, plan: Plan
) -> Round:
    cluster = make(place)
    try:
        return measure_cluster(cluster, steps, plan)
    finally:
        cluster.daemons.close()


def _etcd_round(place: Path, plan: Plan) -> Round:
    return _round(etcd.EtcdCluster, [*plan.steps, *plan.batched], place, plan)


def _nats_round(place: Path, plan: Plan) -> Round:
    batched = plan.batched if nats.knows_batches() else []
    return _round(nats.NatsCluster, [*plan.steps, *batched], place, plan)


def _rabbit_round(place: Path, plan: Plan) -> Round:
    return _round(rabbitmq.RabbitCluster, plan.steps, place, plan)


def _say(text: str) -> None:
    print(f"bench.peers: {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
