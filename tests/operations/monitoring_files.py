"""The files of docker/prometheus and docker/grafana as tests read them: alerts, queries, names."""

import importlib.util
import json
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, Final, NamedTuple

import yaml

ROOT: Final = Path(__file__).parents[2]
PROMETHEUS: Final = ROOT / "docker" / "prometheus"
GRAFANA: Final = ROOT / "docker" / "grafana"

Json = dict[str, Any]

# A recorded series has colons in its name, and is made here, by no member.
_NAME: Final = re.compile(r"(?<![\w:])(?:concordat|process)_[a-z0-9_]+(?![\w:])")


class Rule(NamedTuple):
    """An alert, or a recorded series."""

    name: str
    expression: str
    labels: dict[str, str]
    annotations: dict[str, str]


def read_yaml(path: Path) -> Any:  # noqa: ANN401 - what the file holds
    """Read a YAML file."""
    return yaml.safe_load(path.read_text())


def rules() -> list[Rule]:
    """Give all rules."""
    groups = read_yaml(PROMETHEUS / "concordat.rules.yml")["groups"]
    return [
        Rule(
            row.get("alert") or row["record"],
            row["expr"],
            row.get("labels", {}),
            row.get("annotations", {}),
        )
        for group in groups
        for row in group["rules"]
    ]


def alerts() -> list[Rule]:
    """Give the rules that are alerts."""
    return [rule for rule in rules() if ":" not in rule.name]


def dashboards() -> dict[str, Json]:
    """Give the dashboards by file name."""
    return {
        path.name: json.loads(path.read_text()) for path in (GRAFANA / "dashboards").glob("*.json")
    }


def panels() -> Iterator[Json]:
    """Give the panels of all dashboards that show something."""
    for dashboard in dashboards().values():
        yield from (panel for panel in dashboard["panels"] if panel["type"] != "row")


def dashboard_queries() -> list[str]:
    """Give the queries of all dashboards, with values in the place of Grafana's variables."""
    return [
        target["expr"].replace("$__rate_interval", "1m").replace("$member", "alpha")
        for panel in panels()
        for target in panel["targets"]
    ]


def metric_names(query: str) -> set[str]:
    """Give the names of the members' own series in a query."""
    return set(_NAME.findall(query))


def generator() -> ModuleType:
    """Load the script that makes the dashboards."""
    spec = importlib.util.spec_from_file_location("dashboards", GRAFANA / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
