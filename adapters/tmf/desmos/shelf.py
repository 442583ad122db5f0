"""What this node gives to other Desmoses: an entity with what belongs to it, and a list of all.

An entity of another member is given as that member sent it, so that it has the hash that was told.

Owns which entities belong to one: those of the same origin that it refers to, and these again,
referred ones first. Nothing is given that the asking organisation may not see.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterator
from http import HTTPStatus
from threading import Lock
from typing import Final

import msgspec
from sqlalchemy import select

from adapters.tmf.caller import Caller
from adapters.tmf.desmos.audit import AuditStatus, Trader
from adapters.tmf.desmos.audit_log import EntityName, last_record, record_of_link
from adapters.tmf.desmos.bundles import entity_bytes
from adapters.tmf.desmos.hash import digest
from adapters.tmf.desmos.kinds import TYPES
from adapters.tmf.desmos.offers import Offer, is_replicable, offer_of
from adapters.tmf.desmos.originals import original_of
from adapters.tmf.entities.service import Entities
from adapters.tmf.entity import OWN, Entity, JsonObject, content_hash
from adapters.tmf.query.model import Query
from adapters.tmf.refusal import TmfError
from adapters.tmf.replication.tracking import replicas
from adapters.tmf.resources.registry import BY_KEBAB, RESOURCES
from adapters.tmf.store.ports import Reading
from adapters.tmf.store.schema import ENTITIES
from ledger.core.limits import (
    DESMOS_HASHES_REMEMBERED_MAX,
    DESMOS_REFERENCES_MAX,
    DESMOS_SHELF_PAGE,
    DESMOS_SUB_ENTITIES_MAX,
    DESMOS_VERSIONS_MAX,
)

__all__ = ["Shelf"]

_URN: Final = "urn:ngsi-ld:"


class Shelf:
    """Gives entities in NGSI-LD. All methods read one snapshot and block."""

    def __init__(self, entities: Entities, now_ms: Callable[[], int]) -> None:
        self._entities = entities
        self._now_ms = now_ms
        self._hashes = _Hashes()

    def bundle(self, reading: Reading, caller: Caller, id_: str, link: str = "") -> list[bytes]:
        """Give an entity, last, and what belongs to it.

        Args:
            link: of the version that is meant, where this node published it; the newest otherwise.

        Raises:
            TmfError: 404, there is none that the caller may see.
        """
        caller = _marketplace(caller)
        root = self._root(reading, caller, id_)
        document = _version(reading, root, link) if link else root.document()
        found = {(root.resource, id_): _entity_bytes(reading, root, document)}
        open_, asked = [document], {(root.resource, id_)}
        while open_:
            for name in _references(open_.pop(0)):
                is_full = len(found) > DESMOS_SUB_ENTITIES_MAX or len(asked) > DESMOS_REFERENCES_MAX
                if name in asked or is_full:
                    continue
                asked.add(name)
                entity = self._visible(reading, caller, *name)
                if entity is not None and entity.origin == root.origin:
                    document = entity.document()
                    found[name] = _entity_bytes(reading, entity, document)
                    open_.append(document)
        return list(reversed(found.values()))

    def offers(self, reading: Reading, caller: Caller) -> Iterator[Offer]:
        """Tell of all entities that the policies let go and the caller may see.

        What a peer alone told this node of is not passed on: the next one would take it for ours.
        """
        caller, now_ms = _marketplace(caller), self._now_ms()
        for resource, type_ in TYPES.items():
            told = replicas(reading.connection, resource)
            for entity in self._every(reading, caller, resource):
                document = entity.document()
                offer = offer_of(type_, document)
                is_known = entity.origin == OWN or entity.id in told
                if is_known and is_replicable(offer, now_ms):
                    original = original_of(reading.connection, entity)
                    hash_ = original.hash if original else self._hashes.of(entity)
                    link = _link(reading, EntityName(offer.id, type_)) or hash_
                    yield msgspec.structs.replace(offer, hash=hash_, hashlink=link)

    def _every(self, reading: Reading, caller: Caller, resource: str) -> Iterator[Entity]:
        offset = 0
        while True:
            query = Query(offset=offset, limit=DESMOS_SHELF_PAGE)
            page = self._entities.find(reading, caller, RESOURCES[resource], query)
            yield from page.entities
            offset += DESMOS_SHELF_PAGE
            if offset >= page.total:
                return

    def _root(self, reading: Reading, caller: Caller, id_: str) -> Entity:
        for resource in _resources_with(reading, id_):
            entity = self._visible(reading, caller, resource, id_)
            if entity is not None:
                return entity
        message = f"there is no entity {id_}"
        raise TmfError(HTTPStatus.NOT_FOUND, "not-found", "Not found", message)

    def _visible(self, reading: Reading, caller: Caller, resource: str, id_: str) -> Entity | None:
        if reading.get(resource, id_) is None:
            return None
        try:
            return self._entities.get(reading, caller, RESOURCES[resource], id_)
        except TmfError:
            return None


class _Hashes:
    """The hashes of entities, remembered by their content: most are the same in every discovery."""

    def __init__(self) -> None:
        self._known: OrderedDict[bytes, str] = OrderedDict()
        self._lock = Lock()

    def of(self, entity: Entity) -> str:
        """Give H of an entity in NGSI-LD."""
        key = entity.resource.encode() + content_hash(entity.body)
        with self._lock:
            if (known := self._known.get(key)) is not None:
                self._known.move_to_end(key)
                return known
        hash_ = digest(entity_bytes(entity.resource, entity.document()).decode())
        with self._lock:
            self._known[key] = hash_
            while len(self._known) > DESMOS_HASHES_REMEMBERED_MAX:
                self._known.popitem(last=False)
        return hash_


def _marketplace(caller: Caller) -> Caller:
    return msgspec.structs.replace(caller, is_marketplace=True)


def _entity_bytes(reading: Reading, entity: Entity, document: JsonObject) -> bytes:
    """Give an entity in NGSI-LD, another member's as it was sent; ``document`` is a version."""
    original = original_of(reading.connection, entity)
    return original.entity if original else entity_bytes(entity.resource, document)


def _resources_with(reading: Reading, id_: str) -> list[str]:
    """Give the resources that have an entity of an id, in the order of ``TYPES``."""
    if "\0" in id_:  # no entity has such an id, and PostgreSQL takes no such text
        return []
    at = (ENTITIES.c.id == id_, ENTITIES.c.resource.in_(list(TYPES)))
    found = set(reading.connection.execute(select(ENTITIES.c.resource).where(*at)).scalars())
    return [resource for resource in TYPES if resource in found]


def _link(reading: Reading, name: EntityName) -> str | None:
    """Give the newest link of an entity's chain, where one is known."""
    for trader in (Trader.PRODUCER, Trader.CONSUMER):
        record = last_record(reading.connection, name, trader, (AuditStatus.PUBLISHED,))
        if record is not None:
            return record.entity_hashlink
    return None


def _version(reading: Reading, entity: Entity, link: str) -> JsonObject:
    """Give the content of a published version, or the newest where that is not known any more."""
    newest = entity.document()
    name = EntityName(entity.id, TYPES[entity.resource])
    made = record_of_link(reading.connection, name, link)
    if made is None:
        return newest
    changes = reading.history(entity.resource, entity.id)[-DESMOS_VERSIONS_MAX:]
    for change in reversed(changes):
        if change.after is not None:
            document: JsonObject = msgspec.json.decode(change.after)
            if digest(entity_bytes(entity.resource, document).decode()) == made.entity_hash:
                return document
    return newest


def _references(document: JsonObject) -> Iterator[tuple[str, str]]:
    """Give (resource, id) of all entities that a document refers to, at any depth."""
    values: list[object] = [value for name, value in document.items() if name != "id"]
    while values:
        value = values.pop()
        if isinstance(value, dict):
            id_ = value.get("id")
            resource = _resource_of(id_) if isinstance(id_, str) else None
            if resource is not None:
                yield resource, str(id_)
            values.extend(value.values())
        elif isinstance(value, list):
            values.extend(value)


def _resource_of(id_: str) -> str | None:
    """Give the resource that an NGSI-LD URN names, when it goes by Desmos."""
    kebab = id_.removeprefix(_URN).partition(":")[0] if id_.startswith(_URN) else ""
    resource = BY_KEBAB.get(kebab)
    return resource.name if resource is not None and resource.name in TYPES else None
