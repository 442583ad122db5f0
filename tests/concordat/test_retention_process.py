"""A member of a real network forgets, gives the space back, and goes on among members that keep."""

import json
import shutil
import threading
import time
from pathlib import Path

import pytest

from ledger.core.event import OpenEntry
from ledger.core.genesis import Genesis
from ledger.core.proof import verify_bundle
from ledger.io.chain_store import ChainStore
from pubsub.client.answers import Refused
from pubsub.client.identity import Publisher
from pubsub.client.sync_client import Client
from pubsub.core.problems import HttpCode
from tests.concordat.conftest import Run
from tests.support.processes import Part, RealNetwork

pytestmark = pytest.mark.process

PRUNED, COUNT, KEPT, MORE = 1, 1_500, 200, 300
SECONDS = 30.0


@pytest.fixture(autouse=True)
def minute_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take for granted that all who signed are done with their disks, as half a minute later."""
    monkeypatch.setattr("concordat.retention_holds._durable", lambda _reader, signed: signed)


def events(publisher: Publisher, count: int) -> list[OpenEntry]:
    """Sign events."""
    return [
        publisher.sign("publisher0.x", "thing.changed", subject=f"urn:thing:{n}", data=b"x" * 400)
        for n in range(count)
    ]


def wait_for(url: str, log_size: int) -> None:
    """Return when a gateway shows a log of that size, all of it cosigned."""
    deadline = time.monotonic() + SECONDS
    with Client(url) as client:
        while True:
            chain = client.status().chain
            if chain is not None and chain.log_size >= log_size:
                return
            assert time.monotonic() < deadline
            time.sleep(0.1)


def wait_cosigned(path: Path, log_size: int) -> None:
    """Return when a member's newest checkpoint covers so many events."""
    deadline = time.monotonic() + SECONDS
    while True:
        with ChainStore.open_readonly(path) as store, store.read() as reader:
            checkpoint = reader.checkpoint()
        if checkpoint is not None and checkpoint.log_size >= log_size:
            return
        assert time.monotonic() < deadline
        time.sleep(0.2)


def check_forgotten(client: Client, first: OpenEntry, genesis: Genesis) -> None:
    """Hold a gateway to what it owes about the first event of the log, which it has forgotten."""
    for ask in (client.get, client.proof):
        with pytest.raises(Refused) as refused:
            ask(first.id)
        assert refused.value.code is HttpCode.FORGOTTEN
    bundle = client.proof(first.id, first.entry)
    assert bundle is not None
    assert verify_bundle(bundle, genesis).id == first.id
    # Said again, it is a duplicate here as everywhere: the keys of a day are kept.
    (again,) = client.publish_many([first], "final")
    assert (again.duplicate, again.sequence) == (True, 0)


def test_member_forgets_and_goes_on(tmp_path: Path, concordat: Run) -> None:
    """While others publish, one is pruned; then it catches up, votes, reads, proves as before."""
    network = RealNetwork.create(tmp_path / "net", settings={"log": {"level": "warning"}})
    genesis = network.testnet.genesis
    publisher = Publisher(*network.publisher(0), genesis.chain_id)
    home, url, other = network.home(PRUNED), network.url(PRUNED), network.url(0)
    old = events(publisher, COUNT)
    with network.running():
        network.wait_ready()
        with Client(other) as client:
            receipts = client.publish_many(old, "final")
        wait_for(url, COUNT)
        wait_cosigned(network.chain_dir(PRUNED), COUNT)
        network.kill((PRUNED, Part.NODE), (PRUNED, Part.GATEWAY))
        new: list[OpenEntry] = events(publisher, MORE)
        with Client(other) as client:
            publishing = threading.Thread(target=client.publish_many, args=(new, "final"))
            publishing.start()
            pruned = json.loads(
                concordat("prune", "--home", home, "--keep-events", KEPT, "--json").stdout
            )
            won = json.loads(concordat("compact", "--home", home, "--json").stdout)["bytes_won"]
            publishing.join()
        first = pruned["first_held"]
        assert COUNT - 2 * KEPT - 650 < first <= COUNT - KEPT
        assert won > 400 * first
        network.start_all()
        network.wait_ready()
        wait_for(url, COUNT + MORE)
        network.kill((3, Part.NODE), (3, Part.GATEWAY))  # now its votes are needed
        with Client(url, genesis) as client:
            (receipt,) = client.publish_many(events(publisher, 1), "proof")
            assert receipt.status == "final"
            lost = next(i for i in range(COUNT) if receipts[i].sequence == 0)
            check_forgotten(client, old[lost], genesis)
            assert client.get(new[-1].id) is not None
        told = concordat("status", "--url", url, "--json")
        assert json.loads(told.stdout)["chain"]["first_sequence"] == first
        assert network.stop_all() == []
    with ChainStore.open_readonly(network.chain_dir(PRUNED)) as store, store.read() as reader:
        assert reader.first_held() == first
        head = reader.head()
        root = reader.stored_head(head.height).root
    with ChainStore.open_readonly(network.chain_dir(0)) as store, store.read() as reader:
        assert reader.root(head.height) == root


def test_others_help_who_was_away_and_who_joins(tmp_path: Path, concordat: Run) -> None:
    """What one member has forgotten comes from another: block by block, and as a whole copy."""
    network = RealNetwork.create(tmp_path / "net", settings={"log": {"level": "warning"}})
    publisher = Publisher(*network.publisher(0), network.testnet.genesis.chain_id)
    away, url = 3, network.url(PRUNED)
    name = network.home(away).name
    with network.running():
        network.wait_ready()
        network.kill((away, Part.NODE), (away, Part.GATEWAY))
        with Client(network.url(0)) as client:
            client.publish_many(events(publisher, COUNT), "final")
        wait_for(url, COUNT)
        wait_cosigned(network.chain_dir(PRUNED), COUNT)
        network.kill((PRUNED, Part.NODE), (PRUNED, Part.GATEWAY))
        options = ("--home", network.home(PRUNED), "--keep-events", KEPT, "--json")
        held = json.loads(concordat("prune", *options).stdout)
        assert name in held["held_back_by"][0]["who"]
        assert held["first_held"] == 0
        pruned = json.loads(concordat("prune", *options, "--without", name).stdout)
        assert pruned["first_held"] > COUNT / 3
        network.start_all()
        wait_for(network.url(away), COUNT)
        network.kill((away, Part.NODE), (away, Part.GATEWAY))
        shutil.rmtree(network.home(away) / "data")
        sources = ("--from", url, "--from", network.url(0))
        joined = json.loads(concordat("join", network.home(away), *sources, "--json").stdout)
        assert joined["events"] >= COUNT
        assert network.stop_all() == []
    with ChainStore.open_readonly(network.chain_dir(away)) as store, store.read() as reader:
        assert reader.first_held() == 0
        assert len(reader.entries(reader.first_held(), COUNT, 10**9)) == COUNT
