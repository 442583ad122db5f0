"""What a definition of the seven APIs is made of: attributes, shapes, resources, APIs.

Owns the vocabulary alone; the facts stand in the text tables beside it (``shapes_*.py``), the
resources in ``registry.py``. Never holds a rule of a profile.
"""

from typing import Literal

import msgspec

from adapters.tmf.entity import What
from adapters.tmf.resources.lifecycle import LifeCycle

__all__ = ["Api", "Attribute", "Kind", "Operation", "Resource", "Shape"]

Kind = Literal["string", "boolean", "integer", "number", "time", "any", "object", "one of"]
"""What a value is: "time" is a date-time, "one of" a word of an enumeration."""

Operation = Literal["GET", "POST", "PATCH", "DELETE"]


class Attribute(msgspec.Struct, frozen=True):
    """One attribute of a shape.

    Attributes:
        of: the shape of an "object", the words' name of a "one of"; else empty.
        is_many: an array of such values.
        items_min: of an array.
    """

    name: str
    kind: Kind = "string"
    of: str = ""
    is_many: bool = False
    is_required: bool = False
    items_min: int = 0


class Shape(msgspec.Struct, frozen=True):
    """A kind of object: its attributes by name, those that every object may have included."""

    name: str
    attributes: dict[str, Attribute]
    required: tuple[str, ...]


class Resource(msgspec.Struct, frozen=True):
    """One collection of one API.

    Attributes:
        name: unique over the APIs, the key of the store; the path but for jobs.
        api: name of its API.
        base: path of its API ("/tmf-api/productCatalogManagement/v4").
        path: segment of the collection, and the key of the entity in an event.
        kebab: for ids and for events on the ledger ("product-offering").
        type_name: what ``@type`` says when nobody says more, and the name of its shape.
        required: attributes that a POST must have, at the first level.
        server_set: attributes that are the server's at POST: what a client sends is dropped.
        unpatchable: attributes that a PATCH must not name.
        operations: what HTTP may do with it.
        events: names of all its events as in listener paths ("productOfferingCreateEvent").
        state_attribute: whose change is a change of state; empty for none.
        first_state: what the state attribute is at POST when the client does not say.
        life_cycle: the states and what may follow what; None for any.
        stamped: date-time attributes that are the time of POST when the client does not say.
        subtypes: other shapes that ``@type`` may name here.
    """

    name: str
    api: str
    base: str
    path: str
    kebab: str
    type_name: str
    required: tuple[str, ...]
    server_set: frozenset[str]
    unpatchable: frozenset[str]
    operations: frozenset[Operation]
    events: tuple[str, ...]
    state_attribute: str = ""
    first_state: str = ""
    life_cycle: LifeCycle | None = None
    stamped: tuple[str, ...] = ()
    subtypes: tuple[str, ...] = ()

    def href(self, id_: str) -> str:
        """Give the relative reference of an entity."""
        return f"{self.base}/{self.path}/{id_}"

    def event_type(self, what: What) -> str:
        """Name the event of a change ("ProductOfferingStateChangeEvent").

        A resource without an event of its own for a change of state tells of a changed attribute;
        empty when the API tells of no such change (jobs of TMF620 and TMF633).
        """
        told = _TOLD[what]
        for suffix in told:
            name = f"{self.path}{suffix}Event"
            if name in self.events:
                return name[0].upper() + name[1:]
        return ""


class Api(msgspec.Struct, frozen=True):
    """One TM Forum API.

    Attributes:
        base: path without a closing slash.
        resources: in the order of the definition.
    """

    name: str
    number: int
    base: str
    resources: tuple[Resource, ...]


_TOLD: dict[What, tuple[str, ...]] = {
    "create": ("Create",),
    "attribute": ("AttributeValueChange", "Change"),
    "state": ("StateChange", "AttributeValueChange", "Change"),
    "delete": ("Delete",),
}
