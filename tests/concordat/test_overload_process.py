"""A real node whose queue is full: what its gateway says, and what a client does about it."""

import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import msgspec
import pytest

from concordat import Client, testnet
from concordat.free_ports import free_ports
from concordat.home import Home
from ledger.core.errors import Unavailable
from ledger.core.event import Event, OpenEntry, sign_event
from ledger.core.limits import MEMPOOL_ENTRIES_MAX
from ledger.io.keystore import KeyPurpose, open_key
from pubsub.core.limits import RETRY_AFTER_STALLED_S
from tests.concordat.test_member_process import start

pytestmark = pytest.mark.process

CHUNK = 1_024
START_S = 30


@pytest.fixture
def network(tmp_path: Path) -> testnet.Testnet:
    """The files of a network of four validators, of which one will run: nothing becomes final."""
    ports = free_ports(8)
    rows = [(f"v{i}", testnet.Ports(ports[2 * i], ports[2 * i + 1])) for i in range(4)]
    return testnet.create_testnet(tmp_path / "net", testnet.TestnetPlan("full", rows, ["shop"]))


@pytest.fixture
def url(network: testnet.Testnet) -> Iterator[str]:
    """The gateway of the one validator that runs."""
    home = network.homes["v0"]
    process = start("run", "--home", home)
    address = f"http://{Home.open(home).config.gateway.listen}"
    try:
        _await_ready(process, address)
        yield address
    finally:
        process.terminate()
        process.communicate(timeout=START_S)


def _await_ready(process: subprocess.Popen[bytes], url: str) -> None:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline and process.poll() is None:
        try:
            if httpx.get(f"{url}/readyz").status_code == httpx.codes.OK:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.05)
    raise AssertionError("the member did not become ready")


def entries(network: testnet.Testnet, first: int, count: int) -> list[OpenEntry]:
    """Sign events of the publisher."""
    key = open_key(network.publisher_keys["shop"], KeyPurpose.PUBLISHER, password=None)
    signer = key.signer
    now_ms = time.time_ns() // 1_000_000
    return [
        sign_event(
            Event(
                version=1,
                chain_id=network.genesis.chain_id,
                topic="shop.test",
                publisher=key.info.owner,
                key=signer.public_key,
                nonce=first + number,
                time_ms=now_ms,
                type="test",
                subject=f"urn:test:{number}",
                entity_hash=b"",
                previous_hash=b"",
                location="",
                content_type="",
                data=b"",
                tags=(),
            ),
            signer,
        )
        for number in range(count)
    ]


def publish(http: httpx.Client, rows: list[OpenEntry]) -> httpx.Response:
    """Hand events in, in bulk."""
    return http.post(
        "/v1/events",
        content=msgspec.msgpack.encode([row.entry for row in rows]),
        headers={"content-type": "application/vnd.concordat.events+msgpack"},
    )


def test_a_full_queue_is_a_429_that_says_when(network: testnet.Testnet, url: str) -> None:
    """Without a quorum the queue fills; then events are refused with the time to come back."""
    codes: list[str | None] = []
    with httpx.Client(base_url=url, timeout=START_S) as http:
        for chunk in range(4 * MEMPOOL_ENTRIES_MAX // CHUNK):
            answer = publish(http, entries(network, chunk * CHUNK, CHUNK))
            if answer.status_code == httpx.codes.TOO_MANY_REQUESTS:
                break
            assert answer.status_code == httpx.codes.ACCEPTED
            codes += [row.get("code") for row in answer.json()["receipts"]]
        assert answer.status_code == httpx.codes.TOO_MANY_REQUESTS
        assert answer.json()["code"] == "overloaded"
        assert {row["code"] for row in answer.json()["receipts"]} == {"overloaded"}
        assert answer.headers["retry-after"] == str(RETRY_AFTER_STALLED_S)
        assert set(codes) == {None}
        waiting = http.get("/v1/status").json()["node"]["mempool_entries"]
    assert MEMPOOL_ENTRIES_MAX - CHUNK < waiting <= MEMPOOL_ENTRIES_MAX
    begun = time.monotonic()
    with Client(url, give_up_ms=10_000) as client:
        with pytest.raises(Unavailable, match="none of the events was taken"):
            client.publish_many(entries(network, 10**9, CHUNK))
        with pytest.raises(Unavailable, match="left alone"):
            client.publish(entries(network, 2 * 10**9, 1)[0])
    # It knew that the time which the gateway named is beyond its patience, and asked once.
    assert time.monotonic() - begun < 9
