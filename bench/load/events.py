"""Signed 500-byte events, made before any clock starts.

Owns what the load looks like: product-offering changes of one marketplace, each of another entity,
with its content's digest, where to fetch it, and inline data that fills the entry to one size.
"""

import time
from collections.abc import Iterator

from blake3 import blake3

from ledger.core.codec import encode
from ledger.core.event import Event, OpenEntry, sign_event
from ledger.core.signing import Signer

__all__ = ["ENTRY_BYTES", "MEDIA_BULK", "EventSource"]

ENTRY_BYTES = 500
MEDIA_BULK = "application/vnd.concordat.events+msgpack"

_TOPIC = "publisher0.offerings.changed"
_TYPE = "org.tmforum.productoffering.changed"
_LOCATION = "https://marketplace.example/tmf-api/productCatalogManagement/v4/productOffering/"


class EventSource:
    """Makes events that differ from all that it made before."""

    def __init__(self, did: str, signer: Signer, chain_id: str) -> None:
        """Publish as ``did`` on the network ``chain_id``."""
        self._did = did
        self._signer = signer
        self._chain_id = chain_id
        self._made = 0
        # Every number below has a fixed width, so that one padding fits all events.
        self._padding = b""
        bare = len(sign_event(self._event(), signer).entry)
        assert bare < ENTRY_BYTES, "the event is too long for its padding"
        self._padding = bytes(ENTRY_BYTES - bare)

    def entries(self, count: int) -> Iterator[OpenEntry]:
        """Make ``count`` signed events of exactly ENTRY_BYTES bytes."""
        for _ in range(count):
            self._made += 1
            opened = sign_event(self._event(), self._signer)
            assert len(opened.entry) == ENTRY_BYTES
            yield opened

    def bodies(self, count: int, events_per_body: int) -> list[bytes]:
        """Make bulk request bodies with at least ``count`` events together."""
        bodies_count = -(-count // events_per_body)
        return [
            encode([opened.entry for opened in self.entries(events_per_body)])
            for _ in range(bodies_count)
        ]

    def _event(self) -> Event:
        number = self._made
        entity = f"{number:012x}"
        return Event(
            version=1,
            chain_id=self._chain_id,
            topic=_TOPIC,
            publisher=self._did,
            key=self._signer.public_key,
            nonce=(number + 1) << 32,
            time_ms=time.time_ns() // 1_000_000,
            type=_TYPE,
            subject=f"urn:ngsi-ld:product-offering:{entity}",
            entity_hash=blake3(entity.encode()).digest(),
            previous_hash=b"",
            location=_LOCATION + entity,
            content_type="application/json",
            data=self._padding,
            tags=(),
        )
