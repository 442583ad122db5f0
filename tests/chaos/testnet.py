"""One testnet from its first start to the verdict: load, faults, and what the stores hold then."""

import random
import shutil
import tempfile
import time
from pathlib import Path

import trio

from ledger.io.chain_store import ChainStore
from simnet.checkers.promises import find_faults
from tests.chaos.faults import Faults
from tests.chaos.network import FragileNetwork, make_network
from tests.chaos.scenario import Scenario
from tests.chaos.stage import Stage
from tests.chaos.surroundings import Surroundings
from tests.chaos.witnesses import Witnesses
from tests.support.histories import read_store

__all__ = ["run_testnet"]

_PUBLISHERS = 4
_LEVEL_S = 60.0  # all logs must be equal and all subscribers at their end after this
_QUIET_S = 1.0
_READY_S = 60.0


def run_testnet(
    seed: int, seconds: float, scenario: Scenario, surroundings: Surroundings
) -> tuple[list[str], str]:
    """Make a network, hurt it, and judge it.

    Returns:
        What went wrong, a sentence each, and a line of figures. Homes and logs are kept when
        anything went wrong.
    """
    directory = Path(tempfile.mkdtemp(prefix="concordat-chaos-"))
    print(f"homes and logs in {directory}", flush=True)
    is_wanted = True
    try:
        network = make_network(directory, scenario, seed, surroundings, _PUBLISHERS)
        with network.running():
            try:
                network.wait_ready(seconds=_READY_S)
                run = _Run(network, seed, scenario)
                faults = trio.run(run.run, seconds)
                is_wanted = bool(faults)
            except KeyboardInterrupt:
                is_wanted = False
                raise
            finally:
                if is_wanted:
                    network.keep()
        return faults, run.summary()
    except KeyboardInterrupt:
        is_wanted = False
        raise
    finally:
        if not is_wanted:
            shutil.rmtree(directory)


class _Run:
    """Clients, faults and judge of one network."""

    def __init__(self, network: FragileNetwork, seed: int, scenario: Scenario) -> None:
        self._network = network
        self._scenario = scenario
        self._begun = time.monotonic()
        urls = [network.url(member) for member in range(network.size)]
        self._witnesses = Witnesses(
            network.testnet.genesis,
            urls,
            scenario.data_bytes,
            clocks_move="clock" in scenario.kinds,
        )
        self._history = self._witnesses.history
        self._stage = Stage(network, scenario, lambda: len(self._history.acknowledged), self._say)
        self._stage.unreadable = self._witnesses.damaged
        self._faults = Faults(self._stage, random.Random(f"faults {seed}"))

    async def run(self, seconds: float) -> list[str]:
        """Run clients and faults; give everything that went wrong."""
        network, witnesses, stage = self._network, self._witnesses, self._stage
        async with trio.open_nursery() as subscribers:
            for member in range(network.size):
                subscribers.start_soon(witnesses.subscribe, member)
            async with trio.open_nursery() as publishers:
                for number in range(_PUBLISHERS):
                    identity, rate = network.publisher(number), self._scenario.rate / _PUBLISHERS
                    publishers.start_soon(witnesses.publish, number, identity, rate)
                await self._faults.run(seconds)
                publishers.cancel_scope.cancel()
            self._say("the load ends; waiting for all logs and subscribers to stand at one end")
            await self._level()
            subscribers.cancel_scope.cancel()
        ends = network.unexpected_ends() + network.stop_all()
        self._read_stores()
        self._say(self.summary())
        return [*witnesses.faults, *stage.faults, *ends, *find_faults(self._history)]

    def summary(self) -> str:
        """Give what was done and how it went, in one line."""
        history, witnesses, stage = self._history, self._witnesses, self._stage
        counts = ", ".join(f"{kind} {n}" for kind, n in sorted(self._faults.counts.items()))
        tally = "".join(f"; {what} {n}" for what, n in sorted(stage.tally.items()))
        slowest = f"; slowest restart {max(stage.restarts_s):.2f} s" if stage.restarts_s else ""
        return (
            f"{sum(self._faults.counts.values())} faults ({counts}){tally}{slowest}; "
            f"{len(history.handed_in)} events handed in, {len(history.acknowledged)} acknowledged "
            f"as final, {witnesses.unknown} left unknown, {witnesses.refused} refused by wrong "
            f"clocks; {witnesses.losses} subscriptions reconnected"
        )

    def _say(self, text: str) -> None:
        print(f"{time.monotonic() - self._begun:8.2f}  {text}", flush=True)

    async def _level(self) -> None:
        """Return when nothing moves, or the time is over: the checker tells the difference."""
        before: list[int] = []
        with trio.move_on_after(_LEVEL_S):
            while True:
                seen = (seen.next for seen in self._witnesses.seen.values())
                now = [*self._stage.log_sizes(), *seen]
                if len(set(now)) == 1 and now == before:
                    return
                before = now
                await trio.sleep(_QUIET_S)

    def _read_stores(self) -> None:
        """Take what every member's store holds into the history."""
        history, stage = self._history, self._stage
        for member in range(self._network.size):
            path = self._network.chain_dir(member)
            with ChainStore.open_readonly(path) as store, store.read() as reader:
                name = f"member {member}"
                read_store(history, name, reader)
                for evidence in reader.evidence():
                    history.accusations.add((name, f"member {evidence.offender}"))
        history.seen = {name: seen.rows() for name, seen in self._witnesses.seen.items()}
        history.restarts_s = stage.restarts_s
        history.restart_s_max = self._scenario.restart_s_max
        history.suspects = {f"member {member}" for member in stage.suspects}
