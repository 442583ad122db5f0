"""Who publishes: makes events in the name of one participant and signs them."""

import secrets
import time
from typing import TypedDict, Unpack

from ledger.core.event import Event, OpenEntry, sign_event
from ledger.core.signing import Signer
from ledger.core.trust.operations import (
    CONTENT_TYPE,
    OPERATION_TYPE,
    AddKey,
    Operation,
    key_possession_message,
    operation_codec,
    topic_of,
)

__all__ = ["EventContent", "Publisher"]

_NONCE_BITS = 63  # the canonical form's largest integer is 2**63 - 1


class EventContent(TypedDict, total=False):
    """The parts of an event that may be left out; see ``Event`` for what they mean."""

    subject: str
    entity_hash: bytes
    previous_hash: bytes
    location: str
    content_type: str
    data: bytes
    tags: tuple[str, ...]
    time_ms: int


class Publisher:
    """One participant's identity on one network.

    Attributes:
        did: the participant's DID; chain_id: the network that its events are for.
    """

    __slots__ = ("_signer", "chain_id", "did")

    def __init__(self, did: str, signer: Signer, chain_id: str) -> None:
        """Publish as ``did`` with the key of ``signer``, which the ledger must list for it."""
        self.did = did
        self.chain_id = chain_id
        self._signer = signer

    def sign(self, topic: str, type_: str, **content: Unpack[EventContent]) -> OpenEntry:
        """Make and sign one event.

        The event gets a random nonce, so that saying the same twice gives two events, and the
        time of the clock unless ``time_ms`` is given. What is returned can be handed in any
        number of times, at any gateway: the ledger takes it once.

        Args:
            topic: dot-separated topic name.
            type_: what happened, a CloudEvents ``type``.

        Raises:
            ValueError: a part is outside its limits.
        """
        event = Event(
            version=1,
            chain_id=self.chain_id,
            topic=topic,
            publisher=self.did,
            key=self._signer.public_key,
            nonce=secrets.randbits(_NONCE_BITS),
            time_ms=content.get("time_ms", time.time_ns() // 1_000_000),
            type=type_,
            subject=content.get("subject", ""),
            entity_hash=content.get("entity_hash", b""),
            previous_hash=content.get("previous_hash", b""),
            location=content.get("location", ""),
            content_type=content.get("content_type", ""),
            data=content.get("data", b""),
            tags=content.get("tags", ()),
        )
        return sign_event(event, self._signer)

    def sign_again(self, event: Event, time_ms: int) -> OpenEntry:
        """Say once more what an event says that can become final no more: a new event, as of now.

        Raises:
            ValueError: a part is outside its limits.
        """
        return self.sign(
            event.topic,
            event.type,
            subject=event.subject,
            entity_hash=event.entity_hash,
            previous_hash=event.previous_hash,
            location=event.location,
            content_type=event.content_type,
            data=event.data,
            tags=event.tags,
            time_ms=time_ms,
        )

    def sign_operation(self, operation: Operation) -> OpenEntry:
        """Make and sign the event that carries out an operation of the trust framework.

        Raises:
            ValueError: the operation does not fit an event.
        """
        return self.sign(
            topic_of(operation),
            OPERATION_TYPE,
            content_type=CONTENT_TYPE,
            data=operation_codec.encode(operation),
        )

    def new_key(self, signer: Signer) -> AddKey:
        """Have the holder of another key show that it may speak for this participant, too."""
        key = signer.public_key
        message = key_possession_message(self.chain_id, self.did, key)
        return AddKey(key, signer.sign(message))
