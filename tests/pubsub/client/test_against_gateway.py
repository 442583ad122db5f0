"""The client against the real gateway, a process over a real store: what one writes, one reads."""

from collections.abc import Iterator
from pathlib import Path

import anyio
import pytest

from ledger.core.errors import RejectCode, Rejected
from ledger.core.event import OpenEntry
from ledger.core.ids import EventId
from pubsub.client.async_client import AsyncClient
from pubsub.client.identity import Publisher
from tests.ledger.sample_network import ALICE, ALICE_DID, GENESIS, START_MS
from tests.pubsub.gateway_world import Chain, FakeNode
from tests.pubsub.live_server import Live, live_gateway

PUBLISHER = Publisher(ALICE_DID, ALICE, GENESIS.chain_id)


class World:
    """A store, the node that a test plays, and two processes that are gateways to them."""

    def __init__(self, chain: Chain, node: FakeNode, gateways: list[Live]) -> None:
        self.chain = chain
        self.node = node
        self.gateways = gateways

    def client(self) -> AsyncClient:
        """Give a client of both gateways."""
        urls = [live.url for live in self.gateways]
        return AsyncClient(urls, GENESIS, give_up_ms=10_000)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """Give gateways to an empty ledger."""
    chain = Chain(tmp_path / "chain")
    node = FakeNode(tmp_path / "control.sock", chain)
    node.finalises = True
    with live_gateway(tmp_path) as first, live_gateway(tmp_path) as second:
        yield World(chain, node, [first, second])


def offering(number: int, topic: str = "catalog.offering.changed") -> OpenEntry:
    """Give an event that the network takes."""
    return PUBLISHER.sign(
        topic,
        "org.example.offering.changed",
        subject=f"urn:offering:{number}",
        content_type="application/json",
        data=b'{"n":%d}' % number,
        tags=("eu", "a,b%2C"),
        time_ms=START_MS + number,
    )


async def test_publish_read_and_prove(world: World) -> None:
    """What is published with proof is found, proven, listed by every filter, and taken once."""
    async with world.node.listening(), world.client() as client:
        first = await client.publish(offering(0), wait="proof")
        assert (first.status, first.sequence) == ("final", 0)
        assert first.proof is not None
        many = [offering(number) for number in range(1, 50)]
        receipts = await client.publish_many([*many, many[3]], wait="final")
        assert [receipt.sequence for receipt in receipts] == [*range(1, 50), 4]
        again = await client.publish(many[0])
        assert (again.status, again.sequence, again.duplicate) == ("final", 1, True)
        found = await client.get(many[9].id)
        assert found is not None
        assert (found.sequence, found.entry) == (10, many[9].entry)
        assert await client.get(EventId(bytes(32))) is None
        bundle = await client.proof(many[9].id)
        assert bundle is not None
        assert bundle.sequence == 10
        events = [event async for event in client.events(after=5)]
        assert [event.sequence for event in events] == list(range(6, 50))
        one = [event async for event in client.events(subject="urn:offering:7", topic="catalog.>")]
        assert [event.sequence for event in one] == [7]
        assert (await client.fetch_genesis()).hash == GENESIS.hash
        assert (await client.status()).chain_id == GENESIS.chain_id


async def test_a_refusal_has_its_code(world: World) -> None:
    """What the node refuses raises the code that it gave."""
    world.node.judge = lambda _entry: RejectCode.TOPIC_FORBIDDEN.value
    async with world.node.listening(), world.client() as client:
        with pytest.raises(Rejected) as caught:
            await client.publish(offering(0), wait="final")
        assert caught.value.code is RejectCode.TOPIC_FORBIDDEN
        (receipt,) = await client.publish_many([offering(1)])
        assert (receipt.status, receipt.code) == ("refused", RejectCode.TOPIC_FORBIDDEN)


async def test_follow_over_a_death(world: World) -> None:
    """A gateway that is killed in the middle leaves neither a gap nor a duplicate."""
    total = 60
    topics = ("catalog.a", "catalog.b")
    is_killed = anyio.Event()

    async def publish() -> None:
        for number in range(total):
            if number == total // 2:
                # What was sent before may wait unread in a client: only later events need another.
                await is_killed.wait()
            await world.node.extend([offering(number, topics[number % 2]).entry])
            await world.node.extend()
            await anyio.sleep(0.002)

    with anyio.fail_after(30):
        async with (
            world.node.listening(),
            anyio.create_task_group() as group,
            world.client() as client,
            client.subscribe() as events,
            client.subscribe(topic="catalog.a") as some,
        ):
            group.start_soon(publish)
            received = [await anext(events) for _ in range(20)]
            evens = [await anext(some) for _ in range(5)]
            world.gateways[0].process.kill()
            is_killed.set()
            received += [await anext(events) for _ in range(20, total)]
            evens += [await anext(some) for _ in range(10, total, 2)]
            assert events.losses == some.losses == 1
    assert [event.sequence for event in received] == list(range(total))
    assert [event.sequence for event in evens] == list(range(0, total, 2))
    assert all(event.is_verified for event in [*received, *evens])
