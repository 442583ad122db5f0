"""Access nodes as real processes: an offering made at one is at the other, and both end well.

One runs beside a validator, the other where there is none, with a publisher key and a gateway.
"""

import json
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import httpx
import pytest
from click.testing import Result

from concordat import testnet
from concordat.config_file import Value, render_config
from concordat.free_ports import free_ports
from concordat.process import start_child
from tests.support.processes import RealNetwork

pytestmark = pytest.mark.process

OFFERING = "/tmf-api/productCatalogManagement/v4/productOffering"
WAIT_S = 60.0


class Running(NamedTuple):
    """An access node that runs.

    Attributes:
        operator: an HTTP client with the operator's token; ``anybody`` has none.
    """

    process: subprocess.Popen[bytes]
    log: Path
    operator: httpx.Client
    anybody: httpx.Client


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealNetwork]:
    """A running validator, and a further member that has only its publisher key."""
    directory = tmp_path_factory.mktemp("tmf")
    ports = [testnet.Ports(*free_ports(3))]
    rights = {"one": ["tmf.>"], "shop": ["tmf.>"]}
    settings: dict[str, dict[str, Value]] = {"access_node": {"usage_block_ms": 200}}
    plan = testnet.TestnetPlan(
        "tmf", [("one", ports[0])], ["shop"], settings=settings, rights=rights
    )
    found = RealNetwork(directory, testnet.create_testnet(directory / "net", plan), ports)
    with found.running():
        found.wait_ready()
        yield found


def home_without_validator(network: RealNetwork) -> Path:
    """Make the home of a member that runs an access node and nothing else."""
    home = network.directory / "shop"
    home.mkdir()
    values: dict[str, dict[str, Value]] = {
        "keys": {"allow_unencrypted": True},
        "member": {"key": str(network.testnet.publisher_keys["shop"])},
        "access_node": {
            "listen": f"127.0.0.1:{free_ports(1)[0]}",
            "gateways": network.url(0),
            "peers": "private",
            "operator_token": "token",
        },
    }
    (home / "concordat.toml").write_text(render_config(values))
    (home / "genesis.json").write_bytes(network.testnet.genesis_path.read_bytes())
    return home


@contextmanager
def access_node(home: Path, listen: str, token: str) -> Iterator[Running]:
    """Run an access node while the block runs."""
    log = home / "access-node.log"
    with log.open("ab") as output:
        process = start_child(["access-node", "--home", str(home)], stdout=output, stderr=output)
    try:
        with httpx.Client(base_url=f"http://{listen}") as anybody:
            until(lambda: is_up(process, anybody, log), log)
            headers = {"authorization": f"Bearer {(home / token).read_text().strip()}"}
            with httpx.Client(base_url=f"http://{listen}", headers=headers) as operator:
                yield Running(process, log, operator, anybody)
    finally:
        process.kill()
        process.wait()


def is_up(process: subprocess.Popen[bytes], client: httpx.Client, log: Path) -> bool:
    """Say whether a node answers that all is well."""
    assert process.poll() is None, log.read_text()[-4000:]
    try:
        found = client.get("/health").json()
    except httpx.HTTPError:
        return False
    return all(check["status"] == "UP" for check in found["checks"])


def until(condition: Callable[[], bool], log: Path) -> None:
    """Wait until something holds."""
    end = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < end, log.read_text()[-4000:]
        time.sleep(0.05)


def listen_of(home: Path) -> str:
    """Give where a home's access node listens."""
    lines = (home / "concordat.toml").read_text().partition("[access_node]")[2].splitlines()
    return next(line.split('"')[1] for line in lines if line.startswith("listen = "))


def test_offering_made_at_one_node_is_at_the_other(network: RealNetwork) -> None:
    """The operator launches it here, anybody reads the very same there; its end travels, too."""
    first, second = network.home(0), home_without_validator(network)
    with (
        access_node(first, listen_of(first), "keys/access-node-token") as one,
        access_node(second, listen_of(second), "token") as shop,
    ):
        draft = one.operator.post(OFFERING, json={"name": "Draft", "lifecycleStatus": "Active"})
        made = one.operator.post(OFFERING, json={"name": "X", "lifecycleStatus": "Active"})
        assert made.status_code == 201, made.text
        place = made.headers["location"]
        assert one.anybody.get(place).status_code == 404
        launched = one.operator.patch(place, json={"lifecycleStatus": "Launched"})
        assert launched.status_code == 200, launched.text
        until(lambda: shop.anybody.get(place).status_code == 200, shop.log)
        assert shop.anybody.get(place).json() == one.anybody.get(place).json()
        assert shop.operator.get(draft.headers["location"]).status_code == 404
        assert shop.operator.patch(place, json={"name": "Mine"}).status_code == 403
        assert shop.anybody.post(OFFERING, json={"name": "X"}).status_code == 403
        wrong = {"authorization": "Bearer wrong"}
        refused = shop.anybody.post(OFFERING, json={"name": "X"}, headers=wrong)
        assert (refused.status_code, refused.headers["www-authenticate"]) == (401, "Bearer")
        until(lambda: 'replicas{of="current"} 1.0' in shop.anybody.get("/metrics").text, shop.log)
        assert one.operator.delete(place).status_code == 204
        until(lambda: shop.anybody.get(place).status_code == 404, shop.log)
        for node in (one, shop):
            node.process.send_signal(signal.SIGTERM)
        for node in (one, shop):
            assert node.process.wait(WAIT_S) == 0, node.log.read_text()[-4000:]
            assert "Traceback" not in node.log.read_text()


def test_usage_is_condensed_and_checked_offline(
    network: RealNetwork, concordat: Callable[..., Result], tmp_path: Path
) -> None:
    """A record becomes a block on the ledger; its proof and the audit hold without any node."""
    home, genesis = network.home(0), network.testnet.genesis_path
    parties = [("Seller", "did:example:one"), ("Buyer", "did:example:shop")]
    record = {
        "usageDate": "2026-11-21T10:00:00Z",
        "usageCharacteristic": [{"name": "storage", "value": {"amount": 5, "units": "GB"}}],
        "ratedProductUsage": [{"productRef": {"id": "urn:product:1"}}],
        "relatedParty": [
            {"id": f"urn:{role}", "role": role, "name": did, "@referredType": "Organization"}
            for role, did in parties
        ],
    }
    with access_node(home, listen_of(home), "keys/access-node-token") as one:
        made = one.operator.post("/tmf-api/usageManagement/v4/usage", json=record)
        assert made.status_code == 201, made.text
        blocks = "/usage-log/v1/blocks"
        proof = f"{blocks}/1/proof?record={made.json()['id']}"
        package = f"{blocks}/1/audit"
        until(lambda: one.operator.get(proof).json().get("bundle", "") != "", one.log)
        for name, path in (("proof", proof), ("package", package)):
            (tmp_path / name).write_bytes(one.operator.get(path).content)
        (tmp_path / "list").write_bytes(one.operator.get(blocks).content)
    shown = concordat("usage", "verify", tmp_path / "proof", "--genesis", genesis, "--json").stdout
    assert json.loads(shown)["record"]["id"] == made.json()["id"]
    assert (
        "record 1" in concordat("usage", "verify", tmp_path / "proof", "--genesis", genesis).stdout
    )
    audited = concordat("usage", "audit", tmp_path / "package", "--genesis", genesis).stdout
    assert "0 faults" in audited
    assert "5 GB storage" in audited
    chain = concordat("usage", "chain", "did:example:one", "--home", home, "--json").stdout
    assert json.loads(chain) == {"seller": "did:example:one", "blocks": 1, "faults": []}
    damaged = (tmp_path / "package").read_bytes().replace(b'"amount":5', b'"amount":6')
    (tmp_path / "damaged").write_bytes(damaged)
    told = concordat("usage", "audit", tmp_path / "damaged", "--genesis", genesis, code=1)
    assert "faults in block 1" in told.stdout
    wrong = concordat("usage", "verify", tmp_path / "list", "--genesis", genesis, code=1)
    assert "this is no proof" in wrong.stderr


def test_access_node_explains_what_it_lacks(
    network: RealNetwork, concordat: Callable[..., Result], tmp_path: Path
) -> None:
    """Each thing that is missing or wrong is named, with the exit code for it."""

    def refused(section: dict[str, Value], code: int = 2) -> str:
        home = tmp_path / str(len(list(tmp_path.iterdir())))
        home.mkdir()
        values: dict[str, dict[str, Value]] = {
            "keys": {"allow_unencrypted": True},
            "member": {"key": str(network.testnet.publisher_keys["shop"])},
            "access_node": {"listen": "127.0.0.1:0", **section},
        }
        (home / "concordat.toml").write_text(render_config(values))
        (home / "genesis.json").write_bytes(network.testnet.genesis_path.read_bytes())
        (home / "open-token").write_text("secret\n")
        (home / "open-token").chmod(0o644)
        return concordat("access-node", "--home", home, code=code).stderr

    assert "no member home" in concordat("access-node", "--home", tmp_path, code=2).stderr
    assert "other users may read the token file" in refused({"operator_token": "open-token"})
    busy = network.url(0).removeprefix("http://")
    assert "cannot listen" in refused({"listen": busy}, code=3)
    assert "access_node.database" in refused({"database": "genesis.json/x.sqlite"})
    assert "profile" in refused({"profile": "other"})
    missing = tmp_path / "unkeyed"
    missing.mkdir()
    (missing / "concordat.toml").write_text(render_config({}))
    assert "joined no network" in concordat("access-node", "--home", missing, code=2).stderr
    (missing / "genesis.json").write_text(json.dumps({}))
    assert "genesis.json" in concordat("access-node", "--home", missing, code=2).stderr
