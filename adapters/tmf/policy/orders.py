"""The two sides of a product order: what only the buyer, and what only the seller may change."""

from collections.abc import Iterator
from typing import Final

from adapters.tmf.entity import JsonObject

__all__ = ["request_of", "states_of"]

_ITEMS: Final = "productOrderItem"
_ANSWERS: Final = frozenset({"note", "lastUpdate", _ITEMS})
Position = tuple[int, ...]


def request_of(order: JsonObject) -> object:
    """Give what is the buyer's: all but the notes and the states of the items."""
    items = [
        (position, {name: value for name, value in item.items() if name not in {"state", _ITEMS}})
        for position, item in _items(order)
    ]
    return {name: value for name, value in order.items() if name not in _ANSWERS}, items


def states_of(order: JsonObject) -> object:
    """Give the states of the order and of its items, which are not the buyer's."""
    return order.get("state"), [(position, item.get("state")) for position, item in _items(order)]


def _items(order: JsonObject) -> Iterator[tuple[Position, JsonObject]]:
    """Give all items with their positions, those inside of items too, without recursion."""
    waiting: list[tuple[Position, object]] = [((), order)]
    while waiting:
        position, owner = waiting.pop()
        rows = owner.get(_ITEMS) if isinstance(owner, dict) else None
        for number, row in enumerate(rows if isinstance(rows, list) else []):
            if isinstance(row, dict):
                waiting.append(((*position, number), row))
                yield (*position, number), row
