"""Retries in virtual time: the schedule, Retry-After, 410, restarts, dead letters, order."""

from itertools import pairwise

import anyio

from ledger.core.errors import Unavailable
from pubsub.core.limits import WEBHOOK_RETRY_MS
from pubsub.core.webhook.handshake import Consent
from pubsub.core.webhook.registration import Reason, State, consumer_name, with_consent
from pubsub.core.webhook.signing import read_verifying_key, verify_headers
from pubsub.io.egress import EgressError, Late
from tests.pubsub.webhook.virtual_world import VirtualWorld, in_virtual_time

HOUR_MS = 3_600_000


def gaps(world: VirtualWorld) -> list[int]:
    """Give the times between requests."""
    times = [sent.at_ms for sent in world.sent]
    return [after - before for before, after in pairwise(times)]


def keeps(gap_ms: int, planned_ms: int) -> bool:
    """Say whether a pause is as planned, with its spread and what the test's own waits cost."""
    return planned_ms <= gap_ms <= planned_ms * 6 // 5 + 2_000


@in_virtual_time
async def test_an_event_that_is_refused_is_tried_ten_times(world: VirtualWorld) -> None:
    """It keeps its id, is signed anew each time, and becomes a dead letter that can be replayed."""
    world.answer = lambda _: (500, {})
    async with world.running() as webhooks:
        endpoint = await world.create(webhooks)
        (id_,) = world.publish()
        await world.until(10)
        await world.pass_ms(100 * HOUR_MS)
        assert len(world.sent) == 10
        assert all(keeps(*pair) for pair in zip(gaps(world), WEBHOOK_RETRY_MS, strict=True)), gaps(
            world
        )
        key = read_verifying_key(endpoint.registration.keys[0].text())
        for sent in world.sent:
            assert verify_headers([key], sent.headers, sent.body, sent.at_ms // 1000) == id_
        name = consumer_name(endpoint.registration.id)
        (letter,) = webhooks.consumers.dead_letters(name)
        assert (letter.deliveries, letter.reason) == (10, "terminated: refused: 500")
        world.answer = lambda _: (200, {})
        assert await webhooks.consumers.replay(name, None) == 1
        await world.until(11)
        await world.pass_ms(1_000)
        assert webhooks.consumers.dead_letters(name) == []
        assert world.sent[-1].id == id_


@in_virtual_time
async def test_restart_in_the_middle_of_the_schedule(world: VirtualWorld) -> None:
    """A gateway that comes back goes on with the schedule where it was: no attempt more or less."""
    world.answer = lambda _: (500, {})
    async with world.running() as webhooks:
        await world.create(webhooks)
        (id_,) = world.publish()
        await world.until(4)
        await world.pass_ms(1_000)
    async with world.running() as webhooks:
        (endpoint,) = (webhooks.get(view.id) for view in webhooks.views())
        assert endpoint.health.failing_since_ms == world.sent[0].at_ms + 10
        await world.until(10)
        await world.pass_ms(100 * HOUR_MS)
    assert len(world.sent) == 10
    assert {sent.id for sent in world.sent} == {id_}
    assert all(keeps(*pair) for pair in zip(gaps(world), WEBHOOK_RETRY_MS, strict=True))


@in_virtual_time
async def test_time_that_passes_while_the_gateway_is_down_counts(world: VirtualWorld) -> None:
    """What is due when the gateway comes back is tried at once."""
    world.answer = lambda number: (500 if number < 4 else 200, {})
    async with world.running() as webhooks:
        await world.create(webhooks)
        world.publish()
        await world.until(4)
        await world.pass_ms(1_000)
    world.clock.jump(10 * HOUR_MS / 1000)
    began_ms = world.now_ms
    async with world.running():
        await world.until(5)
    assert world.sent[-1].at_ms - began_ms < 5_000


@in_virtual_time
async def test_retry_after_pauses_the_endpoint(world: VirtualWorld) -> None:
    """Nothing at all is sent before the endpoint wants it, then one request, then the rest."""
    world.answer = lambda number: (503, {"retry-after": "1000"}) if number == 0 else (200, {})
    async with world.running() as webhooks:
        await world.create(webhooks, in_flight_max=1)
        ids = world.publish(5)
        await world.until(6)
        assert 1_000_000 <= gaps(world)[0] <= 1_003_000
        assert {sent.id for sent in world.sent} == set(ids)


@in_virtual_time
async def test_dead_endpoints_are_left_alone(world: VirtualWorld) -> None:
    """A thousand events cost a dead endpoint no more than an attempt in minutes, one at a time."""
    failures = [Late("late"), Unavailable("refused"), EgressError("private now")]
    world.answer = lambda number: failures[number % 3]
    async with world.running() as webhooks:
        endpoint = await world.create(webhooks)
        world.publish(200)
        await world.pass_ms(HOUR_MS)
        assert len(world.sent) < 8 + 12 + 13
        world.answer = lambda _: (200, {})
        known = len(world.sent)
        await world.until(known + 150)
        assert gaps(world)[known - 1] <= 301_000 + 500
        assert endpoint.health.failing_since_ms is None


@in_virtual_time
async def test_gone_disables(world: VirtualWorld) -> None:
    """After 410 nothing is sent until the owner enables it; then everything is."""
    world.answer = lambda number: (410 if number == 0 else 200, {})
    async with world.running() as webhooks:
        endpoint = await world.create(webhooks, in_flight_max=1)
        ids = world.publish(3)
        await world.pass_ms(HOUR_MS)
        registration = endpoint.registration
        assert (registration.state, registration.reason) == (State.DISABLED, Reason.GONE)
        assert len(world.sent) == 1
    async with world.running() as webhooks:
        await world.pass_ms(HOUR_MS)
        assert len(world.sent) == 1
        await webhooks.enable(registration.id)
        await world.until(4)
        assert {sent.id for sent in world.sent} == set(ids)


@in_virtual_time
async def test_days_of_failures_disable(world: VirtualWorld) -> None:
    """Who took nothing for five days is asked no more, and its owner is told why."""
    world.answer = lambda _: Late("late")
    async with world.running() as webhooks:
        endpoint = await world.create(webhooks)
        for _ in range(12):
            world.publish()
            await world.pass_ms(12 * HOUR_MS)
        assert endpoint.registration.reason is Reason.FAILING
        count = len(world.sent)
        world.publish(5)
        await world.pass_ms(24 * HOUR_MS)
        assert len(world.sent) == count
        days = (world.sent[-1].at_ms - world.sent[0].at_ms) / 24 / HOUR_MS
        assert 5 <= days < 5.6


@in_virtual_time
async def test_refused_events_hold_up_no_others(world: VirtualWorld) -> None:
    """One event that the endpoint cannot take waits alone; the others arrive meanwhile."""
    bad = world.publish(1)[0]
    world.answer = lambda _: (200, {})
    async with world.running() as webhooks:
        world.refused = {bad}
        await world.create(webhooks)
        ids = world.publish(9)
        await world.pass_ms(60_000)
        taken = {sent.id for sent in world.sent} - {bad}
        assert taken == set(ids)


@in_virtual_time
async def test_order_is_kept(world: VirtualWorld) -> None:
    """An ordered webhook sends nothing before what stands in front was taken."""
    world.answer = lambda number: (500 if number in (2, 3) else 200, {})
    async with world.running() as webhooks:
        await world.create(webhooks, is_ordered=True)
        ids = world.publish(6)
        await world.until(8)
        order = [ids.index(sent.id) for sent in world.sent]
        assert order == [0, 1, 2, 2, 2, 3, 4, 5]


@in_virtual_time
async def test_rate_is_kept(world: VirtualWorld) -> None:
    """No more requests a minute than the receiver allows."""
    async with world.running() as webhooks:
        endpoint = await world.create(webhooks)
        await webhooks.replace(endpoint, with_consent(endpoint.current, Consent(6, world.now_ms)))
        world.publish(6)
        await world.until(6)
        assert all(gap >= 10_000 for gap in gaps(world))


@in_virtual_time
async def test_batches_stay_together(world: VirtualWorld) -> None:
    """A batch that failed is sent again as the same batch, with the same id."""
    world.answer = lambda number: (500 if number == 0 else 200, {})
    world.publish(5)
    async with world.running() as webhooks:
        await world.create(webhooks, mode="batch")
        await world.until(2)
        assert world.sent[0].id == world.sent[1].id
        assert world.sent[0].body == world.sent[1].body


@in_virtual_time
async def test_crash_between_post_and_acknowledgement(world: VirtualWorld) -> None:
    """What was being sent when the gateway died is sent again at once, with the same id.

    However often it dies, that is no failure of the endpoint: the schedule is as if it had not.
    """
    world.answer = lambda number: (500 if number == 3 else 200, {})
    world.delay_s = 9.0
    for lives in range(1, 4):
        async with world.running() as webhooks:
            if lives == 1:
                await world.create(webhooks)
                (id_,) = world.publish()
            await world.until(lives)
            await anyio.sleep(0.1)
    began_ms = world.now_ms
    world.delay_s = 0.01
    async with world.running() as webhooks:
        await world.until(4)
        assert world.sent[3].at_ms - began_ms < 100
        (view,) = webhooks.views()
        await world.until(5)
        assert keeps(gaps(world)[3], WEBHOOK_RETRY_MS[0])
        await world.pass_ms(1_000)
        attempts = [attempt.attempt for attempt in webhooks.attempts(view.id)]
    assert attempts == [2, 1]
    assert {sent.id for sent in world.sent} == {id_}


@in_virtual_time
async def test_crash_of_an_ordered_webhook(world: VirtualWorld) -> None:
    """Order is kept over a crash, and nothing waits for a timeout."""
    world.delay_s = 9.0
    async with world.running() as webhooks:
        await world.create(webhooks, is_ordered=True)
        ids = world.publish(4)
        await world.until(1)
        await anyio.sleep(0.1)
    began_ms = world.now_ms
    world.delay_s = 0.01
    async with world.running():
        await world.until(5)
    assert [ids.index(sent.id) for sent in world.sent] == [0, 0, 1, 2, 3]
    assert world.sent[-1].at_ms - began_ms < 1_000


@in_virtual_time
async def test_replayed_events_have_the_whole_schedule_before_them(world: VirtualWorld) -> None:
    """A dead letter that is replayed and fails again is not given up at once."""
    async with world.running() as webhooks:
        endpoint = await world.create(webhooks)
        world.refused = set(world.publish())
        await world.until(10)
        world.publish()  # is taken: the endpoint is well
        await world.until(11)
        name = consumer_name(endpoint.registration.id)
        assert await webhooks.consumers.replay(name, None) == 1
        await world.until(21)
        await world.pass_ms(1_000)
        assert len(webhooks.consumers.dead_letters(name)) == 1
        assert all(keeps(*pair) for pair in zip(gaps(world)[11:], WEBHOOK_RETRY_MS, strict=True))


@in_virtual_time
async def test_a_bug_in_one_attempt_is_its_failure(world: VirtualWorld) -> None:
    """An error that nobody foresaw ends no worker: the event is tried again, others are sent."""
    world.answer = lambda number: RuntimeError("broken") if number == 0 else (200, {})
    async with world.running() as webhooks:
        endpoint = await world.create(webhooks)
        (first,) = world.publish()
        await world.until(2)
        assert [sent.id for sent in world.sent] == [first, first]
        assert keeps(gaps(world)[0], WEBHOOK_RETRY_MS[0])
        (second,) = world.publish()
        await world.until(3)
        assert world.sent[-1].id == second
        await world.pass_ms(1_000)
        assert [each.attempt for each in webhooks.attempts(endpoint.registration.id)] == [1, 2]
