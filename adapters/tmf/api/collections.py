"""Collections and items of all resources over HTTP.

Owns what each method does and answers. Whether a change is allowed is the entity service's
business; here one transaction surrounds it, together with the check of the version that the
client read.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Protocol

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from adapters.tmf.api.callers import CallerOf
from adapters.tmf.api.errors import JSON
from adapters.tmf.api.paging import Shown, list_headers, list_status
from adapters.tmf.api.preconditions import is_known, require_match, version_headers
from adapters.tmf.api.requests import read_document, read_patch
from adapters.tmf.api.routing import Answer, Target
from adapters.tmf.caller import Caller
from adapters.tmf.entities.service import Entities
from adapters.tmf.entity import Change, Entity
from adapters.tmf.query.fields import select
from adapters.tmf.query.model import Query
from adapters.tmf.query.parse import parse_query
from adapters.tmf.resources.model import Resource
from adapters.tmf.store.database import Store
from adapters.tmf.store.ports import Page, Writing
from pubsub.io.body import Bodies

__all__ = ["Collections", "OnChange", "Serving"]


class OnChange(Protocol):
    """Is told of a client's change within its transaction: jobs begin and end so."""

    def __call__(self, txn: Writing, caller: Caller, resource: Resource, change: Change) -> None:
        """Write what follows from a change. Raises TmfError, which undoes it."""
        ...


@dataclass(frozen=True)
class Serving:
    """What answers to requests need."""

    store: Store
    entities: Entities
    caller_of: CallerOf
    bodies: Bodies


class Collections:
    """Answers for the resources."""

    def __init__(self, serving: Serving, on_change: OnChange) -> None:
        self._serving = serving
        self._on_change = on_change

    def of_collection(self, resource: Resource) -> Mapping[str, Answer]:
        """Give the methods of a collection."""
        answers: dict[str, Answer] = {"GET": self._list, "POST": self._create}
        return {method: answers[method] for method in answers.keys() & resource.operations}

    def of_item(self, resource: Resource) -> Mapping[str, Answer]:
        """Give the methods of an item."""
        answers: dict[str, Answer] = {
            "GET": self._get,
            "PATCH": self._patch,
            "DELETE": self._remove,
        }
        return {method: answers[method] for method in answers.keys() & resource.operations}

    async def _list(self, request: Request, target: Target) -> Response:
        serving, resource = self._serving, _resource(target)
        caller = await serving.caller_of(request)
        raw_query = request.scope["query_string"]
        query = parse_query(raw_query)

        def read(store: Store) -> tuple[bytes, Shown]:
            with store.read() as reading:
                page = serving.entities.find(reading, caller, resource, query)
            return _list_body(page, query), Shown(len(page.entities), page.total)

        body, shown = await serving.store.in_thread(read)
        path = f"{resource.base}/{resource.path}"
        headers = list_headers(path, raw_query.decode("ascii"), query, shown)
        return Response(body, list_status(query, shown), headers, JSON)

    async def _create(self, request: Request, target: Target) -> Response:
        serving, resource = self._serving, _resource(target)
        caller = await serving.caller_of(request)
        query = parse_query(request.scope["query_string"])
        sent = await read_document(serving.bodies, request)

        def write(store: Store) -> Entity:
            with store.write() as txn:
                change = serving.entities.create(txn, caller, resource, sent)
                self._on_change(txn, caller, resource, change)
                return _stored(txn, change)

        entity = await serving.store.in_thread(write)
        headers = {**version_headers(entity), "location": resource.href(entity.id)}
        return Response(_shown(entity, query), HTTPStatus.CREATED, headers, JSON)

    async def _get(self, request: Request, target: Target) -> Response:
        serving, resource = self._serving, _resource(target)
        caller = await serving.caller_of(request)
        query = parse_query(request.scope["query_string"])

        def read(store: Store) -> Entity:
            with store.read() as reading:
                return serving.entities.get(reading, caller, resource, target.id)

        entity = await serving.store.in_thread(read)
        headers = version_headers(entity)
        if is_known(request.headers, entity):
            return Response(None, HTTPStatus.NOT_MODIFIED, headers)
        return Response(_shown(entity, query), HTTPStatus.OK, headers, JSON)

    async def _patch(self, request: Request, target: Target) -> Response:
        serving, resource = self._serving, _resource(target)
        caller = await serving.caller_of(request)
        query = parse_query(request.scope["query_string"])
        patch = await read_patch(serving.bodies, request)

        def write(store: Store) -> Entity:
            with store.write() as txn:
                before = serving.entities.get(txn, caller, resource, target.id)
                require_match(request.headers, before)
                change = serving.entities.patch(txn, caller, resource, target.id, patch)
                if change is None:
                    return before
                self._on_change(txn, caller, resource, change)
                return _stored(txn, change)

        entity = await serving.store.in_thread(write)
        return Response(_shown(entity, query), HTTPStatus.OK, version_headers(entity), JSON)

    async def _remove(self, request: Request, target: Target) -> Response:
        serving, resource = self._serving, _resource(target)
        caller = await serving.caller_of(request)

        def write(store: Store) -> None:
            with store.write() as txn:
                before = serving.entities.get(txn, caller, resource, target.id)
                require_match(request.headers, before)
                change = serving.entities.remove(txn, caller, resource, target.id)
                self._on_change(txn, caller, resource, change)

        await serving.store.in_thread(write)
        return Response(None, HTTPStatus.NO_CONTENT)


def _resource(target: Target) -> Resource:
    assert target.resource is not None, "hubs have answers of their own"
    return target.resource


def _stored(txn: Writing, change: Change) -> Entity:
    entity = txn.get(change.resource, change.id)
    assert entity is not None, "it was written in this transaction"
    return entity


def _shown(entity: Entity, query: Query) -> bytes:
    """Give what a client sees of an entity: the stored bytes, or the attributes it asked for."""
    if query.fields is None:
        return entity.body
    return msgspec.json.encode(select(entity.document(), query.fields))


def _list_body(page: Page, query: Query) -> bytes:
    return b"[" + b",".join(_shown(entity, query) for entity in page.entities) + b"]"
