"""A member as a real process, and the commands of a user against it."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

import pytest
from click.testing import Result

from concordat import testnet
from concordat.free_ports import free_ports

pytestmark = pytest.mark.process

COMMAND = [sys.executable, "-m", "concordat"]
ROOT = Path(__file__).parents[2]


class Run(Protocol):
    """The command line; see conftest."""

    def __call__(
        self, *arguments: object, code: int = 0, stdin: str | bytes | None = None
    ) -> Result: ...


RunJson = Callable[..., dict[str, object]]


def start(*arguments: object) -> subprocess.Popen[bytes]:
    """Start a real ``concordat`` process."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [*COMMAND, *map(str, arguments)]
    return subprocess.Popen(command, env=environment, stderr=subprocess.PIPE)


def finish(*arguments: object, seconds: float = 30) -> tuple[int, str]:
    """Run a real ``concordat`` process to its end; give its exit code and standard error."""
    process = start(*arguments)
    try:
        _, errors = process.communicate(timeout=seconds)
    finally:
        process.kill()
    return process.returncode, errors.decode()


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> testnet.Testnet:
    """The files of a network with one validator and one more publisher."""
    ports = testnet.Ports(*free_ports(2))
    plan = testnet.TestnetPlan("solo", [("solo", ports)], ["shop"])
    return testnet.create_testnet(tmp_path_factory.mktemp("net"), plan)


@pytest.fixture(scope="module")
def home(network: testnet.Testnet) -> Iterator[Path]:
    """The home of a running member."""
    home = network.homes["solo"]
    with (home / "log").open("wb") as log:
        command = [*COMMAND, "run", "--home", str(home)]
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        process = subprocess.Popen(command, stderr=log, env=environment)
    try:
        code, errors = finish("status", "--home", home, "--wait", 30)
        assert code == 0, errors + (home / "log").read_text()
        yield home
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0, (home / "log").read_text()
    finally:
        process.kill()
    assert not (home / "control.sock").exists()


def test_status_names_the_network(concordat: Run, home: Path, network: testnet.Testnet) -> None:
    """The status table is for people, the JSON for programs; both name the network."""
    chain_id = network.genesis.chain_id
    assert chain_id in concordat("status", "--home", home).stdout
    document = json.loads(concordat("status", "--home", home, "--json").stdout)
    assert document["chain_id"] == chain_id
    assert document["progress"]["state"] == "ok"


def test_published_event_is_followed_fetched_and_verified(
    concordat: Run, concordat_json: RunJson, home: Path, network: testnet.Testnet, tmp_path: Path
) -> None:
    """One event goes all the way: published, final, followed, fetched, proven offline."""
    content = ("--topic", "solo.x", "--type", "Thing.create", "--subject", "urn:thing:1")
    receipt = concordat_json("publish", "--home", home, *content, "--data", "héllo", "--tag", "a")
    assert receipt["status"] == "final"
    followed = json.loads(
        concordat("subscribe", "--home", home, "--count", 1, "--json", "--topic", "solo.>").stdout
    )
    assert followed["id"] == receipt["id"]
    assert followed["subject"] == "urn:thing:1"
    line = concordat("get", "--home", home, receipt["id"]).stdout
    assert "Thing.create" in line
    proof, genesis = tmp_path / "proof.json", network.genesis_path
    concordat("get", "--home", home, receipt["id"], "--proof", "--output", proof)
    verified = concordat_json("verify", proof, "--genesis", genesis)
    assert verified["id"] == receipt["id"]
    assert verified["sequence"] == receipt["sequence"]
    damaged = proof.read_text().replace('"bundle": "m', '"bundle": "n')
    result = concordat("verify", "-", "--genesis", genesis, code=1, stdin=damaged)
    assert "no proof" in result.stderr or "DOES NOT HOLD" in result.stderr


def test_proof_of_another_network_does_not_hold(
    concordat: Run, concordat_json: RunJson, home: Path, tmp_path: Path
) -> None:
    """A proof is bound to its genesis file."""
    content = ("--topic", "solo.x", "--type", "Thing.create")
    receipt = concordat_json("publish", "--home", home, *content, "--wait", "proof")
    proof = concordat("get", "--home", home, receipt["id"], "--proof").stdout
    concordat("testnet", tmp_path / "other")
    genesis = tmp_path / "other" / "genesis.json"
    result = concordat("verify", "-", "--genesis", genesis, code=1, stdin=proof)
    assert "DOES NOT HOLD" in result.stderr


def test_file_of_events_is_published(concordat: Run, home: Path, network: testnet.Testnet) -> None:
    """Each line is an event; a refused one fails the command and takes no other with it."""
    lines = [
        {"topic": "shop.x", "type": "a", "data": {"b": [1, 2]}, "tags": ["prd"]},
        {"topic": "solo.x", "type": "not the shop's topic"},
        {"topic": "shop.x", "type": "c", "entityhash": "ab" * 32},
    ]
    key = network.publisher_keys["shop"]
    text = "\n".join(map(json.dumps, lines))
    result = concordat(
        "publish", "--home", home, "--key", key, "--file", "-", "--json", code=1, stdin=text
    )
    receipts = [json.loads(line) for line in result.stdout.splitlines()]
    assert [receipt["status"] for receipt in receipts] == ["final", "refused", "final"]
    assert receipts[1]["code"] == "topic_forbidden"
    assert "1 of 3" in json.loads(result.stderr)["error"]


def test_unknown_event_is_told(concordat: Run, home: Path) -> None:
    """What is not in the ledger fails with what may be the reason."""
    assert "holds no event" in concordat("get", "--home", home, "00" * 32, code=1).stderr
    assert "not an event id" in concordat("get", "--home", home, "zz", code=2).stderr


@pytest.mark.usefixtures("home")
@pytest.mark.parametrize("process", ["node", "gateway", "run"])
def test_second_process_on_the_same_home_is_refused(network: testnet.Testnet, process: str) -> None:
    """A second member on a running home ends at once, says why, and harms nothing."""
    code, errors = finish(process, "--home", network.homes["solo"])
    assert code in (3, 4)
    assert "Traceback" not in errors
    assert "another process" in errors or "in use" in errors


def test_unreachable_gateway_is_told(concordat: Run) -> None:
    """A gateway that does not answer is exit code 3, with the reason."""
    result = concordat("status", "--url", "http://127.0.0.1:1", code=3)
    assert "cannot be reached" in result.stderr
