"""The clock shim moves the wall clock of a running process and no other clock."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.chaos.clocks import Clocks

PROGRAM = """
import sys, time
for line in sys.stdin:
    print(time.time_ns(), int(time.time()), time.monotonic_ns(), flush=True)
"""


@pytest.mark.process
def test_a_running_process_sees_its_clock_jump(tmp_path: Path) -> None:
    """The wall clock follows the offset both ways; the monotonic clock and ours do not."""
    clocks = Clocks(tmp_path / "clocks", 2)
    with clocks.inherited(1):
        child = subprocess.Popen(
            [sys.executable, "-I", "-c", PROGRAM],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
    with child:
        assert child.stdin is not None
        assert child.stdout is not None
        for offset_s in (0, 3_600, -3_600, 0):
            clocks.move(1, offset_s)
            child.stdin.write("\n")
            child.stdin.flush()
            wall_ns, wall_s, monotonic_ns = map(int, child.stdout.readline().split())
            assert abs(wall_ns / 1e9 - time.time() - offset_s) < 30
            assert abs(wall_s - time.time() - offset_s) < 30
            assert abs(monotonic_ns / 1e9 - time.monotonic()) < 30
        child.stdin.close()
