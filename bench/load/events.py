"""Signed events of one size, made before any clock starts.

Owns what the load looks like: product-offering changes of one marketplace, each of another entity.
From DESCRIBED_BYTES on an event says where its content is and what its digest is, and inline data
fills the entry to its size; smaller ones say less. An entity's name is random, as in catalogues
that number by UUID, or ascends: indexes by entity are hit at random places, or always at the end.
"""

import random
import time
from collections.abc import Iterator
from enum import StrEnum
from typing import Final
from uuid import UUID

from blake3 import blake3

from ledger.core.codec import encode
from ledger.core.event import Event, OpenEntry, sign_event
from ledger.core.signing import Signer

__all__ = ["ENTRY_BYTES", "MEDIA_BULK", "EventSource", "Subjects"]

ENTRY_BYTES: Final = 500
MEDIA_BULK: Final = "application/vnd.concordat.events+msgpack"

_DESCRIBED_BYTES = 450
_LENGTH_BYTES_MAX = 4  # of the number before the data, that counts the data
_TYPE = "org.tmforum.productoffering.changed"
_LOCATION = "https://marketplace.example/tmf-api/productCatalogManagement/v4/productOffering/"
_NAME = "urn:ngsi-ld:product-offering:"


class Subjects(StrEnum):
    """How entities are named."""

    RANDOM = "random"
    ORDERED = "ordered"


class EventSource:
    """Makes events that differ from all that it made before.

    Attributes:
        entry_bytes: size of each entry; larger than asked for when no event is that small.
        probe_topic: of the first event of each of `probe_bodies`: few, to be watched apart.
    """

    def __init__(
        self,
        did: str,
        signer: Signer,
        chain_id: str,
        *,
        entry_bytes: int = ENTRY_BYTES,
        subjects: Subjects = Subjects.RANDOM,
    ) -> None:
        """Publish as ``did`` on the network ``chain_id``.

        Its topics are those of the name that the DID ends with.
        """
        namespace = did.rpartition(":")[2]
        self._did = did
        self._topic = f"{namespace}.offerings.changed"
        self.probe_topic = f"{namespace}.probes.sent"
        self._signer = signer
        self._chain_id = chain_id
        self._is_described = entry_bytes >= _DESCRIBED_BYTES
        self._subjects = subjects
        # Two sources of one publisher must not make the same events: each starts at its time.
        self._made = time.time_ns() >> 10
        self._dice = random.Random(self._made)
        # All numbers have a fixed width, so that one padding fits all events of a topic.
        self._padding: dict[str, bytes] = {}
        self.entry_bytes = entry_bytes
        while not all(self._fits(topic) for topic in (self._topic, self.probe_topic)):
            self.entry_bytes += 1

    def entries(self, count: int, topic: str | None = None) -> Iterator[OpenEntry]:
        """Make ``count`` signed events of exactly ``entry_bytes`` bytes."""
        for _ in range(count):
            self._made += 1
            opened = sign_event(self._event(topic or self._topic), self._signer)
            assert len(opened.entry) == self.entry_bytes
            yield opened

    def bodies(self, count: int, events_per_body: int) -> list[bytes]:
        """Make bulk request bodies with at least ``count`` events together."""
        bodies_count = -(-count // events_per_body)
        return [
            encode([opened.entry for opened in self.entries(events_per_body)])
            for _ in range(bodies_count)
        ]

    def probe_bodies(self, bodies_count: int, events_per_body: int) -> list[bytes]:
        """Make bulk request bodies whose first event is on ``probe_topic``."""
        return [
            encode(
                [
                    *(opened.entry for opened in self.entries(1, self.probe_topic)),
                    *(opened.entry for opened in self.entries(events_per_body - 1)),
                ]
            )
            for _ in range(bodies_count)
        ]

    def _fits(self, topic: str) -> bool:
        """Find the padding that gives events of ``topic`` their size; say whether there is one."""
        self._padding[topic] = b""
        missing = self.entry_bytes - self._size(topic)
        for length in range(missing, max(-1, missing - _LENGTH_BYTES_MAX), -1):
            self._padding[topic] = bytes(length)
            if self._size(topic) == self.entry_bytes:
                return True
        return False

    def _size(self, topic: str) -> int:
        return len(sign_event(self._event(topic), self._signer).entry)

    def _event(self, topic: str) -> Event:
        number = self._made
        entity = (
            str(UUID(int=self._dice.getrandbits(128)))
            if self._subjects is Subjects.RANDOM
            else f"{number:036x}"
        )
        described = self._is_described
        return Event(
            version=1,
            chain_id=self._chain_id,
            topic=topic,
            publisher=self._did,
            key=self._signer.public_key,
            nonce=(number + 1) << 8,
            time_ms=time.time_ns() // 1_000_000,
            type=_TYPE if described else "changed",
            subject=_NAME + entity if described else "",
            entity_hash=blake3(entity.encode()).digest() if described else b"",
            previous_hash=b"",
            location=_LOCATION + entity if described else "",
            content_type="application/json" if described else "",
            data=self._padding[topic],
            tags=(),
        )
