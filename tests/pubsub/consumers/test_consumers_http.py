"""Durable consumers over HTTP."""

import anyio
import pytest

from pubsub.core.rights import Scope
from pubsub.io.consumers import waiting
from pubsub.io.rights import Rights, RightsSettings
from tests.pubsub.consumers.consumer_world import QUICK, ConsumerWorld


async def test_fetch_and_acknowledge(consumers: ConsumerWorld) -> None:
    """Events are given out once, in order, and gone when they are acknowledged."""
    await consumers.publish(3)
    assert (await consumers.create()).status_code == 201
    assert await consumers.fetch() == [(0, 1), (1, 1), (2, 1)]
    assert await consumers.fetch() == []
    assert await consumers.settle(ack=[0, 1, 2]) == {"settled": 3, "unknown": []}
    document = await consumers.show()
    assert (document["position"], document["in_flight"]) == (3, 0)
    assert document["totals"] == {"delivered": 3, "redelivered": 0, "acknowledged": 3}


async def test_fetch_waits_for_an_event(consumers: ConsumerWorld) -> None:
    """A fetch that waits is answered with the next event as soon as it is final."""
    await consumers.create(start={"policy": "new"})
    found: list[tuple[int, int]] = []

    async def pull() -> None:
        found.extend(await consumers.fetch(wait_ms=10_000))

    with anyio.fail_after(5):
        async with anyio.create_task_group() as group:
            group.start_soon(pull)
            await anyio.sleep(0.05)
            await consumers.publish()
    assert found == [(0, 1)]


async def test_waiting_ends(consumers: ConsumerWorld) -> None:
    """A fetch for which nothing comes is answered without events when its time is over."""
    await consumers.create()
    begun = waiting.now_ms()
    assert await consumers.fetch(wait_ms=60) == []
    assert waiting.now_ms() - begun >= 60


async def test_timeout(consumers: ConsumerWorld) -> None:
    """An event that is not settled in time comes again after the backoff."""
    await consumers.publish()
    await consumers.create(**QUICK)
    assert await consumers.fetch() == [(0, 1)]
    begun = waiting.now_ms()
    assert await consumers.fetch(wait_ms=5_000) == [(0, 2)]
    assert waiting.now_ms() - begun >= 250


async def test_nak_without_delay_waits_as_long_as_the_backoff(consumers: ConsumerWorld) -> None:
    """A negative acknowledgement does not burn attempts: the event waits for its backoff."""
    await consumers.publish()
    await consumers.create(ack_wait_ms=30_000, backoff_ms=[150], max_deliveries=2)
    assert await consumers.fetch() == [(0, 1)]
    await consumers.settle(nak=[{"sequence": 0}])
    assert await consumers.fetch() == []
    begun = waiting.now_ms()
    assert await consumers.fetch(wait_ms=5_000) == [(0, 2)]
    assert waiting.now_ms() - begun >= 100
    await consumers.settle(nak=[{"sequence": 0}])
    letters = (await consumers.http.get("/v1/consumers/c/dead-letters")).json()["dead_letters"]
    assert [(row["sequence"], row["reason"], row["deliveries"]) for row in letters] == [
        (0, "max_deliveries", 2)
    ]


async def test_dead_letters(consumers: ConsumerWorld) -> None:
    """Terminated events are listed with their reason, given out again, and forgotten."""
    await consumers.publish(3)
    await consumers.create()
    await consumers.fetch()
    await consumers.settle(
        ack=[0], terminate=[{"sequence": 1, "reason": "no product"}, {"sequence": 2}]
    )
    first = (await consumers.http.get("/v1/consumers/c/dead-letters?limit=1")).json()
    assert first["next"] == 1
    assert first["dead_letters"][0]["reason"] == "terminated: no product"
    rest = (await consumers.http.get("/v1/consumers/c/dead-letters?after=1")).json()
    assert (rest["next"], [row["sequence"] for row in rest["dead_letters"]]) == (None, [2])
    assert (await consumers.ask("c/dead-letters/replay", sequences=[1])).json() == {"replayed": 1}
    assert await consumers.fetch() == [(1, 2)]
    answer = await consumers.http.delete("/v1/consumers/c/dead-letters/2")
    assert answer.status_code == 204
    answer = await consumers.http.delete("/v1/consumers/c/dead-letters/2")
    assert (answer.status_code, answer.json()["code"]) == (404, "dead_letter_not_found")
    await consumers.settle(ack=[1])
    assert (await consumers.show())["dead_letters"] == 0


async def test_pause(consumers: ConsumerWorld) -> None:
    """A paused consumer gives nothing out, a fetch that waits is answered when it goes on."""
    await consumers.publish()
    await consumers.create()
    assert (await consumers.ask("c/pause")).json()["paused_until_ms"] is not None
    assert await consumers.fetch() == []
    found: list[tuple[int, int]] = []

    async def pull() -> None:
        found.extend(await consumers.fetch(wait_ms=10_000))

    with anyio.fail_after(5):
        async with anyio.create_task_group() as group:
            group.start_soon(pull)
            await anyio.sleep(0.05)
            assert (await consumers.http.post("/v1/consumers/c/resume")).status_code == 200
    assert found == [(0, 1)]
    await consumers.settle(ack=[0])
    await consumers.publish()
    await consumers.ask("c/pause", until_ms=waiting.now_ms() + 80)
    assert await consumers.fetch() == []
    assert await consumers.fetch(wait_ms=5_000) == [(1, 1)]


@pytest.mark.parametrize(
    ("start", "expected"),
    [
        ({"policy": "first"}, [0, 1, 2, 3, 4]),
        ({"policy": "last"}, [4]),
        ({"policy": "new"}, []),
        ({"policy": "sequence", "sequence": 3}, [3, 4]),
        ({"policy": "time", "time_ms": 0}, [0, 1, 2, 3, 4]),
        ({"policy": "last_per_subject"}, [1, 3, 4]),
    ],
)
async def test_start(
    consumers: ConsumerWorld, start: dict[str, object], expected: list[int]
) -> None:
    """A consumer begins where its start policy says."""
    for subject in ("a", "a", "b", "b", ""):
        await consumers.publish(subject=subject)
    await consumers.create(start=start)
    assert [sequence for sequence, _ in await consumers.fetch()] == expected
    await consumers.publish(subject="a")
    assert [sequence for sequence, _ in await consumers.fetch(wait_ms=2_000)] == [5]


async def test_last_that_matches(consumers: ConsumerWorld) -> None:
    """The last event is the last one that the interest names, or the next when there is none."""
    await consumers.publish(400, topic="catalog.a")
    await consumers.publish(400, topic="catalog.b")
    await consumers.create("a", start={"policy": "last"}, interest={"topics": ["catalog.a"]})
    await consumers.create("none", start={"policy": "last"}, interest={"topics": ["none"]})
    assert await consumers.fetch("a") == [(399, 1)]
    assert (await consumers.show("none"))["position"] == 800


async def test_interest(consumers: ConsumerWorld) -> None:
    """Only events that match are given out, read from the log and as they come in."""
    interest = {"topics": ["catalog.a"], "filters": [{"suffix": {"subject": "7"}}]}
    for nonce in range(20):
        await consumers.publish(topic=f"catalog.{'ab'[nonce % 2]}", subject=f"s{nonce // 2}")
    await consumers.create(interest=interest)
    assert await consumers.fetch() == [(14, 1)]
    for nonce in range(20):
        await consumers.publish(topic=f"catalog.{'ab'[nonce % 2]}", subject=f"s{nonce // 2}")
    assert await consumers.fetch(wait_ms=2_000) == [(34, 1)]


async def test_ordered(consumers: ConsumerWorld) -> None:
    """After a failure an ordered consumer goes back, and gives nothing else out before."""
    await consumers.publish(5)
    await consumers.create(is_ordered=True, backoff_ms=[100], ack_wait_ms=10_000)
    assert await consumers.fetch(max_events=3) == [(0, 1), (1, 1), (2, 1)]
    assert await consumers.fetch() == []
    await consumers.settle(ack=[0], nak=[{"sequence": 1}])
    assert await consumers.fetch() == []
    assert await consumers.fetch(wait_ms=5_000) == [(1, 2), (2, 2), (3, 1), (4, 1)]


async def test_cumulative(consumers: ConsumerWorld) -> None:
    """A cumulative consumer acknowledges all up to a sequence."""
    await consumers.publish(5)
    await consumers.create(ack_policy="cumulative")
    await consumers.fetch()
    assert await consumers.settle(ack_through=3) == {"settled": 4, "unknown": []}
    assert (await consumers.show())["in_flight"] == 1
    answer = await consumers.ask("c/settle", ack=[4])
    assert (answer.status_code, answer.json()["code"]) == (422, "settlement_refused")


async def test_no_acknowledgement(consumers: ConsumerWorld) -> None:
    """A consumer without acknowledgements forgets events when it gives them out."""
    await consumers.publish(2)
    await consumers.create(ack_policy="none")
    assert await consumers.fetch() == [(0, 1), (1, 1)]
    assert (await consumers.show())["in_flight"] == 0
    assert (await consumers.ask("c/settle", ack=[0])).status_code == 422


async def test_headers_only(consumers: ConsumerWorld) -> None:
    """Events come without inline data when the consumer says so, and with it otherwise."""
    await consumers.publish(data=b'{"a":1}', content_type="application/json")
    await consumers.create("bare", headers_only=True)
    await consumers.create("whole")
    bare = (await consumers.ask("bare/fetch")).json()["deliveries"][0]["event"]
    whole = (await consumers.ask("whole/fetch")).json()["deliveries"][0]["event"]
    assert whole.pop("data") == {"a": 1}
    assert bare == whole


async def test_bounds_of_a_fetch(consumers: ConsumerWorld) -> None:
    """A fetch ends at its number of events, its bytes, or what may be in flight."""
    await consumers.publish(5, data=b"x" * 1000)
    await consumers.create(max_in_flight=4)
    assert len(await consumers.fetch(max_events=1)) == 1
    assert len(await consumers.fetch(max_bytes=1)) == 1
    assert len(await consumers.fetch()) == 2
    assert await consumers.fetch() == []
    await consumers.settle(ack=[0])
    assert await consumers.fetch() == [(4, 1)]


async def test_same_consumer_again(consumers: ConsumerWorld) -> None:
    """Making the same consumer again changes nothing; another of its name is refused."""
    await consumers.publish()
    await consumers.create()
    await consumers.fetch()
    again = await consumers.create()
    assert (again.status_code, again.json()["position"]) == (200, 1)
    other = await consumers.create(max_in_flight=2)
    assert (other.status_code, other.json()["code"]) == (409, "consumer_exists")


async def test_changes(consumers: ConsumerWorld) -> None:
    """What is changed counts from then on; what is left out stays."""
    await consumers.publish(2, topic="catalog.a")
    await consumers.create(metadata={"team": "x"})
    await consumers.fetch(max_events=1)
    changes = {"interest": {"topics": ["catalog.b"]}, "max_deliveries": 3}
    answer = await consumers.http.patch("/v1/consumers/c", json=changes)
    assert (answer.status_code, answer.json()["metadata"]) == (200, {"team": "x"})
    assert answer.json()["max_deliveries"] == 3
    await consumers.publish(topic="catalog.b")
    assert await consumers.fetch() == [(2, 1)]
    answer = await consumers.http.patch("/v1/consumers/c", json={"max_deliveries": None})
    assert answer.json()["max_deliveries"] is None
    assert (await consumers.http.patch("/v1/consumers/c", json={"start": {}})).status_code == 400


async def test_delete(consumers: ConsumerWorld) -> None:
    """A deleted consumer is gone; a fetch that waited at it is told so."""
    await consumers.create()
    codes: list[int] = []

    async def pull() -> None:
        codes.append((await consumers.ask("c/fetch", wait_ms=10_000)).status_code)

    with anyio.fail_after(5):
        async with anyio.create_task_group() as group:
            group.start_soon(pull)
            await anyio.sleep(0.05)
            assert (await consumers.http.delete("/v1/consumers/c")).status_code == 204
    assert codes == [404]
    assert (await consumers.http.delete("/v1/consumers/c")).status_code == 404
    assert (await consumers.create()).status_code == 201


async def test_list(consumers: ConsumerWorld) -> None:
    """Consumers are listed by name, in pages."""
    for name in ("b", "a", "c"):
        await consumers.create(name)
    first = (await consumers.http.get("/v1/consumers?limit=2")).json()
    assert ([row["name"] for row in first["consumers"]], first["next"]) == (["a", "b"], "b")
    rest = (await consumers.http.get("/v1/consumers?after=b")).json()
    assert ([row["name"] for row in rest["consumers"]], rest["next"]) == (["c"], None)


async def test_lag(consumers: ConsumerWorld) -> None:
    """Lag is exact for a consumer that keeps up, and a bound for one that begins behind."""
    await consumers.publish(2)
    await consumers.followed(2)
    await consumers.create("behind")
    await consumers.create("new", start={"policy": "new"})
    await consumers.publish(3)
    await consumers.followed(5)
    assert (await consumers.show("new"))["lag"] == {"events": 3, "is_exact": True}
    assert (await consumers.show("behind"))["lag"] == {"events": 5, "is_exact": False}


async def test_lag_tells_nothing_of_restricted_topics(consumers: ConsumerWorld) -> None:
    """Who may not read a topic cannot count its events: nor in documents, nor in metrics."""
    restricted = ("catalog.private.>",)
    rights = RightsSettings(anonymous=frozenset(Scope), restricted=restricted)
    consumers.world.gateway.rights = Rights(rights)
    start, secret = {"policy": "new"}, {"topics": ["catalog.private.x"]}
    await consumers.followed(0)
    created = await consumers.create("a", start=start, interest=secret)
    assert created.json()["lag"] == {"events": 0, "is_exact": True}
    await consumers.publish(2, topic="catalog.open")
    await consumers.publish(1, topic="catalog.private.x")
    await consumers.followed(3)
    assert consumers.consumers.get("a").lag.events == 1
    assert (await consumers.show("a"))["lag"] == {"events": 3, "is_exact": False}
    listed = (await consumers.http.get("/v1/consumers")).json()["consumers"]
    assert listed[0]["lag"] == {"events": 3, "is_exact": False}
    assert 'lag_events{kind="pull"} 3.0' in (await consumers.http.get("/metrics")).text


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"name": ""},
        {"name": "a/b"},
        {"name": "x" * 65},
        {"name": "c", "unknown": 1},
        {"name": "c", "ack_wait_ms": 99},
        {"name": "c", "backoff_ms": []},
        {"name": "c", "backoff_ms": [0]},
        {"name": "c", "max_in_flight": 0},
        {"name": "c", "max_deliveries": 0},
        {"name": "c", "start": {"policy": "sequence"}},
        {"name": "c", "start": {"policy": "new", "sequence": 1}},
        {"name": "c", "interest": {"topics": [".."]}},
        {"name": "c", "interest": {"filters": [{"sql": "x"}]}},
        {"name": "c", "metadata": {"a": "x" * 257}},
    ],
)
async def test_malformed_requests(consumers: ConsumerWorld, body: dict[str, object]) -> None:
    """A consumer that is out of bounds or unknown in form is refused and not made."""
    answer = await consumers.http.post("/v1/consumers", json=body)
    assert (answer.status_code, answer.json()["code"]) == (400, "malformed")
    assert (await consumers.http.get("/v1/consumers")).json()["consumers"] == []


async def test_future_start(consumers: ConsumerWorld) -> None:
    """A consumer cannot begin at a time that is not yet."""
    start = {"policy": "time", "time_ms": waiting.now_ms() + 60_000}
    answer = await consumers.create(start=start)
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_parameter")


async def test_metrics(consumers: ConsumerWorld) -> None:
    """Metrics are sums over consumers of a kind; counters stay when a consumer goes."""
    await consumers.publish(4)
    await consumers.create("a")
    await consumers.create("b")
    await consumers.fetch("a", max_events=3)
    await consumers.settle("a", ack=[0], terminate=[{"sequence": 1}], nak=[{"sequence": 2}])
    text = (await consumers.http.get("/metrics")).text
    prefix = "concordat_gateway_consumer_"
    for row in (
        'consumers{kind="pull"} 2.0',
        'lag_events{kind="pull"} 5.0',
        'in_flight{kind="pull"} 0.0',
        'waiting{kind="pull"} 1.0',
        'dead_letters{kind="pull"} 1.0',
        'delivered_total{kind="pull"} 3.0',
        'failed_total{kind="pull"} 1.0',
    ):
        assert prefix + row in text
    await consumers.http.delete("/v1/consumers/a")
    text = (await consumers.http.get("/metrics")).text
    assert prefix + 'consumers{kind="pull"} 1.0' in text
    assert prefix + 'delivered_total{kind="pull"} 3.0' in text
    assert "concordat_gateway_delivery_commits_total" in text


async def test_fetch_that_settles(consumers: ConsumerWorld) -> None:
    """One request settles earlier events and fetches the next; both or none of it counts."""
    await consumers.publish(4)
    await consumers.create(max_in_flight=2)
    await consumers.fetch()
    answer = (await consumers.ask("c/fetch", settle={"ack": [0], "nak": [{"sequence": 1}]})).json()
    assert [row["sequence"] for row in answer["deliveries"]] == [2]
    assert answer["settled"] == {"settled": 2, "unknown": []}
    answer = (await consumers.ask("c/fetch", settle={"ack": [7]})).json()
    assert answer == {"deliveries": [], "settled": {"settled": 0, "unknown": [7]}}
    refused = await consumers.ask("c/fetch", settle={"ack_through": 2})
    assert (refused.status_code, refused.json()["code"]) == (422, "settlement_refused")
    assert (await consumers.show())["in_flight"] == 1
