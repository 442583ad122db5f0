"""The synchronous client is the asynchronous one without waiting, on real connections too."""

import warnings
from collections.abc import Iterator

import anyio
import httpx
import pytest

from ledger.core.errors import ProofError, Rejected
from ledger.core.ids import Sequence
from pubsub.client.async_client import AsyncClient
from pubsub.client.sync_client import Client
from pubsub.core.problems import HttpCode
from tests.support import unasync
from tests.support.memory_chain import MemoryChain, make_entry
from tests.support.memory_gateway import MemoryGateway, problem
from tests.support.socket_gateway import served


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pubsub.client.sync_client.time.sleep", lambda _seconds: None)

    async def no_pause(_seconds: float) -> None:
        await anyio.lowlevel.checkpoint()

    monkeypatch.setattr("pubsub.client.async_client.anyio.sleep", no_pause)


@pytest.fixture
def gateway() -> MemoryGateway:
    """Give a gateway to a ledger of 20 events."""
    chain = MemoryChain()
    for nonce in range(20):
        chain.grow([make_entry(chain.genesis.chain_id, nonce)])
    for _ in range(3):
        chain.grow()
    return MemoryGateway(chain)


@pytest.fixture
def client(gateway: MemoryGateway) -> Iterator[Client]:
    """Give a client of it."""
    with Client(
        ["http://a", "http://b"], gateway.chain.genesis, transport=gateway.transport
    ) as client:
        yield client


def test_it_is_made_from_the_asynchronous_one() -> None:
    """The file in the tree is what tests/support/unasync.py makes: run it after a change."""
    for source, target in unasync.PAIRS:
        made = unasync.synchronous(source.read_text(encoding="utf-8"))
        assert target.read_text(encoding="utf-8") == made


def test_publishing_and_reading(gateway: MemoryGateway, client: Client) -> None:
    """Publish one and many, read them back by id and in pages, with proofs."""
    chain_id = gateway.chain.genesis.chain_id
    receipt = client.publish(make_entry(chain_id, 50), wait="proof")
    assert (receipt.status, receipt.sequence) == ("final", 20)
    assert receipt.proof is not None
    receipts = client.publish_many((make_entry(chain_id, 60 + n) for n in range(5)), wait="final")
    assert [receipt.sequence for receipt in receipts] == list(range(21, 26))
    event = client.get(receipt.id)
    assert event is not None
    assert event.event.nonce == 50
    assert client.proof(receipt.id) == receipt.proof
    assert [event.sequence for event in client.events(after=18)] == list(range(19, 26))
    assert client.fetch_genesis() == gateway.chain.genesis


def test_following(gateway: MemoryGateway, client: Client) -> None:
    """A subscription gives each event once, in order, over connections that break."""
    with client.subscribe() as events:
        assert [next(events).sequence for _ in range(20)] == list(range(20))
        assert events.losses == 0
        gateway.chain.grow([make_entry(gateway.chain.genesis.chain_id, 90)])
        for _ in range(3):
            gateway.chain.grow()
        assert next(events).sequence == 20
        assert events.losses == 1
        assert events.cursor == 20


def test_failures(gateway: MemoryGateway, client: Client) -> None:
    """A failing gateway is tried again; a wrong proof and a refusal are not."""
    answers = [problem(HttpCode.NODE_UNAVAILABLE), problem(HttpCode.SHUTTING_DOWN)]
    gateway.faults.append(lambda _request: answers.pop() if answers else None)
    assert client.get(make_entry(gateway.chain.genesis.chain_id, 3).id) is not None
    gateway.faults[:] = [lambda _request: problem(HttpCode.INVALID_PARAMETER)]
    with pytest.raises(Rejected):
        next(client.events())
    proof = gateway.proof(Sequence(1))
    gateway.faults[:] = [lambda _request: httpx.Response(200, content=proof)]
    with pytest.raises(ProofError):
        client.proof(make_entry(gateway.chain.genesis.chain_id, 3).id)


def test_over_sockets(gateway: MemoryGateway) -> None:
    """Over real connections that end early nothing is lost and nothing left open."""
    gateway.cuts = 3_000
    genesis = gateway.chain.genesis
    with (
        warnings.catch_warnings(),
        served(gateway) as url,
        Client(url, genesis, give_up_ms=3_000) as client,
    ):
        warnings.simplefilter("error")
        assert [event.sequence for event in client.events()] == list(range(20))
        with client.subscribe() as events:
            assert next(events).sequence == 0
        with client.subscribe(after=3) as events:
            assert [next(events).sequence for _ in range(16)] == list(range(4, 20))


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_the_asynchronous_one_over_sockets(gateway: MemoryGateway, backend: str) -> None:
    """The same on both libraries: leaving a stream in the middle leaves no generator behind."""
    gateway.cuts = 3_000
    genesis = gateway.chain.genesis

    async def body(url: str) -> None:
        async with AsyncClient([url, "http://127.0.0.1:1"], genesis, give_up_ms=3_000) as client:
            assert [event.sequence async for event in client.events()] == list(range(20))
            async with client.subscribe() as events:
                assert (await anext(events)).sequence == 0
            async with client.subscribe(after=3) as events:
                assert [(await anext(events)).sequence for _ in range(16)] == list(range(4, 20))
                with anyio.move_on_after(0.05):
                    await anext(events)

    with served(gateway) as url:
        anyio.run(body, url, backend=backend)
