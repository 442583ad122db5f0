"""What is refused before anything runs: python -O, foreign packages, secrets in logs."""

import json
import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from concordat.cli.main import _COMMANDS, cli
from concordat.config import LogSection
from concordat.logs import configure_logs
from concordat.preflight import PreflightError, require_own_packages
from concordat.process import become_child

ROOT = Path(__file__).parents[2]


def test_every_command_is_there_and_explains_itself() -> None:
    """Each command of the list can be loaded and has help; the list's line is its first."""
    import click  # noqa: PLC0415 - only here

    for name in _COMMANDS:
        command = cli.get_command(click.Context(cli), name)
        assert command is not None
        assert command.help, name
        for parameter in command.params:
            assert not isinstance(parameter, click.Option) or parameter.help, (name, parameter)


def test_python_without_assertions_is_refused() -> None:
    """Under -O the checks of invariants are gone, so nothing runs."""
    result = subprocess.run(
        [sys.executable, "-O", "-m", "concordat", "completion", "bash"],
        capture_output=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        check=False,
    )
    assert result.returncode == 1
    assert b"without -O" in result.stderr
    assert not result.stdout


def test_own_packages_are_accepted() -> None:
    """This installation is fine, and so is ours under another spelling of its name."""
    require_own_packages()
    require_own_packages({"ledger": ["Concordat"], "pubsub": ["concordat"]})


@pytest.mark.parametrize("package", ["ledger", "consensus", "pubsub", "adapters"])
def test_foreign_distribution_is_named(package: str) -> None:
    """A distribution that also provides one of our packages is refused by name."""
    with pytest.raises(PreflightError, match=f"PyPubSub also provides the package '{package}'"):
        require_own_packages({package: ["concordat", "PyPubSub"]})


def test_package_from_elsewhere_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """A package that is not beside ours is refused with where it comes from."""
    monkeypatch.setattr("concordat.preflight._ROOT", Path("/opt/elsewhere"))
    with pytest.raises(PreflightError, match=r"is loaded from .*ledger/__init__\.py"):
        require_own_packages({})


def test_orphan_ends_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A child whose parent died before it could be tied to it does not start."""
    monkeypatch.setenv("CONCORDAT_PARENT_PID", str(2**22))
    monkeypatch.setattr("ctypes.CDLL", lambda *_, **__: _NoPrctl())
    with pytest.raises(SystemExit):
        become_child()
    assert "CONCORDAT_PARENT_PID" not in os.environ


class _NoPrctl:
    """Stands for the C library: the test's own process must not be tied to its parent."""

    def prctl(self, *_: int) -> int:
        """Accept."""
        return 0


@pytest.fixture
def logs(capsys: pytest.CaptureFixture[str]) -> Iterator[pytest.CaptureFixture[str]]:
    """Standard error, with the logging of the test's process restored after it."""
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    yield capsys
    root.handlers[:] = before
    root.setLevel(level)
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()


def test_logs_are_json_without_a_terminal(logs: pytest.CaptureFixture[str]) -> None:
    """Programs get one object a line, from structlog and from the standard logging alike."""
    configure_logs(LogSection(), "node")
    structlog.get_logger("a").warning("first", height=7)
    logging.getLogger("b").error("second")
    structlog.get_logger("a").debug("too quiet")
    lines = [json.loads(line) for line in logs.readouterr().err.splitlines()]
    assert [(line["event"], line["level"], line["process"]) for line in lines] == [
        ("first", "warning", "node"),
        ("second", "error", "node"),
    ]
    assert lines[0]["height"] == 7


def test_logs_for_people_are_text(logs: pytest.CaptureFixture[str]) -> None:
    """The console form is no JSON, and shows what was said."""
    configure_logs(LogSection(format="console", level="debug"), "gateway")
    structlog.get_logger("a").debug("quiet", topic="x.y")
    assert "topic=x.y" in logs.readouterr().err


@pytest.mark.parametrize("name", ["seed", "password", "secret", "private_key"])
def test_key_material_is_withheld(logs: pytest.CaptureFixture[str], name: str) -> None:
    """A field with a telling name is never written."""
    configure_logs(LogSection(), "node")
    structlog.get_logger("a").info("event", **{name: "hunter2"})
    text = logs.readouterr().err
    assert "hunter2" not in text
    assert "withheld" in text
