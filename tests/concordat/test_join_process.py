"""A member that lost its disk joins by a snapshot while the others go on, and takes part again."""

import json
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ledger.core.event import OpenEntry
from ledger.io.chain_store import ChainStore
from pubsub.client.identity import Publisher
from pubsub.client.sync_client import Client
from tests.concordat.conftest import Run
from tests.support.processes import Part, RealNetwork

pytestmark = pytest.mark.process

LOST = 3
SECONDS = 20.0


def events(publisher: Publisher, first: int, count: int) -> list[OpenEntry]:
    """Sign events."""
    return [
        publisher.sign(
            "publisher0.x", "thing.changed", subject=f"urn:thing:{n % 50}", data=b"x" * 200
        )
        for n in range(first, first + count)
    ]


@contextmanager
def under_load(url: str, publisher: Publisher) -> Iterator[None]:
    """Publish all the time while the block runs."""
    is_over = threading.Event()

    def publish() -> None:
        with Client(url) as client:
            number = 100_000
            while not is_over.is_set():
                client.publish_many(events(publisher, number, 20), "final")
                number += 20

    thread = threading.Thread(target=publish)
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join()


def wait_until(condition: Callable[[], bool]) -> None:
    """Return when something holds."""
    deadline = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def log_size(url: str) -> int:
    """Give the number of events that a gateway shows."""
    with Client(url) as client:
        chain = client.status().chain
    return 0 if chain is None else chain.log_size


def log_of(path: Path) -> list[bytes | None]:
    """Read a whole log."""
    with ChainStore.open_readonly(path) as store, store.read() as reader:
        return [reader.entry(n) for n in range(reader.head().log_size)]  # type: ignore[arg-type]


def test_a_member_without_its_data_joins_by_a_snapshot(tmp_path: Path, concordat: Run) -> None:
    """Its log becomes that of the others, and the network goes on with its votes."""
    network = RealNetwork.create(tmp_path / "net", settings={"log": {"level": "warning"}})
    publisher = Publisher(*network.publisher(0), network.testnet.genesis.chain_id)
    urls = [network.url(member) for member in range(LOST)]
    with network.running():
        network.wait_ready()
        with Client(urls[0]) as client:
            client.publish_many(events(publisher, 0, 1_500), "final")
        network.kill((LOST, Part.NODE), (LOST, Part.GATEWAY))
        shutil.rmtree(network.home(LOST) / "data")
        with under_load(urls[0], publisher):
            dead = "http://127.0.0.1:1"
            options = [part for url in (dead, *urls[1:]) for part in ("--from", url)]
            result = concordat("join", network.home(LOST), *options, "--json")
            joined = json.loads(result.stdout)
            assert joined["events"] >= 1_500
            network.start_all()
            network.wait_ready()
        wait_until(lambda: log_size(network.url(LOST)) == log_size(urls[0]))
        network.kill((2, Part.NODE), (2, Part.GATEWAY))
        with Client(network.url(LOST)) as client:  # its quorum needs the one that joined
            (receipt,) = client.publish_many(events(publisher, 1, 1), "proof")
        assert receipt.status == "final"
        wait_until(lambda: log_size(urls[0]) == log_size(network.url(LOST)))
        assert network.stop_all() == []
    logs = [log_of(network.chain_dir(member)) for member in (0, 1, LOST)]
    assert len(logs[0]) > 1_500
    assert logs[0] == logs[1] == logs[2]
    refused = concordat("join", network.home(LOST), "--from", urls[0], code=2)
    assert "holds blocks up to" in refused.stderr
