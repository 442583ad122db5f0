"""The supervisor and its children: together they live, together they end, whatever ends them."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from ledger.core.limits import STOP_DEADLINE_S

pytestmark = pytest.mark.process

ROOT = Path(__file__).parents[2]
# A subscriber to a gateway that is not there goes on trying: a child that lives.
LIVES = ["subscribe", "--no-verify", "--url", "http://127.0.0.1:1"]
ENDS_WELL = ["completion", "bash"]
ENDS_BADLY = ["keys", "show", "/nowhere/at-all"]

POLITE = """
import signal, subprocess, sys
from concordat import supervisor

child = '''
import signal, sys, time
signal.signal(signal.SIGTERM, lambda *_: sys.exit(print("ended well", flush=True)))
signal.pthread_sigmask(signal.SIG_SETMASK, [])
time.sleep(60)
'''
supervisor.start_child = lambda arguments: subprocess.Popen(arguments)
commands = {"one": [sys.executable, "-c", child], "two": ["sleep", "3"]}
sys.exit(supervisor.supervise(commands, print))
"""


def start(tmp_path: Path, **commands: list[str]) -> subprocess.Popen[str]:
    """Start a supervisor of ``commands``; its children get a name that tells them apart."""
    program = tmp_path / "supervisor.py"
    program.write_text(
        "import sys\n"
        "from concordat.supervisor import supervise\n"
        f"sys.exit(supervise({commands!r}, lambda text: print(text, flush=True)))\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "MARK": str(tmp_path)}
    return subprocess.Popen(
        [sys.executable, str(program)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    )


def running(tmp_path: Path) -> list[int]:
    """Find the processes of one test by their environment, the supervisor's included."""
    mark = f"MARK={tmp_path}".encode()
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if mark in (process / "environ").read_bytes().split(b"\0"):
                found.append(int(process.name))
        except OSError:
            continue
    return found


def wait_until_alive(tmp_path: Path, children: int) -> None:
    """Wait until the supervisor's children are past their start: they have loaded TLS."""

    def count() -> int:
        alive = 0
        for pid in running(tmp_path):
            try:
                alive += "/_ssl." in Path(f"/proc/{pid}/maps").read_text()
            except OSError:
                continue
        return alive

    wait_until(lambda: count() == children)


def wait_until(condition: Callable[[], bool], seconds: float = 60) -> None:
    """Wait for something that other processes bring about."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.parametrize(("command", "code"), [(ENDS_WELL, 0), (ENDS_BADLY, 2)])
def test_end_of_one_child_is_the_end_of_all(tmp_path: Path, command: list[str], code: int) -> None:
    """When one child ends, well or badly, the other is stopped and the exit code tells."""
    supervisor = start(tmp_path, short=command, long=LIVES)
    output, _ = supervisor.communicate(timeout=30)
    assert supervisor.returncode == code
    assert "the short ended with exit code" in output
    assert "stopping the long" in output
    assert not running(tmp_path)


def test_the_others_are_asked_before_they_are_killed(tmp_path: Path) -> None:
    """When one child ends, the other may end in its own way."""
    program = tmp_path / "program.py"
    program.write_text(POLITE)
    result = subprocess.run(
        [sys.executable, str(program)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert result.returncode == 0
    assert "ended well" in result.stdout, result.stdout + result.stderr


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_stop_signal_ends_all(tmp_path: Path, number: signal.Signals) -> None:
    """A request to stop reaches every child and is no failure."""
    supervisor = start(tmp_path, one=LIVES, two=LIVES)
    wait_until_alive(tmp_path, 2)
    begun = time.monotonic()
    supervisor.send_signal(number)
    output, errors = supervisor.communicate(timeout=30)
    assert time.monotonic() - begun < STOP_DEADLINE_S, "they had to be killed"
    assert (supervisor.returncode, output) == (0, ""), errors
    assert not running(tmp_path)


def test_killed_supervisor_takes_its_children_along(tmp_path: Path) -> None:
    """Not even SIGKILL of the supervisor leaves a child behind."""
    supervisor = start(tmp_path, one=LIVES, two=LIVES)
    wait_until_alive(tmp_path, 2)
    supervisor.kill()
    supervisor.communicate(timeout=30)
    wait_until(lambda: not running(tmp_path))


def test_stopped_child_is_killed_at_the_deadline(tmp_path: Path) -> None:
    """A child that does not end when asked is killed by a second request."""
    supervisor = start(tmp_path, one=LIVES, two=LIVES)
    wait_until_alive(tmp_path, 2)
    child = next(pid for pid in running(tmp_path) if pid != supervisor.pid)
    os.kill(child, signal.SIGSTOP)
    # Of two signals that wait together the kernel delivers SIGTERM first.
    wait_until(lambda: ") T " in Path(f"/proc/{child}/stat").read_text())
    supervisor.send_signal(signal.SIGTERM)
    time.sleep(0.5)
    assert child in running(tmp_path)
    supervisor.send_signal(signal.SIGTERM)
    supervisor.communicate(timeout=30)
    wait_until(lambda: not running(tmp_path))
