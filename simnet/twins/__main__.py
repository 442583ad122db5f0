"""Run twins scenarios: ``python -m simnet.twins --rounds 4``.

Runs all of them up to symmetry where they are no more than ``--most``, else a sample drawn by key,
from ``--first`` on. Prints progress, and each scenario that breaks a promise; ends with 1 when one
did, or, where there are too many twins, when none did.
"""

import argparse
import sys
import time
from collections.abc import Iterator
from itertools import islice

from simnet.twins.play import LOST, WAYS, Theatre
from simnet.twins.scenarios import Cast, Scenario, count, describe, enumerate_all, sample, steps_of

_PROGRESS_S = 10.0
_SHOWN_MAX = 5


def main(arguments: list[str] | None = None) -> int:
    """Run as the command line says; give the exit code."""
    parser = argparse.ArgumentParser(prog="python -m simnet.twins", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--members", type=int, default=4)
    parser.add_argument("--twins", type=int, default=1)
    parser.add_argument("--way", choices=WAYS, default=LOST, help="what becomes of messages")
    parser.add_argument("--parts", type=int, default=2, help="into so many at most")
    parser.add_argument("--all-partitions", action="store_true", help="also without a quorum")
    parser.add_argument("--most", type=int, default=20_000, help="run no more than so many")
    parser.add_argument("--first", type=int, default=0, help="where a sample begins")
    parser.add_argument("--shard", default="0/1", help="i/n: every n-th scenario, from the i-th on")
    chosen = parser.parse_args(arguments)
    cast = Cast(chosen.members, chosen.twins)
    steps = steps_of(cast, chosen.parts, quorate=not chosen.all_partitions)
    total = count(cast, steps, chosen.rounds)
    scenarios: Iterator[Scenario]
    if total <= chosen.most:
        scenarios, planned, kind = enumerate_all(cast, steps, chosen.rounds), total, "all"
    else:
        numbers = range(chosen.first, chosen.first + chosen.most)
        scenarios = (sample(steps, chosen.rounds, number) for number in numbers)
        planned, kind = chosen.most, "sampled"
    index, shards = map(int, chosen.shard.split("/"))
    print(
        f"twins: {chosen.members} members, {chosen.twins} with twins, {len(steps)} steps a round, "
        f"{chosen.rounds} rounds, {chosen.way}: {planned} {kind} of {total} scenarios, "
        f"shard {chosen.shard}",
        flush=True,
    )
    theatre = Theatre(cast, chosen.way)
    broken = _run(theatre, islice(scenarios, index, None, shards), planned // shards)
    too_many = chosen.twins > (chosen.members - 1) // 3
    return int((broken == 0) if too_many else (broken > 0))


def _run(theatre: Theatre, scenarios: Iterator[Scenario], planned: int) -> int:
    """Play them and give how many broke a promise."""
    began = shown = time.monotonic()
    played = broken = 0
    for scenario in scenarios:
        result = theatre.play(scenario)
        played += 1
        if result.promise:
            broken += 1
            if broken <= _SHOWN_MAX:
                print(f"BROKEN {describe(theatre.cast, scenario)}: {result.detail}", flush=True)
        now = time.monotonic()
        if now - shown > _PROGRESS_S:
            shown = now
            rate = played / (now - began)
            left_s = (planned - played) / rate
            print(f"{played}/{planned}, {broken} broken, {rate:.0f}/s, {left_s:.0f} s", flush=True)
    print(f"{played} scenarios, {broken} broken a promise, {time.monotonic() - began:.1f} s")
    return broken


if __name__ == "__main__":
    sys.exit(main())
