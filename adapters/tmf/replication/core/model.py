"""The values of replication: what the ledger told of an entity, and how far this node is with it.

Owns the shape of what is kept in the database for each entity; an entity is named by ``key``, which
is the same in all forms of events, so that a member may change from one form to another.
"""

from enum import StrEnum
from typing import Final

import msgspec

__all__ = ["NONE", "Code", "Status", "Told", "Tracked"]

NONE: Final = b""
"""No version: the hash before the first one, and after the end of an entity."""


class Status(StrEnum):
    """How far this node is with the newest version of an entity."""

    WANTED = "wanted"
    CURRENT = "current"
    WITHHELD = "withheld"
    QUARANTINED = "quarantined"
    UNWANTED = "unwanted"
    OWN = "own"


class Code(StrEnum):
    """Why something is in quarantine. The values are stable: operators' tools branch on them."""

    OWNED_BY_OTHER = "owned-by-other"
    NO_PARTICIPANT = "no-participant"
    LOCATION_FORBIDDEN = "location-forbidden"
    HASH_MISMATCH = "hash-mismatch"
    MALFORMED = "malformed"
    TOO_LARGE = "too-large"
    WRONG_ENTITY = "wrong-entity"
    NOT_SERVED = "not-served"
    ENTITY_REFUSED = "entity-refused"


class Told(msgspec.Struct, frozen=True):
    """What one event says of one entity.

    Attributes:
        form: name of the form of event, which knows how to fetch and check the content.
        key: "<type>/<64 hex>", one for each entity.
        resource: type of the entity in kebab case ("product-offering").
        subject: as in the event.
        publisher: DID that signed it.
        sequence: its place in the ledger.
        version: 32 bytes that name the new version; ``NONE`` for the end of the entity.
        previous: the same of the version before; ``NONE`` when this is the first.
        location: where to fetch the version from.
        tags: for selections.
    """

    form: str
    key: str
    resource: str
    subject: str
    publisher: str
    sequence: int
    version: bytes
    previous: bytes
    location: str = ""
    tags: tuple[str, ...] = ()

    @property
    def is_end(self) -> bool:
        """Whether the entity was deleted."""
        return self.version == NONE


class Tracked(msgspec.Struct, frozen=True):
    """One entity of the ledger, as this node follows it.

    Attributes:
        head: the newest event of its owner: ``head.publisher`` owns the entity for ever.
        chains: the newest event of each form.
        status: what this node does about it.
        stored: version that the store holds; ``NONE`` for none.
        has_gap: the chain of versions did not lead to ``head``.
        attempts: failed ones since ``head`` became known.
        due_ms: no new attempt before this Unix time in milliseconds.
        code, detail: why the last attempt failed, or why it is in quarantine.
    """

    head: Told
    chains: dict[str, Told]
    status: Status
    stored: bytes = NONE
    has_gap: bool = False
    attempts: int = 0
    due_ms: int = 0
    code: str = ""
    detail: str = ""
