"""A short run of chaos: the machinery works, and the promises hold for some faults."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.process
def test_a_short_run_keeps_every_promise() -> None:
    """One round of faults and one full restart under load lose, repeat and reorder nothing."""
    finished = subprocess.run(
        [sys.executable, "-m", "tests.chaos", "--minutes", "0.1", "--seed", "3"],
        cwd=ROOT,
        capture_output=True,
        check=False,
        text=True,
        timeout=120,
    )
    assert finished.returncode == 0, finished.stdout + finished.stderr
    assert "first new commit" in finished.stdout
