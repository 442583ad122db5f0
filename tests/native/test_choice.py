"""CONCORDAT_NATIVE caps the instruction set of a whole process."""

import subprocess
import sys

import pytest

from ledger.native import blake3, choice, ed25519, merkle, scan

KERNELS = (blake3, ed25519, merkle, scan)
COMMAND = (
    "from ledger.native import blake3, ed25519, merkle, scan\n"
    "for kernel in (blake3, ed25519, merkle, scan):\n"
    "    print(kernel.implementation())"
)


def run(level: str) -> subprocess.CompletedProcess[str]:
    """Import the kernels in a process of its own."""
    return subprocess.run(
        [sys.executable, "-c", COMMAND],
        env={"CONCORDAT_NATIVE": level, "PYTHONPATH": ":".join(sys.path)},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("level", choice.LEVELS)
def test_environment_caps_every_kernel(level: str) -> None:
    """Each kernel uses its best implementation not above the level."""
    allowed = choice.LEVELS[: choice.LEVELS.index(level) + 1]
    best = [
        [name for name in kernel.implementations() if name in allowed][-1] for kernel in KERNELS
    ]
    assert run(level).stdout.split() == best


def test_unknown_level_stops_the_process() -> None:
    """A misspelt level is an error, not a silent default."""
    done = run("abacus")
    assert done.returncode != 0
    assert "CONCORDAT_NATIVE=abacus" in done.stderr


def test_default_is_the_best(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the variable, or with an empty one, the last implementation is used."""
    monkeypatch.delenv("CONCORDAT_NATIVE", raising=False)
    assert choice.chosen(("portable", "avx2")) == "avx2"
    monkeypatch.setenv("CONCORDAT_NATIVE", "")
    assert choice.chosen(("portable", "avx512ifma")) == "avx512ifma"
    monkeypatch.setenv("CONCORDAT_NATIVE", "avx2")
    assert choice.chosen(("portable", "avx512ifma")) == "portable"
