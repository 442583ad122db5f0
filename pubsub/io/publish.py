"""``POST /v1/events``: hand events to the node, and wait for them if asked to.

Owns the way from a body to receipts. Bulk bodies are only split: not one of their events is
decoded here. A refused event changes nothing and takes no other event with it.
"""

from base64 import b64encode
from http import HTTPStatus
from typing import Final, NamedTuple

from msgspec import UNSET
from starlette.requests import Request
from starlette.responses import Response

from ledger.core.errors import DecodeError, RejectCode, Rejected
from ledger.core.event import entry_id
from ledger.core.ids import EventId, Height
from ledger.core.limits import (
    GATEWAY_EVENT_BODY_BYTES_MAX,
    GATEWAY_WAIT_MS,
    GATEWAY_WAIT_MS_MAX,
)
from ledger.core.proof import build_bundle, encode_bundle
from ledger.io.chain_reader import ChainReader
from ledger.io.chain_schema import Receipt as StoredReceipt
from ledger.io.chain_store import ChainStore
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
from pubsub.io.finality import decided
from pubsub.io.state import Gateway

__all__ = ["MEDIA_BATCH", "MEDIA_BULK", "MEDIA_EVENT", "publish"]

MEDIA_EVENT: Final = "application/cloudevents+json"
MEDIA_BATCH: Final = "application/cloudevents-batch+json"
MEDIA_BULK: Final = "application/vnd.concordat.events+msgpack"

_WAITED: Final = {"final": "finality", "proof": "proof"}
_UNREADABLE: Final = (RejectCode.MALFORMED, RejectCode.TOO_LARGE)


class _Wish(NamedTuple):
    """What the client wants to wait for: nothing, ``final`` or ``proof``."""

    wait: str | None
    timeout_ms: int


class _Item(NamedTuple):
    """One event of a request: an entry to hand in, or why it cannot be."""

    entry: bytes
    refusal: Rejected | None = None


async def publish(gateway: Gateway, request: Request) -> Response:
    """Answer a publish request."""
    parameters = Parameters(request.query_params.multi_items(), ("wait", "timeout_ms"))
    wish = _Wish(
        parameters.choice("wait", ("final", "proof")),
        parameters.integer("timeout_ms", 1, GATEWAY_WAIT_MS_MAX) or GATEWAY_WAIT_MS,
    )
    content_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if content_type == MEDIA_EVENT:
        async with gateway.bodies.read(request, GATEWAY_EVENT_BODY_BYTES_MAX) as body:
            entry = _own(read_cloudevent(body)).opened.entry
            return _single(await _hand_in(gateway, [_Item(entry)], wish), wish)
    if content_type not in (MEDIA_BATCH, MEDIA_BULK):
        known = f"{MEDIA_EVENT}, {MEDIA_BATCH}, {MEDIA_BULK}"
        raise Refusal(
            HttpCode.UNSUPPORTED_MEDIA_TYPE, f"send one of {known}", None, {"accept-post": known}
        )
    async with gateway.bodies.read(request, gateway.settings.body_bytes_max) as body:
        if content_type == MEDIA_BULK:
            items = [_Item(entry) for entry in split_bulk(body)]
        else:
            items = [_read_item(text) for text in split_cloudevents(body)]
        return _several(await _hand_in(gateway, items, wish), wish)


async def _hand_in(gateway: Gateway, items: list[_Item], wish: _Wish) -> list[Receipt]:
    """Submit what can be submitted and give one receipt for each item, in order."""
    entries = tuple(item.entry for item in items if item.refusal is None)
    since = Height(0)
    if wish.wait:
        gateway.finality.require_room()
        with gateway.access.store.read() as reader:
            since = reader.head_height()
    codes = iter(await gateway.link.submit(entries) if entries else ())
    receipts = [
        _refused(item.refusal.code, item.refusal.detail)
        if item.refusal
        else _submitted(item.entry, next(codes))
        for item in items
    ]
    gateway.count_receipts(receipts)
    if wish.wait:
        return await _wait(gateway, receipts, since, wish)
    if gateway.access.is_open and any(receipt.duplicate for receipt in receipts):
        with gateway.access.store.read() as reader:
            return [
                _duplicate(reader, receipt) if receipt.duplicate else receipt
                for receipt in receipts
            ]
    return receipts


def _submitted(entry: bytes, code: str) -> Receipt:
    """Give the first receipt of an entry that the node answered with ``code``."""
    if not code:
        return Receipt(status="pending", id=entry_id(entry).hex())
    if code in _UNREADABLE:
        return _refused(code, "the entry is not the canonical encoding of a signed event")
    return Receipt(
        status="refused",
        id=entry_id(entry).hex(),
        code=code,
        duplicate=code == RejectCode.DUPLICATE,
    )


def _refused(code: str, detail: str) -> Receipt:
    return Receipt(status="refused", code=code, detail=detail)


def _duplicate(reader: ChainReader, receipt: Receipt) -> Receipt:
    """Say of a duplicate where the ledger has the event, if it is there already."""
    assert receipt.id is not UNSET
    stored = reader.receipt(EventId(bytes.fromhex(receipt.id)))
    if stored is None or stored.sequence is None:
        return receipt
    return Receipt(
        status="refused",
        id=receipt.id,
        code=receipt.code,
        duplicate=True,
        sequence=stored.sequence,
        height=stored.height,
    )


async def _wait(
    gateway: Gateway, receipts: list[Receipt], since: Height, wish: _Wish
) -> list[Receipt]:
    """Wait for the events on their way, also those that somebody handed in before."""
    ids = [
        EventId(bytes.fromhex(receipt.id))
        for receipt in receipts
        if receipt.id is not UNSET and (receipt.status == "pending" or receipt.duplicate)
    ]
    if not ids:
        return receipts
    with_proof = wish.wait == "proof"
    await gateway.finality.wait(ids, since, wish.timeout_ms, with_proof=with_proof)

    def read(store: ChainStore) -> list[Receipt]:
        with store.read() as reader:
            return [_decided(reader, receipt, since, with_proof) for receipt in receipts]

    if with_proof:
        return await gateway.access.in_thread(read)
    return read(gateway.access.store)


def _decided(
    reader: ChainReader,
    receipt: Receipt,
    since: Height,
    with_proof: bool,  # noqa: FBT001
) -> Receipt:
    """Give the receipt as the store has it now."""
    if receipt.id is UNSET or (receipt.status == "refused" and not receipt.duplicate):
        return receipt
    stored: StoredReceipt | None = decided(reader, EventId(bytes.fromhex(receipt.id)), since)
    if stored is None:
        return Receipt(status="pending", id=receipt.id, duplicate=receipt.duplicate)
    if stored.sequence is None:
        return Receipt(
            status="refused",
            id=receipt.id,
            code=str(stored.code),
            height=stored.height,
            duplicate=receipt.duplicate,
        )
    bundle = build_bundle(reader, stored.sequence) if with_proof else None
    return Receipt(
        status="final",
        id=receipt.id,
        sequence=stored.sequence,
        height=stored.height,
        duplicate=receipt.duplicate,
        proof=UNSET if bundle is None else b64encode(encode_bundle(bundle)).decode("ascii"),
    )


def _single(receipts: list[Receipt], wish: _Wish) -> Response:
    """Answer a request of one event."""
    (receipt,) = receipts
    if receipt.status == "refused":
        detail = receipt.detail if receipt.detail is not UNSET else "the event changed nothing"
        raise Refusal(RejectCode(str(receipt.code)), detail, receipts)
    _require_decided(receipts, wish)
    status = HTTPStatus.OK if wish.wait else HTTPStatus.ACCEPTED
    return json_response(receipt, status, {"location": f"/v1/events/{receipt.id}"})


def _several(receipts: list[Receipt], wish: _Wish) -> Response:
    """Answer a request of several events."""
    if all(receipt.code == RejectCode.OVERLOADED for receipt in receipts):
        raise Refusal(RejectCode.OVERLOADED, "the node took none of the events", receipts)
    _require_decided(receipts, wish)
    return json_response(Receipts(receipts), HTTPStatus.OK if wish.wait else HTTPStatus.ACCEPTED)


def _require_decided(receipts: list[Receipt], wish: _Wish) -> None:
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


def _read_item(text: bytes) -> _Item:
    """Read one event of a batch; a fault of it is its own."""
    try:
        return _Item(_own(read_cloudevent_item(text)).opened.entry)
    except Rejected as error:
        return _Item(b"", error)
    except DecodeError as error:
        return _Item(b"", Rejected(RejectCode.MALFORMED, str(error)))


def _own(received: ReceivedEvent) -> ReceivedEvent:
    """Refuse what only the ledger can say. Raises DecodeError."""
    if received.sequence is not None or received.height is not None:
        msg = "sequence and height are given by the ledger: leave them out"
        raise DecodeError(msg)
    return received
