"""The gateway's operations on durable consumers.

A consumer belongs to the principal that made it; to others it is not there, unless they operate the
gateway. Names of the gateway's own consumers cannot be given here.
"""

import re
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Final, TypeVar

import anyio
import msgspec
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from ledger.core.limits import INT_MAX
from pubsub.core import consumer_operations as operations
from pubsub.core.audit_documents import Action
from pubsub.core.cloudevents import cloudevent
from pubsub.core.consumer.settlement import Settled
from pubsub.core.consumer_documents import (
    ConsumerChanges,
    ConsumerDocument,
    ConsumerRequest,
    ConsumersDocument,
    LagDocument,
    PauseRequest,
    TotalsDocument,
    changed_config,
    config_of,
    start_document,
)
from pubsub.core.consumer_event_documents import (
    FetchRequest,
    LettersDocument,
    LettersReplay,
    LettersReplayed,
    SettledDocument,
    SettlementRequest,
    letter_document,
    settlement_of,
)
from pubsub.core.interest import interest_document
from pubsub.core.limits import (
    CONSUMER_BODY_BYTES_MAX,
    CONSUMER_LIST,
    CONSUMER_LIST_MAX,
    CONSUMER_NAME_CHARS_MAX,
)
from pubsub.core.parameters import Parameters
from pubsub.core.problems import HttpCode, Refusal
from pubsub.core.rights import Scope
from pubsub.io.answers import json_response
from pubsub.io.audit import act_of
from pubsub.io.consumers.delivery import ConsumerView, Delivery, Fetch
from pubsub.io.endpoint import Endpoint
from pubsub.io.guard import principal_of, require_all_topics
from pubsub.io.json_body import read_json_body
from pubsub.io.state import Gateway

__all__ = ["CONSUMER_ENDPOINTS", "consumer_document"]

T = TypeVar("T")
_NUMBER: Final = re.compile(r"(0|[1-9][0-9]{0,18})\Z", re.ASCII)
_NO_STORE: Final = {"cache-control": "no-store"}

_encode = msgspec.json.Encoder().encode


async def create_consumer(gateway: Gateway, request: Request) -> Response:
    """Make a consumer."""
    config = config_of(await _body(gateway, request, ConsumerRequest))
    principal = principal_of(request)
    consumers = gateway.consumers
    is_new = not consumers.has(config.name)
    view = await consumers.create(config, principal.name, principal.may_read)
    if is_new:
        await gateway.audit.record(act_of(request, Action.CONSUMER_CREATED, config.name))
    status = HTTPStatus.CREATED if is_new else HTTPStatus.OK
    headers = {"location": f"/v1/consumers/{config.name}", **_NO_STORE}
    return json_response(_document(gateway, request, view), status, headers)


async def list_consumers(gateway: Gateway, request: Request) -> Response:
    """Answer with a page of consumers."""
    parameters = Parameters(request.query_params.multi_items(), ("after", "limit"))
    after = parameters.text("after", CONSUMER_NAME_CHARS_MAX) or ""
    limit = parameters.integer("limit", 1, CONSUMER_LIST_MAX) or CONSUMER_LIST
    principal = principal_of(request)
    owner = None if principal.may(Scope.OPERATE) else principal.name
    views = gateway.consumers.views(owner, after, limit + 1)
    documents = [_document(gateway, request, view) for view in views[:limit]]
    following = documents[-1].name if len(views) > limit else None
    return json_response(ConsumersDocument(documents, following), headers=_NO_STORE)


async def get_consumer(gateway: Gateway, request: Request) -> Response:
    """Answer with a consumer."""
    return _shown(gateway, request, _name(gateway, request))


async def update_consumer(gateway: Gateway, request: Request) -> Response:
    """Change a consumer."""
    name = _name(gateway, request)
    changes = await _body(gateway, request, ConsumerChanges)
    config = changed_config(gateway.consumers.get(name).config, changes)
    await gateway.consumers.update(config)
    await gateway.audit.record(act_of(request, Action.CONSUMER_UPDATED, name))
    return _shown(gateway, request, name)


async def delete_consumer(gateway: Gateway, request: Request) -> Response:
    """Delete a consumer."""
    name = _name(gateway, request)
    gateway.audit.put(act_of(request, Action.CONSUMER_DELETED, name))
    await gateway.consumers.delete(name)
    return Response(None, HTTPStatus.NO_CONTENT)


async def pause_consumer(gateway: Gateway, request: Request) -> Response:
    """Pause a consumer."""
    name = _name(gateway, request)
    until_ms = (await _body(gateway, request, PauseRequest)).until_ms
    await gateway.consumers.pause(name, INT_MAX if until_ms is None else until_ms)
    return _shown(gateway, request, name)


async def resume_consumer(gateway: Gateway, request: Request) -> Response:
    """End a pause."""
    name = _name(gateway, request)
    await gateway.consumers.resume(name)
    return _shown(gateway, request, name)


async def fetch_events(gateway: Gateway, request: Request) -> Response:
    """Give events out, and wait for them while the client is there."""
    name = _name(gateway, request)
    consumers, principal = gateway.consumers, principal_of(request)
    if consumers.owner_of(name) != principal.name:
        require_all_topics(request)  # what is passed over for it would be lost to the owner
    wish = await _body(gateway, request, FetchRequest)
    settled = None if wish.settle is None else consumers.note(name, settlement_of(wish.settle))
    fetch = Fetch(wish.max_events, 0, wish.max_bytes)
    deliveries = await consumers.fetch(name, fetch, principal.may_read)
    if settled is not None and not deliveries:
        await gateway.delivery.synced()
    if not deliveries and wish.wait_ms:
        patient = fetch._replace(wait_ms=wish.wait_ms)
        deliveries = await _while_there(
            request, lambda: consumers.fetch(name, patient, principal.may_read)
        )
    headers_only = consumers.gives_headers_only(name)
    rows = b",".join(_delivery_json(each, headers_only=headers_only) for each in deliveries)
    outcome = None if settled is None else _settled_document(settled)
    body = b'{"deliveries":[%b],"settled":%b}' % (rows, _encode(outcome))
    return Response(body, HTTPStatus.OK, _NO_STORE, "application/json")


async def settle_events(gateway: Gateway, request: Request) -> Response:
    """Take what became of events."""
    name = _name(gateway, request)
    settlement = settlement_of(await _body(gateway, request, SettlementRequest))
    settled = await gateway.consumers.settle(name, settlement)
    return json_response(_settled_document(settled), headers=_NO_STORE)


async def list_letters(gateway: Gateway, request: Request) -> Response:
    """Answer with a page of dead letters."""
    name = _name(gateway, request, ("after", "limit"))
    parameters = Parameters(request.query_params.multi_items(), ("after", "limit"))
    after = parameters.integer("after", -1, INT_MAX)
    limit = parameters.integer("limit", 1, CONSUMER_LIST_MAX) or CONSUMER_LIST
    found = gateway.consumers.dead_letters(name, -1 if after is None else after, limit + 1)
    letters = [letter_document(letter) for letter in found[:limit]]
    following = letters[-1].sequence if len(found) > limit else None
    return json_response(LettersDocument(letters, following), headers=_NO_STORE)


async def replay_letters(gateway: Gateway, request: Request) -> Response:
    """Have dead letters given out again."""
    name = _name(gateway, request)
    wish = await _body(gateway, request, LettersReplay)
    count = await gateway.consumers.replay(name, wish.sequences)
    await gateway.audit.record(act_of(request, Action.DEAD_LETTERS_REPLAYED, name))
    return json_response(LettersReplayed(count), headers=_NO_STORE)


async def delete_letter(gateway: Gateway, request: Request) -> Response:
    """Forget a dead letter."""
    name = _name(gateway, request)
    text = request.path_params["sequence"]
    if not _NUMBER.match(text) or int(text) > INT_MAX:
        raise Refusal(HttpCode.INVALID_PARAMETER, f"a sequence is an integer from 0 to {INT_MAX}")
    await gateway.consumers.delete_dead_letter(name, int(text))
    return Response(None, HTTPStatus.NO_CONTENT)


def consumer_document(view: ConsumerView) -> ConsumerDocument:
    """Describe a consumer."""
    config = view.config
    return ConsumerDocument(
        name=config.name,
        owner=view.owner,
        created_ms=view.created_ms,
        interest=interest_document(config.interest),
        start=start_document(config.start),
        ack_policy=config.ack_policy,
        ack_wait_ms=config.ack_wait_ms,
        max_in_flight=config.max_in_flight,
        max_deliveries=config.max_deliveries,
        backoff_ms=config.backoff_ms,
        headers_only=config.headers_only,
        is_ordered=config.is_ordered,
        metadata=dict(config.metadata),
        inactive_ms=config.inactive_ms,
        position=view.position,
        in_flight=view.in_flight,
        waiting=view.waiting,
        dead_letters=view.dead_letters,
        paused_until_ms=view.paused_until_ms,
        totals=TotalsDocument(view.delivered, view.redelivered, view.acknowledged),
        lag=LagDocument(view.lag.events, view.lag.is_exact),
    )


def _delivery_json(delivery: Delivery, *, headers_only: bool) -> bytes:
    """Write a DeliveryDocument; the event's own text is made once for all who get it."""
    row = delivery.row
    text = row.json
    if headers_only and row.opened.event.data:
        event = cloudevent(row.opened, row.sequence, row.height)
        bare = msgspec.structs.replace(event, data=msgspec.UNSET, data_base64=msgspec.UNSET)
        text = _encode(bare)
    return b'{"sequence":%d,"deliveries":%d,"event":%b}' % (
        row.sequence,
        delivery.deliveries,
        text,
    )


def _settled_document(settled: Settled) -> SettledDocument:
    return SettledDocument(settled.settled_count, settled.unknown)


def _shown(gateway: Gateway, request: Request, name: str) -> Response:
    document = _document(gateway, request, gateway.consumers.get(name))
    return json_response(document, headers=_NO_STORE)


def _document(gateway: Gateway, request: Request, view: ConsumerView) -> ConsumerDocument:
    """Describe a consumer to who asks."""
    return consumer_document(view.shown_to(principal_of(request), gateway.feed.end))


def _name(gateway: Gateway, request: Request, allowed: tuple[str, ...] = ()) -> str:
    """Give the name of a consumer that the principal may use. Raises Refusal."""
    Parameters(request.query_params.multi_items(), allowed)
    name: str = request.path_params["name"]
    principal = principal_of(request)
    gateway.consumers.require(name, None if principal.may(Scope.OPERATE) else principal.name)
    return name


async def _body(gateway: Gateway, request: Request, type_: type[T]) -> T:
    return await read_json_body(gateway.bodies, request, CONSUMER_BODY_BYTES_MAX, type_)


async def _while_there(request: Request, work: Callable[[], Awaitable[T]]) -> T:
    """Do ``work`` as long as the client stays.

    Raises:
        ClientDisconnect: it left.
    """
    outcome: list[T | Exception] = []
    async with anyio.create_task_group() as group:

        async def watch() -> None:
            while (await request.receive())["type"] != "http.disconnect":
                pass
            group.cancel_scope.cancel()

        group.start_soon(watch)
        try:
            outcome.append(await work())
        except Exception as error:  # noqa: BLE001 - raised below, out of the group
            outcome.append(error)
        group.cancel_scope.cancel()
    if not outcome:
        raise ClientDisconnect
    (value,) = outcome
    if isinstance(value, Exception):
        raise value
    return value


CONSUMER_ENDPOINTS: Final = (
    Endpoint(operations.CREATE, create_consumer, Scope.CONSUME),
    Endpoint(operations.LIST, list_consumers, Scope.CONSUME),
    Endpoint(operations.GET, get_consumer, Scope.CONSUME),
    Endpoint(operations.UPDATE, update_consumer, Scope.CONSUME),
    Endpoint(operations.DELETE, delete_consumer, Scope.CONSUME),
    Endpoint(operations.PAUSE, pause_consumer, Scope.CONSUME),
    Endpoint(operations.RESUME, resume_consumer, Scope.CONSUME),
    Endpoint(operations.FETCH, fetch_events, Scope.CONSUME),
    Endpoint(operations.SETTLE, settle_events, Scope.CONSUME),
    Endpoint(operations.LETTERS, list_letters, Scope.CONSUME),
    Endpoint(operations.REPLAY, replay_letters, Scope.CONSUME),
    Endpoint(operations.DELETE_LETTER, delete_letter, Scope.CONSUME),
)
