"""A policy that has no opinion: what each policy is where its own rule says nothing."""

from adapters.tmf.caller import Caller
from adapters.tmf.entities.policy import Proposed
from adapters.tmf.entity import JsonObject
from adapters.tmf.query.model import Condition
from adapters.tmf.resources.model import Resource
from adapters.tmf.store.ports import Reading

__all__ = ["NeutralPolicy"]


class NeutralPolicy:
    """See ``adapters.tmf.entities.policy.Policy``."""

    def fill(self, resource: Resource, document: JsonObject, caller: Caller) -> None:
        """Add nothing to a new entity."""

    def judge(self, proposed: Proposed, reading: Reading) -> None:
        """Allow the change."""

    def visible(self, resource: Resource, caller: Caller) -> tuple[Condition, ...]:
        """Hide nothing."""
        del resource, caller
        return ()
