"""Which resources go by Desmos, and what Desmos calls them.

Two of Desmos' types are missing on purpose: an individual is a person, whose data never leaves the
node, and usage goes condensed into blocks (``adapters/tmf/usage``).
"""

from collections.abc import Mapping
from typing import Final

__all__ = ["RESOURCES", "TYPES"]

TYPES: Final[Mapping[str, str]] = {
    "organization": "organization",
    "catalog": "catalog",
    "category": "category",
    "productSpecification": "product-specification",
    "serviceSpecification": "service-specification",
    "resourceSpecification": "resource-specification",
    "productOfferingPrice": "product-offering-price",
    "productOffering": "product-offering",
    "productOrder": "product-order",
    "product": "product",
    "usageSpecification": "usageSpecification",
}
"""Desmos' type by lowerCamel name of the resource; what others refer to stands before them."""

RESOURCES: Final[Mapping[str, str]] = {type_: resource for resource, type_ in TYPES.items()}
"""The resource by Desmos' type."""
