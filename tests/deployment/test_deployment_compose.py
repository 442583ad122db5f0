"""docker/compose.yaml: who runs as what, with which rights, and that all it names is there."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.deployment.commands import typed_commands, unknown_words

DOCKER = Path(__file__).parents[2] / "docker"
MEMBERS = ("alpha", "beta", "gamma", "delta")
HOME = "/var/lib/concordat"


@pytest.fixture
def compose() -> dict[str, Any]:
    """Give the file as compose reads it."""
    document: dict[str, Any] = yaml.safe_load((DOCKER / "compose.yaml").read_text())
    return document


def mounts(service: dict[str, Any]) -> list[list[str]]:
    """Give source, target and mode of a service's volumes."""
    return [row.split(":") for row in service["volumes"]]


def test_services_are_four_members_and_what_watches_them(compose: dict[str, Any]) -> None:
    """No service more, no service less; the members begin when the network is made."""
    assert set(compose["services"]) == {"init", *MEMBERS, "prometheus", "grafana"}
    assert compose["services"]["init"]["command"] == list(MEMBERS)
    init = compose["services"]["init"]
    assert (init["build"]["dockerfile"], init["pull_policy"]) == ("docker/Dockerfile", "build")
    for name in MEMBERS:
        assert compose["services"][name]["image"] == init["image"]
        assert compose["services"][name]["pull_policy"] == "never"
        waits = compose["services"][name]["depends_on"]["init"]["condition"]
        assert waits == "service_completed_successfully"


def test_every_service_has_no_more_rights_than_it_needs(compose: dict[str, Any]) -> None:
    """Read-only root, no capability, no new privileges, bounded memory and logs."""
    for name, service in compose["services"].items():
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert service["mem_limit"], name
        assert service["logging"]["options"]["max-size"], name
        assert not service.get("privileged"), name
        assert name == "init" or "user" not in service, "the image's own user is nobody special"
    for name in MEMBERS:
        assert compose["services"][name]["pids_limit"] <= 512
        assert "cap_add" not in compose["services"][name]


def test_no_member_sees_the_keys_of_another(compose: dict[str, Any]) -> None:
    """Each has a volume for its home and one for its password, and shares neither."""
    seen: set[str] = set()
    for name in MEMBERS:
        rows = mounts(compose["services"][name])
        assert [(row[0], row[1]) for row in rows] == [
            (name, HOME),
            (f"{name}-password", "/run/concordat"),
        ]
        assert rows[1][2] == "ro"
        assert not seen & {row[0] for row in rows}
        seen |= {row[0] for row in rows}
    made = {row[0] for row in mounts(compose["services"]["init"])}
    assert seen <= made


def test_volumes_and_files_that_are_named_exist(compose: dict[str, Any]) -> None:
    """Every volume is declared and used; every file that is mounted is in docker/."""
    used = [row[0] for service in compose["services"].values() for row in mounts(service)]
    named = {source for source in used if not source.startswith(".")}
    assert named == set(compose["volumes"])
    for source in set(used) - named:
        assert (DOCKER / source).exists(), source


def test_ports_face_this_machine_only(compose: dict[str, Any]) -> None:
    """Anonymous clients may publish: nothing is open to the network before a proxy is in front."""
    ports = [row for service in compose["services"].values() for row in service.get("ports", ())]
    assert len(ports) == 6
    assert all(row.startswith("127.0.0.1:") for row in ports)
    assert len({row.split(":")[1] for row in ports}) == len(ports)


def test_a_stop_is_given_the_time_that_it_takes(compose: dict[str, Any]) -> None:
    """Docker's SIGKILL comes after the supervisor's own."""
    from ledger.core.limits import STOP_DEADLINE_S  # noqa: PLC0415 - what the file repeats

    for name in MEMBERS:
        assert int(compose["services"][name]["stop_grace_period"].rstrip("s")) > STOP_DEADLINE_S


def test_prometheus_and_grafana_find_the_members(compose: dict[str, Any]) -> None:
    """The targets are the members' gateways; the data source is the service of that name."""
    rows = yaml.safe_load((DOCKER / "prometheus" / "members.yml").read_text())
    assert [row["targets"] for row in rows] == [[f"{name}:8080"] for name in MEMBERS]
    source = DOCKER / "grafana" / "provisioning" / "datasources" / "prometheus.yml"
    urls = [row["url"] for row in yaml.safe_load(source.read_text())["datasources"]]
    assert urls == ["http://prometheus:9090"]
    assert "prometheus" in compose["services"]


@pytest.mark.parametrize(
    ("name", "count"),
    [
        ("compose/network.sh", 3),
        ("systemd/concordat@.service", 1),
        ("kubernetes/prepare.yaml", 1),
        ("kubernetes/statefulset.yaml", 1),
        ("../docs/operations/deployment.md", 5),
        ("../docs/operations/upgrade.md", 8),
    ],
)
def test_commands_of_the_files_exist(name: str, count: int) -> None:
    """Each `concordat` command that a file types is one, with the options that it is given."""
    found = list(typed_commands((DOCKER / name).read_text()))
    assert len(found) >= count
    assert [unknown_words(words) for words in found] == [[]] * len(found)


def test_unknown_options_are_found() -> None:
    """The search for commands can fail."""
    (words,) = typed_commands("x\nconcordat init member a --nam b \\\n   --did c\n")
    assert unknown_words(words) == ["--nam"]
