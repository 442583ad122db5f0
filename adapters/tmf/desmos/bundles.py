"""Entities as Desmoses send them: base64 of NGSI-LD, the entity itself and what belongs to it.

Owns both writings, a JSON array and lines, and the reading of an entity up to a TM Forum document.
Pure. Whatever a peer sent is a value or a ``DecodeError``.
"""

import binascii
from base64 import b64decode, b64encode
from collections.abc import Iterable
from typing import Any, NamedTuple

import msgspec

from adapters.tmf.desmos.hash import digest
from adapters.tmf.desmos.kinds import RESOURCES, TYPES
from adapters.tmf.desmos.ngsi import from_ngsi, to_ngsi
from adapters.tmf.entity import JsonObject, canonical
from adapters.tmf.replication.form import Taken
from adapters.tmf.resources.registry import RESOURCES as REGISTRY
from ledger.core.errors import DecodeError

__all__ = ["Parcel", "entity_bytes", "read_bundle", "write_array", "write_lines"]


class Parcel(NamedTuple):
    """One entity that a peer sent.

    Attributes:
        hash: H of it, as it was sent.
        text: as it was sent.
    """

    id: str
    type: str
    hash: str
    entity: JsonObject
    text: str

    @property
    def resource(self) -> str | None:
        """The resource's lowerCamel name; None when Desmos' type is none that is taken."""
        return RESOURCES.get(self.type)

    def document(self) -> JsonObject:
        """Give the TM Forum document, with the ``href`` that it has on every node.

        Raises:
            DecodeError: it is of no resource, or says an attribute twice.
        """
        resource = REGISTRY.get(self.resource or "")
        if resource is None:
            raise DecodeError("an entity of a type that is not taken")
        return from_ngsi(self.entity) | {"href": resource.href(self.id)}

    def taken(self) -> Taken:
        """Give it as replication stores it.

        Raises:
            DecodeError: as for :meth:`document`.
        """
        document = self.document()
        assert self.resource is not None, "it has a document"
        try:
            says_all = digest(entity_bytes(self.resource, document).decode()) == self.hash
        except ValueError:  # a number that no entity here may have: it will be refused
            says_all = True
        original = b"" if says_all else self.text.encode()
        return Taken(self.resource, self.id, document, hash=self.hash, original=original)


class _Item(msgspec.Struct, frozen=True):
    value: str


def entity_bytes(resource: str, document: JsonObject) -> bytes:
    """Give the NGSI-LD entity of a document, as it is sent and hashed."""
    return canonical(to_ngsi(TYPES[resource], document))


def write_array(entities: Iterable[bytes]) -> bytes:
    """Write entities as one JSON array."""
    return msgspec.json.encode([_item(entity) for entity in entities])


def write_lines(entities: Iterable[bytes]) -> bytes:
    """Write entities as lines."""
    return msgspec.json.Encoder().encode_lines([_item(entity) for entity in entities])


def read_bundle(body: bytes) -> list[Parcel]:
    """Read entities from an array or from lines, in their order.

    Raises:
        DecodeError: it is neither, or an entity is none.
    """
    try:
        if body.lstrip()[:1] == b"[":
            items = msgspec.json.decode(body, type=list[_Item])
        else:
            items = msgspec.json.Decoder(_Item).decode_lines(body)
        texts = [b64decode(item.value, validate=True).decode() for item in items]
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError, binascii.Error) as error:
        raise DecodeError(f"no entities: {error}") from None
    return [_parcel(text) for text in texts]


def _item(entity: bytes) -> _Item:
    return _Item(b64encode(entity).decode())


def _parcel(text: str) -> Parcel:
    hash_ = digest(text)  # refuses what is too deep to be parsed
    try:
        entity = msgspec.json.decode(text, type=dict[str, Any])
    except (msgspec.MsgspecError, UnicodeEncodeError) as error:
        raise DecodeError(f"an entity is no JSON object: {error}") from None
    id_, type_ = entity.get("id"), entity.get("type")
    if not (isinstance(id_, str) and id_ and isinstance(type_, str)):
        raise DecodeError("an entity has an id and a type")
    return Parcel(id_, type_, hash_, entity, text)
