"""What Prometheus itself says of the rules, their cases, the configuration and all queries."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.operations.monitoring_files import PROMETHEUS, dashboard_queries


def promtool(*arguments: object, cwd: Path = PROMETHEUS) -> subprocess.CompletedProcess[str]:
    """Run promtool to its end."""
    command = ["promtool", *map(str, arguments)]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False, timeout=60)


def test_configuration_and_rules_are_sound() -> None:
    """Prometheus takes the configuration, the rules that it names, and the list of members."""
    for arguments in (
        ("check", "config", "prometheus.yml"),
        ("check", "rules", "--lint=all", "--lint-fatal", "concordat.rules.yml"),
    ):
        result = promtool(*arguments)
        assert result.returncode == 0, result.stdout + result.stderr


def test_every_alert_fires_when_it_should_and_else_not() -> None:
    """All cases of concordat.rules.test.yml hold."""
    result = promtool("test", "rules", "concordat.rules.test.yml")
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("concordat_consensus_last_final_age_seconds > 30", "concordat_last_final > 30"),
        ("concordat_consensus_sitting_out == 1", "concordat_consensus_sitting_out == 0"),
        ("< 5 * 2^30", "<= 5 * 2^30"),
    ],
)
def test_cases_notice_a_wrong_rule(tmp_path: Path, right: str, wrong: str) -> None:
    """A rule that looks at nothing, at the contrary or one step too far fails its case."""
    for name in ("concordat.rules.yml", "concordat.rules.test.yml"):
        shutil.copy(PROMETHEUS / name, tmp_path / name)
    path = tmp_path / "concordat.rules.yml"
    text = path.read_text()
    assert right in text
    path.write_text(text.replace(right, wrong))
    result = promtool("test", "rules", "concordat.rules.test.yml", cwd=tmp_path)
    assert result.returncode != 0


def test_queries_of_the_dashboards_are_promql(tmp_path: Path) -> None:
    """Every query of every panel is parsed, as a rule that records it."""
    rows = [
        {"record": f"panel:{number}", "expr": query}
        for number, query in enumerate(dashboard_queries())
    ]
    path = tmp_path / "panels.yml"
    path.write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": rows}]}))
    result = promtool("check", "rules", path)
    assert result.returncode == 0, result.stdout + result.stderr
    path.write_text(
        json.dumps({"groups": [{"name": "p", "rules": [{"record": "a", "expr": "("}]}]})
    )
    assert promtool("check", "rules", path).returncode != 0
