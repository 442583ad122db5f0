"""The mapping between DOME's chain event and the ledger's event, in both directions.

What a gateway notifies is a function of the log alone (the lists are in it), so that every gateway
says the same of an event. An address that is not its publisher's is replaced by the one that its
DID gives: Desmos trusts by address, so no member can speak with another's.
"""

import re
from typing import Annotated, Final, NamedTuple

import msgspec
from msgspec import Meta

from adapters.dome.dlt.identity import checksum_address, derived_address, iss_of, owns_address
from adapters.lists import Lists
from ledger.core.event import Event
from ledger.core.limits import (
    EVENT_TYPE_CHARS_MAX,
    LOCATION_CHARS_MAX,
    TAG_CHARS_MAX,
    TAGS_COUNT_MAX,
)

__all__ = [
    "TOPICS",
    "TYPE_PREFIX",
    "Listed",
    "Notification",
    "Place",
    "PublishRequest",
    "event_fields",
    "listed",
    "notification",
]

TOPICS: Final = "dome.>"
TYPE_PREFIX: Final = "org.concordat.dome."
_TOKEN_CHARS_MAX: Final = 64
_NO_TOKEN: Final = re.compile(r"[^A-Za-z0-9_-]")
_HASH: Final = r"^0[xX][0-9a-fA-F]{64}\Z"
_OWN_HASH: Final = re.compile(r"0x[0-9a-f]{64}\Z")
_HASHLINK: Final = re.compile(r"[?&]hl=(?:0x)?([0-9a-fA-F]{64})(?:&|\Z)")

_Hash = Annotated[str, Meta(pattern=_HASH)]
_NotBlank = Annotated[str, Meta(pattern=r"\S")]


class PublishRequest(msgspec.Struct, rename="camel"):
    """The body of publishEvent. `rpcAddress` is not looked at: the gateway has one ledger."""

    event_type: Annotated[_NotBlank, Meta(max_length=EVENT_TYPE_CHARS_MAX - len(TYPE_PREFIX))]
    data_location: Annotated[_NotBlank, Meta(max_length=LOCATION_CHARS_MAX)]
    relevant_metadata: Annotated[
        list[Annotated[str, Meta(max_length=TAG_CHARS_MAX)]], Meta(max_length=TAGS_COUNT_MAX)
    ]
    entity_id: _Hash
    previous_entity_hash: _Hash
    iss: str | None = None


class _Author(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """The event's `data`: who it is by, in DOME's terms."""

    publisher_address: Annotated[str, Meta(pattern=_OWN_HASH.pattern)]
    ethereum_address: Annotated[str, Meta(pattern=r"^0x[0-9a-f]{40}\Z")]


class Notification(msgspec.Struct, frozen=True):
    """What a subscriber is sent; `timestamp` in seconds."""

    id: int
    ethereum_address: str = msgspec.field(name="ethereumAddress")
    publisher_address: str = msgspec.field(name="publisherAddress")
    entity_id_hash: str = msgspec.field(name="entityIDHash")
    previous_entity_hash: str = msgspec.field(name="previousEntityHash")
    event_type: str = msgspec.field(name="eventType")
    timestamp: int
    data_location: str = msgspec.field(name="dataLocation")
    relevant_metadata: tuple[str, ...] = msgspec.field(name="relevantMetadata")


class Listed(msgspec.Struct, frozen=True, rename="camel"):
    """The same event as `events` lists it; `timestamp` in milliseconds, `entityId`."""

    id: int
    ethereum_address: str
    publisher_address: str
    timestamp: int
    event_type: str
    data_location: str
    relevant_metadata: tuple[str, ...]
    entity_id: str
    previous_entity_hash: str


class Place(NamedTuple):
    """Where an event stands in the log, and the time of its block."""

    sequence: int
    time_ms: int


def event_fields(request: PublishRequest, iss: str, address: bytes) -> dict[str, object]:
    """Give the fields of the event that carries out a request.

    Args:
        iss: the publisher's, checked.
        address: its Ethereum address, 20 bytes.
    """
    found = _HASHLINK.search(request.data_location)
    author = _Author(iss, f"0x{address.hex()}")
    return {
        "topic": f"dome.{_NO_TOKEN.sub('_', request.event_type)[:_TOKEN_CHARS_MAX]}",
        "type": TYPE_PREFIX + request.event_type,
        "subject": request.entity_id.lower(),
        "entity_hash": bytes.fromhex(found[1]) if found else b"",
        "previous_hash": bytes.fromhex(request.previous_entity_hash[2:]),
        "location": request.data_location,
        "content_type": "application/json",
        "data": msgspec.json.encode(author),
        # Desmos refuses events with blank metadata, which the original adapter adds by itself.
        "tags": tuple(item for item in request.relevant_metadata if item.strip()),
    }


def notification(event: Event, place: Place, lists: Lists) -> Notification | None:
    """Give what subscribers are told of an event, None when it is none of DOME's."""
    if not event.type.startswith(TYPE_PREFIX) or not event.location.strip():
        return None
    if not _OWN_HASH.match(event.subject) or not event.previous_hash:
        return None
    iss, address = _author(event, place, lists)
    return Notification(
        id=place.sequence,
        ethereum_address=checksum_address(address),
        publisher_address=iss,
        entity_id_hash=event.subject,
        previous_entity_hash=f"0x{event.previous_hash.hex()}",
        event_type=event.type.removeprefix(TYPE_PREFIX),
        timestamp=place.time_ms // 1000,
        data_location=event.location,
        relevant_metadata=tuple(tag for tag in event.tags if tag.strip()),
    )


def listed(told: Notification) -> Listed:
    """Give the form of `events`. Its milliseconds are whole seconds: chains know no finer time."""
    return Listed(
        id=told.id,
        ethereum_address=told.ethereum_address,
        publisher_address=told.publisher_address,
        timestamp=told.timestamp * 1000,
        event_type=told.event_type,
        data_location=told.data_location,
        relevant_metadata=told.relevant_metadata,
        entity_id=told.entity_id_hash,
        previous_entity_hash=told.previous_entity_hash,
    )


def _author(event: Event, place: Place, lists: Lists) -> tuple[str, bytes]:
    """Give `iss` as the publisher states it, and its address: never that of somebody else."""
    iss, address = iss_of(event.publisher), derived_address(event.publisher)
    try:
        stated = msgspec.json.decode(event.data, type=_Author)
    except (msgspec.MsgspecError, RecursionError):
        return iss, address
    iss = stated.publisher_address
    stated_address = bytes.fromhex(stated.ethereum_address[2:])
    if owns_address(lists, event.publisher, stated_address, place.time_ms):
        address = stated_address
    return iss, address
