"""Is a document an entity of its resource? The one judge of attributes, for clients and replicas.

Checks what the definitions say: kinds of values, words of enumerations, required attributes at any
depth. Attributes that no definition knows are extensions: kept, and not looked into. ``null`` is a
value for every attribute; at the first level it does not meet a requirement.

Never changes a document; never judges a policy or a life cycle.
"""

import re
from collections import deque
from collections.abc import Mapping
from typing import Final

from adapters.tmf.entity import JsonObject
from adapters.tmf.resources.bounds import check_bounds
from adapters.tmf.resources.lifecycle import fold
from adapters.tmf.resources.model import Attribute, Resource, Shape
from adapters.tmf.resources.moments import is_date_time
from adapters.tmf.resources.problems import Place, malformed
from adapters.tmf.resources.registry import TABLES
from ledger.core.limits import TMF_ID_CHARS_MAX

__all__ = ["check_create", "check_id", "check_replica", "check_whole", "is_id"]

_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:~@=()-]*")
_EXACT: Final = frozenset({"ItemAction"})  # words that programs compare letter by letter

_Waiting = deque[tuple[Mapping[str, object], Shape, Place]]


def check_create(resource: Resource, document: object) -> None:
    """Check what a client sent for a new entity.

    Raises:
        TmfError: 400; the message names the attribute.
    """
    _check(resource, document, is_strict=True)


def check_whole(resource: Resource, document: JsonObject) -> None:
    """Check an entity as it would be stored; raises as ``check_create``."""
    _check(resource, document, is_strict=True)
    check_id(document.get("id"))


def check_replica(resource: Resource, document: object) -> None:
    """Check the entity of another member; raises as ``check_create``.

    Its node may have been lenient with what is required inside of attributes, so nobody asks for
    that again here.
    """
    _check(resource, document, is_strict=False)
    assert isinstance(document, dict), "checked above"
    check_id(document.get("id"))


def check_id(id_: object) -> None:
    """Check that an id can stand in a path as it is. Raises TmfError 400."""
    if not is_id(id_):
        what = f"is not of 1 to {TMF_ID_CHARS_MAX} letters, digits and ._:~@=()-"
        raise malformed("invalid-id", (None, "id"), what)


def is_id(id_: object) -> bool:
    """Tell whether an id can stand in a path as it is; no entity has any other."""
    return isinstance(id_, str) and len(id_) <= TMF_ID_CHARS_MAX and _ID.fullmatch(id_) is not None


def _check(resource: Resource, document: object, *, is_strict: bool) -> None:
    if not isinstance(document, dict):
        raise malformed("wrong-type", None, "is not a JSON object")
    check_bounds(document)
    for name in resource.required:
        if document.get(name) is None:
            raise malformed("missing-attribute", (None, name), "is required")
    named = document.get("@type")
    shape = named if named in resource.subtypes else resource.type_name
    waiting: _Waiting = deque([(document, TABLES.shapes[shape], None)])
    while waiting:
        found, shape_of_found, place = waiting.popleft()
        if is_strict and place is not None:
            _check_required(found, shape_of_found, place)
        for name, value in found.items():
            attribute = shape_of_found.attributes.get(name)
            if attribute is None:
                _check_extension(name, place)
            elif value is not None:
                _check_attribute(attribute, value, (place, name), waiting)


def _check_required(found: Mapping[str, object], shape: Shape, place: Place) -> None:
    for name in shape.required:
        if name not in found:
            raise malformed("missing-attribute", (place, name), "is required")


def _check_extension(name: str, place: Place) -> None:
    """Keep an unknown name from passing for the path of a known attribute in a query."""
    if "." in name:
        raise malformed("forbidden-name", (place, name), "has a dot in its name")


def _check_attribute(attribute: Attribute, value: object, place: Place, waiting: _Waiting) -> None:
    if not attribute.is_many:
        _check_value(attribute, value, place, waiting)
        return
    if not isinstance(value, list):
        raise malformed("wrong-type", place, "is not an array")
    if len(value) < attribute.items_min:
        raise malformed("too-few-items", place, f"has fewer than {attribute.items_min} items")
    for index, item in enumerate(value):
        _check_value(attribute, item, (place, index), waiting)


def _check_value(attribute: Attribute, value: object, place: Place, waiting: _Waiting) -> None:
    if attribute.kind == "any":
        return
    if attribute.kind == "object":
        if not isinstance(value, dict):
            raise malformed("wrong-type", place, "is not an object")
        waiting.append((value, TABLES.shapes[attribute.of], place))
    elif attribute.kind == "boolean":
        if not isinstance(value, bool):
            raise malformed("wrong-type", place, "is not a boolean")
    elif attribute.kind in {"integer", "number"}:
        _check_number(value, place, is_whole=attribute.kind == "integer")
    else:
        _check_text(attribute, value, place)


def _check_text(attribute: Attribute, value: object, place: Place) -> None:
    if not isinstance(value, str):
        raise malformed("wrong-type", place, "is not a string")
    if attribute.kind == "time" and not is_date_time(value):
        raise malformed("invalid-date-time", place, "is not a date-time of RFC 3339")
    if attribute.kind == "one of":
        _check_word(attribute.of, value, place)


def _check_number(value: object, place: Place, *, is_whole: bool) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise malformed("wrong-type", place, "is not a number")
    if is_whole and isinstance(value, float) and not value.is_integer():
        raise malformed("wrong-type", place, "is not an integer")


def _check_word(words_name: str, value: str, place: Place) -> None:
    """Check a word of an enumeration; states without regard to case and outer blanks."""
    words = TABLES.words[words_name]
    if words_name in _EXACT:
        is_known = value in words
    else:
        is_known = fold(value) in {fold(word) for word in words}
    if not is_known:
        raise malformed("unknown-value", place, f"is not one of: {', '.join(words)}")
