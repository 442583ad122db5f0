"""``POST /v1/events``: hand events to the node, and wait for them if asked to.

Owns the way from a body to items and from receipts to an answer, and that nobody hands in more than
its rate. Bulk bodies are only split: not one of their events is decoded here.
"""

from http import HTTPStatus
from typing import Final, NamedTuple

from msgspec import UNSET
from starlette.requests import Request
from starlette.responses import Response

from ledger.core.errors import DecodeError, RejectCode, Rejected
from ledger.core.limits import (
    GATEWAY_EVENT_BODY_BYTES_MAX,
    GATEWAY_WAIT_MS,
    GATEWAY_WAIT_MS_MAX,
)
from pubsub.core.cloudevents import (
    ReceivedEvent,
    read_cloudevent,
    read_cloudevent_item,
    split_cloudevents,
)
from pubsub.core.documents import Receipt, Receipts
from pubsub.core.entries import split_bulk
from pubsub.core.parameters import Parameters
from pubsub.core.problems import HttpCode, Refusal
from pubsub.io.answers import json_response
from pubsub.io.handing_in import Item, Wish, hand_in
from pubsub.io.state import Gateway

__all__ = ["MEDIA_BATCH", "MEDIA_BULK", "MEDIA_EVENT", "publish"]

MEDIA_EVENT: Final = "application/cloudevents+json"
MEDIA_BATCH: Final = "application/cloudevents-batch+json"
MEDIA_BULK: Final = "application/vnd.concordat.events+msgpack"


class _Answered(NamedTuple):
    """What became of the events, and ``Retry-After`` where some of them should come again."""

    receipts: list[Receipt]
    headers: dict[str, str]


_WAITED: Final = {"final": "finality", "proof": "proof"}


async def publish(gateway: Gateway, request: Request) -> Response:
    """Answer a publish request."""
    parameters = Parameters(request.query_params.multi_items(), ("wait", "timeout_ms"))
    wish = Wish(
        parameters.choice("wait", ("final", "proof")),
        parameters.integer("timeout_ms", 1, GATEWAY_WAIT_MS_MAX) or GATEWAY_WAIT_MS,
    )
    content_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if content_type == MEDIA_EVENT:
        async with gateway.bodies.read(request, GATEWAY_EVENT_BODY_BYTES_MAX) as body:
            entry = _own(read_cloudevent(body)).opened.entry
            answer = await _hand_in(gateway, request, [Item(entry)], wish)
            return _single(answer, wish)
    if content_type not in (MEDIA_BATCH, MEDIA_BULK):
        known = f"{MEDIA_EVENT}, {MEDIA_BATCH}, {MEDIA_BULK}"
        raise Refusal(
            HttpCode.UNSUPPORTED_MEDIA_TYPE, f"send one of {known}", None, {"accept-post": known}
        )
    async with gateway.bodies.read(request, gateway.settings.body_bytes_max) as body:
        if content_type == MEDIA_BULK:
            items = [Item(entry) for entry in split_bulk(body)]
        else:
            items = [_read_item(text) for text in split_cloudevents(body)]
        return _several(await _hand_in(gateway, request, items, wish), wish)


async def _hand_in(gateway: Gateway, request: Request, items: list[Item], wish: Wish) -> _Answered:
    """Hand in as much as the principal's rate allows; the rest is refused like any event."""
    name, overload = request.state.principal.name, gateway.overload
    good = sum(item.refusal is None for item in items)
    limited = good - overload.take(name, good)
    if limited:
        items = _cut(items, good - limited)
    try:
        receipts = await hand_in(gateway, items, wish)
    except Rejected as error:
        if error.code is not RejectCode.OVERLOADED:
            raise
        wait_s = await overload.node_retry_after_s(good)
        raise Refusal(error.code, error.detail, headers={"retry-after": str(wait_s)}) from None
    refused = sum(receipt.code == RejectCode.OVERLOADED for receipt in receipts)
    if not refused:
        return _Answered(receipts, {})
    wait_s = max(1, overload.rate_retry_after_s(name, limited))
    if refused > limited:
        wait_s = max(wait_s, await overload.node_retry_after_s(refused - limited))
    return _Answered(receipts, {"retry-after": str(wait_s)})


def _cut(items: list[Item], granted: int) -> list[Item]:
    """Refuse what is behind the first ``granted`` items that could be handed in."""
    refusal = Rejected(RejectCode.OVERLOADED, "more events a second than a principal may hand in")
    left = granted
    rows: list[Item] = []
    for item in items:
        if item.refusal is None:
            left -= 1
        rows.append(item if item.refusal or left >= 0 else Item(b"", refusal))
    return rows


def _single(answered: _Answered, wish: Wish) -> Response:
    """Answer a request of one event."""
    receipts, headers = answered
    (receipt,) = receipts
    if receipt.status == "refused":
        detail = receipt.detail if receipt.detail is not UNSET else "the event changed nothing"
        raise Refusal(RejectCode(str(receipt.code)), detail, receipts, headers)
    _require_decided(receipts, wish)
    status = HTTPStatus.OK if wish.wait else HTTPStatus.ACCEPTED
    return json_response(receipt, status, {"location": f"/v1/events/{receipt.id}"})


def _several(answered: _Answered, wish: Wish) -> Response:
    """Answer a request of several events."""
    receipts, headers = answered
    if all(receipt.code == RejectCode.OVERLOADED for receipt in receipts):
        raise Refusal(RejectCode.OVERLOADED, "none of the events was taken", receipts, headers)
    _require_decided(receipts, wish)
    status = HTTPStatus.OK if wish.wait else HTTPStatus.ACCEPTED
    return json_response(Receipts(receipts), status, headers)


def _require_decided(receipts: list[Receipt], wish: Wish) -> None:
    """Refuse to call an unfinished wait a success."""
    if wish.wait is None:
        return
    open_count = sum(
        receipt.status == "pending"
        or (wish.wait == "proof" and receipt.status == "final" and receipt.proof is UNSET)
        for receipt in receipts
    )
    if open_count:
        raise Refusal(
            HttpCode.NOT_FINAL_IN_TIME,
            f"{open_count} of {len(receipts)} events have no {_WAITED[wish.wait]} yet; they may "
            "still become final: ask for them by id, or send them again, which is safe",
            receipts,
        )


def _read_item(text: bytes) -> Item:
    """Read one event of a batch; a fault of it is its own."""
    try:
        return Item(_own(read_cloudevent_item(text)).opened.entry)
    except Rejected as error:
        return Item(b"", error)
    except DecodeError as error:
        return Item(b"", Rejected(RejectCode.MALFORMED, str(error)))


def _own(received: ReceivedEvent) -> ReceivedEvent:
    """Refuse what only the ledger can say. Raises DecodeError."""
    if received.sequence is not None or received.height is not None:
        msg = "sequence and height are given by the ledger: leave them out"
        raise DecodeError(msg)
    return received
