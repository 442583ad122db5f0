"""Which resources travel between members, who may fetch them, and what their events say in tags.

A resource that stands in no group stays at home: individuals are persons, jobs and hubs are
nobody else's business, and usage records travel condensed (``adapters/tmf/usage/``).
"""

from collections.abc import Iterator, Mapping
from enum import Enum
from typing import Final

from adapters.tmf.entity import JsonObject
from adapters.tmf.policy.parties import SELLER, holders_of, parties_of
from adapters.tmf.replication.core.selection import Dimension, tags_of

__all__ = ["Audience", "audience_of", "is_party", "kebab_of", "name_of", "tags_for"]


class Audience(Enum):
    """Which members may fetch the entities of a resource."""

    ALL = "all"
    PARTIES = "parties"  # those whose DID the entity names as a related party
    NOBODY = "nobody"


_ALL: Final = """
catalog category product-offering product-offering-price product-specification
service-catalog service-category service-candidate service-specification
resource-catalog resource-category resource-candidate resource-specification
usage-specification organization
"""
_PARTIES: Final = "product-order cancel-product-order product"
_AUDIENCES: Final[Mapping[str, Audience]] = {
    **dict.fromkeys(_ALL.split(), Audience.ALL),
    **dict.fromkeys(_PARTIES.split(), Audience.PARTIES),
}
_REFERENCES: Final[tuple[tuple[Dimension, str], ...]] = (
    ("category", "category"),
    ("segment", "marketSegment"),
    ("channel", "channel"),
)


def audience_of(kebab: str) -> Audience:
    """Say who may fetch the entities of a resource, by its name in kebab case."""
    return _AUDIENCES.get(kebab, Audience.NOBODY)


def name_of(kebab: str) -> str:
    """Give the lowerCamel name of a resource: "productOffering"."""
    first, *others = kebab.split("-")
    return first + "".join(word.capitalize() for word in others)


def kebab_of(name: str) -> str:
    """Give the name of a resource in kebab case: "product-offering"."""
    return "".join(f"-{letter.lower()}" if letter.isupper() else letter for letter in name)


def is_party(document: JsonObject, did: str) -> bool:
    """Say whether an entity names a member as a related party in any role."""
    return any(name == did for _, name in parties_of(document))


def tags_for(kebab: str, document: JsonObject, environment: str) -> tuple[str, ...]:
    """Give the tags of an event about an entity.

    Of entities that only parties may see nothing but the environment is told.
    """
    tags: tuple[str, ...] = (environment,) if environment else ()
    if audience_of(kebab) is not Audience.ALL:
        return tags
    for dimension, attribute in _REFERENCES:
        tags += tags_of(dimension, _ids(document.get(attribute)))
    return tags + tags_of("seller", filter(None, holders_of(document, SELLER)))


def _ids(references: object) -> Iterator[str]:
    for item in references if isinstance(references, list) else []:
        if isinstance(item, dict) and isinstance(item.get("id"), str):
            yield item["id"]
