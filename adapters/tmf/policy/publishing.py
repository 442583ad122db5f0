"""Which versions of an entity other members are told of.

What was never launched is nobody's business yet; what was told once is told on by replication,
whatever becomes of it.
"""

from typing import Final

from adapters.tmf.entity import JsonObject
from adapters.tmf.policy.kinds import Kind, kind_of
from adapters.tmf.policy.refusals import is_launched
from adapters.tmf.resources.lifecycle import fold

__all__ = ["is_published"]

_DRAFTS: Final = frozenset({"in study", "in design", "in test", "rejected"})


def is_published(resource: str, document: JsonObject) -> bool:
    """Say whether this version of an entity is for other members, too."""
    kind = kind_of(resource)
    if kind is Kind.OFFERED:
        return is_launched(document)
    if kind is Kind.CATEGORY:
        status = document.get("lifecycleStatus")
        return not (isinstance(status, str) and fold(status) in _DRAFTS)
    return kind is not Kind.INTERNAL
