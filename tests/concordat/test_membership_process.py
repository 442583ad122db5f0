"""A member joins a network that runs and another one leaves, by their operators' commands."""

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from click.testing import Result

from concordat.free_ports import free_ports
from pubsub.client.identity import Publisher
from pubsub.client.sync_client import Client
from tests.support.processes import Part, RealNetwork

pytestmark = pytest.mark.process

Run = Callable[..., Result]


@pytest.fixture
def network(tmp_path: Path) -> Iterator[RealNetwork]:
    """Give a running network of four."""
    network = RealNetwork.create(tmp_path)
    with network.running():
        network.wait_ready()
        yield network


def publish(network: RealNetwork, member: int, count: int) -> list[bytes]:
    """Publish events until they are final; give their ids."""
    did, signer = network.publisher(0)
    publisher = Publisher(did, signer, network.testnet.genesis.chain_id)
    with Client(network.url(member), network.testnet.genesis, give_up_ms=30_000) as client:
        opened = [publisher.sign("publisher0.x", "t") for _ in range(count)]
        receipts = client.publish_many(opened, wait="final")
        assert {receipt.status for receipt in receipts} == {"final"}
        return [receipt.id for receipt in receipts]


def decide(
    concordat: Run, network: RealNetwork, member: int, *changes: object, via: int | None = None
) -> None:
    """Propose validators at one member's home, and approve at two others'.

    Args:
        via: the member whose gateway is used; None for each his own.
    """

    def at(governor: int) -> tuple[object, ...]:
        url = network.url(governor if via is None else via)
        return ("--home", network.home(governor), "--url", url)

    proposed = concordat("governance", "propose-validators", *changes, *at(member), "--json")
    id_ = json.loads(proposed.stdout)["id"]
    for other in (1, 2):
        concordat("governance", "approve", id_, *at(other))


def wait_for_epoch(network: RealNetwork, member: int, number: int) -> dict[str, object]:
    """Wait until a gateway shows an epoch; give its validators."""
    deadline = time.monotonic() + 30
    while True:
        found: dict[str, object] = httpx.get(f"{network.url(member)}/v1/validators").json()
        if found["epoch"] == number:
            return found
        assert time.monotonic() < deadline, found
        time.sleep(0.05)


def wait_for_end(network: RealNetwork, member: int) -> None:
    """Wait until the node of a removed member ends in order."""
    deadline = time.monotonic() + 30
    while (code := network.take_end(member, Part.NODE)) is None:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert code == 0


def new_member(concordat: Run, network: RealNetwork, home: Path) -> tuple[int, Path]:
    """Make the home of a member that genesis does not name; give its number."""
    ports = free_ports(2)
    address, gateway = f"127.0.0.1:{ports[0]}", f'listen = "127.0.0.1:{ports[1]}"'
    named = ("--name", home.name, "--did", f"did:example:{home.name}", "--address", address)
    concordat("init", "member", home, *named, "--unencrypted")
    genesis = network.testnet.genesis_path
    refused = concordat("init", "join", home, "--genesis", genesis, code=2)
    assert "join with --later" in refused.stderr
    told = concordat("init", "join", home, "--genesis", genesis, "--later").stdout
    assert "propose-validators --add member.json" in told
    config = home / "concordat.toml"
    text = config.read_text()
    assert '#listen = "127.0.0.1:8080"' in text
    config.write_text(text.replace('#listen = "127.0.0.1:8080"', gateway))
    return network.adopt(home.name, home, ports), home


def start(network: RealNetwork, member: int) -> None:
    """Start a member's processes and wait until both serve."""
    network.start(member, Part.NODE)
    network.start(member, Part.GATEWAY)
    network.wait_ready([member])


def test_one_joins_and_one_leaves(network: RealNetwork, concordat: Run, tmp_path: Path) -> None:
    """The new member follows, signs, and the removed one ends in order; no event is lost."""
    late, home = new_member(concordat, network, tmp_path / "net" / "late")
    before = publish(network, 1, 20)
    start(network, late)
    decide(concordat, network, 0, "--add", home / "member.json")
    found = wait_for_epoch(network, late, 1)
    assert (found["quorum"], found["faulty_max"]) == (4, 1)
    shown = concordat("governance", "show", "--home", home).stdout
    assert "node0, node1, node2, node3, late" in shown
    between = publish(network, late, 20)
    decide(concordat, network, 3, "--remove", "node0")
    assert wait_for_epoch(network, late, 2)["quorum"] == 3
    after = publish(network, late, 20)
    wait_for_end(network, 0)
    with Client(network.url(late), network.testnet.genesis) as client:
        present = client.trust.validators()
        assert present.is_verified
        names = [member.name for member in present.value or ()]
        assert names == ["node1", "node2", "node3", "late"]
        ids = [event.id for event in client.events(topic="publisher0.>")]
        assert ids == [*before, *between, *after]
        proof = client.proof(ids[-1])
        assert proof is not None
        assert len(proof.epoch_ends) == 2
    earlier = httpx.get(f"{network.url(late)}/v1/validators", params={"epoch": 0}).json()
    assert [row["name"] for row in earlier["validators"]] == ["node0", "node1", "node2", "node3"]
    later = httpx.get(f"{network.url(late)}/v1/validators", params={"epoch": 9})
    assert (later.status_code, later.json()["code"]) == (400, "invalid_parameter")


def test_a_ledger_is_copied_after_all_validators_were_replaced(
    network: RealNetwork, concordat: Run, tmp_path: Path
) -> None:
    """Genesis alone shows a joining member who decides now, and it takes part after the copy."""
    late, home = new_member(concordat, network, tmp_path / "net" / "late")
    before = publish(network, 1, 20)
    start(network, late)
    all_four = [word for i in range(4) for word in ("--remove", f"node{i}")]
    decide(concordat, network, 0, "--add", home / "member.json", *all_four)
    assert wait_for_epoch(network, late, 1)["quorum"] == 1
    for member in range(4):
        wait_for_end(network, member)
    between = publish(network, late, 20)
    fresh, card = new_member(concordat, network, tmp_path / "net" / "fresh")
    told = json.loads(concordat("join", card, "--from", network.url(late), "--json").stdout)
    assert told["events"] >= len(before)
    start(network, fresh)
    decide(concordat, network, 0, "--add", card / "member.json", via=late)
    assert wait_for_epoch(network, fresh, 2)["quorum"] == 2
    after = publish(network, fresh, 20)
    with Client(network.url(fresh), network.testnet.genesis) as client:
        ids = [event.id for event in client.events(topic="publisher0.>")]
        assert ids == [*before, *between, *after]


def test_what_is_no_set_is_not_proposed(network: RealNetwork, concordat: Run) -> None:
    """Names of nobody, no change, or nobody left: told before anything is signed."""
    propose = ("governance", "propose-validators", "--home", network.home(0))
    all_four = [word for i in range(4) for word in ("--remove", f"node{i}")]
    for options, words in (
        ((), "give --add or --remove"),
        (("--remove", "nobody"), "no validator is called nobody"),
        (("--add", network.home(1) / "member.json"), "these are the validators already"),
        (all_four, "cannot be"),
    ):
        assert words in concordat(*propose, *options, code=2).stderr
