"""A store in memory, and the entity service over it, for tests."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import Connection

from adapters.tmf.caller import OPERATOR, Caller
from adapters.tmf.entities.patching import JsonPatch, MergePatch
from adapters.tmf.entities.policy import Policy
from adapters.tmf.entities.service import Entities
from adapters.tmf.entities.stepping import LifeCycles, Mode, Step
from adapters.tmf.entity import Change, Entity, JsonObject, What
from adapters.tmf.query.matching import matcher
from adapters.tmf.query.model import Condition, Query
from adapters.tmf.refusal import TmfError
from adapters.tmf.resources.registry import RESOURCES
from adapters.tmf.store.ports import Page

__all__ = ["NOW", "NOW_MS", "OTHER", "MemoryStore", "World", "minimal", "refusal"]

NOW_MS = 1_795_273_680_123
NOW = "2026-11-21T15:08:00.123Z"
OTHER = "did:elsi:VATES-11111111K"

MINIMAL: dict[str, JsonObject] = {
    "productOrder": {"productOrderItem": [{"id": "1", "action": "add"}]},
    "cancelProductOrder": {"productOrder": {"id": "nowhere"}},
    "individual": {"givenName": "Ada", "familyName": "L"},
    "organization": {"tradingName": "Org"},
    "serviceCandidate": {"name": "S", "serviceSpecification": {"id": "1"}},
    "usage": {},
    "usageSpecification": {},
    "product": {"status": "created"},
}


def minimal(resource: str) -> JsonObject:
    """Give the smallest document that a POST of the resource takes."""
    path = RESOURCES[resource].path
    if path in {"importJob", "exportJob"}:
        return {"url": "https://example.org/file"}
    found = MINIMAL.get(resource, {"name": "N"})
    return {**found}


@contextmanager
def refusal(code: str = "", place: str = "", status: int = 0) -> Iterator[None]:
    """Expect a refusal with this code, whose message begins with this place."""
    with pytest.raises(TmfError) as caught:
        yield
    assert code in {"", caught.value.code}, str(caught.value)
    assert status in {0, caught.value.status}, str(caught.value)
    assert caught.value.message.startswith(place), str(caught.value)


class MemoryStore:
    """Entities in a dictionary."""

    def __init__(self) -> None:
        self.entities: dict[tuple[str, str], Entity] = {}
        self.journal: list[Change] = []

    @property
    def connection(self) -> Connection:
        """There is none."""
        raise NotImplementedError

    def get(self, resource: str, id_: str) -> Entity | None:
        """Give one entity."""
        return self.entities.get((resource, id_))

    def find(self, resource: str, query: Query, visible: tuple[Condition, ...] = ()) -> Page:
        """Answer a query, in order of creation."""
        meets = matcher((*query.conditions, *visible))
        found = [
            each
            for (name, _), each in self.entities.items()
            if name == resource and meets(each.document())
        ]
        end = None if query.limit is None else query.offset + query.limit
        return Page(found[query.offset : end], len(found))

    def every(self, resource: str, after_id: str = "", limit: int = 1000) -> Iterator[Entity]:
        """Walk in order of ids."""
        ids = sorted(id_ for name, id_ in self.entities if name == resource and id_ > after_id)
        yield from (self.entities[resource, id_] for id_ in ids[:limit])

    def changes(self, after: int, limit: int) -> list[Change]:
        """Give lines of the journal."""
        return self.journal[after : after + limit]

    def last_change(self) -> int:
        """Give the newest number."""
        return len(self.journal)

    def history(self, resource: str, id_: str) -> list[Change]:
        """Give the changes of one entity."""
        return [each for each in self.journal if (each.resource, each.id) == (resource, id_)]

    def put(self, entity: Entity, what: What) -> Change:
        """Store an entity and write the journal."""
        before = self.get(entity.resource, entity.id)
        self.entities[entity.resource, entity.id] = entity
        return self._write(entity, what, before.body if before else None, entity.body)

    def remove(self, resource: str, id_: str) -> Change | None:
        """Delete an entity."""
        found = self.entities.pop((resource, id_), None)
        return None if found is None else self._write(found, "delete", found.body, None)

    def _write(
        self, entity: Entity, what: What, before: bytes | None, after: bytes | None
    ) -> Change:
        number = len(self.journal) + 1
        change = Change(
            number,
            entity.resource,
            entity.id,
            what,
            f"event-{number}",
            before,
            after,
            entity.origin,
            entity.changed_ms,
        )
        self.journal.append(change)
        return change


class World:
    """The service over a store in memory; every call is the operator's unless said otherwise."""

    def __init__(self, *policies: Policy, mode: Mode = "warn") -> None:
        self.store = MemoryStore()
        self.now_ms = NOW_MS
        self.reported: list[Step] = []
        self._ids = 0
        self._life_cycles = LifeCycles(mode, self.reported.append)
        self.use(*policies)

    def use(self, *policies: Policy) -> None:
        """Judge by these policies from now on."""
        self.service = Entities(policies, self._now, self._new_id, self._life_cycles)

    def get(self, resource: str, id_: str, caller: Caller = OPERATOR) -> Entity:
        """GET one."""
        return self.service.get(self.store, caller, RESOURCES[resource], id_)

    def create(
        self, resource: str, sent: object = None, caller: Caller = OPERATOR
    ) -> dict[str, Any]:
        """POST, and give what is stored."""
        sent = minimal(resource) if sent is None else sent
        change = self.service.create(self.store, caller, RESOURCES[resource], sent)
        return self.stored(resource, change.id)

    def merge(
        self, resource: str, id_: str, changes: object, caller: Caller = OPERATOR
    ) -> Change | None:
        """PATCH with a merge patch."""
        patch = MergePatch(changes)
        return self.service.patch(self.store, caller, RESOURCES[resource], id_, patch)

    def operate(self, resource: str, id_: str, operations: object) -> Change | None:
        """PATCH with a JSON patch."""
        patch = JsonPatch(operations)
        return self.service.patch(self.store, OPERATOR, RESOURCES[resource], id_, patch)

    def remove(self, resource: str, id_: str, caller: Caller = OPERATOR) -> Change:
        """DELETE."""
        return self.service.remove(self.store, caller, RESOURCES[resource], id_)

    def accept(
        self, resource: str, id_: str, document: JsonObject | None, origin: str = OTHER
    ) -> Change | None:
        """Store a replica."""
        return self.service.accept(self.store, origin, RESOURCES[resource], id_, document)

    def stored(self, resource: str, id_: str) -> dict[str, Any]:
        """Give a stored document."""
        entity = self.store.get(resource, id_)
        assert entity is not None
        return entity.document()

    def _now(self) -> int:
        return self.now_ms

    def _new_id(self) -> str:
        self._ids += 1
        return f"00000000-0000-4000-8000-{self._ids:012d}"
