"""``concordat sim``: each command as a user types it, and where it is not installed."""

import re
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from concordat.cli import main as command_line
from concordat.cli.main import cli
from simnet.cli import sim

DOCUMENT = Path(__file__).parents[2] / "docs" / "simulation.md"


def run(*arguments: str) -> tuple[int, str]:
    """Run a command; give its exit code and all that it printed."""
    result = CliRunner().invoke(cli, ["sim", *arguments])
    return result.exit_code, result.output


@pytest.fixture
def plan(tmp_path: Path) -> str:
    """The plan file of a failing run."""
    path = tmp_path / "plan.json"
    code, _ = run("run", "--seed", "6", "--mutant", "votes_after_a_timeout", "--plan", str(path))
    assert code == 1
    return str(path)


def test_a_good_seed_ends_with_zero(tmp_path: Path) -> None:
    """A run that keeps every promise says so, and draws itself."""
    picture = tmp_path / "run.html"
    code, output = run("run", "--seed", "1", "--picture", str(picture))
    assert code == 0, output
    assert "every promise was kept" in output
    assert picture.read_text().startswith("<!doctype html>")


def test_a_plan_is_replayed_traced_shrunk_and_drawn(plan: str, tmp_path: Path) -> None:
    """Each command takes the plan file that another wrote."""
    code, output = run("replay", plan, "--trace")
    assert (code, "BROKEN vote after timeout" in output) == (1, True)
    small, picture = str(tmp_path / "small.json"), tmp_path / "small.html"
    code, output = run("shrink", plan, "--output", small, "--runs", "60")
    assert code == 0, output
    code, output = run("trace", small, "--width", "100")
    assert (code, "=== vote after timeout" in output) == (0, True)
    code, output = run("picture", small, "--output", str(picture), "--from-ms", "0")
    assert (code, picture.exists()) == (0, True), output


def test_a_hunt_stops_at_a_failure(tmp_path: Path) -> None:
    """A failing hunt ends with 1 and leaves the plans that its report names; a good one with 0."""
    log = tmp_path / "log.md"
    kept = tmp_path / "kept"
    code, output = run(
        *("hunt", "--jobs", "1", "--seeds", "25", "--mutant", "votes_after_a_timeout"),
        *("--directory", str(kept), "--log", str(log)),
    )
    assert code == 1
    assert len(list(kept.glob("*.json"))) == 2
    assert "concordat sim replay" in output
    assert "votes" in log.read_text()
    assert run("hunt", "--jobs", "1", "--seeds", "5")[0] == 0


def test_what_is_no_plan_is_wrong_usage(tmp_path: Path) -> None:
    """A file that is no plan, or a plan that does not fail, is the user's mistake."""
    path = tmp_path / "plan.json"
    path.write_text("{}")
    assert run("replay", str(path))[0] == 2
    assert run("run", "--seed", "1", "--plan", str(path))[0] == 0
    assert run("shrink", str(path))[0] == 2


def test_the_simulator_may_be_absent(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no package registered the command, the error says what to do."""
    monkeypatch.setattr(command_line, "entry_points", lambda **_names: ())
    code, output = run("run", "--seed", "1")
    assert code == 2
    assert "not installed" in output
    assert "make setup" in output


def test_commands_of_the_document_exist() -> None:
    """Every command that docs/simulation.md shows parses: its name, options and arguments."""
    lines = re.findall(r"^\$ concordat sim (.+)$", DOCUMENT.read_text(), re.MULTILINE)
    assert len(lines) >= 6
    for line in lines:
        name, *arguments = line.split()
        command = sim.commands[name]
        options = {o for parameter in command.params for o in parameter.opts}
        assert {a for a in arguments if a.startswith("--")} <= options, line
        assert isinstance(command, click.Command)
