"""``python -m tests.delivery``: 50 subscribers of each kind at a gateway that is killed under load.

Exit code 0 when every subscriber was given exactly what a naive filter over the log says, in order
where it asked for it, and nothing again that was durably settled; else 1, and the homes are kept.
"""

import argparse
import random
import shutil
import sys
import tempfile
from pathlib import Path

import anyio

from tests.delivery.course import Course, Plan
from tests.delivery.record import Kind
from tests.support.processes import RealNetwork

__all__ = ["main", "run"]


def run(directory: Path, plan: Plan) -> Course:
    """Run one course in ``directory``; nothing of it runs afterwards."""
    network = RealNetwork.create(directory)
    try:
        course = Course(network, plan)
        anyio.run(course.run)
    finally:
        network.close()
    return course


def main(arguments: list[str]) -> None:
    """Run, print the timeline and the verdict, and exit."""
    parser = argparse.ArgumentParser(prog="python -m tests.delivery", description=__doc__)
    parser.add_argument("--seconds", type=float, default=120.0, help="length of the load")
    parser.add_argument("--each", type=int, default=50, help="subscribers of each kind")
    parser.add_argument("--rate", type=float, default=25.0, help="events a second")
    parser.add_argument("--kinds", type=_kinds, default=tuple(Kind), help=",".join(Kind))
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32))
    chosen = parser.parse_args(arguments)
    directory = Path(tempfile.mkdtemp(prefix="concordat-delivery-"))
    print(f"seed {chosen.seed}; homes and logs in {directory}", flush=True)
    course = run(
        directory, Plan(chosen.seed, chosen.seconds, chosen.each, chosen.rate, chosen.kinds)
    )
    print(course.summary())
    for fault in course.faults:
        print(f"FAULT: {fault}")
    if course.faults:
        raise SystemExit(1)
    shutil.rmtree(directory)
    print("delivery: every promise was kept")


def _kinds(text: str) -> tuple[Kind, ...]:
    return tuple(map(Kind, text.split(",")))


if __name__ == "__main__":
    main(sys.argv[1:])
