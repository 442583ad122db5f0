"""``python -m bench.recovery``: how long a member needs to be level again.

Three ways of being behind, with four members: killed (SIGKILL) at full load and started again
while the load goes on; away while the others made many events, and started when the load has ended;
new, and joining by a snapshot of a large ledger (as `bench.parts.snapshot`). Level means that its
log ends where the others' do, under load that less than half a second's events are missing.
"""

import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from bench.load.bulk import start_clients, stop_clients
from bench.load.events import ENTRY_BYTES, Subjects
from bench.load.signed_files import SignedFiles, sign_files
from bench.network.fresh import fresh_network
from bench.network.logs import Logs
from bench.parts.snapshot import measure_join
from bench.report.record import Page, Recorder, Table, command_parser, say
from tests.support.processes import Part, RealNetwork

__all__ = ["main"]

_CLIENTS = 16
_EVENTS = 500
_SIGNERS = 2
_LOAD_PER_S = 80_000  # events signed for each second of load: more than a network takes here
_LOAD_S = 45.0
_LEVEL_PART_S = 0.5
_LEVEL_S_MAX = 120.0
_LOOK_S = 0.02


class Killed(msgspec.Struct, frozen=True):
    """A member killed at full load.

    Attributes:
        behind_events: how far its log was behind the longest when it was started again.
        ready_s, level_s: since then, until its gateway serves and until its log is level.
        others_before_per_s, others_meanwhile_per_s: events of the others' logs before the kill, and
            from the restart until it was level.
    """

    down_s: float
    behind_events: int
    ready_s: float
    level_s: float
    others_before_per_s: float
    others_meanwhile_per_s: float


class Away(msgspec.Struct, frozen=True):
    """A member that was away while the others made ``events``; no load when it came back."""

    events: int
    ready_s: float
    level_s: float
    events_per_s: float


class Recovery(msgspec.Struct, frozen=True):
    """The whole run; ``joined`` holds the figures of `bench.parts.snapshot`."""

    killed: list[Killed]
    away: list[Away]
    joined: dict[str, object]


def main(arguments: list[str] | None = None) -> None:
    """Hurt a member in each way, write the record, leave no process."""
    parser = command_parser("recovery", __doc__)
    parser.add_argument("--repeats", type=int, default=3, help="of the kill")
    parser.add_argument("--away", type=int, nargs="+", default=[20_000, 200_000, 500_000])
    parser.add_argument("--join", type=int, default=1_000_000, help="events of the snapshot")
    chosen = parser.parse_args(arguments)
    repeats, load_s = chosen.repeats, _LOAD_S
    aways, join = tuple(chosen.away), chosen.join
    if chosen.quick:
        repeats, load_s, aways, join = 1, 8.0, (2_000,), 5_000
    recorder = Recorder("recovery", chosen)
    events = int(repeats * load_s * _LOAD_PER_S) + sum(aways)
    with (
        tempfile.TemporaryDirectory(prefix="signed-", dir=recorder.out) as directory,
        fresh_network(recorder.out) as (network, _),
        Logs.opened(network, range(4)) as logs,
    ):
        say(f"signing {events:,} events into files")
        event = (network.testnet.genesis.chain_id, ENTRY_BYTES, Subjects.RANDOM)
        key = network.testnet.publisher_keys["publisher0"]
        files = sign_files(Path(directory), key, event, (events, _EVENTS, _SIGNERS))
        scene = _Scene(network, logs, files)
        away = [scene.be_away(count) for count in aways]
        killed = [scene.kill(load_s / 5) for _ in range(repeats)]
    say(f"joining a ledger of {join:,} events")
    with tempfile.TemporaryDirectory(prefix="bench-", dir=recorder.out) as directory:
        joined = measure_join(Path(directory), join)
    result = Recovery(killed, away, joined)
    recorder.write(result, _page(result))


class _Scene:
    """A network, what is published on it, and its last member, who is hurt."""

    def __init__(self, network: RealNetwork, logs: Logs, files: SignedFiles) -> None:
        self._network = network
        self._logs = logs
        self._files = files
        self._victim = network.size - 1
        self._parts = [(self._victim, part) for part in Part]
        self._addresses = [network.address(member) for member in range(self._victim)]

    def kill(self, down_s: float) -> Killed:
        """Kill the member at full load and start it again after ``down_s``."""
        say("a kill at full load")
        clients = start_clients(self._addresses, _CLIENTS, self._files, wait=True)
        time.sleep(down_s)
        before_per_s = self._rate(down_s)
        self._network.kill(*self._parts)
        time.sleep(down_s)
        longest, begin = max(self._logs.sizes()), time.perf_counter()
        behind = longest - self._logs.sizes()[self._victim]
        ready_s, level_s = self._come_back(int(before_per_s * _LEVEL_PART_S))
        meanwhile = (max(self._logs.sizes()) - longest) / (time.perf_counter() - begin)
        is_starved = any(client.is_starved for client in clients)
        stop_clients(clients)
        self._logs.wait_level()
        if is_starved:
            raise RuntimeError("the load generator ran out of signed events")
        return Killed(down_s, behind, ready_s, level_s, round(before_per_s, 1), round(meanwhile, 1))

    def be_away(self, events: int) -> Away:
        """End the member, publish ``events``, let all be quiet, and start it again."""
        say(f"away for {events:,} events")
        if faults := self._network.stop(*reversed(self._parts)):
            raise RuntimeError("; ".join(faults))
        begin = max(self._logs.sizes())
        clients = start_clients(self._addresses, _CLIENTS, self._files, wait=True)
        self._await(lambda: max(self._logs.sizes()) >= begin + events)
        stop_clients(clients)
        behind = max(self._logs.sizes()) - self._logs.sizes()[self._victim]
        ready_s, level_s = self._come_back(0)
        self._logs.wait_level()
        return Away(behind, ready_s, level_s, round(behind / level_s, 1))

    def _come_back(self, missing_max: int) -> tuple[float, float]:
        """Start the member; give the seconds until it is ready and until it is level."""
        begin = time.perf_counter()
        for key in self._parts:
            self._network.start(*key)
        times: dict[str, float] = {}

        def is_back() -> bool:
            sizes = self._logs.sizes()
            if max(sizes) - sizes[self._victim] <= missing_max:
                times.setdefault("level", time.perf_counter() - begin)
            if self._network.is_ready(self._victim):
                times.setdefault("ready", time.perf_counter() - begin)
            return len(times) == 2

        self._await(is_back)
        return round(times["ready"], 2), round(times["level"], 2)

    def _rate(self, seconds: float) -> float:
        sizes = self._logs.sizes()
        time.sleep(seconds)
        return (max(self._logs.sizes()) - max(sizes)) / seconds

    def _await(self, is_there: Callable[[], bool]) -> None:
        deadline = time.monotonic() + _LEVEL_S_MAX
        while not is_there():
            if time.monotonic() > deadline:
                raise TimeoutError(f"the logs stand at {self._logs.sizes()}")
            time.sleep(_LOOK_S)


def _page(result: Recovery) -> Page:
    killed = [
        (
            f"down for {row.down_s:.0f} s",
            row.behind_events,
            row.ready_s,
            row.level_s,
            round(row.others_before_per_s),
            round(row.others_meanwhile_per_s),
        )
        for row in result.killed
    ]
    away = [
        (f"{row.events:,} events", row.ready_s, row.level_s, round(row.events_per_s))
        for row in result.away
    ]
    heads = ("behind by", "ready s", "level s", "others before, events/s", "others meanwhile")
    joined = [(name, value) for name, value in result.joined.items() if name.startswith("join")]
    return Page(
        "Recovery and synchronisation",
        __doc__ or "",
        [
            Table(("", *heads), killed, "Killed at full load, the load goes on"),
            Table(("missed", "ready s", "level s", "events/s"), away, "Away, no load afterwards"),
            Table(("", "value"), joined, f"Joining a ledger of {result.joined['events']} events"),
        ],
    )


if __name__ == "__main__":
    main()
