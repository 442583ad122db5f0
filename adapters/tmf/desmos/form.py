"""Desmos' form of events on the ledger: H instead of canonical bytes, links instead of hashes.

Owns how an own change becomes the event that Desmos' DLT adapter would publish, and what such an
event of another member tells. ``dataLocation`` names the entity and, in ``hl``, the version: the
first one by its hash, each later one by the hash of the link before and its own hash. An event
without ``hl`` is the end of the entity; a new chain begins after it.

Desmos keeps the newest link of an entity in its audit, and so does this form, in the transaction
that drafts the event.
"""

import re
from collections.abc import Callable, Iterable
from hashlib import sha256
from typing import Any, Final, NamedTuple, Protocol, cast
from urllib.parse import parse_qs, quote, unquote, urlsplit

import msgspec

from adapters.dome.dlt.events import TYPE_PREFIX, PublishRequest, event_fields
from adapters.dome.dlt.identity import iss_of
from adapters.tmf.desmos.audit import TAKEN, AuditStatus, Trader
from adapters.tmf.desmos.audit_log import (
    AuditedVersion,
    AuditLog,
    EntityName,
    last_record,
    record_of_link,
)
from adapters.tmf.desmos.bundles import entity_bytes, read_bundle
from adapters.tmf.desmos.hash import digest, hashed_name, next_link
from adapters.tmf.desmos.kinds import RESOURCES, TYPES
from adapters.tmf.desmos.offers import is_replicable, offer_of
from adapters.tmf.desmos.originals import keep_original
from adapters.tmf.entity import Change, JsonObject
from adapters.tmf.replication.core.model import NONE, Code, Told
from adapters.tmf.replication.form import Draft, FetchFailed, Taken
from adapters.tmf.replication.shared import (
    Audience,
    audience_of,
    kebab_of,
    name_of,
    tags_for,
)
from adapters.tmf.store.ports import Writing
from ledger.core.errors import DecodeError
from ledger.core.event import Event
from pubsub.client.identity import EventContent

__all__ = ["PATH", "DesmosForm", "DesmosMember", "EntitySource", "Place", "place_of"]

PATH: Final = "/api/v2/entities"
_LINK: Final = re.compile(r"[0-9a-f]{64}\Z")
_FINAL: Final = (AuditStatus.PUBLISHED, AuditStatus.DELETED)


class DesmosMember(NamedTuple):
    """Who this node is in the world of Desmos.

    Attributes:
        did: of its member; ``organisation``: the identifier that is hashed into ``iss``.
        address: Ethereum address by which others trust it, 20 bytes.
        public_url: where Desmoses reach this node, without a slash at the end.
        environment: "prd", "dev", "sbx" or "local"; events of others concern other nodes.
    """

    did: str
    organisation: str
    address: bytes
    public_url: str
    environment: str


class EntitySource(Protocol):
    """Gets entities from other nodes."""

    async def entity(self, url: str) -> bytes:
        """Get what stands at a data location. Raises FetchFailed, Unavailable."""
        ...


class Place(NamedTuple):
    """What a data location says: which entity, and which version of it; "" for its end."""

    id: str
    link: str


def place_of(location: str) -> Place | None:
    """Read a data location; None when it names no entity."""
    try:
        parts = urlsplit(location)
        links = parse_qs(parts.query).get("hl", [""])
    except ValueError:
        return None
    id_, link = unquote(parts.path.rpartition("/")[2]), links[0].removeprefix("0x").lower()
    if not id_ or (link and not _LINK.match(link)):
        return None
    return Place(id_, link)


class DesmosForm:
    """Events in Desmos' form. See ``adapters.tmf.replication.form.EventForm``."""

    name: Final = "desmos"

    def __init__(
        self,
        member: DesmosMember,
        source: EntitySource,
        log: AuditLog,
        now_ms: Callable[[], int],
    ) -> None:
        """Publish as ``member``; ``now_ms`` gives Unix time."""
        self._member = member
        self._source = source
        self._log = log
        self._now_ms = now_ms

    # --- own changes ------------------------------------------------------------------------

    def draft(self, txn: Writing, change: Change) -> Draft | None:
        """Make the event of an own change; None when the policies keep it here."""
        type_ = TYPES.get(change.resource)
        if type_ is None:
            return None
        previous = _last_link(txn, EntityName(change.id, type_))
        document: JsonObject = {}
        hash_, link, query = "", previous, ""
        if change.after is not None:
            document = msgspec.json.decode(change.after, type=dict[str, Any])
            if not is_replicable(offer_of(type_, document), self._now_ms()):
                return None
            hash_ = digest(entity_bytes(change.resource, document).decode())
            link = next_link(previous, hash_)
            query = f"?hl={link}"
        if not link:
            return None  # the end of what nobody was told of
        location = f"{self._member.public_url}{PATH}/{quote(change.id, safe=':')}{query}"
        version = AuditedVersion(change.id, type_, hash_, link, location, Trader.PRODUCER)
        self._log.append(txn.connection, version, (AuditStatus.RECEIVED, AuditStatus.CREATED))
        tags = tags_for(kebab_of(change.resource), document, self._member.environment)
        return self._draft(version, previous or hash_, tags)

    def _draft(self, version: AuditedVersion, previous: str, tags: Iterable[str]) -> Draft:
        iss = iss_of(self._member.organisation)
        request = PublishRequest(
            event_type=version.entity_type,
            data_location=version.data_location,
            relevant_metadata=list(tags),
            entity_id=hashed_name(version.entity_id),
            previous_entity_hash=f"0x{previous}",
            iss=iss,
        )
        fields = event_fields(request, iss, self._member.address)
        topic, type_ = str(fields.pop("topic")), str(fields.pop("type"))
        return Draft(topic, type_, cast("EventContent", fields))

    def published(self, txn: Writing, event: Event, sequence: int) -> None:  # noqa: ARG002 - form's
        """Record that the event of an own change is final."""
        place = place_of(event.location)
        assert place is not None, "a draft names its entity"
        link = place.link or event.previous_hash.hex()
        name = EntityName(place.id, event.type.removeprefix(TYPE_PREFIX))
        made = record_of_link(txn.connection, name, link)
        assert made is not None, "a draft is recorded in the transaction that makes it"
        version = AuditedVersion(
            entity_id=place.id,
            entity_type=made.entity_type,
            entity_hash=made.entity_hash if place.link else "",
            entity_hashlink=link,
            data_location=event.location,
            trader=Trader.PRODUCER,
        )
        status = AuditStatus.PUBLISHED if place.link else AuditStatus.DELETED
        self._log.append(txn.connection, version, (status,), made.process_id)

    # --- others' events ---------------------------------------------------------------------

    def read(self, event: Event, sequence: int) -> Told | None:
        """Say what an event tells of an entity; None when it is none of ours to follow."""
        if not event.type.startswith(TYPE_PREFIX):
            return None
        resource = RESOURCES.get(event.type.removeprefix(TYPE_PREFIX))
        place = place_of(event.location)
        if resource is None or place is None or self._member.environment not in event.tags:
            return None
        if event.subject != _name(place.id):
            return None
        kebab = kebab_of(resource)
        version = bytes.fromhex(place.link)
        return Told(
            form=self.name,
            key=f"{kebab}/{sha256(place.id.encode()).hexdigest()}",
            resource=kebab,
            subject=event.subject,
            publisher=event.publisher,
            sequence=sequence,
            version=version,
            previous=NONE if event.previous_hash == version else event.previous_hash,
            location=event.location,
            tags=event.tags,
        )

    async def fetch(self, told: Told) -> bytes:
        """Get an entity, and all that belongs to it, from where the event says.

        What two agreed on is not there for others: that is no fault of its owner.
        """
        try:
            return await self._source.entity(told.location)
        except FetchFailed as error:
            is_hidden = audience_of(told.resource) is Audience.PARTIES
            if error.code is Code.NOT_SERVED and is_hidden:
                raise FetchFailed("withheld", error.code, error.detail) from None
            raise

    def check(self, told: Told, body: bytes) -> Taken:
        """Hold the entity to the link that was told."""
        try:
            parcels = read_bundle(body)
        except DecodeError as error:
            raise FetchFailed("faulty", Code.MALFORMED, str(error)) from None
        roots = [parcel for parcel in parcels if _name(parcel.id) == told.subject]
        if not roots:
            raise FetchFailed("faulty", Code.WRONG_ENTITY, "the entity is not in the answer")
        root = roots[-1]
        previous = told.previous.hex() if told.previous != NONE else None
        if next_link(previous, root.hash) != told.version.hex():
            raise FetchFailed("faulty", Code.HASH_MISMATCH, "the entity has another hash")
        if root.type != TYPES[name_of(told.resource)]:
            raise FetchFailed("refused", Code.WRONG_ENTITY, "the entity is of another type")
        try:
            # What comes with it is as its owner has it: nobody else vouches for it.
            others = (parcel for parcel in parcels if parcel.resource and parcel.id != root.id)
            return root.taken()._replace(others=tuple(other.taken() for other in others))
        except DecodeError as error:
            raise FetchFailed("refused", Code.MALFORMED, str(error)) from None

    def taken(self, txn: Writing, told: Told, taken: Taken | None) -> None:
        """Record that the node holds what was told, or its end."""
        place = place_of(told.location)
        assert place is not None, "told by read"
        resource = name_of(told.resource)
        keep_original(txn, resource, place.id, taken)
        for other in taken.others if taken else ():
            keep_original(txn, other.resource, other.id, other)
        record = AuditedVersion(
            entity_id=place.id,
            entity_type=TYPES[resource],
            entity_hash=taken.hash if taken else "",
            entity_hashlink=(told.previous if told.is_end else told.version).hex(),
            data_location=told.location,
            trader=Trader.CONSUMER,
        )
        ended = (AuditStatus.RECEIVED, AuditStatus.DELETED)
        self._log.append(txn.connection, record, ended if told.is_end else TAKEN)


def _last_link(txn: Writing, name: EntityName) -> str | None:
    """Give the newest link of an own entity's chain; None where a chain begins."""
    last = last_record(txn.connection, name, Trader.PRODUCER, _FINAL)
    return last.entity_hashlink if last and last.status == AuditStatus.PUBLISHED else None


def _name(id_: str) -> str:
    """Give an id's name on the ledger; "" for one that has none."""
    try:
        return hashed_name(id_)
    except DecodeError:
        return ""
