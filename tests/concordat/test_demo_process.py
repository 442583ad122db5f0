"""The demonstration as its users run it: to its end, interrupted, and killed."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

pytestmark = pytest.mark.process

ROOT = Path(__file__).parents[2]


@pytest.fixture
def temporary() -> Iterator[Path]:
    """A place for temporary files of one demonstration; nothing of it runs afterwards.

    Its path is short, because that of a Unix socket has to be.
    """
    with TemporaryDirectory(prefix="cd-") as directory:
        yield Path(directory)
        for pid in running(Path(directory)):
            os.kill(pid, signal.SIGKILL)


def start(temporary: Path, *arguments: str) -> subprocess.Popen[str]:
    """Start a small demonstration without a terminal."""
    return subprocess.Popen(
        [sys.executable, "-m", "concordat", "demo", "--events", "60", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(temporary)},
    )


def running(temporary: Path) -> list[int]:
    """Find the processes that use the directory of one demonstration."""
    mark = f"TMPDIR={temporary}".encode()
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if mark in (process / "environ").read_bytes().split(b"\0"):
                found.append(int(process.name))
        except OSError:
            continue
    return found


def wait_until_nothing_runs(temporary: Path) -> None:
    """Wait, briefly, until the last process of a demonstration is gone."""
    deadline = time.monotonic() + 10
    while running(temporary):
        assert time.monotonic() < deadline, running(temporary)
        time.sleep(0.05)


def read_until(process: subprocess.Popen[str], words: str) -> None:
    """Read the output up to the line that has ``words``."""
    assert process.stdout is not None
    for line in process.stdout:
        if words in line:
            return
    raise AssertionError(f"the demonstration ended before it said {words!r}")


def test_demonstration_shows_what_it_promises(temporary: Path) -> None:
    """It ends well, says what was shown, and leaves neither processes nor files."""
    process = start(temporary)
    output, _ = process.communicate(timeout=150)
    assert process.returncode == 0, output
    assert output.count("ok  ") == 7, output
    assert "60 of 6 marketplaces" in output
    assert "60 proofs, each against the genesis file alone" in output
    assert "FAILED" not in output
    wait_until_nothing_runs(temporary)
    assert list(temporary.iterdir()) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_demonstration_leaves_nothing(temporary: Path, number: signal.Signals) -> None:
    """Ctrl-C while the network starts ends every process and removes every file."""
    process = start(temporary)
    read_until(process, "starting them")
    time.sleep(0.5)
    process.send_signal(number)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 130, output
    assert "Traceback" not in output
    wait_until_nothing_runs(temporary)
    assert list(temporary.iterdir()) == []


def test_killed_demonstration_leaves_no_process(temporary: Path) -> None:
    """Even SIGKILL of the demonstration ends every process of it."""
    process = start(temporary)
    read_until(process, "starting them")
    time.sleep(0.5)
    assert len(running(temporary)) > 4
    process.kill()
    process.communicate(timeout=60)
    wait_until_nothing_runs(temporary)


def test_home_is_kept_and_not_reused(temporary: Path) -> None:
    """With --home the files stay, and a second run refuses to mix with them."""
    home = temporary / "kept"
    process = start(temporary, "--home", str(home))
    read_until(process, "starting them")
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert (home / "genesis.json").is_file()
    output, _ = (second := start(temporary, "--home", str(home))).communicate(timeout=60)
    assert second.returncode == 2
    assert "holds a network already" in output
