"""What a resource is to the rules of access: offered to all, agreed between two, or internal.

Owns that grouping. A resource that stands in no group is the operator's alone, so that a new one is
closed until somebody decides about it.
"""

from collections.abc import Mapping
from enum import Enum
from typing import Final

__all__ = ["Kind", "kind_of"]


class Kind(Enum):
    """How a resource is shared."""

    OFFERED = "offered"  # the seller's; everybody's to read once it is launched
    CATEGORY = "category"  # the operator's; everybody's to read
    ORGANISATION = "organisation"  # made by the operator, kept by itself; everybody's to read
    ORDER = "order"  # the buyer's; the seller answers
    CANCELLATION = "cancellation"  # the buyer's request
    HOLDING = "holding"  # the seller's record of what the buyer has and uses
    INTERNAL = "internal"  # the operator's alone


_NAMES: Final = {
    Kind.OFFERED: """
        catalog productOffering productOfferingPrice productSpecification
        serviceCatalog serviceCandidate serviceSpecification
        resourceCatalog resourceCandidate resourceSpecification
        usageSpecification
    """,
    Kind.CATEGORY: "category serviceCategory resourceCategory",
    Kind.ORGANISATION: "organization",
    Kind.ORDER: "productOrder",
    Kind.CANCELLATION: "cancelProductOrder",
    Kind.HOLDING: "product usage",
}
_KINDS: Final[Mapping[str, Kind]] = {
    name: kind for kind, names in _NAMES.items() for name in names.split()
}


def kind_of(resource: str) -> Kind:
    """Give the group of a resource, by its lowerCamel name."""
    return _KINDS.get(resource, Kind.INTERNAL)
