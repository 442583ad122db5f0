"""Examples for the description of the API. The event is a real one: its id and signature hold."""

from typing import Final

import msgspec

from ledger.core.event import Event, sign_event
from ledger.core.ids import Height, Sequence
from ledger.core.signing import SeedSigner
from pubsub.core.cloudevents import cloudevent
from pubsub.core.documents import Receipt, Receipts

__all__ = ["EVENT", "EVENT_ID", "READ_EVENT", "RECEIPT", "RECEIPTS"]

_SIGNER: Final = SeedSigner(bytes(32))
_OPENED: Final = sign_event(
    Event(
        version=1,
        chain_id="testnet-0011223344556677",
        topic="dome.catalogue.offering",
        publisher="did:web:market.example",
        key=_SIGNER.public_key,
        nonce=17,
        time_ms=1_795_257_000_123,
        type="org.tmforum.productoffering.changed",
        subject="urn:ngsi-ld:product-offering:42",
        entity_hash=b"\x3c" * 32,
        previous_hash=b"\x5d" * 32,
        location="https://market.example/tmf-api/productOffering/42",
        content_type="",
        data=b"",
        tags=("eu", "cloud"),
    ),
    _SIGNER,
)

EVENT_ID: Final = _OPENED.id.hex()

EVENT: Final[object] = msgspec.to_builtins(cloudevent(_OPENED))
"""An event as it is published."""

READ_EVENT: Final[object] = msgspec.to_builtins(cloudevent(_OPENED, Sequence(1234), Height(987)))
"""The same event as it is read."""

RECEIPT: Final[object] = msgspec.to_builtins(
    Receipt(status="final", id=EVENT_ID, sequence=1234, height=987)
)

RECEIPTS: Final[object] = msgspec.to_builtins(
    Receipts(
        [
            Receipt(status="pending", id=EVENT_ID),
            Receipt(status="refused", id="9f" * 32, code="topic_forbidden"),
        ]
    )
)
