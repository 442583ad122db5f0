"""What the engine promises beyond one consumer: owners, rights, restarts, sharing, bounds."""

from pathlib import Path
from typing import cast

import anyio
import msgspec
import pytest
from starlette.requests import ClientDisconnect, Request

from ledger.core.event import OpenEntry, open_entry
from ledger.core.limits import INT_MAX
from ledger.io.errors import StorageError
from pubsub.core.consumer.config import ConsumerConfig, Start, StartPolicy
from pubsub.core.consumer.settlement import Nak, Settlement, Termination
from pubsub.core.interest import read_interest
from pubsub.core.problems import Refusal
from pubsub.core.rights import Scope
from pubsub.io.consumers import engine as engine_module
from pubsub.io.consumers import log_pages
from pubsub.io.consumers.delivery import Fetch
from pubsub.io.consumers.waiting import Alarm, now_ms
from pubsub.io.consumers_api import _while_there
from pubsub.io.delivery_store import Change
from pubsub.io.rights import RightsSettings
from pubsub.io.state import Gateway, GatewaySettings
from tests.pubsub.consumers.consumer_world import ConsumerWorld, consumer_world, engine_life
from tests.pubsub.gateway_world import Chain, sample

FIRST = Start(StartPolicy.FIRST)


def everything(_topic: str) -> bool:
    """Let everything be read."""
    return True


async def test_owners(consumers: ConsumerWorld) -> None:
    """A consumer is its owner's; its name is taken for others; the gateway's own are hidden."""
    engine = consumers.consumers
    await engine.create(ConsumerConfig(name="mine", start=FIRST), "me", everything)
    await engine.create(ConsumerConfig(name="webhook/x", start=FIRST), "me", everything)
    engine.require("mine", "me")
    engine.require("mine", None)
    for name, owner in (("mine", "you"), ("webhook/x", "me"), ("none", None)):
        with pytest.raises(Refusal, match="consumer_not_found"):
            engine.require(name, owner)
    with pytest.raises(Refusal, match="consumer_exists"):
        await engine.create(ConsumerConfig(name="mine", start=FIRST), "you", everything)
    assert [view.config.name for view in engine.views("me")] == ["mine"]
    assert engine.views("you") == []
    assert engine.get("webhook/x").owner == "me"


async def test_unreadable_topics(consumers: ConsumerWorld) -> None:
    """What may not be read is passed over, also when it comes again."""
    engine = consumers.consumers

    def readable(topic: str) -> bool:
        return topic != "catalog.secret"

    for topic in ("catalog.secret", "catalog.a", "catalog.secret"):
        await consumers.publish(topic=topic)
    await engine.create(ConsumerConfig(name="c", start=FIRST, backoff_ms=(100,)), "me", readable)
    assert [each.sequence for each in await engine.fetch("c", Fetch(), readable)] == [1]
    for topic in ("catalog.secret", "catalog.a"):
        await consumers.publish(topic=topic)
    await consumers.followed(5)
    found = await engine.fetch("c", Fetch(wait_ms=2_000), readable)
    assert [each.sequence for each in found] == [4]
    await consumers.settle(nak=[{"sequence": each, "delay_ms": 0} for each in (1, 4)])
    assert await engine.fetch("c", Fetch(), lambda _: False) == []
    assert engine.get("c").waiting == 0


async def test_restart(tmp_path: Path) -> None:
    """Positions, deliveries, dead letters and pauses survive a restart of the gateway."""
    chain = Chain(tmp_path / "chain")
    chain.extend([sample(nonce).entry for nonce in range(6)])
    interest = read_interest(b'{"filters":[{"not":{"exact":{"type":"x"}}}]}')
    config = ConsumerConfig(name="c", start=FIRST, interest=interest, metadata=(("a", "b"),))
    async with engine_life(tmp_path, chain) as engine:
        await engine.create(config, "me", everything)
        await engine.create(ConsumerConfig(name="paused", start=FIRST), "me", everything)
        await engine.fetch("c", Fetch(4), everything)
        await engine.settle("c", Settlement(ack=(0,), terminate=(Termination(1, "no"),)))
        await engine.settle("c", Settlement(nak=(Nak(2, 0),)))
        await engine.pause("paused", INT_MAX)
        before = engine.get("c")
    async with engine_life(tmp_path, chain) as engine:
        assert engine.get("c")._replace(lag=before.lag) == before
        found = await engine.fetch("c", Fetch(), everything)
        assert [(each.sequence, each.deliveries) for each in found] == [(2, 2), (4, 1), (5, 1)]
        assert await engine.fetch("paused", Fetch(), everything) == []
        assert [letter.reason for letter in engine.dead_letters("c")] == ["terminated: no"]
        await engine.delete("c")
    async with engine_life(tmp_path, chain) as engine:
        assert [view.config.name for view in engine.views()] == ["paused"]
    chain.store.close()


@pytest.mark.parametrize("row", [b"\x99\x02", b"\xc0"])
async def test_damaged_row(tmp_path: Path, row: bytes) -> None:
    """A gateway whose delivery store is damaged, or newer, does not start."""
    chain = Chain(tmp_path / "chain")
    async with engine_life(tmp_path, chain) as engine:
        await engine.create(ConsumerConfig(name="c", start=FIRST), "me", everything)
        await engine._store.write([Change("positions", b"c", row)])
    with pytest.raises(StorageError, match="damaged"):
        async with engine_life(tmp_path, chain):
            pass
    chain.store.close()


async def test_pullers_share(consumers: ConsumerWorld) -> None:
    """Several pullers of one consumer get each event once between them."""
    await consumers.create()
    seen: list[int] = []

    async def pull() -> None:
        while len(seen) < 40:
            found = await consumers.fetch(wait_ms=300, max_events=3)
            seen.extend(sequence for sequence, _ in found)
            await consumers.settle(ack=[sequence for sequence, _ in found])

    with anyio.fail_after(20):
        async with anyio.create_task_group() as group:
            for _ in range(5):
                group.start_soon(pull)
            for _ in range(8):
                await consumers.publish(5)
    assert sorted(seen) == list(range(40))


async def test_a_puller_that_leaves_passes_on(consumers: ConsumerWorld) -> None:
    """A fetch that is given up takes nothing; the event goes to the next one that waits."""
    await consumers.create()
    engine = consumers.consumers
    found: list[int] = []

    async def pull() -> None:
        deliveries = await engine.fetch("c", Fetch(wait_ms=5_000), everything)
        found.extend(each.sequence for each in deliveries)

    with anyio.fail_after(10):
        async with anyio.create_task_group() as group:
            async with anyio.create_task_group() as impatient:
                impatient.start_soon(pull)
                await anyio.sleep(0.05)
                group.start_soon(pull)
                await anyio.sleep(0.05)
                impatient.cancel_scope.cancel()
            await consumers.publish()
    assert found == [0]
    assert engine.get("c").delivered == 1


async def test_notice_is_not_lost_with_its_puller(tmp_path: Path) -> None:
    """A fetch that is cancelled just as it was woken leaves the event to the next one."""
    chain = Chain(tmp_path / "chain")
    found: list[str] = []

    async def pull(name: str) -> None:
        if await engine.fetch("c", Fetch(wait_ms=60_000), everything):
            found.append(name)

    with anyio.fail_after(5):
        async with engine_life(tmp_path, chain) as engine, anyio.create_task_group() as group:
            await engine.create(ConsumerConfig(name="c", start=FIRST), "me", everything)
            async with anyio.create_task_group() as first:
                first.start_soon(pull, "first")
                await anyio.sleep(0.05)
                group.start_soon(pull, "second")
                await anyio.sleep(0.05)
                chain.extend([sample().entry])
                with chain.store.read() as reader:
                    engine._following._feed.read(reader, 1, 10)
                engine.follow()
                first.cancel_scope.cancel()
    assert found == ["second"]
    chain.store.close()


async def test_alarm() -> None:
    """Calls come in the order of their times, however they were set."""
    alarm = Alarm()
    calls: list[str] = []
    with anyio.fail_after(5):
        async with anyio.create_task_group() as group:
            group.start_soon(alarm.run)
            done = anyio.Event()
            alarm.at(now_ms() + 120, done.set)
            await anyio.sleep(0.01)
            alarm.at(now_ms() + 30, lambda: calls.append("early"))
            alarm.at(0, lambda: calls.append("now"))
            await done.wait()
            group.cancel_scope.cancel()
    assert calls == ["now", "early"]


async def test_limits_of_consumers(
    consumers: ConsumerWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There are so many consumers of one owner and in all, and so many fetches that wait."""
    engine = consumers.consumers
    engine._settings = engine_module.ConsumerSettings(3, 2)
    await consumers.create("a")
    await consumers.create("b")
    answer = await consumers.create("c")
    assert (answer.status_code, answer.json()["code"]) == (409, "too_many_consumers")
    await engine.create(ConsumerConfig(name="c", start=FIRST), "other", everything)
    with pytest.raises(Refusal, match="too_many_consumers"):
        await engine.create(ConsumerConfig(name="d", start=FIRST), "third", everything)
    monkeypatch.setattr(engine_module, "CONSUMER_FETCHES_WAITING_MAX", 1)
    async with anyio.create_task_group() as group:
        group.start_soon(engine.fetch, "a", Fetch(wait_ms=5_000), everything)
        await anyio.sleep(0.05)
        with pytest.raises(Refusal, match="too_many_fetches"):
            await engine.fetch("a", Fetch(wait_ms=5_000), everything)
        group.cancel_scope.cancel()


async def test_inactive_consumers(consumers: ConsumerWorld) -> None:
    """A consumer that nobody uses is deleted; one at which a fetch waits is in use."""
    engine = consumers.consumers
    config = ConsumerConfig(name="idle", start=FIRST, inactive_ms=1_000)
    await engine.create(config, "me", everything)
    used = msgspec.structs.replace(config, name="used")
    await engine.create(used, "me", everything)
    async with anyio.create_task_group() as group:
        group.start_soon(engine.fetch, "used", Fetch(wait_ms=50_000), everything)
        await anyio.sleep(0.01)
        for entry in engine._entries.values():
            entry.state.active_ms -= 1_001
        engine._sweep()
        group.cancel_scope.cancel()
    assert [engine.has(name) for name in ("idle", "used")] == [False, True]


async def test_many_idle_consumers_cost_little(consumers: ConsumerWorld) -> None:
    """An event touches only the consumers that want it."""
    engine = consumers.consumers
    for number in range(300):
        interest = {"topics": [f"catalog.t{number}"]}
        await consumers.create(f"c{number}", start={"policy": "new"}, interest=interest)
    await consumers.publish(topic="catalog.t7")
    await consumers.followed(1)
    touched = [name for name, entry in engine._entries.items() if entry._ahead]
    assert touched == ["c7"]
    assert await consumers.fetch("c7") == [(0, 1)]
    assert await consumers.fetch("c8") == []


async def test_log_that_was_not_followed(consumers: ConsumerWorld) -> None:
    """Where the feed skipped a part of the log, and beyond what is remembered, the log is read."""
    engine, feed = consumers.consumers, consumers.world.gateway.feed
    await consumers.create()
    await consumers.create("slow")
    await consumers.publish(3)
    await consumers.followed(3)
    assert len(await consumers.fetch()) == 3
    feed.skip_to(3)
    engine._following.end = 1
    engine.follow()
    await consumers.publish(2)
    assert len(await consumers.fetch(wait_ms=2_000)) == 2
    await consumers.publish(400)
    await consumers.followed(405)
    assert len(await consumers.fetch("slow", max_events=1000)) == 405


class Leaving:
    """A request whose client leaves when it is told to."""

    def __init__(self) -> None:
        self.leaves = anyio.Event()

    async def receive(self) -> dict[str, str]:
        """Give what the server says."""
        await self.leaves.wait()
        return {"type": "http.disconnect"}


async def test_client_that_leaves(consumers: ConsumerWorld) -> None:
    """A fetch ends when its client leaves, so that the next event is not given to nobody."""
    await consumers.create()
    engine, request = consumers.consumers, Leaving()

    async def leave() -> None:
        await anyio.sleep(0.05)
        request.leaves.set()

    with anyio.fail_after(5):
        async with anyio.create_task_group() as group:
            group.start_soon(leave)
            with pytest.raises(ClientDisconnect):
                await _while_there(
                    cast("Request", request),
                    lambda: engine.fetch("c", Fetch(wait_ms=60_000), everything),
                )
    await consumers.publish()
    await consumers.followed(1)
    assert await consumers.fetch() == [(0, 1)]


def test_without_a_store(tmp_path: Path) -> None:
    """A gateway without a directory for it refuses what is durable."""
    gateway = Gateway(GatewaySettings(tmp_path / "chain", tmp_path / "control.sock", "one"))
    for ask in (lambda: gateway.consumers, lambda: gateway.delivery):
        with pytest.raises(Refusal, match="delivery_unavailable"):
            ask()


async def test_operators_do_not_lose_what_they_may_not_read(tmp_path: Path) -> None:
    """Who operates sees others' consumers; to fetch from them it must be able to read all."""
    for restricted, status in ((("catalog.secret",), 403), ((), 200)):
        rights = RightsSettings(anonymous=frozenset(Scope), restricted=restricted)
        async with consumer_world(tmp_path / f"{status}", rights) as world:
            await world.publish()
            config = ConsumerConfig(name="c", start=FIRST)
            await world.consumers.create(config, "somebody", everything)
            assert (await world.show())["owner"] == "somebody"
            assert (await world.ask("c/fetch")).status_code == status
            assert world.consumers.get("c").delivered == (status == 200)


async def test_only_what_can_match_is_read(
    consumers: ConsumerWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A consumer that is behind is led by the indexes: other entries are never decoded."""
    for number in range(300):
        await consumers.publish(1 if number % 100 else 2, topic=f"catalog.t{number % 100}")
    opened: list[bytes] = []

    def counting(entry: bytes) -> OpenEntry:
        opened.append(entry)
        return open_entry(entry)

    monkeypatch.setattr(log_pages, "open_entry", counting)
    await consumers.followed(303)
    await consumers.create(interest={"topics": ["catalog.t7", "none.>"]})
    assert len(await consumers.fetch()) == 3
    assert len(opened) == 3


async def test_broken_store_ends_the_gateway(
    consumers: ConsumerWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When a write fails, nothing is handed out or confirmed, and the process ends."""
    await consumers.publish()
    await consumers.create()
    gateway = consumers.world.gateway

    def fail(_rows: object) -> None:
        raise StorageError(gateway.delivery.path, "broken", "Replace it")

    monkeypatch.setattr(gateway.delivery, "commit_rows", fail)
    answer = await consumers.ask("c/fetch")
    assert (answer.status_code, answer.json()["code"]) == (500, "internal_error")
    assert isinstance(gateway.fatal, StorageError)
    assert gateway.is_closing
