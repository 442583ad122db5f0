"""Webhooks over HTTP: who sees what, secrets once, consent, rotation, pings, redelivery."""

from datetime import UTC, datetime
from pathlib import Path

import anyio
import msgspec
import pytest
import standardwebhooks

from pubsub.core.limits import WEBHOOK_ATTEMPTS_KEPT, WEBHOOK_REDELIVERIES_MAX
from pubsub.core.problems import Refusal
from pubsub.core.webhook.registration import consumer_name
from pubsub.io.egress import Egress
from pubsub.io.gateway import GatewaySettings
from pubsub.io.state import Gateway
from pubsub.io.webhooks.settings import WebhookSettings
from tests.pubsub.webhook.receiver import Receiver, receiving
from tests.pubsub.webhook.webhook_world import WebhookWorld, received, webhook_world


# --- consent ---------------------------------------------------------------------------------
async def test_nothing_is_posted_without_consent(hooks: WebhookWorld, receiver: Receiver) -> None:
    """A good status is no consent; what was published meanwhile comes after it."""
    receiver.consents = {"Allow": "POST"}
    id_ = await hooks.create(receiver, rate=600)
    ids = await hooks.publish(2)
    (asked,) = receiver.asked
    assert asked["webhook-request-origin"] == "gateway.example"
    assert asked["webhook-request-rate"] == "600"
    assert (await hooks.get(id_))["state"] == "pending"
    answer = await hooks.http.post(f"/v1/webhooks/{id_}/ping")
    assert (answer.status_code, answer.json()["code"]) == (409, "webhook_unverified")
    assert receiver.received == []
    receiver.consents = {"WebHook-Allowed-Origin": "gateway.example", "WebHook-Allowed-Rate": "120"}
    shown = await hooks.ask(f"{id_}/verify")
    assert (shown["state"], shown["allowed_rate"]) == ("active", 120)
    await received(receiver, 2)
    assert {event.get_id() for event in receiver.events} == set(ids)


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_consent_that_comes_later(
    hooks: WebhookWorld, receiver: Receiver, method: str
) -> None:
    """The callback URL that the receiver was told gives consent, once, and no other does."""
    receiver.consents = {}
    id_ = await hooks.create(receiver)
    callback = receiver.asked[0]["webhook-request-callback"]
    assert callback.startswith(f"http://gateway/v1/webhooks/{id_}/consent?token=")
    for wrong in (f"{callback}x", callback[:-1], callback.replace(id_, "wh_" + "a" * 26)):
        answer = await hooks.http.request(method, wrong)
        assert (answer.status_code, answer.json()["code"]) == (404, "webhook_not_found")
    assert (await hooks.http.head(callback)).status_code == 200
    assert (await hooks.get(id_))["state"] == "pending"
    allowed = {"webhook-allowed-rate": "60"}
    assert (await hooks.http.request(method, callback, headers=allowed)).status_code == 200
    shown = await hooks.get(id_)
    assert (shown["state"], shown["allowed_rate"]) == ("active", 60)
    assert (await hooks.http.request(method, callback)).status_code == 404


async def test_another_url_needs_its_own_consent(hooks: WebhookWorld, receiver: Receiver) -> None:
    """When a webhook moves, its receiver there is asked; the one before gets nothing more."""
    id_ = await hooks.create(receiver)
    with receiving() as other:
        other.consents = {}
        moved = await hooks.http.patch(f"/v1/webhooks/{id_}", json={"url": other.url})
        assert (moved.status_code, moved.json()["state"]) == (200, "pending")
        await hooks.publish()
        assert len(other.asked) == 1
        other.consents = {"WebHook-Allowed-Origin": "*"}
        other.secret = receiver.secret
        await hooks.ask(f"{id_}/verify")
        await received(other, 1)
        assert other.faults == []
    assert receiver.received == []


# --- secrets ---------------------------------------------------------------------------------
async def test_secrets_are_shown_once(hooks: WebhookWorld, receiver: Receiver) -> None:
    """Neither secret nor authorization is in any later answer, nor in the log of attempts."""
    id_ = await hooks.create(receiver, authorization="Bearer very-hidden", signatures=["v1", "v1a"])
    await hooks.publish()
    await received(receiver, 1)
    assert receiver.received[0].headers["authorization"] == "Bearer very-hidden"
    assert receiver.asked[0]["authorization"] == "Bearer very-hidden"
    texts = [
        (await hooks.http.get(f"/v1/webhooks{target}")).text
        for target in ("", f"/{id_}", f"/{id_}/deliveries", f"/{id_}/dead-letters")
    ]
    texts.append((await hooks.http.patch(f"/v1/webhooks/{id_}", json={})).text)
    texts.append((await hooks.http.get("/metrics")).text)
    texts.append((await hooks.http.get("/v1/audit")).text)
    for text in texts:
        assert "very-hidden" not in text
        assert receiver.secret.removeprefix("whsec_") not in text


async def test_rotation(hooks: WebhookWorld, receiver: Receiver) -> None:
    """The old and the new secret both verify for a while; after a leak the new one alone."""
    id_ = await hooks.create(receiver)
    old = receiver.secret
    new = (await hooks.ask(f"{id_}/rotate"))["key"]
    assert new != old
    await hooks.publish()
    await received(receiver, 1)
    for secret in (old, new):
        standardwebhooks.Webhook(secret).verify(
            receiver.received[0].body, receiver.received[0].headers
        )
    leaked = await hooks.ask(f"{id_}/rotate", overlap_ms=0)
    receiver.secret = leaked["key"]
    await hooks.publish()
    await received(receiver, 2)
    assert receiver.faults == []
    signatures = receiver.received[1].headers["webhook-signature"]
    assert len(signatures.split(" ")) == 1


# --- attempts, pings, redeliveries -----------------------------------------------------------
@pytest.mark.parametrize("mode", ["structured", "binary", "batch"])
async def test_ping(hooks: WebhookWorld, receiver: Receiver, mode: str) -> None:
    """A ping is a signed event that the receiver reads; it tells how it went."""
    id_ = await hooks.create(receiver, mode=mode)
    attempt = await hooks.ask(f"{id_}/ping")
    assert (attempt["outcome"], attempt["status"], attempt["purpose"]) == ("delivered", 204, "ping")
    (event,) = receiver.events
    assert event.get_type() == "io.concordat.webhook.ping"
    receiver.answer = lambda _: (503, {"Retry-After": "1000"})
    attempt = await hooks.ask(f"{id_}/ping")
    assert (attempt["outcome"], attempt["status"]) == ("throttled", 503)
    assert (await hooks.get(id_))["health"]["status"] == "ok"


async def test_redelivery(hooks: WebhookWorld, receiver: Receiver) -> None:
    """An event is sent again with its id, signed with the present key, and health stays."""
    id_ = await hooks.create(receiver)
    (event_id,) = await hooks.publish()
    await received(receiver, 1)
    await hooks.until(lambda shown: shown["in_flight"] == 0, id_)
    receiver.secret = (await hooks.ask(f"{id_}/rotate", overlap_ms=0))["key"]
    receiver.answer = lambda _: (410, {})
    answer = await hooks.ask(f"{id_}/redeliver", sequences=[0])
    assert [row["outcome"] for row in answer["attempts"]] == ["gone"]
    assert [row["purpose"] for row in answer["attempts"]] == ["redelivery"]
    assert receiver.faults == []
    assert [delivery.id for delivery in receiver.received] == [event_id, event_id]
    shown = await hooks.get(id_)
    assert (shown["state"], shown["health"]["status"]) == ("active", "ok")


@pytest.mark.parametrize(
    "sequences, code",
    [
        ([], "malformed"),
        ([-1], "malformed"),
        (list(range(WEBHOOK_REDELIVERIES_MAX + 1)), "malformed"),
        ([5], "event_not_found"),
        ([1], "event_not_found"),
    ],
)
async def test_redelivery_of_what_is_not_its(
    hooks: WebhookWorld, receiver: Receiver, sequences: list[int], code: str
) -> None:
    """Nothing can be had that the webhook is not interested in."""
    id_ = await hooks.create(receiver, interest={"filters": [{"exact": {"subject": "urn:mine"}}]})
    await hooks.publish(subject="urn:mine")
    await hooks.publish(subject="urn:other")
    answer = await hooks.http.post(f"/v1/webhooks/{id_}/redeliver", json={"sequences": sequences})
    assert answer.json()["code"] == code
    await received(receiver, 1)
    assert len(receiver.received) == 1


async def test_attempts_are_listed(hooks: WebhookWorld, receiver: Receiver) -> None:
    """Each tells when, how often, how it went and how long it took; never what came back."""
    receiver.answer = lambda number: (500 if number == 0 else 200, {"X-Secret": "inside"})
    id_ = await hooks.create(receiver)
    (event_id,) = await hooks.publish()
    await received(receiver, 1)
    await hooks.until(lambda shown: shown["health"]["failures"] == 1, id_)
    text = (await hooks.http.get(f"/v1/webhooks/{id_}/deliveries")).text
    attempts = msgspec.json.decode(text)["attempts"]
    first, handshake = attempts
    assert (handshake["purpose"], handshake["outcome"]) == ("handshake", "delivered")
    assert first["id"] == event_id
    assert (first["sequences"], first["attempt"]) == ([0], 1)
    assert (first["outcome"], first["status"]) == ("refused", 500)
    assert 0 <= first["ms"] < 10_000
    assert abs(first["at_ms"] - datetime.now(UTC).timestamp() * 1000) < 60_000
    assert "inside" not in text


async def test_attempts_are_bounded(hooks: WebhookWorld, receiver: Receiver) -> None:
    """The newest attempts are kept, no more."""
    id_ = await hooks.create(receiver, mode="batch", batch={"events_max": 1})
    await hooks.publish(WEBHOOK_ATTEMPTS_KEPT + 5)
    await received(receiver, WEBHOOK_ATTEMPTS_KEPT + 5)
    await hooks.until(lambda shown: shown["in_flight"] == 0, id_)
    attempts = (await hooks.get(f"{id_}/deliveries"))["attempts"]
    assert len(attempts) == WEBHOOK_ATTEMPTS_KEPT
    assert attempts[0]["at_ms"] >= attempts[-1]["at_ms"]


async def test_metrics(hooks: WebhookWorld, receiver: Receiver) -> None:
    """How many webhooks are in which state, and how attempts go, can be watched."""
    await hooks.create(receiver)
    receiver.consents = {}
    await hooks.create(receiver)
    text = (await hooks.http.get("/metrics")).text
    for line in (
        'concordat_gateway_webhooks{state="active"} 1.0',
        'concordat_gateway_webhooks{state="pending"} 1.0',
        'concordat_gateway_webhooks{state="disabled"} 0.0',
        'concordat_gateway_webhook_attempts_total{outcome="delivered",purpose="handshake"} 1.0',
        'concordat_gateway_webhook_attempts_total{outcome="refused",purpose="handshake"} 1.0',
    ):
        assert line in text.splitlines(), line


# --- life ------------------------------------------------------------------------------------
async def test_disabled_and_enabled(hooks: WebhookWorld, receiver: Receiver) -> None:
    """A disabled webhook gets nothing and loses nothing."""
    id_ = await hooks.create(receiver)
    await hooks.http.patch(f"/v1/webhooks/{id_}", json={"state": "disabled"})
    ids = await hooks.publish(3)
    await hooks.until(lambda shown: shown["lag"] == 3, id_)
    shown = await hooks.get(id_)
    assert (shown["state"], shown["reason"]) == ("disabled", "owner")
    assert receiver.received == []
    shown = await hooks.ask(f"{id_}/enable")
    assert (shown["state"], shown["reason"]) == ("active", None)
    await received(receiver, 3)
    assert {delivery.id for delivery in receiver.received} == set(ids)


async def test_changes_of_interest(hooks: WebhookWorld, receiver: Receiver) -> None:
    """A new interest counts for what is to come."""
    id_ = await hooks.create(receiver, interest={"filters": [{"exact": {"subject": "urn:a"}}]})
    await hooks.publish(subject="urn:b")
    await hooks.publish(subject="urn:a")
    await received(receiver, 1)
    changed = {"interest": {"filters": [{"exact": {"subject": "urn:b"}}]}}
    answer = await hooks.http.patch(f"/v1/webhooks/{id_}", json=changed)
    assert answer.json()["interest"]["filters"] == changed["interest"]["filters"]
    await hooks.publish(subject="urn:a")
    await hooks.publish(subject="urn:b")
    await received(receiver, 2)
    assert [event.get_subject() for event in receiver.events] == ["urn:a", "urn:b"]


async def test_deleted(hooks: WebhookWorld, receiver: Receiver) -> None:
    """A deleted webhook is gone with its consumer, and nothing is posted any more."""
    id_ = await hooks.create(receiver)
    answer = await hooks.http.delete(f"/v1/webhooks/{id_}")
    assert answer.status_code == 204
    assert (await hooks.http.get(f"/v1/webhooks/{id_}")).json()["code"] == "webhook_not_found"
    await hooks.publish()
    await anyio.sleep(0.1)
    assert receiver.received == []
    assert hooks.world.gateway.consumers.internal_names("webhook/") == []


async def test_restart(tmp_path: Path, receiver: Receiver) -> None:
    """After a restart webhooks are as they were: consent, secrets, position."""
    directory = tmp_path / "one"
    directory.mkdir()
    async with webhook_world(directory) as hooks:
        id_ = await hooks.create(receiver)
        await hooks.publish(2)
        await received(receiver, 2)
        await hooks.until(lambda shown: shown["in_flight"] == 0, id_)
        before = await hooks.get(id_)
    other = tmp_path / "two"
    other.mkdir()
    (directory / "delivery").rename(other / "delivery")
    async with webhook_world(other) as hooks:
        assert (await hooks.get(id_))["keys"] == before["keys"]
        hooks.world.gateway.consumers.get(f"webhook/{id_}")
        await hooks.publish(3)
        await received(receiver, 3)
    assert receiver.faults == []
    assert len(receiver.received) == 3


async def test_too_many(
    hooks: WebhookWorld, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A principal may have so many, and not one more."""
    monkeypatch.setattr("pubsub.io.webhooks.registry.WEBHOOKS_OWNER_MAX", 2)
    for _ in range(2):
        await hooks.create(receiver)
    answer = await hooks.http.post("/v1/webhooks", json={"url": receiver.url})
    assert (answer.status_code, answer.json()["code"]) == (409, "too_many_webhooks")


async def test_orphans_are_cleared(tmp_path: Path, receiver: Receiver) -> None:
    """A crash between the two rows of a webhook leaves neither alone after the next start."""
    directory, later = tmp_path / "one", tmp_path / "two"
    directory.mkdir()
    later.mkdir()
    async with webhook_world(directory) as hooks:
        name = consumer_name(await hooks.create(receiver))
        consumers = hooks.world.gateway.consumers
        config = consumers.get(name).config
        orphan = msgspec.structs.replace(config, name="webhook/orphan")
        await consumers.create(orphan, "anonymous", lambda _: True)
        await consumers.delete(name)
    (directory / "delivery").rename(later / "delivery")
    async with webhook_world(later) as hooks:
        await hooks.publish()
        await received(receiver, 1)
        assert hooks.world.gateway.consumers.internal_names("webhook/") == [name]


async def test_without_a_store(tmp_path: Path) -> None:
    """A gateway that keeps nothing says so."""
    gateway = Gateway(GatewaySettings(tmp_path, tmp_path / "socket", "member-one"))
    with pytest.raises(Refusal, match="delivery_unavailable"):
        _ = gateway.webhooks


def test_defaults_are_of_the_internet() -> None:
    """A gateway that is told nothing calls public addresses alone."""
    assert WebhookSettings().egress == Egress(allows_private=False)
