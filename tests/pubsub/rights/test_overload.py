"""Back-pressure: rates of principals, and a Retry-After that says when there will be room."""

import time
from pathlib import Path

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.core.limits import MEMPOOL_BYTES_MAX, MEMPOOL_ENTRIES_MAX
from pubsub.client.async_client import AsyncClient
from pubsub.core.limits import (
    DRAIN_WINDOW_MS,
    PUBLISHERS_REMEMBERED_MAX,
    RETRY_AFTER_S_MAX,
    RETRY_AFTER_STALLED_S,
)
from pubsub.core.overload import DrainRate, NodeQueue, PublishRates, retry_after_s
from pubsub.io.rights import RightsSettings
from tests.pubsub.gateway_world import World, gateway_world, sample

FULL = NodeQueue(MEMPOOL_ENTRIES_MAX, 1_000)
THOUSAND_A_SECOND = 1_000_000  # events in a million ms


# --- rates ----------------------------------------------------------------------------------


def test_a_principal_has_its_rate_and_its_burst() -> None:
    """After a pause as many as the burst pass at once, from then on as many as the rate says."""
    rates = PublishRates(rate=10, burst=25)
    assert rates.take("a", 20, 0) == 20
    assert rates.take("a", 20, 0) == 5
    assert rates.take("a", 1, 99) == 0
    assert rates.take("a", 1, 100) == 1
    assert rates.take("a", 100, 10_000) == 25


def test_principals_do_not_share_a_bucket() -> None:
    """What one hands in takes nothing from another."""
    rates = PublishRates(rate=1, burst=1)
    assert [rates.take(name, 1, 0) for name in "aab"] == [1, 0, 1]


def test_no_rate_is_no_limit() -> None:
    """A rate of 0 lets everything pass and remembers nobody."""
    rates = PublishRates(rate=0, burst=1)
    assert rates.take("a", 10**6, 0) == 10**6
    assert rates.retry_after_s("a", 10**6, 0) == 0


@given(
    st.integers(1, 1_000),
    st.integers(1, 1_000),
    st.lists(st.tuples(st.integers(0, 2_000), st.integers(0, 5_000))),
)
def test_nobody_gets_more_than_burst_and_rate(
    rate: int, burst: int, asked: list[tuple[int, int]]
) -> None:
    """Over any time no more than the burst and the rate times that time may pass."""
    rates = PublishRates(rate, burst)
    now_ms = total = 0
    for wanted, pause_ms in asked:
        now_ms += pause_ms
        granted = rates.take("a", wanted, now_ms)
        assert 0 <= granted <= wanted
        total += granted
        assert total <= burst + rate * now_ms // 1_000


@given(st.integers(1, 50), st.integers(1, 100), st.integers(0, 100), st.integers(1, 200))
def test_after_the_named_time_the_events_may_pass(
    rate: int, burst: int, before: int, wanted: int
) -> None:
    """Whoever comes back when it was told to gets what it wanted, or as much as ever passes."""
    rates = PublishRates(rate, burst)
    rates.take("a", before, 0)
    wait_s = rates.retry_after_s("a", wanted, 0)
    if wait_s < RETRY_AFTER_S_MAX:
        assert rates.take("a", wanted, wait_s * 1_000) >= min(wanted, burst)


def test_the_number_of_buckets_is_bounded() -> None:
    """Beyond the limit whoever handed in nothing for longest begins anew."""
    rates = PublishRates(rate=1, burst=1)
    for number in range(PUBLISHERS_REMEMBERED_MAX + 1):
        rates.take(f"p{number}", 1, 0)
    assert rates.take("p1", 1, 0) == 0
    assert rates.take("p0", 1, 0) == 1


# --- the node's queue -----------------------------------------------------------------------


def test_retry_after_is_the_time_in_which_the_queue_drains() -> None:
    """The wait is that of the excess at the pace of the log, rounded up."""
    assert retry_after_s(FULL, 500, THOUSAND_A_SECOND) == 1
    assert retry_after_s(FULL, 5_500, THOUSAND_A_SECOND) == 6
    half = NodeQueue(MEMPOOL_ENTRIES_MAX // 2, 1_000)
    assert retry_after_s(half, MEMPOOL_ENTRIES_MAX, THOUSAND_A_SECOND) == 11
    assert retry_after_s(half, 1, THOUSAND_A_SECOND) == 1


def test_bytes_may_be_what_is_lacking() -> None:
    """A queue that is full of bytes drains by the mean length of what waits."""
    queue = NodeQueue(1_000, 2 * MEMPOOL_BYTES_MAX)
    assert retry_after_s(queue, 1, 100_000) == 6  # half of the thousand, at a hundred a second


@pytest.mark.parametrize(
    ("queue", "pace", "seconds"),
    [
        (None, 1, 1),
        (FULL, None, 1),
        (FULL, 0, RETRY_AFTER_STALLED_S),
        (FULL, -5, RETRY_AFTER_STALLED_S),
        (FULL, 1, RETRY_AFTER_S_MAX),
        (NodeQueue(MEMPOOL_ENTRIES_MAX - 100, 1), 0, 1),  # it just fits
        (NodeQueue(MEMPOOL_ENTRIES_MAX - 99, 1), 0, RETRY_AFTER_STALLED_S),
    ],
)
def test_what_is_not_known(queue: NodeQueue | None, pace: int | None, seconds: int) -> None:
    """A second where nothing is known; longer when nothing moves; never longer than the limit."""
    assert retry_after_s(queue, 100, pace) == seconds


def test_pace_is_that_of_the_last_seconds() -> None:
    """Growth is measured over the window; what is older does not count."""
    rate = DrainRate()
    assert rate.per_million_ms(0, 0) is None
    rate.note(0, 0)
    assert rate.per_million_ms(500, 999) is None
    assert rate.per_million_ms(500, 1_000) == 500_000
    for second in range(1, 31):
        rate.note(1_000 * min(second, 20), 1_000 * second)
    assert rate.per_million_ms(20_000, 30_000) == 0
    assert rate.per_million_ms(25_000, 30_000) == 5_000 * 1_000_000 // DRAIN_WINDOW_MS


# --- at the gateway -------------------------------------------------------------------------


async def test_a_full_node_says_when_to_come_back(world: World) -> None:
    """A 429 carries a Retry-After made of the node's queue, also for a part of a bulk request."""
    world.node.judge = lambda _: "overloaded"
    full = f'"mempool_entries":{MEMPOOL_ENTRIES_MAX},"mempool_bytes":1'
    world.node.status = f'{{"progress":"halted",{full}}}'.encode()
    overload = world.gateway.overload
    before_ms = time.monotonic_ns() // 1_000_000 - 2_000
    overload._drain._samples.appendleft((before_ms, overload._log_size))  # nothing was final since
    answer = await world.post_bulk([sample(0).entry])
    assert answer.status_code == 429
    assert answer.headers["retry-after"] == str(RETRY_AFTER_STALLED_S)
    world.node.judge = lambda data: "" if data == sample(0).entry else "overloaded"
    answer = await world.post_bulk([sample(0).entry, sample(1).entry])
    assert answer.status_code == 202
    assert answer.headers["retry-after"] == str(RETRY_AFTER_STALLED_S)
    assert [row["status"] for row in answer.json()["receipts"]] == ["pending", "refused"]


@pytest.mark.parametrize("status", [b"", b"[]", b'{"mempool_entries":-1}', b"{" * 9_999])
async def test_a_status_that_tells_nothing(world: World, status: bytes) -> None:
    """When the node's status is of no use, a second is as good as anything."""
    world.node.judge = lambda _: "overloaded"
    world.node.status = status
    answer = await world.post_bulk([sample(0).entry])
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "1")


async def test_a_principal_is_held_to_its_rate(tmp_path: Path) -> None:
    """Beyond its rate a principal is told when to come back; bulk is answered event by event."""
    rights = RightsSettings(publish_rate=1, publish_burst=3)
    async with gateway_world(tmp_path, rights=rights) as world:
        answer = await world.post_bulk([sample(n).entry for n in range(5)])
        assert answer.status_code == 202
        codes = [row.get("code") for row in answer.json()["receipts"]]
        assert codes == [None, None, None, "overloaded", "overloaded"]
        assert answer.headers["retry-after"] == "2"
        assert [len(entries) for entries in world.node.submissions] == [3]
        answer = await world.post_bulk([sample(5).entry], "?wait=final&timeout_ms=1")
        assert (answer.status_code, answer.headers["retry-after"]) == (429, "1")
        assert answer.json()["code"] == "overloaded"
        assert len(world.node.submissions) == 1  # the node was not even asked


async def test_what_is_no_event_costs_nothing(tmp_path: Path) -> None:
    """Only events that are handed in count against a rate."""
    rights = RightsSettings(publish_rate=1, publish_burst=1)
    media = "application/cloudevents-batch+json"
    async with gateway_world(tmp_path, rights=rights) as world:
        answer = await world.post(b"[{},{},{}]", media)
        assert {row["code"] for row in answer.json()["receipts"]} == {"malformed"}
        assert (await world.post_bulk([sample(0).entry])).status_code == 202


class Counting(httpx.ASGITransport):
    """Counts what a client asks."""

    requests_count = 0

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Pass a request on."""
        self.requests_count += 1
        return await super().handle_async_request(request)


async def test_the_client_comes_back_when_it_was_told_to(tmp_path: Path) -> None:
    """What a bulk request could not hand in, the client hands in after the time it was given."""
    rights = RightsSettings(publish_rate=3, publish_burst=3)
    entries = [sample(number) for number in range(5)]
    async with gateway_world(tmp_path, rights=rights) as world:
        transport = Counting(app=world.app)
        async with AsyncClient("http://gateway", transport=transport) as client:
            receipts = await client.publish_many(entries)
        assert transport.requests_count == 2  # not sooner, which would be one more
        assert [receipt.status for receipt in receipts] == ["pending"] * 5
        assert [len(handed_in) for handed_in in world.node.submissions] == [3, 2]
