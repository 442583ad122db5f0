"""The alert rules and dashboards: complete, explained, and about metrics that members have."""

import re
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.operations.monitoring_files import (
    GRAFANA,
    PROMETHEUS,
    ROOT,
    Rule,
    alerts,
    dashboard_queries,
    dashboards,
    generator,
    metric_names,
    panels,
    read_yaml,
    rules,
)
from tests.support.processes import RealNetwork

SUFFIXES = {
    "counter": ("_total",),
    "histogram": ("_bucket", "_count", "_sum"),
    "gauge": ("",),
}
UNITS = {"Bps", "bool_yes_no", "bytes", "none", "ops", "percentunit", "reqps", "s"}  # of Grafana


def cases() -> list[dict[str, str]]:
    """Give the labels that the cases of the rules expect of firing alerts; {} for none."""
    found: list[dict[str, str]] = []
    for test in read_yaml(PROMETHEUS / "concordat.rules.test.yml")["tests"]:
        for expectation in test.get("promql_expr_test", ()):
            rows = [sample["labels"] for sample in expectation["exp_samples"]]
            found += [dict(re.findall(r'(\w+)="([^"]*)"', row)) for row in rows]
    return found


def anchors(page: Path) -> set[str]:
    """Give the names of a page's sections, as links name them."""
    titles = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("alert", alerts(), ids=lambda alert: alert.name)
def test_alerts_say_what_to_do_and_where_more_stands(alert: Rule) -> None:
    """Each has a severity, a sentence of what is, one of what to do, and a section that exists."""
    assert alert.labels["severity"] in {"critical", "warning", "info"}
    assert alert.annotations.keys() == {"summary", "description", "runbook"}
    assert alert.annotations["summary"].endswith(".")
    assert alert.annotations["description"].endswith(".")
    page, _, section = alert.annotations["runbook"].partition("#")
    assert section in anchors(ROOT / page)


def test_every_alert_has_a_case_that_fires_and_one_that_does_not() -> None:
    """In the cases each alert fires, and always beside somebody for whom it does not."""
    fired = {labels["alertname"] for labels in cases() if labels}
    assert fired == {alert.name for alert in alerts()}
    for test in read_yaml(PROMETHEUS / "concordat.rules.test.yml")["tests"]:
        expectations = test.get("promql_expr_test", ())
        if "fires for the bad one alone" in test["name"]:
            assert {"good", "bad"} <= set(re.findall(r'"(good|bad)"', str(test["input_series"])))
            assert all(len(one["exp_samples"]) == 1 for one in expectations)


def test_dashboards_are_what_the_generator_makes() -> None:
    """The files are current: change dashboards.yml and run generate.py."""
    files = {path.name: path.read_text() for path in (GRAFANA / "dashboards").glob("*.json")}
    assert files == generator().rendered()


def test_dashboards_are_sane() -> None:
    """Unique names and places within the grid, and one template variable."""
    assert len({board["uid"] for board in dashboards().values()}) == len(dashboards()) == 3
    for name, board in dashboards().items():
        assert name == f"{board['uid']}.json"
        [variable] = board["templating"]["list"]
        assert variable["name"] == "member"
        taken: set[tuple[int, int]] = set()
        ids = [panel["id"] for panel in board["panels"]]
        assert len(set(ids)) == len(ids)
        for panel in board["panels"]:
            place = panel["gridPos"]
            cells = {
                (place["x"] + x, place["y"] + y)
                for x in range(place["w"])
                for y in range(place["h"])
            }
            assert not cells & taken, panel["title"]
            assert max(x for x, _ in cells) < 24
            taken |= cells


def test_panels_are_complete() -> None:
    """Each names the source, a known unit, thresholds, and queries of the chosen members."""
    [source] = read_yaml(GRAFANA / "provisioning" / "datasources" / "prometheus.yml")["datasources"]
    for panel in panels():
        defaults = panel["fieldConfig"]["defaults"]
        assert defaults["unit"] in UNITS
        assert defaults["thresholds"]["steps"][0]["value"] is None
        assert panel["type"] in {"stat", "timeseries"}
        refs = [target["refId"] for target in panel["targets"]]
        assert len(set(refs)) == len(refs) > 0
        for target in [panel, *panel["targets"]]:
            assert target["datasource"] == {"type": "prometheus", "uid": source["uid"]}
        for target in panel["targets"]:
            assert "$member" in target["expr"] or "ALERTS" in target["expr"], panel["title"]


def test_provisioning_finds_the_dashboards() -> None:
    """The provider reads the folder into which the dashboards are mounted."""
    [provider] = read_yaml(GRAFANA / "provisioning" / "dashboards" / "concordat.yml")["providers"]
    assert provider["options"]["path"] == "/etc/grafana/dashboards"


@pytest.fixture(scope="module")
def exposed() -> Iterator[str]:
    """What a running member answers at /metrics."""
    with TemporaryDirectory(prefix="cd-") as directory:
        network = RealNetwork.create(Path(directory), validators=1)
        with network.running():
            network.wait_ready()
            yield httpx.get(f"{network.url(0)}/metrics").text


@pytest.mark.process
def test_metrics_of_rules_and_dashboards_exist(exposed: str) -> None:
    """Every series that a rule or a panel names is one that a real member has."""
    known = {
        f"{family.name}{suffix}"
        for family in text_string_to_metric_families(exposed)
        for suffix in SUFFIXES.get(family.type, ("",))
    }
    queries = [rule.expression for rule in rules()] + dashboard_queries()
    named = {name for query in queries for name in metric_names(query)}
    assert len(named) > 50
    assert named - known == set()


@pytest.mark.process
def test_metrics_are_named_as_the_field_does(exposed: str) -> None:
    """One prefix, base units, counters with _total, few labels, and each family once."""
    families = list(text_string_to_metric_families(exposed))
    names = [family.name for family in families]
    assert sorted(set(names)) == sorted(names)
    series = sum(len(family.samples) for family in families)
    assert series < 2_500
    for family in families:
        assert family.name.startswith(("concordat_", "process_"))
        assert family.documentation, family.name
        assert not re.search(r"_(ms|milliseconds|kb|mb|percent|minutes)\b", family.name)
        for sample in family.samples:
            assert len(sample.labels) <= 4, sample
