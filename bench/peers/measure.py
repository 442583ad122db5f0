"""One round of one peer: a ladder of messages under way, each level held for a window."""

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from bench.machine.usage import Reading, disk_bytes, own_cpu_s, read_processes
from bench.network.sustained import LoadShape
from bench.peers.cluster import Cluster
from bench.peers.pipeline import Window, keep_in_flight
from bench.peers.results import Level, Round
from bench.peers.wire import PublishError
from bench.report.results import quantiles

__all__ = ["LostMessagesError", "Plan", "Sampler", "Step", "measure_cluster"]

_SETTLE_S = 3.0  # a peer that refused works off what it has
_TICKS = os.sysconf("SC_CLK_TCK")
_IDLE_COLUMNS = (3, 4)  # of the processors' line: idle, and idle while a disk works


class LostMessagesError(Exception):
    """A peer lost what it had acknowledged: no number of that run is worth anything."""


class Step(NamedTuple):
    """One level: requests under way over connections, each of some messages."""

    requests: int
    connections: int
    messages: int = 1


@dataclass(frozen=True, slots=True)
class Plan:
    """What is done, and for how long.

    Attributes:
        bulk: Concordat's full loads, of which its best is taken, as of the peers' steps.
        steps: of every peer.
        batched: of peers whose requests can carry many messages, besides.
        payloads: that the peers are given, in turn.
    """

    rounds: int
    warm_up_s: float
    window_s: float
    bulk: Sequence[LoadShape]
    steps: Sequence[Step]
    batched: Sequence[Step]
    payloads: Sequence[bytes]


class _Moment(NamedTuple):
    time_s: float
    own_s: float
    busy_s: float
    processes: Mapping[str, Reading]


class Sampler:
    """Reads what the processes, the generator and the machine use at both ends of a window."""

    def __init__(self, pids: Mapping[str, int]) -> None:
        """Watch these processes."""
        self._pids = pids
        self._moments: list[_Moment] = []

    def look(self) -> None:
        """Note one end of the window."""
        now = time.perf_counter()
        processes = read_processes(self._pids)
        self._moments.append(_Moment(now, own_cpu_s(), _busy_s(), processes))

    def others_share(self) -> float:
        """Give the cores that were busy with neither the processes nor the generator."""
        before, after = self._moments
        ours = after.own_s - before.own_s + _used_s(before, after)
        seconds = after.time_s - before.time_s
        return round(max(0.0, after.busy_s - before.busy_s - ours) / seconds, 3)

    def level(self, step: Step, window: Window) -> Level:
        """Give the level that was held between the two looks."""
        before, after = self._moments
        cpu_s = _used_s(before, after)
        written = sum(
            after.processes[name].written_bytes - old.written_bytes
            for name, old in before.processes.items()
        )
        seconds, own_s = after.time_s - before.time_s, after.own_s - before.own_s
        messages = max(window.messages, 1)
        return Level(
            in_flight=step.requests * step.messages,
            messages_per_request=step.messages,
            messages_per_s=round(window.messages / window.seconds, 1),
            times=quantiles(window.times_ms),
            generator_cpu_share=round(own_s / seconds, 3),
            others_cpu_share=self.others_share(),
            cpu_us_per_message=round(cpu_s * 1e6 / messages, 1),
            rss_bytes=sum(each.rss_bytes for each in after.processes.values()),
            written_bytes_per_message=round(written / messages),
        )


def measure_cluster(cluster: Cluster, steps: Sequence[Step], plan: Plan) -> Round:
    """Hold each level once; a level that the peer refuses is noted, and the next one tried.

    Raises:
        LostMessagesError: the peer holds fewer messages than it acknowledged.
    """
    directory = cluster.daemons.directory
    load, disk = os.getloadavg()[0], disk_bytes(directory)
    levels: list[Level] = []
    notes: list[str] = []
    acknowledged = 0
    for step in steps:
        links = cluster.links(step.connections, step.messages)
        sampler = Sampler(cluster.daemons.pids())
        try:
            window = keep_in_flight(
                links, step.requests, plan.payloads, (plan.warm_up_s, plan.window_s), sampler.look
            )
        except (PublishError, OSError) as error:
            notes.append(f"{step.requests:,} requests in flight: {error}")
            time.sleep(_SETTLE_S)
            continue
        finally:
            for link in links:
                link.socket.close()
        acknowledged += window.acknowledged
        levels.append(sampler.level(step, window))
    stored = cluster.stored()
    if stored < acknowledged:
        raise LostMessagesError(f"{acknowledged} messages were acknowledged, {stored} are there")
    grown = disk_bytes(directory) - disk
    return Round(levels, stored, acknowledged, round(grown / max(stored, 1)), round(load, 2), notes)


def _used_s(before: _Moment, after: _Moment) -> float:
    return sum(after.processes[name].cpu_s - old.cpu_s for name, old in before.processes.items())


def _busy_s() -> float:
    """Give the seconds that all processors together have been busy since the machine started."""
    columns = Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]
    ticks = [int(column) for column in columns]
    return (sum(ticks) - sum(ticks[place] for place in _IDLE_COLUMNS)) / _TICKS
