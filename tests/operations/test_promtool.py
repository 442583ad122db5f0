"""What Prometheus itself says of the rules, their cases, the configuration and all queries."""

import json
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.operations.monitoring_files import PROMETHEUS, dashboard_queries, read_yaml


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
    ("alert", "right", "wrong"),
    [
        ("ConcordatNoProgress", "last_final_age_seconds > 30", "last_final > 30"),
        ("ConcordatSittingOut", "sitting_out == 1", "sitting_out == 0"),
        ("ConcordatDiskNearlyFull", "< 5 * 2^30", "<= 5 * 2^30"),
        ("ConcordatValidatorMissing", "for: 5m", "for: 0m"),
    ],
)
def test_cases_notice_a_wrong_rule(tmp_path: Path, alert: str, right: str, wrong: str) -> None:
    """A rule that looks at nothing, at the contrary, one step too far or too early fails."""
    text = (PROMETHEUS / "concordat.rules.yml").read_text()
    start = text.index(f"alert: {alert}")
    assert right in text[start:]
    cases = read_yaml(PROMETHEUS / "concordat.rules.test.yml")
    cases["tests"] = [test for test in cases["tests"] if test["name"].startswith(alert)]
    (tmp_path / "cases.yml").write_text(yaml.safe_dump(cases))
    for rules, is_well in ((text[start:], True), (text[start:].replace(right, wrong, 1), False)):
        (tmp_path / "concordat.rules.yml").write_text(text[:start] + rules)
        result = promtool("test", "rules", "cases.yml", cwd=tmp_path)
        assert (result.returncode == 0) is is_well, result.stdout + result.stderr


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
