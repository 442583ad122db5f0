"""TM Forum JSON and NGSI-LD, in both directions: what Desmos replicates and hashes is NGSI-LD.

Owns the mapping. It follows what FIWARE's TM Forum server keeps in its broker:

- ``id`` stays, ``type`` is the name that Desmos has for the resource;
- an attribute that refers to entities (an object whose ``id`` is an NGSI-LD URN, or an array of
  such objects with different ids) becomes a Relationship, or an array of them with ``datasetId``;
  what else the reference says are its sub-attributes;
- every other attribute becomes a Property;
- a name that NGSI-LD reserves is escaped with ``tmfEscaped-`` wherever it stands.

``to_ngsi`` is deterministic and loses nothing: ``from_ngsi`` gives the document back. What a broker
made of an entity (short forms, system attributes, an array of one element written as that element)
is understood as well, so that foreign entities become TM Forum documents, too. Pure. Recursion is
bounded by whoever parsed the JSON.
"""

from collections.abc import Callable, Iterable
from typing import Any, Final

from adapters.tmf.entity import JsonObject
from ledger.core.errors import DecodeError

__all__ = ["from_ngsi", "to_ngsi"]

_ESCAPE: Final = "tmfEscaped-"
_URN: Final = "urn:ngsi-ld:"
_RELATIONSHIP: Final = "Relationship"
_RESERVED: Final = frozenset(
    {"id", "@id", "value", "@value", "type", "@type", "context", "@context", "object", "datasetId"}
)
_VALUES: Final = {
    "Property": "value",
    "GeoProperty": "value",
    "LanguageProperty": "languageMap",
    "VocabProperty": "vocab",
    "JsonProperty": "json",
    "ListProperty": "valueList",
}
_SYSTEM: Final = frozenset({"observedAt", "createdAt", "modifiedAt", "unitCode"})
# Brokers write an array of one element as the element. These attributes are arrays in every
# resource that Desmos replicates.
_ARRAYS: Final = frozenset(
    {
        "agreement",
        "attachment",
        "bundledProductOffering",
        "bundledProductOfferingRelationship",
        "bundledProductSpecification",
        "category",
        "channel",
        "constraint",
        "contactMedium",
        "externalReference",
        "marketSegment",
        "note",
        "partyCharacteristic",
        "place",
        "popRelationship",
        "prodSpecCharValueUse",
        "productOfferingPrice",
        "productOfferingRelationship",
        "productOfferingTerm",
        "productOrderItem",
        "productSpecCharacteristic",
        "productSpecificationRelationship",
        "relatedParty",
        "subCategory",
    }
)


def to_ngsi(type_: str, document: JsonObject) -> JsonObject:
    """Give the NGSI-LD entity of a TM Forum document, which has an ``id``."""
    entity: JsonObject = {"id": document["id"], "type": type_}
    for name, value in document.items():
        if name != "id":
            entity[_escaped(name)] = _attribute(value)
    return entity


def from_ngsi(entity: JsonObject) -> JsonObject:
    """Give the TM Forum document of an NGSI-LD entity.

    Raises:
        DecodeError: it has no ``id``, or two attributes of one name.
    """
    id_ = entity.get("id")
    if not isinstance(id_, str) or not id_:
        raise DecodeError("an entity has an id")
    rows: list[tuple[str, object]] = [("id", id_)]
    for name, value in entity.items():
        if name not in {"id", "type", "@context"} and not _is_system(name, value):
            rows.append((_unescaped(name), _array(name, _read(value))))
    return _unique(rows)


# --- writing --------------------------------------------------------------------------------


def _attribute(value: Any) -> object:  # noqa: ANN401 - any JSON
    if _is_reference(value):
        return _relationship(value)
    if isinstance(value, list) and value and all(map(_is_reference, value)):
        ids = [item["id"] for item in value]
        if len(set(ids)) == len(ids):  # an entity holds each datasetId once
            return [_relationship(item) | {"datasetId": item["id"]} for item in value]
    return {"type": "Property", "value": _renamed(value, _escaped)}


def _is_reference(value: object) -> bool:
    return isinstance(value, dict) and str(value.get("id")).startswith(_URN)


def _relationship(reference: JsonObject) -> JsonObject:
    said = {
        _escaped(name): {"type": "Property", "value": _renamed(value, _escaped)}
        for name, value in reference.items()
        if name != "id"
    }
    return {"type": _RELATIONSHIP, "object": reference["id"]} | said


def _escaped(name: str) -> str:
    return f"{_ESCAPE}{name}" if name in _RESERVED or name.startswith(_ESCAPE) else name


# --- reading --------------------------------------------------------------------------------


def _read(value: Any) -> object:  # noqa: ANN401 - any JSON
    """Read an attribute in its long form, in an array of those, or as a plain value."""
    if isinstance(value, list) and value and all(map(_is_attribute, value)):
        return [_read(item) for item in value]
    if not _is_attribute(value):
        return _renamed(value, _unescaped)
    if value["type"] != _RELATIONSHIP:
        return _renamed(value[_VALUES[value["type"]]], _unescaped)
    rows = [
        (_unescaped(name), _read(item))
        for name, item in value.items()
        if name not in {"type", "object", "datasetId"} and not _is_system(name, item)
    ]
    if isinstance(value["object"], list):
        return [_unique([("id", id_), *rows]) for id_ in value["object"]]
    return _unique([("id", value["object"]), *rows])


def _is_attribute(value: object) -> bool:
    if not isinstance(value, dict):
        return False
    kind = value.get("type")
    member = "object" if kind == _RELATIONSHIP else _VALUES.get(str(kind))
    return member in value


def _is_system(name: str, value: object) -> bool:
    return name in _SYSTEM and not isinstance(value, dict)


def _array(name: str, value: object) -> object:
    return [value] if name in _ARRAYS and isinstance(value, dict) else value


def _unescaped(name: str) -> str:
    rest = name.removeprefix(_ESCAPE)
    return rest if rest in _RESERVED or rest.startswith(_ESCAPE) else name


# --- both -----------------------------------------------------------------------------------


def _renamed(value: Any, rename: Callable[[str], str]) -> object:  # noqa: ANN401 - any JSON
    """Give a JSON value with other names of its members, at every depth."""
    if isinstance(value, dict):
        return _unique((rename(name), _renamed(item, rename)) for name, item in value.items())
    if isinstance(value, list):
        return [_renamed(item, rename) for item in value]
    return value


def _unique(rows: Iterable[tuple[str, object]]) -> JsonObject:
    members: JsonObject = {}
    for name, value in rows:
        if name in members:
            raise DecodeError("an entity has an attribute twice")
        members[name] = value
    return members
