"""Delivery: in order, at least once, whatever callbacks do, and through restarts."""

from itertools import count
from pathlib import Path
from typing import Any

import anyio
import anyio.from_thread
import msgspec
import pytest

from adapters.tmf.caller import OPERATOR
from adapters.tmf.hub import hub as hub_module
from adapters.tmf.hub import line as line_module
from adapters.tmf.hub import reading as reading_module
from adapters.tmf.hub import registrations
from adapters.tmf.hub.model import Registration
from adapters.tmf.hub.pace import Pace
from adapters.tmf.hub.registrations import Held
from adapters.tmf.store.database import Store
from ledger.core.errors import Unavailable
from tests.adapters.dlt.endpoint import ACCEPTED, Endpoint, listening
from tests.adapters.tmf.api.api_world import (
    CATALOGUE,
    OFFERING,
    ORDER,
    ApiWorld,
    make_world,
    running,
    until,
)

BUSY = b"HTTP/1.1 503 Busy\r\ncontent-length: 0\r\n\r\n"
GONE = b"HTTP/1.1 410 Gone\r\ncontent-length: 0\r\n\r\n"
REFUSED = b"HTTP/1.1 400 Bad\r\ncontent-length: 0\r\n\r\n"


def names(endpoint: Endpoint) -> list[str]:
    """Give the names of offerings in the order in which a callback was told of them."""
    return [told["event"]["productOffering"]["name"] for told in events(endpoint)]


def events(endpoint: Endpoint) -> list[Any]:
    """Read what a callback was told."""
    return [msgspec.json.decode(received.body) for received in endpoint.received]


def held(world: ApiWorld) -> list[Held]:
    """Give registrations as the database has them."""
    with world.store.read() as reading:
        return registrations.every(reading.connection)


async def create(world: ApiWorld, *names: str) -> None:
    """Make offerings."""
    for name in names:
        await world.create(OFFERING, {"name": name})


async def test_events_reach_the_raw_callback(world: ApiWorld, callback: Endpoint) -> None:
    """The event of a change is posted to the callback itself, as the change is committed."""
    async with running(world):
        await world.register(f"{callback.url}?key=1", "eventType=ProductOfferingCreateEvent")
        made = await world.create(OFFERING, {"name": "A"})
        await callback.until(1)
    (received,) = callback.received
    assert received.target == "POST /api/v2/notifications/dlt?key=1 HTTP/1.1"
    assert received.headers["content-type"] == "application/json;charset=utf-8"
    (told,) = events(callback)
    assert told["eventType"] == "ProductOfferingCreateEvent"
    assert told["event"] == {"productOffering": made}


async def test_events_reach_the_listener_path(world: ApiWorld, callback: Endpoint) -> None:
    """A registration may ask for TM Forum's listener paths, one for each event."""
    base = f"http://127.0.0.1:{callback.port}/base/"
    async with running(world):
        await world.register(base, "delivery=listener")
        made = await world.create(OFFERING, {"name": "A"})
        await world.client.patch(made["href"], json={"lifecycleStatus": "In design", "name": "B"})
        await world.client.delete(made["href"])
        await callback.until(4)
    targets = [received.target.split()[1] for received in callback.received]
    assert targets == [
        f"/base/listener/productOffering{what}Event"
        for what in ("Create", "AttributeValueChange", "StateChange", "Delete")
    ]


async def test_only_events_from_registration_on_and_of_the_api(
    world: ApiWorld, callback: Endpoint
) -> None:
    """A registration is told what comes after it, at the hub of its API."""
    await create(world, "before")
    async with running(world):
        await create(world, "before, too")
        await world.register(callback.url)
        await world.create("/tmf-api/party/v4/organization", {"tradingName": "A"})
        await create(world, "after")
        await callback.until(1)
    assert names(callback) == ["after"]


async def test_owners_are_told_what_they_may_see(world: ApiWorld, callback: Endpoint) -> None:
    """An order's events reach its parties alone."""
    order = {"productOrderItem": [{"id": "1", "action": "add"}]}

    def of(party: str) -> dict[str, Any]:
        return {**order, "relatedParty": [{"id": party, "@referredType": "Organization"}]}

    async with running(world):
        await world.register(callback.url, "eventType=ProductOrderCreateEvent", "did:elsi:A")
        await world.create(ORDER, of("did:elsi:B"))
        made = await world.create(ORDER, of("did:elsi:A"))
        await callback.until(1)
    (told,) = events(callback)
    assert told["event"]["productOrder"]["id"] == made["id"]


async def test_a_failing_callback_is_tried_until_it_takes(
    world: ApiWorld, callback: Endpoint
) -> None:
    """Nothing is skipped and nothing overtakes, whatever the callback answered before."""
    answers = iter([BUSY, b"", REFUSED, b"garbage\r\n\r\n", *[ACCEPTED] * 9])
    callback.answer = lambda _: next(answers)
    async with running(world):
        await world.register(callback.url)
        await create(world, "a", "b", "c")
        await callback.until(7)
        await until(lambda: held(world)[0].progress.position == 3)  # noted behind the answer
    assert names(callback) == ["a"] * 5 + ["b", "c"]
    assert len({told["eventId"] for told in events(callback)}) == 3
    (stored,) = held(world)
    assert (stored.progress.position, stored.progress.state) == (3, "active")


async def test_health_is_visible(world: ApiWorld, callback: Endpoint) -> None:
    """While a callback fails its registration says so, and since when, and why."""
    callback.answer = lambda _: BUSY
    async with running(world):
        id_ = await world.register(callback.url)
        await create(world, "a")
        await callback.until(3)
        await until(lambda: held(world)[0].progress.attempts > 1)
        shown = (await world.client.get(f"{CATALOGUE}/hub/{id_}")).json()
        assert (shown["state"], shown["lastError"], shown["position"]) == (
            "failing",
            "answered 503",
            0,
        )
        assert shown.keys() >= {"failingSince", "nextAttempt", "failedAttempts"}
        callback.answer = lambda _: ACCEPTED
        await until(lambda: held(world)[0].progress.state == "active")
        shown = (await world.client.get(f"{CATALOGUE}/hub/{id_}")).json()
        assert shown["lastDelivery"]
        assert shown.keys().isdisjoint({"failingSince", "nextAttempt", "lastError"})


async def test_a_callback_that_is_gone_ends_its_registration(
    world: ApiWorld, callback: Endpoint
) -> None:
    """410 ends a registration for good; the same one may be made anew."""
    callback.answer = lambda _: GONE
    async with running(world):
        id_ = await world.register(callback.url)
        await create(world, "a", "b")
        await until(lambda: held(world)[0].progress.state == "ended")
        await create(world, "c")
        callback.answer = lambda _: ACCEPTED
        assert await world.register(callback.url) != id_
        await create(world, "d")
        await callback.until(2)
    assert names(callback) == ["a", "d"]
    assert len(held(world)) == 1


async def test_silence_of_days_ends_a_registration(store: Any, tmp_path: Path) -> None:  # noqa: ANN401
    """A callback that takes nothing for long enough is given up, and that can be seen."""
    world = make_world(store, tmp_path, Pace(first_ms=1, longest_ms=2, silence_ms=30))
    async with running(world):
        await world.register("http://127.0.0.1:9/")
        await create(world, "a")
        await until(lambda: held(world)[0].progress.state == "ended")
    assert held(world)[0].progress.error.startswith("ConnectError")


async def test_a_wish_to_be_left_alone_is_obeyed(world: ApiWorld, callback: Endpoint) -> None:
    """Retry-After moves the next attempt, far beyond the usual pause."""
    callback.answer = lambda _: b"HTTP/1.1 429 No\r\nretry-after: 60\r\ncontent-length: 0\r\n\r\n"
    async with running(world):
        await world.register(callback.url)
        await create(world, "a")
        await until(lambda: held(world)[0].progress.attempts == 1)
        await anyio.sleep(0.1)
    assert len(callback.received) == 1
    (stored,) = held(world)
    wish_ms = stored.progress.retry_at_ms - stored.progress.failing_since_ms
    assert 59_000 < wish_ms <= 60_000


async def test_a_dead_callback_blocks_nobody(
    world: ApiWorld, callback: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While one hangs and one cannot be reached, others are told at once and in order."""
    monkeypatch.setattr(line_module, "TMF_HUB_PENDING_MAX", 4)
    async with listening() as silent, running(world):
        silent.answer = lambda _: b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n"  # never ends
        await world.register(silent.url)
        await world.register("http://127.0.0.1:9/")
        await world.register(callback.url)
        expected = [f"n{number}" for number in range(12)]
        await create(world, *expected)
        await callback.until(12)
        assert names(callback) == expected


async def test_who_falls_behind_reads_on_by_itself(
    world: ApiWorld, callback: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More than a line may hold is let go and read later: all of it, once, in order."""
    monkeypatch.setattr(line_module, "TMF_HUB_PENDING_MAX", 3)
    monkeypatch.setattr(reading_module, "TMF_HUB_SLICE", 4)
    callback.answer = lambda _: BUSY
    async with running(world):
        await world.register(callback.url, "eventType=ProductOfferingCreateEvent")
        expected = [f"n{number}" for number in range(30)]
        await create(world, *expected[:20])
        (line,) = world.hub._lines.values()
        await until(lambda: line.is_behind)
        callback.received.clear()
        callback.answer = lambda _: ACCEPTED
        await create(world, *expected[20:])
        await until(lambda: held(world)[0].progress.position == 30)
        assert not line.is_behind
        callback.received.clear()
        await create(world, "live")
        await callback.until(1)
    assert names(callback) == ["live"]


async def test_all_is_told_while_changes_go_on(world: ApiWorld, callback: Endpoint) -> None:
    """Registrations that join, fail and catch up while events come miss none of theirs."""
    flaky = count()
    callback.answer = lambda _: BUSY if next(flaky) % 7 == 3 else ACCEPTED
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(line_module, "TMF_HUB_PENDING_MAX", 2)
        patch.setattr(reading_module, "TMF_HUB_SLICE", 3)
        async with running(world):
            for number in range(5):
                await world.register(f"{callback.url}?r={number}")
                await create(world, *(f"{number}.{each}" for each in range(8)))
            await until(lambda: all(each.progress.position == 40 for each in held(world)))
    for number in range(5):
        told = [
            event["event"]["productOffering"]["name"]
            for received, event in zip(callback.received, events(callback), strict=True)
            if f"?r={number} " in received.target
        ]
        wanted = [f"{batch}.{each}" for batch in range(number, 5) for each in range(8)]
        assert list(dict.fromkeys(told)) == wanted


async def test_a_restart_goes_on_where_it_was(
    world: ApiWorld, callback: Endpoint, tmp_path: Path
) -> None:
    """What was committed while the hub did not run is told when it runs again."""
    async with running(world):
        await world.register(callback.url)
        await create(world, "a")
        await until(lambda: held(world)[0].progress.position == 1)
    await create(world, "b", "c")
    again = make_world(world.store, tmp_path / "again")
    async with running(again):
        await callback.until(3)
    assert names(callback) == ["a", "b", "c"]


async def test_a_restart_skips_nothing_that_waits(
    world: ApiWorld, callback: Endpoint, tmp_path: Path
) -> None:
    """What waits behind a delivered event in memory waits in the database, too."""
    callback.answer = lambda _: ACCEPTED if len(callback.received) == 1 else BUSY
    await world.register(callback.url)
    await create(world, *"abcde")
    async with running(world):
        await until(lambda: held(world)[0].progress.attempts > 1)
        (line,) = world.hub._lines.values()
        assert (line.seen, len(line._pending)) == (5, 4)
    assert held(world)[0].progress.position == 1
    callback.received.clear()
    callback.answer = lambda _: ACCEPTED
    async with running(make_world(world.store, tmp_path / "again")):
        await callback.until(4)
    assert names(callback) == [*"bcde"]


@pytest.mark.parametrize("shared", [0, 4_096])
async def test_one_far_behind_starts_by_itself(
    world: ApiWorld, callback: Endpoint, monkeypatch: pytest.MonkeyPatch, shared: int
) -> None:
    """At the start, near and far registrations reach the same end by different ways."""
    await world.register(callback.url)
    await create(world, *"abcdef")
    await world.register(f"{callback.url}?second")
    monkeypatch.setattr(hub_module, "TMF_HUB_SHARED_CHANGES", shared)
    async with running(world):
        await create(world, "g")
        await callback.until(8)
    told = list(zip(callback.received, names(callback), strict=True))
    first = [name for each, name in told if "?second" not in each.target]
    second = [name for each, name in told if "?second" in each.target]
    assert (first, second) == ([*"abcdefg"], ["g"])


async def test_a_registration_made_while_the_hub_begins_is_served(
    world: ApiWorld, callback: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is not among those that were read, and yet told what comes after it."""
    read, times = hub_module._held_and_newest, count()

    def reading(store: Store) -> Any:  # noqa: ANN401
        found = read(store)
        if next(times) == 0:
            new = Registration("new", "productCatalogManagement", callback.url, "", OPERATOR, 0)
            with store.write() as txn:
                made = registrations.add(txn.connection, new, txn.last_change())
            anyio.from_thread.run_sync(world.hub.add, made)
        return found

    monkeypatch.setattr(hub_module, "_held_and_newest", reading)
    async with running(world):
        await until(lambda: held(world))
        await create(world, "a")
        await callback.until(1)
    assert names(callback) == ["a"]


async def test_an_ended_registration_is_told_nothing_more(
    world: ApiWorld, callback: Endpoint
) -> None:
    """After DELETE not even a retry that was due is made."""
    callback.answer = lambda _: BUSY
    async with running(world):
        id_ = await world.register(callback.url)
        await create(world, "a")
        await callback.until(1)
        await world.client.delete(f"{CATALOGUE}/hub/{id_}")
        seen = len(callback.received)
        await create(world, "b")
        await anyio.sleep(0.1)
    assert len(callback.received) <= seen + 1  # one may have been under way
    assert world.hub._lines == {}


async def test_idle_registrations_move_on_in_the_database(
    world: ApiWorld, callback: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A registration that wants nothing of what happens does not begin at the old end again."""
    monkeypatch.setattr(hub_module, "TMF_HUB_IDLE_MS", 20)
    async with running(world):
        await world.register(callback.url, "eventType=CatalogCreateEvent")
        await create(world, *"abcdefg")
        await until(lambda: held(world)[0].progress.position == 7)
    assert callback.received == []


class Killed(BaseException):
    """Stands for the end of the process at a commit point."""


@pytest.mark.parametrize("point", ["before", "after"])
@pytest.mark.parametrize("commit", [1, 2, 3])
async def test_nothing_is_lost_at_any_commit(
    world: ApiWorld, callback: Endpoint, point: str, commit: int
) -> None:
    """The hub dies around a write of positions; the next one repeats some, and skips none."""
    number, offering = count(1), count()
    write = hub_module._advance

    def dying(*args: Any) -> None:  # noqa: ANN401
        is_it = next(number) == commit
        if is_it and point == "before":
            raise Killed
        write(*args)
        if is_it:
            raise Killed

    async def live() -> None:
        async with running(world):
            while True:
                await create(world, f"{next(offering):03}")
                await anyio.sleep(0.01)

    await world.register(callback.url)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(hub_module, "_advance", dying)
        patch.setattr(hub_module, "TMF_HUB_FLUSH_MS", 1)
        with pytest.raises(BaseExceptionGroup) as end:
            await live()
    assert end.group_contains(Killed)
    told_before = len(callback.received)
    with world.store.read() as reading:
        bodies = [change.after or b"" for change in reading.changes(0, 999)]
    made = [msgspec.json.decode(body)["name"] for body in bodies]
    async with running(make_world(world.store, world.folder)):
        await until(lambda: held(world)[0].progress.position == len(made))
    told = names(callback)
    assert list(dict.fromkeys(told)) == made
    for life in (told[:told_before], told[told_before:]):
        assert life == sorted(set(life))


async def test_a_database_that_comes_back_is_read_on(
    world: ApiWorld, callback: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While the database cannot be reached the hub waits; nothing is lost and nothing ends."""
    read, failures = reading_module._read, iter([True, True])

    def failing(*args: Any) -> Any:  # noqa: ANN401
        if next(failures, False):
            raise Unavailable("the database")
        return read(*args)

    monkeypatch.setattr(reading_module, "_read", failing)
    monkeypatch.setattr(hub_module, "TMF_HUB_STORE_RETRY_MS", 1)
    async with running(world):
        await world.register(callback.url)
        await create(world, "a", "b")
        await callback.until(2)
    assert names(callback) == ["a", "b"]
    assert next(failures, None) is None
