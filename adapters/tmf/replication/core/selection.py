"""Which part of the catalogue a node takes, by what events say of entities in their tags.

Tags are short: a dimension and the beginning of a digest of the value, so that an identifier of any
length fits. An event that names too many values of a dimension names "any" instead, and one that
says nothing of a dimension is not narrowed by it: a price has no category, its offering has.
"""

from collections.abc import Iterable
from hashlib import sha256
from typing import Final, Literal

import msgspec

from adapters.tmf.replication.core.model import Told

__all__ = ["DIMENSIONS", "Dimension", "Selection", "tag_of", "tags_of"]

Dimension = Literal["category", "seller", "segment", "channel"]
DIMENSIONS: Final[tuple[Dimension, ...]] = ("category", "seller", "segment", "channel")

_ANY: Final = "*"
_DIGITS: Final = 24
_VALUES_MAX: Final = {"category": 4, "seller": 3, "segment": 4, "channel": 4}
"""With the environment these are 16 tags, as many as an event may have."""


class Selection(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A part of the catalogue. Within a dimension any value suffices; empty means all.

    Attributes:
        environment: only events that carry this tag ("prd"); empty for all.
        resources: types in kebab case.
        categories, sellers, segments, channels: identifiers as the entities hold them.
    """

    environment: str = ""
    resources: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    sellers: tuple[str, ...] = ()
    segments: tuple[str, ...] = ()
    channels: tuple[str, ...] = ()

    def wants(self, told: Told) -> bool:
        """Say whether the entity of an event is in this part."""
        if self.environment and self.environment not in told.tags:
            return False
        if self.resources and told.resource not in self.resources:
            return False
        asked = (self.categories, self.sellers, self.segments, self.channels)
        return all(
            _meets(told.tags, dimension, values)
            for dimension, values in zip(DIMENSIONS, asked, strict=True)
        )


def tag_of(dimension: Dimension, value: str) -> str:
    """Give the tag of one value."""
    return f"{dimension}:{sha256(value.encode()).hexdigest()[:_DIGITS]}"


def tags_of(dimension: Dimension, values: Iterable[str]) -> tuple[str, ...]:
    """Give the tags of all values of an entity, in a fixed order."""
    tags = sorted({tag_of(dimension, value) for value in values})
    return tuple(tags) if len(tags) <= _VALUES_MAX[dimension] else (f"{dimension}:{_ANY}",)


def _meets(tags: tuple[str, ...], dimension: Dimension, values: tuple[str, ...]) -> bool:
    named = [tag for tag in tags if tag.startswith(f"{dimension}:")]
    if not values or not named or f"{dimension}:{_ANY}" in named:
        return True
    return any(tag_of(dimension, value) in named for value in values)
