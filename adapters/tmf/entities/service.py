"""The one way to change an entity: validate, judge by life cycle and policies, write.

Every method works on a transaction of the caller's; an exception is to undo it. What a method
refuses is a ``TmfError``; nothing else leaves it for any input.

Replicas are others' entities: ``accept`` alone writes them, and never touches one of this node.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

import msgspec

from adapters.tmf.caller import Caller
from adapters.tmf.entities.cancelling import TASK, answered, asked, order_id
from adapters.tmf.entities.filling import fill
from adapters.tmf.entities.patching import Patch
from adapters.tmf.entities.policy import Policy, Proposed
from adapters.tmf.entities.refusals import (
    id_taken,
    no_such,
    not_owned_here,
    owned_by_another,
    owned_here,
    too_large,
)
from adapters.tmf.entities.stepping import LifeCycles, kind_of_change
from adapters.tmf.entity import OWN, Change, Entity, JsonObject, What, canonical
from adapters.tmf.query.matching import matcher
from adapters.tmf.query.model import Comparison, Condition, Query
from adapters.tmf.resources.model import Resource
from adapters.tmf.resources.moments import spell_time
from adapters.tmf.resources.problems import malformed
from adapters.tmf.resources.registry import RESOURCES
from adapters.tmf.resources.validation import (
    check_create,
    check_id,
    check_replica,
    check_whole,
    is_id,
)
from adapters.tmf.store.ports import Page, Reading, Writing
from ledger.core.limits import TMF_ENTITY_BYTES_MAX

__all__ = ["Entities"]

_ORDER: Final = RESOURCES["productOrder"]


class Entities:
    """All entities of all resources.

    Args:
        policies: all must agree, in this order.
        now_ms: gives Unix time in milliseconds.
        new_id: gives a UUID as text.
        life_cycles: in the mode that the operator chose.
    """

    def __init__(
        self,
        policies: Iterable[Policy],
        now_ms: Callable[[], int],
        new_id: Callable[[], str],
        life_cycles: LifeCycles | None = None,
    ) -> None:
        self._policies = tuple(policies)
        self._now_ms = now_ms
        self._new_id = new_id
        self._life_cycles = life_cycles or LifeCycles("warn")

    def create(self, txn: Writing, caller: Caller, resource: Resource, sent: object) -> Change:
        """Make a new entity of what a client sent.

        An ``id`` of the client's is kept when it is free. Attributes that are the server's are
        dropped and set. Raises TmfError.
        """
        check_create(resource, sent)
        document = _copied(sent)
        for name in resource.server_set:
            document.pop(name, None)
        for policy in self._policies:
            policy.fill(resource, document, caller)
        new_id = f"urn:ngsi-ld:{resource.kebab}:{self._new_id()}"
        fill(resource, document, new_id, self._now())
        id_ = document["id"]
        check_id(id_)
        if txn.get(resource.name, id_) is not None:
            raise id_taken(resource, id_)
        order = self._asked(txn, caller, document) if resource.name == TASK else None
        self._judge(Proposed(resource, caller, None, document), txn)
        self._life_cycles.judge(resource, None, document)
        if order is not None:
            self._life_cycles.judge(_ORDER, *order)
        change = self._put(txn, resource, document, "create")
        if order is not None:
            self._put(txn, _ORDER, order[1], "state")
        return change

    def patch(
        self, txn: Writing, caller: Caller, resource: Resource, id_: str, patch: Patch
    ) -> Change | None:
        """Change an entity; None when the patch changes nothing. Raises TmfError."""
        entity = self._own(txn, caller, resource, id_)
        fixed = sorted(patch.names() & resource.unpatchable)
        if fixed:
            raise malformed("unpatchable-attribute", (None, fixed[0]), "cannot be patched")
        before = entity.document()
        after = patch.apply(entity.document())
        check_whole(resource, after)
        if _encoded(after) == entity.body:
            return None
        if "lastUpdate" in before and "lastUpdate" not in patch.names():
            after["lastUpdate"] = self._now()
        self._judge(Proposed(resource, caller, before, after), txn)
        self._life_cycles.judge(resource, before, after)
        change = self._put(txn, resource, after, kind_of_change(resource, before, after))
        if resource.name == _ORDER.name and change.what == "state":
            self._answer(txn, before, after)
        return change

    def remove(self, txn: Writing, caller: Caller, resource: Resource, id_: str) -> Change:
        """Delete an entity. Raises TmfError."""
        entity = self._own(txn, caller, resource, id_)
        self._judge(Proposed(resource, caller, entity.document(), None), txn)
        change = txn.remove(resource.name, id_)
        assert change is not None, "it was there in this transaction"
        return change

    def get(self, reading: Reading, caller: Caller, resource: Resource, id_: str) -> Entity:
        """Give an entity; one that the caller may not see does not exist. Raises TmfError 404."""
        entity = self._seen(reading, caller, resource, id_)
        if entity is None:
            raise no_such(resource, id_)
        return entity

    def find(self, reading: Reading, caller: Caller, resource: Resource, query: Query) -> Page:
        """Answer a query over what the caller may see."""
        return reading.find(resource.name, query, self.visible(resource, caller))

    def visible(self, resource: Resource, caller: Caller) -> tuple[Condition, ...]:
        """Give what an entity must meet to exist for a caller: what all policies say."""
        return tuple(each for policy in self._policies for each in policy.visible(resource, caller))

    def accept(
        self,
        txn: Writing,
        origin: str,
        resource: Resource,
        id_: str,
        document: JsonObject | None,
    ) -> Change | None:
        """Store another member's entity as it is, or its end; None when that is known already.

        Args:
            origin: DID of the member that owns it.
            document: None when its owner deleted it.

        Raises:
            TmfError: with a stable code, for the quarantine; 409 "owned-here" and
                "owned-by-another" when two claim the same id.
        """
        assert origin != OWN, "a replica is another's"
        check_id(id_)
        stored = txn.get(resource.name, id_)
        if stored is not None and stored.origin != origin:
            refuse = owned_here if stored.origin == OWN else owned_by_another
            raise refuse(resource, id_)
        before = stored.document() if stored is not None else None
        caller = Caller(organisation=origin)
        if document is None:
            if before is not None:
                self._judge(Proposed(resource, caller, before, None, origin), txn)
            return txn.remove(resource.name, id_)
        check_replica(resource, document)
        if document["id"] != id_:
            raise malformed("id-differs", (None, "id"), "is not the one that was told")
        if stored is not None and _encoded(document) == stored.body:
            return None
        self._judge(Proposed(resource, caller, before, document, origin), txn)
        self._life_cycles.notice(resource, before, document)
        what: What = "create" if before is None else kind_of_change(resource, before, document)
        return self._put(txn, resource, document, what, origin)

    def _asked(
        self, txn: Writing, caller: Caller, task: JsonObject
    ) -> tuple[JsonObject, JsonObject] | None:
        """Give the order before and after a new task; None when it stays."""
        order = self._seen(txn, caller, _ORDER, order_id(task))
        if order is None:
            return None
        if order.origin != OWN:
            raise not_owned_here(_ORDER, order.id)
        before = order.document()
        after = asked(task, before)
        return None if after is None else (before, after)

    def _answer(self, txn: Writing, before: JsonObject, after: JsonObject) -> None:
        """Take the tasks about an order on with its new state."""
        about = Query((Comparison("productOrder.id", "eq", after["id"]),))
        for entity in txn.find(TASK, about).entities:
            task = entity.document()
            changed = answered(task, before, after, self._now())
            if entity.origin == OWN and changed is not None:
                self._put(txn, RESOURCES[TASK], changed, "state")

    def _seen(
        self, reading: Reading, caller: Caller, resource: Resource, id_: str
    ) -> Entity | None:
        """Give an entity if it is there for the caller."""
        entity = reading.get(resource.name, id_) if is_id(id_) else None
        visible = self.visible(resource, caller)
        if entity is None or (visible and not matcher(visible)(entity.document())):
            return None
        return entity

    def _own(self, txn: Writing, caller: Caller, resource: Resource, id_: str) -> Entity:
        entity = self.get(txn, caller, resource, id_)
        if entity.origin != OWN:
            raise not_owned_here(resource, id_)
        return entity

    def _now(self) -> str:
        return spell_time(self._now_ms())

    def _judge(self, proposed: Proposed, reading: Reading) -> None:
        for policy in self._policies:
            policy.judge(proposed, reading)

    def _put(
        self,
        txn: Writing,
        resource: Resource,
        document: JsonObject,
        what: What,
        origin: str = OWN,
    ) -> Change:
        body = _encoded(document)
        if len(body) > TMF_ENTITY_BYTES_MAX:
            raise too_large(len(body))
        entity = Entity(
            resource=resource.name,
            id=document["id"],
            body=body,
            origin=origin,
            changed_ms=self._now_ms(),
        )
        return txn.put(entity, what)


def _copied(sent: object) -> JsonObject:
    """Copy a checked document, so that the client's own is never changed."""
    return msgspec.json.decode(msgspec.json.encode(sent), type=dict[str, Any])


def _encoded(document: Mapping[str, Any]) -> bytes:
    try:
        return canonical(dict(document))
    except ValueError:
        raise malformed("not-json", None, "has a value that JSON cannot say") from None
