"""The client's durable consumers against the real gateway in this process, and against liars."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import httpx
import msgspec
import pytest

from ledger.core.errors import PeerFault, ProofError
from pubsub.client.answers import Refused
from pubsub.client.async_client import AsyncClient
from pubsub.client.following import Filters
from pubsub.core.cloudevents import cloudevent_json
from pubsub.core.consumer.settlement import Nak, Settlement, Termination
from pubsub.core.problems import HttpCode
from pubsub.core.rights import Scope
from pubsub.io.rights import RightsSettings
from tests.ledger.sample_network import GENESIS
from tests.pubsub.gateway_world import World, gateway_world, sample

ALL = RightsSettings(anonymous=frozenset(Scope))


class ConsumerClients:
    """A gateway with events, and clients of it."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.lies: list[object] = []
        self.asked: list[str] = []
        self._app = httpx.ASGITransport(app=world.app)

    async def publish(self, first: int, last: int, topic: str = "catalog.offering") -> None:
        """Make events final and provable."""
        await self.world.node.extend([sample(n, topic=topic).entry for n in range(first, last)])
        await self.world.node.extend()
        await self.world.node.extend()

    @asynccontextmanager
    async def client(self) -> AsyncIterator[AsyncClient]:
        """Give a client of the gateway under two names; lies change what it is answered."""
        world = self

        class Transport(httpx.AsyncBaseTransport):
            async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
                world.asked.append(f"{request.method} {request.url.host} {request.url.path}")
                answer = await world._app.handle_async_request(request)
                body = await answer.aread()
                for lie in world.lies:
                    body = lie(request, body)  # type: ignore[operator]
                return httpx.Response(answer.status_code, headers=answer.headers, content=body)

        urls = ["http://a", "http://b"]
        async with AsyncClient(urls, GENESIS, give_up_ms=5_000, transport=Transport()) as client:
            yield client


@pytest.fixture
async def clients(tmp_path: Path) -> AsyncIterator[ConsumerClients]:
    """Give a gateway at which everybody may have consumers."""
    async with gateway_world(tmp_path, rights=ALL) as world:
        yield ConsumerClients(world)


async def test_consumers_are_made_and_shown(clients: ConsumerClients) -> None:
    """A consumer is made once, found, listed, paused, resumed and deleted."""
    async with clients.client() as client:
        consumers = client.consumers
        made = await consumers.create(
            "orders", topics=["catalog.>"], filters=[{"prefix": {"type": "org."}}], start="first"
        )
        assert (made.name, made.interest.topics, made.position) == ("orders", ("catalog.>",), 0)
        later = await consumers.create("later", start={"policy": "sequence", "sequence": 7})
        assert later.start.sequence == 7
        assert [each.name async for each in consumers.list()] == ["later", "orders"]
        assert (await consumers.pause("orders")).paused_until_ms is not None
        assert (await consumers.resume("orders")).paused_until_ms is None
        assert await consumers.get("none") is None
        with pytest.raises(Refused) as caught:
            await consumers.create("orders", topics=["other.>"], start="first")
        assert caught.value.code is HttpCode.CONSUMER_EXISTS
        assert await consumers.delete("orders")
        assert not await consumers.delete("orders")
        for terms in ({"start": "never"}, {"topics": ["a..b"]}, {"filters": [{"sql": "x"}]}):
            with pytest.raises(ValueError, match="terms of a consumer"):
                await consumers.create("x", **terms)
    assert all(" a " in line for line in clients.asked)  # no other gateway knows them


async def test_fetch_and_settle(clients: ConsumerClients) -> None:
    """Events are given out with proof and settled; what is given up is listed and replayed."""
    await clients.publish(0, 4)
    async with clients.client() as client:
        consumers = client.consumers
        await consumers.create("c", start="first")
        rows = (await consumers.fetch("c", 10)).rows
        assert [(row.event.sequence, row.deliveries) for row in rows] == [(n, 1) for n in range(4)]
        assert all(row.event.is_verified for row in rows)
        settled = await consumers.settle(
            "c", Settlement(ack=(0, 1), terminate=(Termination(2, "no such"),), nak=(Nak(3, 0),))
        )
        assert (settled.settled, settled.unknown) == (4, ())
        letters = [letter async for letter in consumers.dead_letters("c")]
        assert [(each.sequence, each.reason) for each in letters] == [(2, "terminated: no such")]
        assert await consumers.replay("c") == 1
        again = await consumers.fetch("c", 10, settle=None)
        assert {(row.event.sequence, row.deliveries) for row in again.rows} == {(2, 2), (3, 2)}
        both = await consumers.fetch("c", 10, settle=Settlement(ack=(2, 3)))
        assert both.settled is not None
        assert (both.rows, both.settled.settled) == ([], 2)
        for wrong in ((0, 0), (1_001, 0), (1, 60_000)):
            with pytest.raises(ValueError, match="a fetch"):
                await consumers.fetch("c", *wrong)


async def test_messages_are_settled_together(clients: ConsumerClients) -> None:
    """Acknowledgements travel with the next fetch; leaving hands back what was not given out."""
    await clients.publish(0, 8)
    async with clients.client() as client:
        await client.consumers.create("c", start="first")
        async with client.consume("c", events_max=6) as messages:
            taken = []
            async for message in messages:
                taken.append((message.sequence, message.deliveries, message.received.is_verified))
                await message.ack()
                if message.sequence == 6:
                    break
        assert taken == [(n, 1, True) for n in range(7)]
        shown = await client.consumers.get("c")
        assert shown is not None
        assert shown.totals.acknowledged == 7
        assert (shown.in_flight, shown.waiting) == (0, 1)  # the one that was handed back
        rows = (await client.consumers.fetch("c", 10)).rows
        assert [(row.event.sequence, row.deliveries) for row in rows] == [(7, 2)]
    said = [line for line in clients.asked if "settle" in line or "fetch" in line]
    assert said == ["POST a /v1/consumers/c/fetch"] * 2 + [
        "POST a /v1/consumers/c/settle",
        "POST a /v1/consumers/c/fetch",
    ]


async def test_each_way_of_settling_a_message(clients: ConsumerClients) -> None:
    """A message is acknowledged, given out again, given up, or waited for."""
    await clients.publish(0, 4)
    async with clients.client() as client:
        await client.consumers.create("c", start="first", ack_wait_ms=30_000)
        async with client.consume("c") as messages:
            first, second, third, fourth = [await anext(messages) for _ in range(4)]
            await first.ack()
            await second.nak(0)
            await third.terminate("broken")
            await fourth.in_progress()
            with anyio.fail_after(5):
                again = await anext(messages)
            assert (again.id, again.deliveries) == (second.id, 2)
            assert again.event == second.event
            await again.ack()
            await messages.flush()
            told = len(clients.asked)
            await messages.flush()
            assert len(clients.asked) == told  # what is confirmed is not said again
            shown = await client.consumers.get("c")
        assert shown is not None
        assert (shown.in_flight, shown.dead_letters, shown.totals.acknowledged) == (1, 1, 2)


async def test_other_policies(clients: ConsumerClients) -> None:
    """Cumulative consumers are acknowledged up to a message, and others need no settling."""
    await clients.publish(0, 5)
    async with clients.client() as client:
        for policy in ("cumulative", "none"):
            await client.consumers.create(policy, start="first", ack_policy=policy)
            async with client.consume(policy) as messages:
                taken = [await anext(messages) for _ in range(5)]
                await taken[0].nak()
                await taken[3].ack()
            shown = await client.consumers.get(policy)
            assert shown is not None
            assert shown.in_flight == (1 if policy == "cumulative" else 0)


async def test_what_is_said_outlives_a_failure(clients: ConsumerClients) -> None:
    """An acknowledgement whose answer is lost is told again; what came with it comes again."""
    await clients.publish(0, 2)
    lost: list[str] = []

    def lose_one(request: httpx.Request, body: bytes) -> bytes:
        if b'"ack":[0]' in request.content and not lost:
            lost.append(request.url.path)
            raise httpx.ReadError("cut")
        return body

    clients.lies.append(lose_one)
    async with clients.client() as client:
        await client.consumers.create("c", start="first", ack_wait_ms=200, backoff_ms=[100])
        async with client.consume("c", events_max=1) as messages:
            for number in range(2):
                message = await anext(messages)
                assert (message.sequence, message.deliveries) == (number, number + 1)
                await message.ack()
            await messages.flush()
            shown = await client.consumers.get("c")
    assert lost
    assert shown is not None
    assert (shown.in_flight, shown.totals.acknowledged) == (0, 2)


def _change(body: bytes, change: dict[str, object]) -> bytes:
    document = msgspec.json.decode(body)
    for delivery in document.get("deliveries", ()):
        for name, value in change.items():
            place = delivery if name == "place" else delivery["event"]
            place["sequence" if name == "place" else name] = value
    return msgspec.json.encode(document)


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"subject": "urn:another"}, PeerFault),  # the id is no longer that of the content
        ({"signature": "00" * 64}, PeerFault),
        ({"place": 3}, PeerFault),
        ({"place": 3, "sequence": f"{3:019}"}, ProofError),  # a wrong sequence, said consistently
    ],
)
async def test_lies_about_events_are_refused(
    clients: ConsumerClients, change: dict[str, object], error: type[Exception]
) -> None:
    """What a gateway changes in a delivery is found before anything is given out."""
    await clients.publish(0, 1)
    clients.lies.append(
        lambda request, body: _change(body, change) if "fetch" in request.url.path else body
    )
    async with clients.client() as client:
        await client.consumers.create("c", start="first")
        async with client.consume("c") as messages:
            with pytest.raises(error):
                await anext(messages)


async def test_an_event_that_the_ledger_does_not_hold_is_refused(clients: ConsumerClients) -> None:
    """A signed event that is not in the ledger has no proof, whatever gateway is asked."""
    await clients.publish(0, 1)
    forged = sample(99)

    def forge(request: httpx.Request, body: bytes) -> bytes:
        if "fetch" not in request.url.path:
            return body
        return b'{"deliveries":[{"sequence":0,"deliveries":1,"event":%b}],"settled":null}' % (
            cloudevent_json(forged, 0)  # type: ignore[arg-type]
        )

    def prove_another(request: httpx.Request, body: bytes) -> bytes:
        return proof if request.url.path.endswith("proof") else body

    async with clients.client() as client:
        (found,) = [event async for event in client.events()]
        proof = (await clients.world.get(f"/v1/events/{found.id.hex()}/proof", "*/*")).content
        await client.consumers.create("c", start="first")
        clients.lies += [forge, prove_another]
        with pytest.raises((ProofError, PeerFault)):
            await client.consumers.fetch("c")


async def test_without_rights_or_consumer(clients: ConsumerClients, tmp_path: Path) -> None:
    """What the gateway does not allow is told by its code."""
    async with clients.client() as client:
        with pytest.raises(Refused) as caught:
            await anext(client.consume("none"))
        assert caught.value.code is HttpCode.CONSUMER_NOT_FOUND
    async with gateway_world(tmp_path / "strict") as world:
        transport = httpx.ASGITransport(app=world.app)
        async with AsyncClient("http://a", GENESIS, transport=transport) as client:
            with pytest.raises(Refused) as caught:
                await client.consumers.create("c")
            assert caught.value.code in {HttpCode.FORBIDDEN, HttpCode.UNAUTHENTICATED}
        async with AsyncClient("http://a", transport=transport) as client:
            with pytest.raises(ValueError, match="genesis"):
                client.consume("c")


async def test_pages_take_filters(clients: ConsumerClients) -> None:
    """CloudEvents filters choose events, and the client holds the gateway to them."""
    await clients.publish(0, 2, "catalog.a")
    await clients.publish(2, 4, "catalog.b")
    wanted = Filters(filters=[{"suffix": {"topic": ".b"}}])
    async with clients.client() as client:
        assert [event.sequence async for event in client.events(**wanted)] == [2, 3]
        with pytest.raises(ValueError, match="filters"):
            client.subscribe(filters=[{"suffix": {"nothing": "x"}}])
        page = (await clients.world.get("/v1/events")).content
        clients.lies.append(
            lambda request, body: page if request.url.path == "/v1/events" else body
        )
        with pytest.raises(PeerFault, match="was not asked for"):
            await anext(client.events(**wanted))
