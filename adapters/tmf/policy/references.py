"""References that must lead somewhere: the switch ``references = "checked"``.

Off by default: the TM Forum's kits refer to what does not exist, and a marketplace may sell what is
specified elsewhere. Judged are the references that a change adds, never those that stand already
nor those of other members' entities.
"""

from collections.abc import Mapping
from typing import Final

from adapters.tmf.entities.policy import Proposed
from adapters.tmf.entity import OWN, JsonObject
from adapters.tmf.policy.neutral import NeutralPolicy
from adapters.tmf.policy.refusals import wrong
from adapters.tmf.store.ports import Reading

__all__ = ["ReferenceRules"]

_TARGETS: Final[Mapping[str, tuple[str, ...]]] = {
    "bundledProductOffering": ("productOffering",),
    "bundledProductSpecification": ("productSpecification",),
    "category": ("category", "serviceCategory", "resourceCategory"),
    "product": ("product",),
    "productOffering": ("productOffering",),
    "productOfferingPrice": ("productOfferingPrice",),
    "productOrder": ("productOrder",),
    "productRef": ("product",),
    "productSpecification": ("productSpecification",),
    "relatedParty": ("organization", "individual"),
    "resourceCandidate": ("resourceCandidate",),
    "resourceSpecification": ("resourceSpecification",),
    "serviceCandidate": ("serviceCandidate",),
    "serviceSpecification": ("serviceSpecification",),
    "subCategory": ("category", "serviceCategory", "resourceCategory"),
    "usageSpecification": ("usageSpecification",),
}
"""By the attribute that holds a reference, the resources of which one must have its id."""


class ReferenceRules(NeutralPolicy):
    """References within this node."""

    def judge(self, proposed: Proposed, reading: Reading) -> None:
        """Refuse a reference to nothing. Raises TmfError 400."""
        if proposed.origin != OWN or proposed.after is None:
            return
        known = set() if proposed.before is None else _references(proposed.before)
        for name, id_ in sorted(_references(proposed.after) - known):
            if not any(reading.get(resource, id_) for resource in _TARGETS[name]):
                raise wrong("unknown-reference", f"{name}: there is no {id_}")


def _references(document: JsonObject) -> set[tuple[str, str]]:
    """Give (attribute, id) of all references, however deep, without recursion."""
    found: set[tuple[str, str]] = set()
    waiting: list[tuple[str, object]] = [("", document)]
    while waiting:
        name, value = waiting.pop()
        if isinstance(value, list):
            waiting += [(name, row) for row in value]
        elif isinstance(value, dict):
            waiting += value.items()
            id_ = value.get("id")
            if name in _TARGETS and isinstance(id_, str):
                found.add((name, id_))
    return found
