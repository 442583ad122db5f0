"""What the node adds to a new entity: what the server sets, and what the client left to it.

Pure: the id that is free to use and the time are given. ``null`` counts as left to the node.
"""

from typing import Final

from adapters.tmf.entity import JsonObject
from adapters.tmf.resources.lifecycle import ORDER_ITEMS
from adapters.tmf.resources.model import Resource

__all__ = ["fill"]

_FIRST_ITEM_STATE: Final = "acknowledged"


def fill(resource: Resource, document: JsonObject, id_: str, now: str) -> None:
    """Complete a sound document.

    Args:
        id_: for an entity that has none.
        now: date-time for attributes that say when it was made.
    """
    _default(document, "id", id_)
    document["href"] = resource.href(str(document["id"]))
    _default(document, "@type", resource.type_name)
    if resource.first_state:
        _default(document, resource.state_attribute, resource.first_state)
    for name in resource.stamped:
        _default(document, name, now)
    if resource.name == "productOrder":
        _fill_items(document)


def _fill_items(order: JsonObject) -> None:
    """Let all items of an order begin, also those inside of items."""
    waiting = [order]
    while waiting:
        items = waiting.pop().get(ORDER_ITEMS) or []
        for item in items:
            _default(item, "state", _FIRST_ITEM_STATE)
        waiting += items


def _default(document: JsonObject, name: str, value: str) -> None:
    if document.get(name) is None:
        document[name] = value
