"""What was measured, and on what: the machine, and the commit of this tree."""

import os
import platform
import subprocess
from pathlib import Path

__all__ = ["ROOT", "commit_id", "describe_machine"]

ROOT = Path(__file__).parents[2]
"""The project's directory, where its modules can be started as programs."""


def describe_machine() -> dict[str, str]:
    """Say what the run was measured on."""
    cpu = "unknown"
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            cpu = line.partition(":")[2].strip()
            break
    memory_kib = int(Path("/proc/meminfo").read_text().split()[1])
    return {
        "cpu": cpu,
        "cores": str(os.cpu_count()),
        "memory_gib": str(round(memory_kib / 2**20)),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "file_system": _file_system(ROOT),
        "load_before": f"{os.getloadavg()[0]:.1f}",  # of others: nothing of ours runs yet
    }


def commit_id() -> str:
    """Name the commit that was measured, with a mark when files differ from it."""
    try:
        described = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=12"],
            cwd=ROOT,
            capture_output=True,
            check=True,
            text=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return described.stdout.strip()


def _file_system(path: Path) -> str:
    """Name the file system that ``path`` is on, by the longest mount point that holds it."""
    mounts = (line.split()[1:3] for line in Path("/proc/mounts").read_text().splitlines())
    holding = [(len(point), kind) for point, kind in mounts if path.is_relative_to(point)]
    return max(holding, default=("", "unknown"))[1]
