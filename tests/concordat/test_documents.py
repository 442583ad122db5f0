"""Every command that README.md and the pages below (``DOCUMENTS``) show is run as it stands.

A document's `console` blocks are one shell script, in which its `python` blocks are programs, or
files where they have a name; what ``make`` would do is only looked up.
"""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from concordat.free_ports import free_base_port

ROOT = Path(__file__).parents[2]
DOCUMENTS = [
    ROOT / "README.md",
    ROOT / "docs" / "simulation.md",
    ROOT / "docs" / "trust.md",
    ROOT / "docs" / "transparency-log.md",
    ROOT / "docs" / "console.md",
    ROOT / "docs" / "webhooks.md",
    ROOT / "docs" / "consumers.md",
    ROOT / "docs" / "streams.md",
    ROOT / "docs" / "adapters" / "access-node.md",
    *sorted((ROOT / "docs" / "operations").glob("*.md")),
]
BLOCK = re.compile(r"^```(console|python)(?: (\S+))?\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PORT = re.compile(r"\b2[678]6\d\d\b")  # of testnets with the usual base port, or just above it
END_JOBS = "trap 'code=$?; kill $(jobs -p) 2>/dev/null || true; wait; exit $code' EXIT"


def commands(document: Path) -> list[str]:
    """Give what a reader would type, in its order: shell lines, and Python programs."""
    found: list[str] = []
    for kind, name, block in BLOCK.findall(document.read_text()):
        if name:
            found.append(f"cat > {name} <<'END'\n{block}END")
        elif kind == "python":
            found.append(f"{sys.executable} -P - <<'END'\n{block}END")
        else:
            found += [line[2:] for line in block.splitlines() if line.startswith("$ ")]
    return found


@pytest.fixture
def directory() -> Iterator[Path]:
    """A new directory with a ``concordat`` command; short, because socket paths have to be."""
    with TemporaryDirectory(prefix="cd-") as name:
        (Path(name) / "bin").mkdir()
        for command, arguments in (("concordat", "-m concordat "), ("python", "")):
            program = Path(name) / "bin" / command
            program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -P {arguments}"$@"\n')
            program.chmod(0o755)
        yield Path(name)


@pytest.mark.process
@pytest.mark.parametrize(
    "document", [path for path in DOCUMENTS if commands(path)], ids=lambda path: path.name
)
def test_commands_of_the_documents_work(document: Path, directory: Path) -> None:
    """Typed one after the other in an empty directory, all commands succeed."""
    lines = [line for line in commands(document) if not line.startswith("make ")]
    # The documented ports may be taken on the machine that runs the test.
    shift = free_base_port(20) - 26_600
    moved = [
        PORT.sub(
            lambda found: str(int(found[0]) + shift),
            line.replace("testnet net", "testnet net --base-port 26600"),
        )
        for line in lines
    ]
    result = subprocess.run(
        ["bash", "-c", "\n".join(["set -eu -o pipefail", END_JOBS, *moved])],
        cwd=directory,
        env={
            **os.environ,
            "PATH": f"{directory / 'bin'}:{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT),
        },
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_make_targets_of_the_documents_exist(document: Path) -> None:
    """Each ``make`` command names a target of the Makefile."""
    makefile = (ROOT / "Makefile").read_text()
    named = re.findall(r"\bmake ([a-z-]+)`", document.read_text())
    typed = [line.split()[1] for line in commands(document) if line.startswith("make ")]
    for target in {*named, *typed}:
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


@pytest.mark.parametrize(
    "document", [*DOCUMENTS, ROOT / "ARCHITECTURE.md"], ids=lambda path: path.name
)
def test_links_of_the_documents_lead_somewhere(document: Path) -> None:
    """Each relative link names a file of the project."""
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", document.read_text()):
        assert (document.parent / target).exists(), target


def test_readme_has_commands() -> None:
    """The extraction finds what it is for."""
    found = commands(ROOT / "README.md")
    assert "make demo" in found
    assert any(line.startswith("concordat verify") for line in found)
