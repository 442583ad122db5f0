"""``python -m tests.membership``: four validators become seven and four again, under load.

Exit code 0 when every promise was kept; else 1, and the homes are kept.
"""

import argparse
import shutil
import sys
import tempfile
from pathlib import Path

import trio

from tests.membership.course import PUBLISHERS, Course
from tests.support.processes import RealNetwork

__all__ = ["main"]


def main(arguments: list[str]) -> None:
    """Run, print the timeline and the verdict, and exit."""
    parser = argparse.ArgumentParser(prog="python -m tests.membership", description=__doc__)
    parser.add_argument("--pause", type=float, default=10.0, help="seconds of load at each stage")
    parser.add_argument("--rate", type=float, default=400.0, help="events a second")
    chosen = parser.parse_args(arguments)
    directory = Path(tempfile.mkdtemp(prefix="concordat-membership-"))
    print(f"homes and logs in {directory}", flush=True)
    network = RealNetwork.create(directory, publishers=PUBLISHERS)
    try:
        course = Course(network, chosen.rate)
        trio.run(course.run, chosen.pause)
    finally:
        network.close()
    print(course.summary())
    for fault in course.faults:
        print(f"FAULT: {fault}")
    if course.faults:
        raise SystemExit(1)
    shutil.rmtree(directory)
    print("membership: every promise was kept")


if __name__ == "__main__":
    main(sys.argv[1:])
