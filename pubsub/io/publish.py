"""``POST /v1/events``: hand events to the node, and wait for them if asked to.

Owns the way from a body to items and from receipts to an answer, and that nobody hands in more than
its rate. Bulk bodies are only split: not one of their events is decoded here.
"""

from functools import lru_cache
from http import HTTPStatus
from typing import Final, NamedTuple

from msgspec import UNSET
from starlette.datastructures import QueryParams
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
from pubsub.core.entries import Entries, read_bulk
from pubsub.core.limits import PUBLISH_QUERIES_CACHED
from pubsub.core.parameters import Parameters
from pubsub.core.problems import HttpCode, Refusal
from pubsub.io.answers import json_response
from pubsub.io.handing_in import Wish, hand_in
from pubsub.io.state import Gateway

__all__ = ["MEDIA_BATCH", "MEDIA_BULK", "MEDIA_EVENT", "publish"]

MEDIA_EVENT: Final = "application/cloudevents+json"
MEDIA_BATCH: Final = "application/cloudevents-batch+json"
MEDIA_BULK: Final = "application/vnd.concordat.events+msgpack"


class _Answered(NamedTuple):
    """What became of the events, and ``Retry-After`` where some of them should come again."""

    receipts: list[Receipt]
    headers: dict[str, str]


_OVER_RATE: Final = Rejected(
    RejectCode.OVERLOADED, "more events a second than a principal may hand in"
)
_BRIEF: Final = "return=minimal"
_WAITED: Final = {"final": "finality", "proof": "proof"}


async def publish(gateway: Gateway, request: Request) -> Response:
    """Answer a publish request."""
    wish = _read_wish(request.scope["query_string"])
    content_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if content_type == MEDIA_EVENT:
        async with gateway.bodies.read(request, GATEWAY_EVENT_BODY_BYTES_MAX) as body:
            entry = _own(read_cloudevent(body)).opened.entry
            return _single(await _hand_in(gateway, request, Entries.of(entry), wish), wish)
    if content_type not in (MEDIA_BATCH, MEDIA_BULK):
        known = f"{MEDIA_EVENT}, {MEDIA_BATCH}, {MEDIA_BULK}"
        raise Refusal(
            HttpCode.UNSUPPORTED_MEDIA_TYPE, f"send one of {known}", None, {"accept-post": known}
        )
    async with gateway.bodies.read(request, gateway.settings.body_bytes_max) as body:
        if content_type == MEDIA_BULK:
            wish = wish._replace(is_brief=_is_brief(request))
            return _several(await _hand_in(gateway, request, read_bulk(body), wish), wish)
        return _several(await _hand_in_batch(gateway, request, body, wish), wish)


@lru_cache(maxsize=PUBLISH_QUERIES_CACHED)
def _read_wish(query: bytes) -> Wish:
    """Read the parameters of a request. Raises Refusal."""
    parameters = Parameters(QueryParams(query).multi_items(), ("wait", "timeout_ms"))
    return Wish(
        parameters.choice("wait", ("final", "proof")),
        parameters.integer("timeout_ms", 1, GATEWAY_WAIT_MS_MAX) or GATEWAY_WAIT_MS,
    )


def _is_brief(request: Request) -> bool:
    """Say whether the client prefers few receipts (RFC 7240)."""
    preferences = request.headers.get("prefer", "").lower().replace(" ", "").split(",")
    return _BRIEF in preferences


async def _hand_in(gateway: Gateway, request: Request, entries: Entries, wish: Wish) -> _Answered:
    """Hand in as much as the principal's rate allows; the rest is refused like any event."""
    name, overload = request.state.principal.name, gateway.overload
    granted = overload.take(name, len(entries))
    limited = len(entries) - granted
    try:
        receipts = await hand_in(gateway, entries.first(granted), wish)
    except Rejected as error:
        if error.code is not RejectCode.OVERLOADED:
            raise
        wait_s = await overload.node_retry_after_s(len(entries))
        raise Refusal(error.code, error.detail, headers={"retry-after": str(wait_s)}) from None
    receipts += _refused(gateway, _OVER_RATE, limited)
    refused = [receipt.code for receipt in receipts].count(RejectCode.OVERLOADED)
    if not refused:
        return _Answered(receipts, {})
    wait_s = max(1, overload.rate_retry_after_s(name, limited))
    if refused > limited:
        wait_s = max(wait_s, await overload.node_retry_after_s(refused - limited))
    return _Answered(receipts, {"retry-after": str(wait_s)})


async def _hand_in_batch(gateway: Gateway, request: Request, body: bytes, wish: Wish) -> _Answered:
    """Hand in what of a batch can be read; the rest is refused in its place."""
    items = [_read_item(text) for text in split_cloudevents(body)]
    entries = Entries.of(*(item for item in items if isinstance(item, bytes)))
    answered = await _hand_in(gateway, request, entries, wish)
    handed_in = iter(answered.receipts)
    receipts: list[Receipt] = []
    for item in items:
        receipts += _refused(gateway, item) if isinstance(item, Rejected) else [next(handed_in)]
    return _Answered(receipts, answered.headers)


def _refused(gateway: Gateway, error: Rejected, count: int = 1) -> list[Receipt]:
    """Give the receipts of events that do not reach the node, all for one reason."""
    if count:
        gateway.count_events(error.code, count)
    return [Receipt(status="refused", code=error.code, detail=error.detail)] * count


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
    if receipts[0].count is not UNSET:
        headers = {**headers, "preference-applied": _BRIEF}
    return json_response(Receipts(receipts), status, headers)


def _require_decided(receipts: list[Receipt], wish: Wish) -> None:
    """Refuse to call an unfinished wait a success."""
    if wish.wait is None:
        return
    open_count = [receipt.status for receipt in receipts].count("pending")
    if wish.wait == "proof":
        open_count += sum(
            receipt.status == "final" and receipt.proof is UNSET for receipt in receipts
        )
    if open_count:
        raise Refusal(
            HttpCode.NOT_FINAL_IN_TIME,
            f"{open_count} of {len(receipts)} events have no {_WAITED[wish.wait]} yet; they may "
            "still become final: ask for them by id, or send them again, which is safe",
            receipts,
        )


def _read_item(text: bytes) -> bytes | Rejected:
    """Read one event of a batch; a fault of it is its own."""
    try:
        return _own(read_cloudevent_item(text)).opened.entry
    except Rejected as error:
        return error
    except DecodeError as error:
        return Rejected(RejectCode.MALFORMED, str(error))


def _own(received: ReceivedEvent) -> ReceivedEvent:
    """Refuse what only the ledger can say. Raises DecodeError."""
    if received.sequence is not None or received.height is not None:
        msg = "sequence and height are given by the ledger: leave them out"
        raise DecodeError(msg)
    return received
