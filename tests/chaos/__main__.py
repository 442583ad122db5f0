"""``python -m tests.chaos``: random testnets, hurt while they work, then judged.

Each testnet follows from one seed; the next one has the next seed. Exit code 0: every promise was
kept. Otherwise 1, what was broken, the command that repeats it, and the homes are kept.
"""

import argparse
import random
import signal
import subprocess
import sys
import time

from tests.chaos.scenario import KINDS, draw
from tests.chaos.surroundings import enter_namespaces, look_around
from tests.chaos.testnet import run_testnet

__all__ = ["main"]

_TESTNET_S = 75.0  # of faults, for one testnet
_MODULE = "tests.chaos"


def main(arguments: list[str]) -> None:
    """Run, print the timeline and the verdict, and exit."""
    chosen = _parse(arguments)
    enter_namespaces(_MODULE, [*arguments, "--seed", str(chosen.seed)])
    # Ended as by Ctrl-C, which trio knows; a shell lets what runs behind ignore that.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    surroundings = look_around()
    for line in surroundings.lines():
        print(line)
    end = time.monotonic() + chosen.minutes * 60
    seed = chosen.seed
    results: list[str] = []
    while not results or time.monotonic() < end:
        seconds = min(_TESTNET_S, max(0.0, end - time.monotonic()))
        scenario = draw(seed, surroundings, members=chosen.members, kinds=chosen.kinds)
        if missing := sorted(set(chosen.kinds) - set(scenario.kinds)):
            print(f"NOT AVAILABLE HERE, left out: {', '.join(missing)}")
        print(f"\ntestnet of seed {seed}: {scenario}", flush=True)
        faults, figures = run_testnet(seed, seconds, scenario, surroundings)
        results.append(f"seed {seed}: {figures}")
        if faults:
            for fault in faults:
                print(f"FAULT: {fault}")
            print(f"chaos: FAILED; repeat: {_command(chosen, seed, seconds)}")
            raise SystemExit(1)
        seed += 1
    print("\n" + "\n".join(results))
    print(f"chaos: every promise was kept at commit {_commit()}, {len(results)} testnets; ", end="")
    print(f"repeat: {_command(chosen, chosen.seed, chosen.minutes * 60)}")


def _parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog=f"python -m {_MODULE}", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0, help="length of the run")
    parser.add_argument("--seed", type=int, default=None, help="of the first; random by default")
    parser.add_argument("--members", type=int, default=None, help="instead of what the seed says")
    parser.add_argument("--kinds", type=_kinds, default=[], help=f"the same: {','.join(KINDS)}")
    chosen = parser.parse_args(arguments)
    if chosen.seed is None:
        chosen.seed = random.SystemRandom().randrange(1 << 32)
    return chosen


def _kinds(text: str) -> list[str]:
    kinds = text.split(",")
    if unknown := set(kinds) - set(KINDS):
        raise argparse.ArgumentTypeError(f"unknown: {', '.join(sorted(unknown))}")
    return kinds


def _command(chosen: argparse.Namespace, seed: int, seconds: float) -> str:
    members = f" --members {chosen.members}" if chosen.members else ""
    kinds = f" --kinds {','.join(chosen.kinds)}" if chosen.kinds else ""
    return f"python -m {_MODULE} --seed {seed} --minutes {seconds / 60:.2f}{members}{kinds}"


def _commit() -> str:
    """Give the short name of the commit that is checked out, if git knows it."""
    command = ["git", "rev-parse", "--short", "HEAD"]
    finished = subprocess.run(command, check=False, capture_output=True, text=True)
    return finished.stdout.strip() or "unknown"


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except KeyboardInterrupt:
        print("chaos: interrupted; everything that it had made is gone")
        raise SystemExit(130) from None
