"""The member in whose name a gateway's facades write: its DID, its publisher key, its events.

The ledger judges every event by the member's own rights, so a facade can do nothing that the
member could not do itself.
"""

import secrets
import time
from collections.abc import Mapping
from typing import Protocol

from msgspec import UNSET

from ledger.core.errors import RejectCode, Rejected, Unavailable
from ledger.core.event import Event, OpenEntry, sign_event
from ledger.core.ids import EventId, Height, Sequence
from ledger.core.limits import GATEWAY_WAIT_MS
from ledger.core.signing import Signer
from ledger.core.trust.operations import (
    CONTENT_TYPE,
    OPERATION_TYPE,
    Operation,
    operation_codec,
    topic_of,
)
from pubsub.core.entries import Entries
from pubsub.io.handing_in import Wish, hand_in
from pubsub.io.state import Gateway

__all__ = ["OPERATION_TYPE", "Member", "Published", "Writer"]

_NONCE_BITS = 63


class Published:
    """Where an event became final.

    Attributes:
        time_ms: time of its block.
    """

    __slots__ = ("height", "id", "sequence", "time_ms")

    def __init__(self, id_: EventId, sequence: Sequence, height: Height, time_ms: int) -> None:
        self.id = id_
        self.sequence = sequence
        self.height = height
        self.time_ms = time_ms


class Writer(Protocol):
    """Something that publishes events and operations and waits until they are final."""

    did: str

    async def publish(self, topic: str, type_: str, fields: Mapping[str, object]) -> Published:
        """Publish one event; raises Rejected with its code, or Unavailable."""
        ...

    async def carry_out(self, operation: Operation) -> Published:
        """Publish an operation of the trust framework; raises Rejected or Unavailable."""
        ...


class Member:
    """Publishes through the gateway that it lives in."""

    def __init__(self, gateway: Gateway, did: str, signer: Signer) -> None:
        """Sign as ``did`` with its publisher key."""
        self.did = did
        self._gateway = gateway
        self._signer = signer

    async def carry_out(self, operation: Operation) -> Published:
        """Publish an operation and wait until it is final.

        Raises:
            Rejected: the ledger refused it, with its code.
            Unavailable: it is not final in time; it may still become so.
        """
        fields = {"data": operation_codec.encode(operation), "content_type": CONTENT_TYPE}
        return await self.publish(topic_of(operation), OPERATION_TYPE, fields)

    async def publish(self, topic: str, type_: str, fields: Mapping[str, object]) -> Published:
        """Publish one event and wait until it is final.

        Args:
            fields: of the event, by name, where they are not empty.

        Raises:
            Rejected: the ledger refused it, with its code, or it breaks a limit (MALFORMED).
            Unavailable: it is not final in time; it may still become so.
        """
        opened = self.sign(topic, type_, fields)
        wish = Wish("final", GATEWAY_WAIT_MS)
        (receipt,) = await hand_in(self._gateway, Entries.of(opened.entry), wish)
        if receipt.status == "refused":
            raise Rejected(RejectCode(str(receipt.code)))
        if receipt.sequence is UNSET or receipt.height is UNSET:
            raise Unavailable("the event is not final yet; it may still become so")
        with self._gateway.access.store.read() as reader:
            time_ms = reader.stored_head(Height(receipt.height)).time_ms
        sequence, height = Sequence(receipt.sequence), Height(receipt.height)
        return Published(opened.id, sequence, height, time_ms)

    def sign(self, topic: str, type_: str, fields: Mapping[str, object]) -> OpenEntry:
        """Make one event, for a caller that hands it in itself.

        Raises:
            Rejected: it breaks a limit (MALFORMED).
        """
        try:
            return sign_event(self._event(topic, type_, fields), self._signer)
        except ValueError as error:
            raise Rejected(RejectCode.MALFORMED, str(error)) from None

    def _event(self, topic: str, type_: str, fields: Mapping[str, object]) -> Event:
        values: dict[str, object] = {
            "version": 1,
            "chain_id": self._gateway.access.store.chain_id,
            "topic": topic,
            "publisher": self.did,
            "key": self._signer.public_key,
            "nonce": secrets.randbits(_NONCE_BITS),
            "time_ms": time.time_ns() // 1_000_000,
            "type": type_,
            "subject": "",
            "entity_hash": b"",
            "previous_hash": b"",
            "location": "",
            "content_type": "",
            "data": b"",
            "tags": (),
        }
        return Event(**(values | dict(fields)))  # type: ignore[arg-type] # checked when encoded
