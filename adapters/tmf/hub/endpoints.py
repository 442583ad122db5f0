"""The hub over HTTP: registering, looking, ending.

Owns the documents of registrations. A caller sees and ends its own; the operator all of them.
``GET`` is ours: TM Forum's definition has none, and a subscriber could not see how it is served.
"""

from collections.abc import Callable, Mapping
from http import HTTPStatus

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from adapters.tmf.api.collections import Serving
from adapters.tmf.api.errors import JSON, not_found
from adapters.tmf.api.requests import read_document
from adapters.tmf.api.routing import Answer, Target
from adapters.tmf.caller import ANYBODY, Caller
from adapters.tmf.entity import JsonObject
from adapters.tmf.hub import registrations
from adapters.tmf.hub.hub import Hub
from adapters.tmf.hub.model import Registration
from adapters.tmf.hub.query import read_query
from adapters.tmf.hub.registrations import Held
from adapters.tmf.refusal import TmfError
from adapters.tmf.resources.model import Api
from adapters.tmf.resources.moments import spell_time
from adapters.tmf.store.database import Store
from ledger.core.limits import TMF_HUB_CALLBACK_CHARS_MAX
from pubsub.io.egress import Egress, EgressError, require_endpoint

__all__ = ["HubEndpoints"]


class HubEndpoints:
    """Answers for ``/hub`` and ``/hub/{id}`` of every API."""

    def __init__(
        self, serving: Serving, hub: Hub, new_id: Callable[[], str], now_ms: Callable[[], int]
    ) -> None:
        self._serving = serving
        self._hub = hub
        self._new_id = new_id
        self._now_ms = now_ms

    def of_hub(self) -> Mapping[str, Answer]:
        """Give the methods of a hub."""
        return {"GET": self._list, "POST": self._register}

    def of_registration(self) -> Mapping[str, Answer]:
        """Give the methods of a registration."""
        return {"GET": self._get, "DELETE": self._remove}

    async def _register(self, request: Request, target: Target) -> Response:
        caller = await self._caller(request)
        sent = await read_document(self._serving.bodies, request)
        callback, query = _sent(sent, self._hub.egress)
        wanted = read_query(query, target.api)
        if self._hub.delivery_of(wanted) == "listener" and "?" in callback:
            raise _refused("callback: a URL with a query has no /listener below it")
        registration = Registration(
            id=self._new_id(),
            api=target.api.name,
            callback=callback,
            query=query,
            owner=caller,
            created_ms=self._now_ms(),
        )

        def write(store: Store) -> Held:
            with store.write() as txn:
                return registrations.add(txn.connection, registration, txn.last_change())

        held = await self._serving.store.in_thread(write)
        self._hub.add(held)
        headers = {"location": f"{target.api.base}/hub/{registration.id}"}
        body = msgspec.json.encode(_document(held, with_health=False))
        return Response(body, HTTPStatus.CREATED, headers, JSON)

    async def _list(self, request: Request, target: Target) -> Response:
        caller = await self._caller(request)

        def read(store: Store) -> list[Held]:
            with store.read() as reading:
                held = registrations.every(reading.connection)
            return [each for each in held if _is_for(caller, target.api, each)]

        found = await self._serving.store.in_thread(read)
        count = str(len(found))
        headers = {"x-total-count": count, "x-result-count": count}
        body = msgspec.json.encode([_document(self._now(each)) for each in found])
        return Response(body, HTTPStatus.OK, headers, JSON)

    async def _get(self, request: Request, target: Target) -> Response:
        caller = await self._caller(request)

        def read(store: Store) -> Held:
            with store.read() as reading:
                return _require(registrations.get(reading.connection, target.id), caller, target)

        held = await self._serving.store.in_thread(read)
        body = msgspec.json.encode(_document(self._now(held)))
        return Response(body, HTTPStatus.OK, media_type=JSON)

    async def _remove(self, request: Request, target: Target) -> Response:
        caller = await self._caller(request)

        def write(store: Store) -> None:
            with store.write() as txn:
                _require(registrations.get(txn.connection, target.id), caller, target)
                registrations.remove(txn.connection, target.id)

        await self._serving.store.in_thread(write)
        self._hub.remove(target.id)
        return Response(None, HTTPStatus.NO_CONTENT)

    def _now(self, held: Held) -> Held:
        """Give a registration with its newest progress: the table's is a moment old."""
        return held._replace(progress=self._hub.progress_of(held))

    async def _caller(self, request: Request) -> Caller:
        """Give who asks; a registration needs an owner."""
        caller = await self._serving.caller_of(request)
        if caller == ANYBODY:
            message = "a registration needs an owner: say who you are"
            status = HTTPStatus.UNAUTHORIZED
            raise TmfError(status, "unauthorized", "Unauthorized", message)
        return caller


def _sent(sent: object, egress: Egress) -> tuple[str, str]:
    """Give callback and query of what a client sent. Raises TmfError 400."""
    if not isinstance(sent, dict):
        raise _refused("the document is not a JSON object")
    callback, query = sent.get("callback"), sent.get("query")
    if not isinstance(callback, str) or not callback:
        raise _refused("callback is missing, or not a string")
    if len(callback) > TMF_HUB_CALLBACK_CHARS_MAX or "\0" in callback:
        raise _refused(f"callback is no URL of at most {TMF_HUB_CALLBACK_CHARS_MAX} characters")
    if query is not None and (not isinstance(query, str) or "\0" in query):
        raise _refused("query is not a string")
    try:
        require_endpoint(egress, callback)
    except EgressError as error:
        raise _refused(f"callback: {error}") from None
    return callback, query or ""


def _is_for(caller: Caller, api: Api, held: Held) -> bool:
    owner = held.registration.owner
    is_own = caller.is_operator or caller.organisation == owner.organisation != ""
    return held.registration.api == api.name and is_own


def _require(held: Held | None, caller: Caller, target: Target) -> Held:
    if held is None or not _is_for(caller, target.api, held):
        raise not_found(f"there is no registration {target.id[:80]!a}")
    return held


def _document(held: Held, *, with_health: bool = True) -> JsonObject:
    """Show a registration, and how its deliveries go."""
    registration, progress = held
    document: JsonObject = {"id": registration.id, "callback": registration.callback}
    if registration.query:
        document["query"] = registration.query
    if not with_health:
        return document
    document |= {
        "state": progress.state,
        "position": progress.position,
        "failedAttempts": progress.attempts,
    }
    if progress.error:
        document["lastError"] = progress.error
    for name, time_ms in (
        ("created", registration.created_ms),
        ("lastDelivery", progress.told_ms),
        ("failingSince", progress.failing_since_ms),
        ("nextAttempt", progress.retry_at_ms),
    ):
        if time_ms:
            document[name] = spell_time(time_ms)
    return document


def _refused(message: str) -> TmfError:
    reason = "Invalid registration"
    return TmfError(HTTPStatus.BAD_REQUEST, "bad-registration", reason, message)
