"""Deliveries over real HTTP to a receiver of `standardwebhooks` and `cloudevents` alone."""

from base64 import b64decode

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from tests.pubsub.webhook.receiver import Receiver
from tests.pubsub.webhook.webhook_world import WebhookWorld, received

DATA = {"content_type": "application/json", "data": b'{"price":12}'}


@pytest.mark.parametrize("mode", ["structured", "binary", "batch"])
async def test_receivers_of_public_packages_accept_us(
    hooks: WebhookWorld, receiver: Receiver, mode: str
) -> None:
    """Every event arrives, verified and read by public packages alone, in each mode."""
    await hooks.create(receiver, mode=mode)
    ids = await hooks.publish(5, **DATA)
    await received(receiver, 1 if mode == "batch" else 5)
    assert receiver.faults == []
    assert {event.get_id() for event in receiver.events} == set(ids)
    assert all(event.get_data() == {"price": 12} for event in receiver.events)
    assert len({delivery.id for delivery in receiver.received}) == len(receiver.received)
    assert receiver.received[0].headers["webhook-request-origin"] == "gateway.example"


async def test_v1a_is_verified_with_the_public_key(hooks: WebhookWorld, receiver: Receiver) -> None:
    """What is shown of a v1a key verifies deliveries, by a library that is not ours."""
    id_ = await hooks.create(receiver, signatures=["v1a"])
    (key,) = (await hooks.get(id_))["keys"]
    await hooks.publish()
    await received(receiver, 1)
    (delivery,) = receiver.received
    headers = delivery.headers
    version, _, signature = headers["webhook-signature"].partition(",")
    assert version == "v1a"
    content = f"{delivery.id}.{headers['webhook-timestamp']}.".encode() + delivery.body
    public = Ed25519PublicKey.from_public_bytes(b64decode(key["public_key"].removeprefix("whpk_")))
    public.verify(b64decode(signature), content)
