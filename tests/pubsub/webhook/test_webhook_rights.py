"""What a webhook gets follows from what its owner may do at the time."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest

from pubsub.core.rights import Scope
from pubsub.io import rights as rights_module
from pubsub.io.rights import RightsSettings
from tests.pubsub.rights.test_principals import add, api_token, revoke, settings_of, text_of
from tests.pubsub.webhook.receiver import Receiver
from tests.pubsub.webhook.webhook_world import WebhookWorld, received, webhook_world

OPEN_TOPIC, SECRET_TOPIC = "catalog.open", "catalog.private.a"


@pytest.fixture
def settings(tmp_path: Path) -> RightsSettings:
    """Give settings with a restricted topic and five tokens."""
    made = settings_of(tmp_path, restricted=("catalog.private.>",))
    both = (Scope.READ, Scope.WEBHOOKS)
    add(made, api_token("shop", *both, expires_ms=None))
    add(made, api_token("partner", *both, expires_ms=None, topics=("catalog.private.a",)))
    seeing = (*both, Scope.OPERATE)
    add(made, api_token("auditor", *seeing, expires_ms=None, topics=("catalog.private.a",)))
    add(made, api_token("operator", Scope.WEBHOOKS, Scope.OPERATE, expires_ms=None))
    return made


@pytest.fixture
async def hooks(
    tmp_path: Path, settings: RightsSettings, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[WebhookWorld]:
    """Give a gateway with these tokens that looks at their file often."""
    monkeypatch.setattr(rights_module, "TOKEN_WATCH_MS", 5)
    async with webhook_world(tmp_path, rights=settings) as running:
        yield running


async def ask(hooks: WebhookWorld, name: str, method: str, target: str = "") -> httpx.Response:
    """Send a request with a token."""
    headers = {"authorization": f"Bearer {text_of(name)}"}
    return await hooks.http.request(method, f"/v1/webhooks{target}", headers=headers)


async def create(hooks: WebhookWorld, name: str, receiver: Receiver) -> str:
    """Make a webhook of everything from now on; give its id."""
    headers = {"authorization": f"Bearer {text_of(name)}"}
    body = {"url": receiver.url}
    answer = await hooks.http.post("/v1/webhooks", json=body, headers=headers)
    assert answer.status_code == 201, answer.text
    document: dict[str, Any] = answer.json()
    assert document["webhook"]["owner"] == f"token/{name}"
    id_: str = document["webhook"]["id"]
    return id_


@pytest.mark.parametrize("name, count", [("shop", 1), ("partner", 2)])
async def test_restricted_topics_are_passed_over(
    hooks: WebhookWorld, receiver: Receiver, name: str, count: int
) -> None:
    """An event that the owner may not read is not posted to it; nobody waits for it."""
    await create(hooks, name, receiver)
    secret = await hooks.publish(topic=SECRET_TOPIC)
    told = await hooks.publish(topic=OPEN_TOPIC)
    await received(receiver, count)
    assert {event.get_id() for event in receiver.events} == {*told, *(secret if count > 1 else ())}


async def test_what_is_not_readable_is_not_redelivered(
    hooks: WebhookWorld, receiver: Receiver
) -> None:
    """Asking for an event by hand opens no restricted topic."""
    id_ = await create(hooks, "shop", receiver)
    await hooks.publish(topic=SECRET_TOPIC)
    headers = {"authorization": f"Bearer {text_of('shop')}"}
    answer = await hooks.http.post(
        f"/v1/webhooks/{id_}/redeliver", json={"sequences": [0]}, headers=headers
    )
    assert (answer.status_code, answer.json()["code"]) == (404, "event_not_found")
    assert receiver.received == []


async def test_nothing_is_redelivered_that_the_owner_may_not_read(
    hooks: WebhookWorld, receiver: Receiver, settings: RightsSettings
) -> None:
    """An operator's rights do not open a topic to another's receiver, nor serve a gone owner."""
    id_ = await create(hooks, "shop", receiver)
    await hooks.publish(topic=SECRET_TOPIC)
    await hooks.publish(topic=OPEN_TOPIC)
    await received(receiver, 1)
    headers = {"authorization": f"Bearer {text_of('auditor')}"}

    async def redelivered(sequence: int) -> int:
        body = {"sequences": [sequence]}
        target = f"/v1/webhooks/{id_}/redeliver"
        return (await hooks.http.post(target, json=body, headers=headers)).status_code

    assert (await redelivered(0), await redelivered(1)) == (404, 200)
    revoke(settings, "shop")
    while hooks.world.gateway.rights.owner("token/shop") is not None:  # noqa: ASYNC110 - no event
        await anyio.sleep(0.01)
    assert await redelivered(1) == 404
    assert len(receiver.received) == 2


async def test_revoking_a_token_ends_its_webhooks(
    hooks: WebhookWorld, receiver: Receiver, settings: RightsSettings
) -> None:
    """Nothing is posted for a token that is gone, also not what comes while the worker waits."""
    id_ = await create(hooks, "shop", receiver)
    endpoint = hooks.world.gateway.webhooks.get(id_)
    while endpoint._fetching is None:  # noqa: ASYNC110 - it has no event
        await anyio.sleep(0.01)
    revoke(settings, "shop")
    while hooks.world.gateway.rights.owner("token/shop") is not None:
        await hooks.publish(topic=SECRET_TOPIC)
    await hooks.publish(topic=OPEN_TOPIC)
    while endpoint.registration.reason is None or endpoint.busy:
        await endpoint.wait(100)
    assert endpoint.registration.reason == "rights"
    assert receiver.received == []


async def test_webhooks_of_others_are_not_there(hooks: WebhookWorld, receiver: Receiver) -> None:
    """Whoever does not own a webhook cannot tell it from none; operators can use it."""
    id_ = await create(hooks, "shop", receiver)
    targets = [
        ("GET", ""),
        ("DELETE", ""),
        ("POST", "/verify"),
        ("POST", "/ping"),
        ("POST", "/enable"),
        ("GET", "/deliveries"),
        ("GET", "/dead-letters"),
    ]
    for method, target in targets:
        answer = await ask(hooks, "partner", method, f"/{id_}{target}")
        assert (answer.status_code, answer.json()["code"]) == (404, "webhook_not_found")
    assert (await ask(hooks, "partner", "GET")).json() == {"webhooks": []}
    assert (await ask(hooks, "operator", "GET", f"/{id_}")).status_code == 200
