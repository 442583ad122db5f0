"""Two releases side by side on one machine: what each one's `concordat` command is.

Owns where they are unpacked. The present tree under another version number costs no time; an older
commit is built as its own `setup.py` says. Both use the dependencies of this interpreter.
"""

import os
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

__all__ = ["Release", "commit_release", "tree_release"]

ROOT: Final = Path(__file__).parents[2]
_PACKAGES: Final = ("adapters", "concordat", "consensus", "ledger", "pubsub", "simnet")


@dataclass(frozen=True, slots=True)
class Release:
    """One release.

    Attributes:
        path: holds its packages and its metadata.
    """

    name: str
    path: Path

    def start(self, *arguments: object, log: Path) -> subprocess.Popen[bytes]:
        """Start its command; whoever does ends it."""
        with log.open("ab") as output:
            return subprocess.Popen(
                self._words(arguments), env=self._environment, stdout=output, stderr=output
            )

    def run(self, *arguments: object) -> str:
        """Run its command to the end, which must be good; give what it printed."""
        result = subprocess.run(
            self._words(arguments),
            env=self._environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert result.returncode == 0, (self.name, arguments, result.stdout, result.stderr)
        return result.stdout

    @property
    def _environment(self) -> dict[str, str]:
        return {**os.environ, "PYTHONPATH": str(self.path)}

    @staticmethod
    def _words(arguments: Sequence[object]) -> list[str]:
        return [sys.executable, "-P", "-m", "concordat", *map(str, arguments)]


def tree_release(directory: Path, version: str) -> Release:
    """Make a release of the present tree, with its compiled kernels, under a version number."""
    for package in _PACKAGES:
        shutil.copytree(
            ROOT / package, directory / package, ignore=shutil.ignore_patterns("__pycache__")
        )
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    metadata = directory / f"concordat-{version}.dist-info"
    metadata.mkdir()
    text = f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {version}\n"
    (metadata / "METADATA").write_text(text)
    (metadata / "top_level.txt").write_text("\n".join(_PACKAGES) + "\n")
    return Release(version, directory)


def commit_release(directory: Path, commit: str) -> Release:
    """Build the release of a commit of this repository; takes a minute."""
    source = directory / "source"
    source.mkdir(parents=True)
    archive = subprocess.run(
        ["git", "archive", commit], cwd=ROOT, check=True, stdout=subprocess.PIPE
    )
    subprocess.run(["tar", "x", "-C", str(source)], input=archive.stdout, check=True)
    target = directory / "packages"
    install = ["install", "-q", "--no-deps", "--no-build-isolation", "--target", str(target)]
    subprocess.run([sys.executable, "-m", "pip", *install, str(source)], check=True)
    return Release(commit, target)
