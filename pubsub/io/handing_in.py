"""Handing entries to the node, and waiting for what becomes of them.

Owns the receipts: what the node says at once, and what the store says when it is decided. A refused
entry changes nothing and takes no other with it.
"""

from base64 import b64encode
from typing import Final, NamedTuple

import msgspec
from msgspec import UNSET

from ledger.core.errors import RejectCode, Rejected
from ledger.core.event import entry_id, open_entry
from ledger.core.ids import EventId, Height
from ledger.core.proof import build_bundle, encode_bundle
from ledger.core.state import StateView
from ledger.core.topic_application import current_hash
from ledger.io.chain_reader import ChainReader
from ledger.io.chain_schema import Receipt as StoredReceipt
from ledger.io.chain_store import ChainStore
from pubsub.core.documents import Receipt
from pubsub.core.rights import ANONYMOUS_NAME, Principal
from pubsub.io.finality import decided
from pubsub.io.state import Gateway

__all__ = ["Item", "Wish", "hand_in"]

_MISMATCH: Final = RejectCode.PREVIOUS_HASH_MISMATCH
_UNREADABLE: Final = (RejectCode.MALFORMED, RejectCode.TOO_LARGE)


class Wish(NamedTuple):
    """What the client wants to wait for: nothing, ``final`` or ``proof``."""

    wait: str | None
    timeout_ms: int


class Item(NamedTuple):
    """One event of a request: an entry to hand in, or why it cannot be."""

    entry: bytes
    refusal: Rejected | None = None


async def hand_in(gateway: Gateway, items: list[Item], wish: Wish) -> list[Receipt]:
    """Submit what can be submitted and give one receipt for each item, in order."""
    receipts = await _submit(gateway, items, wish)
    if gateway.access.is_open and any(receipt.code == _MISMATCH for receipt in receipts):
        anybody = gateway.rights.owner(ANONYMOUS_NAME)
        assert anybody is not None
        with gateway.access.store.read() as reader:
            state = reader.state(reader.stored_head(reader.head_height()).root)
            return [
                _overtaken(state, item.entry, receipt, anybody)
                if receipt.code == _MISMATCH
                else receipt
                for item, receipt in zip(items, receipts, strict=True)
            ]
    return receipts


def _overtaken(state: StateView, entry: bytes, receipt: Receipt, anybody: Principal) -> Receipt:
    """Say what an entity's hash is now, of which an event expected another one.

    Not on a restricted topic: to hand an event in takes no right to read there.
    """
    event = open_entry(entry).event
    if not anybody.may_read(event.topic):
        return receipt
    now = current_hash(state, event.topic, event.subject)
    if now is None:
        return receipt  # the rule ended meanwhile
    what = f"its entity's hash is {now.hex()}" if now else "there is no such entity now"
    return msgspec.structs.replace(receipt, detail=what, current_hash=now.hex())


async def _submit(gateway: Gateway, items: list[Item], wish: Wish) -> list[Receipt]:
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
    gateway: Gateway, receipts: list[Receipt], since: Height, wish: Wish
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
