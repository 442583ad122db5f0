"""The receiver's middleware: what passes it, what it answers itself, and what is refused."""

import base64
from collections.abc import Sequence
from typing import NamedTuple

import httpx
import pytest
from starlette.types import Message, Receive, Scope, Send

from ledger.core.event import OpenEntry
from ledger.core.ids import Height
from ledger.core.ids import Sequence as LedgerSequence
from pubsub.client.webhook_receiver import Delivered, MemorySeen, WebhookReceiver
from pubsub.core.cloudevents import cloudevent_json
from pubsub.core.limits import RECEIVER_BODY_BYTES_MAX
from pubsub.core.webhook.encoding import Mode, Request, encode_batch, encode_one, encode_ping
from pubsub.core.webhook.signing import KeyRing, SignatureKind, SigningKey, signed_headers
from tests.pubsub.gateway_world import sample

NOW_S = 1_790_000_000
SECRET = bytes(range(32))
KEY = "whsec_" + base64.b64encode(SECRET).decode()


class Placed(NamedTuple):
    """An event in the ledger."""

    opened: OpenEntry
    sequence: LedgerSequence
    height: Height

    @property
    def json(self) -> bytes:
        """Its CloudEvent."""
        return cloudevent_json(self.opened, self.sequence, self.height)


class Shop:
    """An application behind the receiver.

    Attributes:
        taken: what it was given; status: what it answers; bodies: what it read.
    """

    def __init__(self) -> None:
        self.taken: list[Delivered] = []
        self.bodies: list[bytes] = []
        self.status = 200

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        self.taken.append(scope["concordat.delivered"])
        self.bodies.append((await receive())["body"])
        await send({"type": "http.response.start", "status": self.status, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    @property
    def ids(self) -> list[bytes]:
        """The events that it was given, in order."""
        return [event.opened.id for delivered in self.taken for event in delivered.events]


def placed(nonce: int, **changes: object) -> Placed:
    """Give an event with its place."""
    return Placed(sample(nonce, **changes), LedgerSequence(nonce), Height(1))


def ring() -> KeyRing:
    """Give the gateway's key."""
    return KeyRing([SigningKey(kind=SignatureKind.HMAC, secret=SECRET, created_ms=0)])


async def deliver(
    receiver: WebhookReceiver, request: Request, *, at_s: int = NOW_S, **headers: str
) -> httpx.Response:
    """Send one signed delivery."""
    signed = signed_headers(ring(), request.id, request.body, at_s * 1000)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=receiver)) as http:
        return await http.post(
            "http://shop.example/hook",
            content=request.body,
            headers={**request.headers, **signed, **headers},
        )


def receiver_of(
    shop: Shop, seen: MemorySeen | None = None, keys: Sequence[str] = (KEY,)
) -> WebhookReceiver:
    """Give a receiver before the shop."""
    return WebhookReceiver(shop, keys, seen=seen, origins=("ledger.example",), now_s=lambda: NOW_S)


@pytest.mark.parametrize("mode", ["structured", "binary", "batch"])
@pytest.mark.parametrize("data", [b"", b'{"price":3}', bytes(range(256))])
async def test_every_form_gives_the_event_that_was_signed(mode: Mode, data: bytes) -> None:
    """The application finds the very entry that its publisher signed, and reads the body again."""
    shop = Shop()
    event = placed(1, data=data, subject='urn:ä:%1 "x"', tags=("a,b", "c%"))
    request = encode_batch([event]) if mode == "batch" else encode_one(event, mode)
    answer = await deliver(receiver_of(shop), request)
    assert answer.status_code == 200
    ((found,),) = [delivered.events for delivered in shop.taken]
    assert found.opened.entry == event.opened.entry
    assert (found.sequence, found.height) == (1, 1)
    assert shop.taken[0].id == request.id
    assert shop.bodies == [request.body]


async def test_what_was_taken_is_not_handed_on_again() -> None:
    """A repeated event is answered with success; in a batch only the new ones are handed on."""
    shop = Shop()
    receiver = receiver_of(shop)
    first, second = placed(1), placed(2)
    await deliver(receiver, encode_one(first, "structured"))
    again = await deliver(receiver, encode_one(first, "binary"))
    assert (again.status_code, len(shop.taken)) == (204, 1)
    await deliver(receiver, encode_batch([first, second]))
    assert shop.ids == [first.opened.id, second.opened.id]


async def test_what_failed_comes_again() -> None:
    """After an error of the application the same event is handed on once more."""
    shop = Shop()
    receiver = receiver_of(shop)
    request = encode_one(placed(1), "structured")
    shop.status = 500
    assert (await deliver(receiver, request)).status_code == 500
    shop.status = 204
    assert (await deliver(receiver, request)).status_code == 204
    assert len(shop.taken) == 2
    assert (await deliver(receiver, request)).status_code == 204
    assert len(shop.taken) == 2


@pytest.mark.parametrize(
    ("headers", "at_s"),
    [
        ({"webhook-signature": "v1,AAAA"}, NOW_S),
        ({"webhook-id": "another"}, NOW_S),
        ({}, NOW_S - 301),
        ({}, NOW_S + 301),
    ],
)
async def test_what_is_not_signed_now_is_refused(headers: dict[str, str], at_s: int) -> None:
    """A forged, altered, old or future delivery never reaches the application."""
    shop = Shop()
    answer = await deliver(
        receiver_of(shop), encode_one(placed(1), "structured"), at_s=at_s, **headers
    )
    assert answer.status_code == 401
    assert shop.taken == []


async def test_an_event_with_another_signature_than_its_publishers_is_refused() -> None:
    """A gateway that signs a delivery cannot put words into a publisher's mouth."""
    shop = Shop()
    event = placed(1)
    forged = event.opened.entry[:-1] + bytes([event.opened.entry[-1] ^ 1])
    body = event.json.replace(event.opened.entry[-64:].hex().encode(), forged[-64:].hex().encode())
    request = Request("x", {"content-type": "application/cloudevents+json"}, body)
    assert (await deliver(receiver_of(shop), request)).status_code == 400
    assert shop.taken == []


@pytest.mark.parametrize("mode", ["structured", "binary", "batch"])
async def test_a_ping_is_answered_without_the_application(mode: Mode) -> None:
    """A test of the endpoint succeeds and is no event."""
    shop = Shop()
    ping = encode_ping(mode, "hook", "ping_1", "https://ledger.example", NOW_S * 1000)
    assert (await deliver(receiver_of(shop), ping)).status_code == 204
    assert shop.taken == []


@pytest.mark.parametrize("body", [b"", b"{}", b"[]", b"[1]", b"{", b'{"type":1}', b"\xff"])
@pytest.mark.parametrize("media_type", ["application/cloudevents+json", "text/plain", ""])
async def test_a_signed_body_that_is_no_delivery_is_refused(body: bytes, media_type: str) -> None:
    """Any bytes get a clear answer, never an error of the application's."""
    shop = Shop()
    answer = await deliver(receiver_of(shop), Request("x", {"content-type": media_type}, body))
    assert answer.status_code == 400
    assert shop.taken == []


async def test_a_body_without_end_is_cut() -> None:
    """No more than the limit is read, however much is sent."""
    pieces: list[int] = []
    answers: list[int] = []

    async def receive() -> dict[str, object]:
        pieces.append(1)
        return {"type": "http.request", "body": bytes(2**16), "more_body": True}

    async def send(message: Message) -> None:
        answers.append(message.get("status", 0))

    scope = {"type": "http", "method": "POST", "headers": []}
    await receiver_of(Shop())(scope, receive, send)
    assert answers[0] == 413
    assert len(pieces) == RECEIVER_BODY_BYTES_MAX // 2**16 + 1


@pytest.mark.parametrize(
    ("origin", "status", "allowed"),
    [("ledger.example", 204, "ledger.example"), ("evil.example", 403, None), ("", 403, None)],
)
async def test_consent_is_given_to_known_origins(
    origin: str, status: int, allowed: str | None
) -> None:
    """The handshake names the origin that may deliver, and no other."""
    receiver = receiver_of(Shop())
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=receiver)) as http:
        headers = {"webhook-request-origin": origin}
        answer = await http.options("http://shop.example/hook", headers=headers)
    assert answer.status_code == status
    assert answer.headers.get("webhook-allowed-origin") == allowed


async def test_memory_forgets_the_oldest() -> None:
    """The memory of events is bounded."""
    seen = MemorySeen(2)
    ids = [sample(nonce).id for nonce in range(3)]
    await seen.add(ids)
    assert [await seen.has(id_) for id_ in ids] == [False, True, True]
