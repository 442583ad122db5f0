"""Replication over the real client: events are signed, proven against genesis, streamed as SSE."""

from pathlib import Path

import anyio
import httpx

from pubsub.client.async_client import AsyncClient
from tests.adapters.tmf.replication.replication_world import Network, Node, PlayedLedger, until
from tests.support.memory_chain import PUBLISHER_DID, PUBLISHER_SIGNER, START_MS, MemoryChain
from tests.support.memory_gateway import MemoryGateway


class ClientLedger(PlayedLedger):
    """A ledger whose events come from a gateway; its participants are played."""

    def __init__(self, client: AsyncClient) -> None:
        super().__init__()
        self.publish_many = client.publish_many  # type: ignore[assignment] # the real one
        self.events = client.events  # type: ignore[assignment]
        self.status = client.status  # type: ignore[method-assign]
        self.subscribe = client.subscribe  # type: ignore[assignment]


async def replicate(directory: Path) -> tuple[MemoryGateway, Node, Node]:
    """Publish at one node until another one, which is restarted once, holds all."""
    chain = MemoryChain()
    gateway = MemoryGateway(chain)
    async with AsyncClient("http://g", chain.genesis, transport=gateway.transport) as client:
        ledger, network = ClientLedger(client), Network()
        network.clock.ahead_ms = START_MS - network.clock.now_ms()
        one = Node("one", directory, ledger, network)
        two = Node("two", directory, ledger, network)
        one.did, one.signer = PUBLISHER_DID, PUBLISHER_SIGNER
        one.chain_id = chain.genesis.chain_id
        ledger.join(one.did, one.signer)
        one.reopen()
        async with one.running():
            for _ in range(2):
                async with two.running():
                    id_ = one.create()
                    await until(lambda: two.replicas() == one.own())
                two.reopen()
            one.remove(id_)
            async with two.running():
                await until(lambda: two.replicas() == one.own())
                assert len(two.replicas()) == 1
        assert two.replicator.follower.error == ""
    return gateway, one, two


async def test_events_of_a_gateway_become_replicas(tmp_path: Path) -> None:
    """Nodes agree over a gateway whose proofs are checked; each restart goes on where it was."""
    gateway, _, _ = await replicate(tmp_path)
    assert sum(request.startswith("POST") for request in gateway.requests) == 3


def test_all_of_it_runs_on_asyncio_too(tmp_path: Path) -> None:
    """The product's event loop is asyncio, the other tests' is trio."""
    anyio.run(replicate, tmp_path, backend="asyncio")


async def test_an_event_that_the_ledger_does_not_hold_is_not_taken(tmp_path: Path) -> None:
    """A gateway that shows an event without a proof is not believed, and the reason is seen."""
    gateway, one, two = await replicate(tmp_path)

    def lie(request: httpx.Request) -> httpx.Response | None:
        return httpx.Response(404) if request.url.path.endswith("/proof") else None

    gateway.faults.append(lie)
    async with AsyncClient(
        "http://g", gateway.chain.genesis, transport=gateway.transport, give_up_ms=200
    ) as client:
        ledger = ClientLedger(client)
        for node in (one, two):
            node.ledger = ledger
            ledger.join(node.did, node.signer)
            node.reopen()
        async with one.running():
            one.create()
            count = len(gateway.chain.entries)
            await until(lambda: len(gateway.chain.entries) > count)
        async with two.running():
            await until(lambda: two.replicator.follower.error != "")
        assert len(two.replicas()) == 1
