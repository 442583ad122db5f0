"""The audit record of Desmos: what this node did with which version of which entity, in a chain.

Owns the record, its hash and the links between records, and the check that nobody changed, removed
or inserted any. Pure. ``hash`` is H of the record as JSON, with the names below, ``hash`` and
``hashlink`` empty; ``hashlink`` ties it to the link of the record before.
"""

from collections.abc import Iterable
from enum import StrEnum
from typing import Final

import msgspec

from adapters.tmf.desmos.hash import digest, hashlink

__all__ = ["TAKEN", "AuditRecord", "AuditStatus", "Trader", "chained", "first_fault"]


class AuditStatus(StrEnum):
    """What happened to the version."""

    RECEIVED = "RECEIVED"  # known: changed here, or told by the ledger or a peer
    CREATED = "CREATED"  # its event is made
    RETRIEVED = "RETRIEVED"  # fetched, and its hash holds
    PUBLISHED = "PUBLISHED"  # its event is final in the ledger, or it is stored here
    DELETED = "DELETED"


TAKEN: Final = (AuditStatus.RECEIVED, AuditStatus.RETRIEVED, AuditStatus.PUBLISHED)
"""What happens to a version of another's that this node comes to hold."""


class Trader(StrEnum):
    """On which side this node was."""

    PRODUCER = "PRODUCER"
    CONSUMER = "CONSUMER"


class AuditRecord(msgspec.Struct, frozen=True):
    """One record.

    Attributes:
        id: UUID.
        process_id: the same for all records of one process: an event, a synchronisation.
        created_at: UTC, RFC 3339 with milliseconds.
        entity_type: as Desmos calls it.
        entity_hash: H of the entity in NGSI-LD; empty while unknown, and for a delete.
        entity_hashlink: of the version in the entity's own chain; the last one for a delete.
    """

    id: str
    process_id: str
    created_at: str
    entity_id: str
    entity_type: str
    entity_hash: str
    entity_hashlink: str
    data_location: str
    status: AuditStatus
    trader: Trader
    hash: str = ""
    hashlink: str = ""


def chained(record: AuditRecord, previous_hashlink: str | None) -> AuditRecord:
    """Give a record its hash, and its link to the record before; None for the first."""
    hash_ = _hash(record)
    link = hash_ if previous_hashlink is None else hashlink(previous_hashlink, hash_)
    return msgspec.structs.replace(record, hash=hash_, hashlink=link)


def first_fault(records: Iterable[AuditRecord], previous_hashlink: str | None = None) -> int | None:
    """Give the place of the first record, from 0, that the chain does not hold; None for none.

    Args:
        previous_hashlink: of the record before these, which the caller trusts; None when these
            begin with the first.
    """
    for place, record in enumerate(records):
        if chained(record, previous_hashlink) != record:
            return place
        previous_hashlink = record.hashlink
    return None


def _hash(record: AuditRecord) -> str:
    bare = msgspec.structs.replace(record, hash="", hashlink="")
    return digest(msgspec.json.encode(bare).decode())
