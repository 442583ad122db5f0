"""What a profile may do when an entity changes: fill in, judge, hide.

Policies see whole documents and the transaction's own view of all other entities. They never write.
"""

from typing import Protocol

import msgspec

from adapters.tmf.caller import Caller
from adapters.tmf.entity import OWN, JsonObject
from adapters.tmf.query.model import Condition
from adapters.tmf.resources.model import Resource
from adapters.tmf.store.ports import Reading

__all__ = ["Policy", "Proposed"]


class Proposed(msgspec.Struct, frozen=True):
    """A change that is sound and would be made now.

    Attributes:
        caller: who asked; for a replica the member that owns it.
        before: the document that is stored; None for a create.
        after: the document that would be stored; None for a delete.
        origin: whose entity it is; ``OWN`` for this node's.
    """

    resource: Resource
    caller: Caller
    before: JsonObject | None
    after: JsonObject | None
    origin: str = OWN


class Policy(Protocol):
    """One set of rules of a profile."""

    def fill(self, resource: Resource, document: JsonObject, caller: Caller) -> None:
        """Add defaults at create, before the node's own, to a document that was sound as sent."""
        ...

    def judge(self, proposed: Proposed, reading: Reading) -> None:
        """Refuse a change: raises TmfError."""
        ...

    def visible(self, resource: Resource, caller: Caller) -> tuple[Condition, ...]:
        """Give what an entity must meet to exist for the caller; empty for all."""
        ...
