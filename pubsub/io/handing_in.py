"""Handing entries to the node, and waiting for what becomes of them.

Owns the receipts: what the node says at once, and what the store says when it is decided. A refused
entry changes nothing and takes no other with it.
"""

from base64 import b64encode
from collections import Counter as Tally
from functools import partial
from typing import Final, NamedTuple

import msgspec
from msgspec import UNSET

from ledger.core.errors import RejectCode
from ledger.core.event import open_entry
from ledger.core.ids import EventId, Height, Sequence
from ledger.core.proof import build_bundle, encode_bundle, with_entry
from ledger.core.state import StateView
from ledger.core.topic_application import current_hash
from ledger.io.chain_reader import ChainReader
from ledger.io.chain_schema import Receipt as StoredReceipt
from ledger.io.chain_store import ChainStore
from pubsub.core.documents import Receipt
from pubsub.core.entries import Entries, Named, name_entries
from pubsub.core.rights import ANONYMOUS_NAME, Principal
from pubsub.io.decisions import find_decisions
from pubsub.io.finality import Wait
from pubsub.io.state import Gateway

__all__ = ["Wish", "hand_in"]

_ACCEPTED: Final = "accepted"
_MISMATCH: Final = RejectCode.PREVIOUS_HASH_MISMATCH
_AWAITED: Final = ("", RejectCode.DUPLICATE)
_UNREADABLE: Final = (RejectCode.MALFORMED, RejectCode.TOO_LARGE)
_WHY_UNREADABLE: Final = "the entry is not the canonical encoding of a signed event"


class Wish(NamedTuple):
    """What the client wants.

    Attributes:
        wait: for nothing, ``final`` or ``proof``.
        is_brief: one receipt may stand for many events.
    """

    wait: str | None
    timeout_ms: int
    is_brief: bool = False


async def hand_in(gateway: Gateway, entries: Entries, wish: Wish) -> list[Receipt]:
    """Submit up to SUBMIT_ENTRIES_MAX entries and give their receipts, in order.

    There is one for each, or for all together if that is wished and they all have the same fate.

    Raises:
        Rejected: too much is under way already (OVERLOADED).
        Unavailable: the node cannot be reached or did not answer; it may have taken them.
        Refusal: there is no store to wait with.
    """
    if not entries:
        return []
    since = Height(0)
    if wish.wait:
        gateway.finality.require_room()
        with gateway.access.store.read() as reader:
            since = reader.head_height()
    codes = await gateway.link.submit(entries, is_awaited=wish.wait is not None)
    for result, count in Tally(codes).items() if codes else ((_ACCEPTED, len(entries)),):
        gateway.count_events(result or _ACCEPTED, count)
    events = name_entries(entries)
    if wish.wait:
        receipts = await _waited(gateway, events, codes, since, wish)
        if wish.wait == "proof" and any(receipt.sequence is not UNSET for receipt in receipts):
            proofs = partial(_with_proofs, receipts, entries.split())
            receipts = await gateway.access.in_thread(proofs)
    else:
        receipts = _answered(gateway, events, codes, wish)
    if gateway.access.is_open and _MISMATCH in {receipt.code for receipt in receipts}:
        return _with_hashes(gateway, entries.split(), receipts)
    return receipts


def _answered(gateway: Gateway, events: Named, codes: tuple[str, ...], wish: Wish) -> list[Receipt]:
    """Give the receipts of events that nobody waits for; of a duplicate, where it is already."""
    if not codes and wish.is_brief and len(events.ids) > 1:
        return [Receipt(status="pending", count=len(events.ids))]
    if not codes:
        return [Receipt(status="pending", id=id_.hex()) for id_ in events.ids]
    receipts = [_submitted(id_, code) for id_, code in zip(events.ids, codes, strict=True)]
    rows = [row for row, code in enumerate(codes) if code == RejectCode.DUPLICATE]
    if rows and gateway.access.is_open:
        with gateway.access.store.read() as reader:
            found = find_decisions(reader, events.at(rows), Height(0))
        for row, decision in zip(rows, found, strict=True):
            if decision is not None and decision.sequence is not None:
                receipts[row] = msgspec.structs.replace(
                    receipts[row], sequence=decision.sequence, height=decision.height
                )
    return receipts


async def _waited(
    gateway: Gateway, events: Named, codes: tuple[str, ...], since: Height, wish: Wish
) -> list[Receipt]:
    """Wait for the events on their way, also those that somebody handed in before."""
    rows = [row for row, code in enumerate(codes) if code in _AWAITED]
    awaited = events.at(rows) if codes else events
    may_be_old = RejectCode.DUPLICATE in codes
    wait = Wait(awaited, since, with_proof=wish.wait == "proof", may_be_old=may_be_old)
    if awaited.ids:
        await gateway.finality.wait(wait, wish.timeout_ms)
    if wait.run is not None and wish.is_brief and wish.wait == "final" and not codes:
        first, length, height = wait.run
        return [Receipt(status="final", sequence=first, height=height, count=length)]
    decided = [
        _decided(id_, decision) for id_, decision in zip(awaited.ids, wait.decisions, strict=True)
    ]
    if not codes:
        return decided
    receipts = [_submitted(id_, code) for id_, code in zip(events.ids, codes, strict=True)]
    for row, receipt in zip(rows, decided, strict=True):
        is_old = receipts[row].duplicate
        receipts[row] = msgspec.structs.replace(receipt, duplicate=True) if is_old else receipt
    return receipts


def _submitted(id_: EventId, code: str) -> Receipt:
    """Give the first receipt of an entry that the node answered with ``code``."""
    if not code:
        return Receipt(status="pending", id=id_.hex())
    if code in _UNREADABLE:
        return Receipt(status="refused", code=code, detail=_WHY_UNREADABLE)
    is_old = code == RejectCode.DUPLICATE
    return Receipt(status="refused", id=id_.hex(), code=code, duplicate=is_old)


def _decided(id_: EventId, decision: StoredReceipt | None) -> Receipt:
    """Give the receipt of an event that was waited for."""
    if decision is None:
        return Receipt(status="pending", id=id_.hex())
    height, sequence, code = decision
    if sequence is None:
        return Receipt(status="refused", id=id_.hex(), code=str(code), height=height)
    return Receipt(status="final", id=id_.hex(), sequence=sequence, height=height)


def _with_proofs(
    receipts: list[Receipt], entries: tuple[bytes, ...], store: ChainStore
) -> list[Receipt]:
    """Put the proofs of final events into their receipts, as far as they are ready."""
    with store.read() as reader:
        return [
            receipt if receipt.sequence is UNSET else _with_proof(reader, receipt, entry)
            for receipt, entry in zip(receipts, entries, strict=True)
        ]


def _with_proof(reader: ChainReader, receipt: Receipt, entry: bytes) -> Receipt:
    assert receipt.sequence is not UNSET
    bundle = build_bundle(reader, Sequence(receipt.sequence))
    if bundle is None:
        return receipt
    # One that was said before may be forgotten here: whoever said it again has sent it.
    proof = b64encode(encode_bundle(with_entry(bundle, entry))).decode("ascii")
    return msgspec.structs.replace(receipt, proof=proof)


def _with_hashes(
    gateway: Gateway, entries: tuple[bytes, ...], receipts: list[Receipt]
) -> list[Receipt]:
    """Say what an entity's hash is now, of which an event expected another one."""
    anybody = gateway.rights.owner(ANONYMOUS_NAME)
    assert anybody is not None
    with gateway.access.store.read() as reader:
        state = reader.state(reader.stored_head(reader.head_height()).root)
        return [
            _overtaken(state, entry, receipt, anybody) if receipt.code == _MISMATCH else receipt
            for entry, receipt in zip(entries, receipts, strict=True)
        ]


def _overtaken(state: StateView, entry: bytes, receipt: Receipt, anybody: Principal) -> Receipt:
    """Say what the hash is of one entity.

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
