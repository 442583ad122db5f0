"""The notation of the shape tables, read once when the program starts.

A statement begins at the left margin and goes on over indented lines:

    Shape < Parent Parent: name name! name:boolean name:Shape[] name:Shape[+]! name=Words
    Words = one | two words | three

``!`` is required, ``[]`` an array, ``[+]`` an array of at least one, ``=`` one of some words. An
attribute without a kind is a string. A later attribute replaces one of the same name. Every shape
has the attributes of ``EVERYWHERE``.
"""

import re
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Final, NamedTuple, cast

from adapters.tmf.resources.model import Attribute, Kind, Shape

__all__ = ["EVERYWHERE", "Tables", "read_tables"]

EVERYWHERE: Final = (
    "id",
    "href",
    "@type",
    "@baseType",
    "@schemaLocation",
    "@referredType",
    "@valueSchemaLocation",
)
"""What every object may have: all strings."""

_KINDS: Final = frozenset({"boolean", "integer", "number", "time", "any"})
_ATTRIBUTE: Final = re.compile(
    r"(?P<name>@?\w+)(?:(?P<sign>[:=])(?P<of>\w+))?(?P<many>\[\+?\])?(?P<required>!)?"
)


class Tables(NamedTuple):
    """What the tables say.

    Attributes:
        shapes: by name.
        words: of each enumeration, by its name.
    """

    shapes: Mapping[str, Shape]
    words: Mapping[str, tuple[str, ...]]


def read_tables(*texts: str) -> Tables:
    """Read statements; a shape may name shapes that come later, but for its parents."""
    shapes: dict[str, Shape] = {}
    words: dict[str, tuple[str, ...]] = {}
    for statement in _statements(texts):
        head, colon, attributes = statement.partition(":")
        if not colon or "=" in head:
            name, _, text = statement.partition("=")
            words[name.strip()] = tuple(word.strip() for word in text.split("|"))
            continue
        name, _, parents = head.partition("<")
        known = {each: Attribute(each) for each in EVERYWHERE}
        for parent in parents.split():
            known |= shapes[parent].attributes
        known |= {each.name: each for each in map(_attribute, attributes.split())}
        required = tuple(each.name for each in known.values() if each.is_required)
        shapes[name.strip()] = Shape(name.strip(), known, required)
    return Tables(MappingProxyType(shapes), MappingProxyType(words))


def _statements(texts: tuple[str, ...]) -> Iterator[str]:
    for text in texts:
        for statement in re.split(r"\n(?=\S)", text.strip()):
            yield " ".join(statement.split())


def _attribute(text: str) -> Attribute:
    found = _ATTRIBUTE.fullmatch(text)
    assert found is not None, f"not an attribute: {text}"
    of = found["of"] or "string"
    kind = cast("Kind", of) if of in _KINDS else "string" if of == "string" else "object"
    if found["sign"] == "=":
        kind = "one of"
    return Attribute(
        name=found["name"],
        kind=kind,
        of=of if kind in {"object", "one of"} else "",
        is_many=found["many"] is not None,
        is_required=found["required"] is not None,
        items_min=1 if found["many"] == "[+]" else 0,
    )
