"""A short run of chaos: the machinery works, and the promises hold for some faults."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.process
def test_a_short_run_keeps_every_promise() -> None:
    """A full restart, a partition, a moved clock and a full disk lose, repeat, reorder nothing."""
    command = [sys.executable, "-m", "tests.chaos", "--minutes", "0", "--seed", "3"]
    finished = subprocess.run(
        [*command, "--members", "4", "--kinds", "restart,cut,clock,full-disk"],
        cwd=ROOT,
        capture_output=True,
        check=False,
        text=True,
        timeout=150,
    )
    assert finished.returncode == 0, finished.stdout + finished.stderr
    assert "first new commit" in finished.stdout
    assert "available here" in finished.stdout
