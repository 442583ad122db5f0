"""docker/kubernetes: the manifests fit together, are hardened, and can never double a validator.

Their fields were compared with Kubernetes' own types by hand: docs/operations/deployment.md.
"""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from concordat.config_file import load_config
from ledger.core.limits import STOP_DEADLINE_S
from pubsub.io.api import ENDPOINTS

FOLDER = Path(__file__).parents[2] / "docker" / "kubernetes"
APART = {"secret.yaml", "prepare.yaml", "kustomization.yaml"}

Manifest = dict[str, Any]


def manifests() -> Iterator[Manifest]:
    """Give every manifest."""
    for path in sorted(FOLDER.glob("*.yaml")):
        if path.name != "kustomization.yaml":
            yield from yaml.safe_load_all(path.read_text())


def one(kind: str, name: str = "concordat") -> Manifest:
    """Give a manifest by kind and name."""
    (found,) = (
        row for row in manifests() if (row["kind"], row["metadata"]["name"]) == (kind, name)
    )
    return found


def pods() -> list[Manifest]:
    """Give the specification of every pod."""
    return [one("StatefulSet")["spec"]["template"]["spec"], one("Pod", "concordat-prepare")["spec"]]


def test_kustomization_applies_what_is_no_secret() -> None:
    """All manifests are listed, but those that an operator applies, or makes, on their own."""
    listed = yaml.safe_load((FOLDER / "kustomization.yaml").read_text())["resources"]
    assert set(listed) == {path.name for path in FOLDER.glob("*.yaml")} - APART


def test_kubectl_renders_the_kustomization() -> None:
    """Kubectl, where this machine has it, makes all that is listed of it, in one namespace."""
    program = shutil.which("kubectl")
    listed = yaml.safe_load((FOLDER / "kustomization.yaml").read_text())["resources"]
    count = sum(len([*yaml.safe_load_all((FOLDER / name).read_text())]) for name in listed)
    if program is not None:
        made = subprocess.run(
            [program, "kustomize", str(FOLDER)], check=True, capture_output=True, timeout=60
        )
        rows = [*yaml.safe_load_all(made.stdout)]
        assert len(rows) == count
        spaces = {row["metadata"].get("namespace", row["metadata"]["name"]) for row in rows}
        assert spaces == {"concordat"}


def test_there_is_one_pod_for_one_key() -> None:
    """One replica, a volume that one pod at a time may have, no pod removed without asking."""
    assert one("StatefulSet")["spec"]["replicas"] == 1
    claim = one("PersistentVolumeClaim", "concordat-home")
    assert claim["spec"]["accessModes"] == ["ReadWriteOncePod"]
    assert one("PodDisruptionBudget")["spec"]["maxUnavailable"] == 0
    names = {
        volume["persistentVolumeClaim"]["claimName"]
        for pod in pods()
        for volume in pod["volumes"]
        if "persistentVolumeClaim" in volume
    }
    assert names == {"concordat-home"}


def test_pods_never_make_a_home_by_themselves() -> None:
    """A lost volume is not taken for a first start: no `init`, `join` or `--recover` in a pod."""
    for pod in pods():
        for container in [*pod["containers"], *pod.get("initContainers", [])]:
            words = [*container.get("command", ()), *container.get("args", ())]
            assert not {"init", "join", "restore", "--recover"} & set(words)


@pytest.mark.parametrize("number", [0, 1])
def test_pods_keep_the_restricted_standard(number: int) -> None:
    """No root, no capability, no escalation, a read-only root, the usual system calls, limits."""
    pod = pods()[number]
    security = pod["securityContext"]
    assert security["runAsNonRoot"] is True
    assert security["runAsUser"] == security["fsGroup"] == 10_001
    assert security["fsGroupChangePolicy"] == "OnRootMismatch"
    assert security["seccompProfile"] == {"type": "RuntimeDefault"}
    assert pod["automountServiceAccountToken"] is False
    for container in [*pod["containers"], *pod.get("initContainers", [])]:
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert {"requests", "limits"} <= set(container["resources"])
        declared = {volume["name"] for volume in pod["volumes"]}
        assert {mount["name"] for mount in container["volumeMounts"]} <= declared


def test_probes_ask_what_the_gateway_answers() -> None:
    """Liveness never depends on other members; readiness does on the node."""
    (container,) = one("StatefulSet")["spec"]["template"]["spec"]["containers"]
    paths = {endpoint.operation.path for endpoint in ENDPOINTS}
    for probe, path in (
        ("startupProbe", "/livez"),
        ("livenessProbe", "/livez"),
        ("readinessProbe", "/readyz"),
    ):
        asked = container[probe]["httpGet"]
        assert asked == {"path": path, "port": "http"}
        assert path in paths
    assert {port["name"] for port in container["ports"]} == {"peers", "http"}


def test_services_and_policies_select_the_member() -> None:
    """Selectors are the pod's labels; ports lead to the pod's; the policy lets them in."""
    template = one("StatefulSet")["spec"]["template"]
    labels = template["metadata"]["labels"]
    numbers = {
        row["name"]: row["containerPort"] for row in template["spec"]["containers"][0]["ports"]
    }
    for name in ("concordat", "concordat-peers"):
        service = one("Service", name)["spec"]
        assert service["selector"] == labels
        assert all(numbers[port["targetPort"]] == port["port"] for port in service["ports"])
    policy = one("NetworkPolicy")["spec"]
    assert policy["podSelector"]["matchLabels"] == labels
    open_ports = {port["port"] for rule in policy["ingress"] for port in rule["ports"]}
    assert open_ports == set(numbers.values())
    assert one("PodDisruptionBudget")["spec"]["selector"]["matchLabels"] == labels
    annotations = template["metadata"]["annotations"]
    assert int(annotations["prometheus.io/port"]) == numbers["http"]


def test_settings_are_a_configuration(tmp_path: Path) -> None:
    """The config map holds a file that Concordat takes, with the ports of the pod."""
    (tmp_path / "concordat.toml").write_text(
        one("ConfigMap", "concordat-config")["data"]["concordat.toml"]
    )
    config = load_config(tmp_path / "concordat.toml")
    assert (config.node.listen, config.gateway.listen) == ("0.0.0.0:26600", "0.0.0.0:8080")


def test_password_is_its_owners_alone() -> None:
    """What the member reads was copied with the mode that it insists on, from the secret."""
    pod = one("StatefulSet")["spec"]["template"]["spec"]
    (copy,) = pod["initContainers"]
    assert copy["command"] == ["install", "-m", "0400", "/secret/password", "/password/password"]
    (variable,) = pod["containers"][0]["env"]
    assert variable == {"name": "CONCORDAT_PASSWORD_FILE", "value": "/password/password"}
    assert one("Secret", "concordat-password")["stringData"].keys() == {"password"}
    assert pod["terminationGracePeriodSeconds"] > STOP_DEADLINE_S
