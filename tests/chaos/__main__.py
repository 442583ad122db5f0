"""``python -m tests.chaos``: faults at random on a real network under load, then the checker.

Exit code 0: every promise was kept. Otherwise 1, the seed, and the homes are kept.
"""

import argparse
import random
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path

import trio

from ledger.core.ids import Sequence
from ledger.io.chain_store import ChainStore
from tests.chaos.checker import event_id, find_faults
from tests.chaos.faults import Faults, log_size_of
from tests.chaos.witnesses import Witnesses
from tests.support.processes import RealNetwork

__all__ = ["main"]

_PUBLISHERS = 4
_LEVEL_S = 60.0  # all logs must be equal and all subscribers at their end after this
_QUIET_S = 1.0


def main(arguments: list[str] | None = None) -> None:
    """Run, print the timeline and the verdict, and exit."""
    chosen = _parse(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    directory = Path(tempfile.mkdtemp(prefix="concordat-chaos-"))
    print(f"chaos: seed {chosen.seed}, {chosen.minutes} minutes, homes in {directory}", flush=True)
    network = RealNetwork.create(directory, publishers=_PUBLISHERS)
    with network.running():
        network.wait_ready()
        faults = trio.run(_run, network, chosen)
    for fault in faults:
        print(f"FAULT: {fault}")
    if faults:
        print(f"chaos: FAILED, seed {chosen.seed}, homes and logs kept in {directory}")
        raise SystemExit(1)
    shutil.rmtree(directory)
    print("chaos: every promise was kept")


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0, help="length of the run")
    parser.add_argument("--seed", type=int, default=None, help="of the faults; random by default")
    parser.add_argument("--rate", type=float, default=400.0, help="events a second, at most")
    chosen = parser.parse_args(arguments)
    if chosen.seed is None:
        chosen.seed = random.SystemRandom().randrange(1 << 32)
    return chosen


async def _run(network: RealNetwork, chosen: argparse.Namespace) -> list[str]:
    """Run clients and faults; give everything that went wrong."""
    begun = time.monotonic()

    def say(text: str) -> None:
        print(f"{time.monotonic() - begun:8.2f}  {text}", flush=True)

    urls = [network.url(member) for member in range(network.size)]
    witnesses = Witnesses(network.testnet.genesis, urls)
    history = witnesses.history
    faults = Faults(network, random.Random(chosen.seed), lambda: len(history.acknowledged), say)
    async with trio.open_nursery() as subscribers:
        for member in range(network.size):
            subscribers.start_soon(witnesses.subscribe, member)
        async with trio.open_nursery() as publishers:
            for number in range(_PUBLISHERS):
                identity = network.publisher(number)
                publishers.start_soon(
                    witnesses.publish, number, identity, chosen.rate / _PUBLISHERS
                )
            await faults.run(chosen.minutes * 60)
            publishers.cancel_scope.cancel()
        say("the load ends; waiting for all logs and subscribers to stand at one end")
        await _level(network, witnesses)
        subscribers.cancel_scope.cancel()
    ends = network.unexpected_ends() + network.stop_all()
    _read_logs(network, witnesses)
    history.restarts_s = faults.restarts_s
    say(_summary(witnesses, faults))
    return [*witnesses.faults, *faults.faults, *ends, *find_faults(history)]


async def _level(network: RealNetwork, witnesses: Witnesses) -> None:
    """Return when nothing moves any more, or the time is over: the checker tells the difference."""
    before: list[int] = []
    with trio.move_on_after(_LEVEL_S):
        while True:
            now = [*log_size_of(network), *(seen.next for seen in witnesses.seen.values())]
            if len(set(now)) == 1 and now == before:
                return
            before = now
            await trio.sleep(_QUIET_S)


def _read_logs(network: RealNetwork, witnesses: Witnesses) -> None:
    """Take what every member's store holds into the history."""
    history = witnesses.history
    for member in range(network.size):
        name = f"member {member}"
        with ChainStore.open_readonly(network.chain_dir(member)) as store, store.read() as reader:
            head = reader.head()
            entries = (reader.entry(Sequence(number)) for number in range(head.log_size))
            history.logs[name] = [event_id(entry or b"") for entry in entries]
            root = reader.root(head.height)
            assert root is not None
            history.roots[name] = root.log_root + root.state_root
    history.seen = {name: seen.rows() for name, seen in witnesses.seen.items()}


def _summary(witnesses: Witnesses, faults: Faults) -> str:
    history = witnesses.history
    restarts = ", ".join(f"{seconds:.2f}" for seconds in sorted(faults.restarts_s))
    return (
        f"{faults.count} faults, {len(history.handed_in)} events handed in, "
        f"{len(history.acknowledged)} acknowledged as final, {witnesses.unknown} left unknown; "
        f"{witnesses.losses} subscriptions reconnected; seconds to the first commit after "
        f"{len(faults.restarts_s)} full restarts: {restarts}"
    )


if __name__ == "__main__":
    main()
