"""docker/systemd: the unit says what the program does, and systemd itself finds nothing wrong."""

import shutil
import subprocess
import sys
from pathlib import Path

from concordat.cli.failure import ExitCode
from ledger.core.limits import STOP_DEADLINE_S

UNIT = Path(__file__).parents[2] / "docker" / "systemd" / "concordat@.service"
PROGRAM = "/opt/concordat/bin/concordat"


def settings() -> dict[str, list[str]]:
    """Give the values of each setting."""
    found: dict[str, list[str]] = {}
    for line in UNIT.read_text().splitlines():
        name, equals, value = line.partition("=")
        if equals and not line.startswith("#"):
            found.setdefault(name, []).append(value)
    return found


def analyze(*arguments: str) -> tuple[int, str]:
    """Run systemd-analyze where this machine has it; elsewhere there is nothing to ask."""
    program = shutil.which("systemd-analyze")
    if program is None:
        return 0, ""
    result = subprocess.run(
        [program, *arguments], capture_output=True, text=True, timeout=60, check=False
    )
    return result.returncode, result.stdout + result.stderr


def test_unit_is_understood_by_systemd(tmp_path: Path) -> None:
    """`systemd-analyze verify` has nothing to say where the program is installed."""
    copy = tmp_path / UNIT.name
    copy.write_text(UNIT.read_text().replace(PROGRAM, sys.executable))
    assert analyze("verify", str(copy)) == (0, "")


def test_unit_exposes_little() -> None:
    """Systemd's own measure of exposure, from 0 to 10, is at most 2."""
    code, told = analyze("security", "--offline=true", "--threshold=20", "--no-pager", str(UNIT))
    assert code == 0, told


def test_restarts_respect_the_exit_codes() -> None:
    """What a restart cannot mend is not restarted; everything else is."""
    found = settings()
    assert found["Restart"] == ["on-failure"]
    prevented = {int(word) for word in found["RestartPreventExitStatus"][0].split()}
    assert prevented == {ExitCode.STORAGE, ExitCode.USAGE}


def test_stop_waits_for_the_supervisor() -> None:
    """Systemd asks `concordat run` alone, and kills after it has had its own deadline."""
    found = settings()
    assert found["KillMode"] == ["mixed"]
    assert int(found["TimeoutStopSec"][0]) > STOP_DEADLINE_S
    assert found["Type"] == ["exec"]  # the program sends no notification


def test_user_and_files_are_its_own() -> None:
    """No root, no capability, nothing writable but the home, and enough file descriptors."""
    found = settings()
    assert found["User"] == ["concordat"]
    assert found["CapabilityBoundingSet"] == [""]
    assert found["ProtectSystem"] == ["strict"]
    assert found["NoNewPrivileges"] == ["yes"]
    assert found["StateDirectory"] == ["concordat/%i"]
    assert found["ExecStart"] == [f"{PROGRAM} run --home /var/lib/concordat/%i"]
    assert int(found["LimitNOFILE"][0]) >= 65_536
