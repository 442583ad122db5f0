"""The DLT adapter's HTTP interface, as Desmos and other clients of DOME's adapter know it.

`/api/v1` and `/api/v2` are the same. Every answer has the status, media type and bytes of the
original, so the true reason of a failure stands in the log only. No answer depends on `Accept`.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from http import HTTPStatus
from ipaddress import ip_address
from pathlib import Path
from typing import Final

import anyio
import msgspec
import structlog
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from adapters.dome.dlt.delivery import Delivery
from adapters.dome.dlt.events import PublishRequest, event_fields
from adapters.dome.dlt.history import last_of_each_entity
from adapters.dome.dlt.identity import address_of, iss_of, issuers_of
from adapters.dome.dlt.outbox import Outbox
from adapters.dome.dlt.state import DltState
from adapters.dome.dlt.subscriptions import SubscribeAllRequest, SubscribeRequest, Subscription
from adapters.http import Form, HttpError, in_snapshot, read_json, route
from adapters.member import Member
from ledger.core.errors import InvariantError
from ledger.core.limits import GATEWAY_POLL_MS
from ledger.core.signing import Signer
from pubsub.io.egress import Egress, EgressError, require_endpoint
from pubsub.io.state import Gateway

__all__ = ["DltAdapter", "DltSettings"]

_log: Final = structlog.get_logger("dlt")
_JSON: Final = "application/json; charset=utf-8"
_HTML: Final = "text/html; charset=utf-8"
_NODE: Final = b"Error connecting to the blockchain node."
_CHAIN: Final = b"Error connecting to the blockchain."
_ALL: Final = b"Error subscribing to all events."
_NOT_FOUND: Final = b'{"message":"Not Found"}'
_HEALTH: Final = b'{"status":"UP","checks":[{"name":"DLT Adapter health check","status":"UP"}]}'
_MOUNTS: Final = ("/api/v1", "/api/v2")
_TIME_DIGITS_MAX: Final = 15
_Answer = Callable[[Gateway, Request], Awaitable[Response]]


@dataclass(frozen=True)
class DltSettings:
    """What the facade is told.

    Attributes:
        did: the member in whose name events are published.
        state_path: file of subscriptions and outbox, made when it is not there.
        organisation: the member's organisation identifier, as in Desmos' configuration; None when
            it is the DID, or the end of a did:elsi.
        egress: where notifications may go.
        is_public: take requests from addresses of the internet, too. Nobody proves who they are, so
            whoever reaches the facade publishes in the member's name.
    """

    did: str
    state_path: Path
    organisation: str | None = None
    egress: Egress = field(default_factory=Egress)
    is_public: bool = False


class DltAdapter:
    """Serves the DLT adapter's interface from the gateway's process."""

    def __init__(self, settings: DltSettings, signer: Signer) -> None:
        """Publish as ``settings.did`` with its publisher key.

        Raises:
            ledger.io.errors.StorageError: the state file cannot be used.
        """
        self._settings = settings
        self._signer = signer
        self._state = DltState(settings.state_path)
        names = [settings.organisation, settings.did]
        self._issuers = issuers_of(name for name in names if name)
        self._iss = iss_of(settings.organisation or settings.did.removeprefix("did:elsi:"))

    def routes(self, gateway: Gateway) -> Sequence[BaseRoute]:
        """Give the routes of both versions, and what answers for all that is not there."""
        member = Member(gateway, self._settings.did, self._signer)
        self._outbox = Outbox(gateway, self._state, member)
        self._delivery = Delivery(gateway, self._state, self._settings.egress, member.did)
        found: list[BaseRoute] = [route(gateway, "/health", _no_path, {"GET": _health})]
        for mount in _MOUNTS:
            for path, form, answers in self._paths():
                bound = {method: partial(answer, gateway) for method, answer in answers.items()}
                found.append(route(gateway, mount + path, form, bound))
            found.append(route(gateway, mount + "/{rest:path}", _no_path, {}))
        return found

    async def run(self, gateway: Gateway) -> None:
        """Publish what waits and tell subscribers, until cancelled."""
        try:
            while not gateway.access.is_open:  # noqa: ASYNC110 - it has no event
                await anyio.sleep(GATEWAY_POLL_MS / 1000)
            await self._bind(gateway)
            async with anyio.create_task_group() as group:
                group.start_soon(self._outbox.run)
                group.start_soon(self._delivery.run)
        except* InvariantError as errors:
            gateway.fail(_first(errors))
        finally:
            self._state.close()

    async def _bind(self, gateway: Gateway) -> None:
        """See that the file speaks of this chain's log."""
        with gateway.access.store.read() as reader:
            log_size = reader.head().log_size
        chain_id = gateway.access.store.chain_id
        if await anyio.to_thread.run_sync(self._state.belong_to, chain_id, log_size):
            _log.warning("state_of_another_chain", path=str(self._settings.state_path))

    def _paths(self) -> list[tuple[str, Form, dict[str, _Answer]]]:
        bad = HTTPStatus.BAD_REQUEST
        subscribe: dict[str, _Answer] = {"POST": self._subscribe, "GET": self._subscriptions}
        return [
            ("/publishEvent", _form(bad, _NODE), {"POST": self._publish}),
            ("/subscribe", _form(bad, _NODE), subscribe),
            (
                "/subscribe/all",
                _form(HTTPStatus.INTERNAL_SERVER_ERROR, _ALL),
                {"POST": self._subscribe_all},
            ),
            ("/events", _form(bad, _CHAIN), {"GET": self._events}),
        ]

    # --- answers ----------------------------------------------------------------------------

    async def _publish(self, gateway: Gateway, request: Request) -> Response:
        self._require_near(request)
        wanted = await read_json(gateway, request, PublishRequest)
        iss = (wanted.iss or self._iss).lower()
        if iss not in self._issuers:
            raise HttpError(HTTPStatus.FORBIDDEN, f"iss {iss} is not this gateway's member")
        did = self._settings.did
        address = await in_snapshot(gateway, lambda _, lists: address_of(lists, did))
        time_ms = await self._outbox.publish(wanted, event_fields(wanted, iss, address))
        return Response(str(time_ms // 1000), HTTPStatus.CREATED, media_type=_JSON)

    async def _subscribe(self, gateway: Gateway, request: Request) -> Response:
        self._require_near(request)
        wanted = await read_json(gateway, request, SubscribeRequest)
        subscription = Subscription(
            wanted.notification_endpoint, wanted.event_types, wanted.metadata
        )
        await self._keep(gateway, subscription)
        return Response("OK", HTTPStatus.CREATED, media_type=_HTML)

    async def _subscribe_all(self, gateway: Gateway, request: Request) -> Response:
        self._require_near(request)
        wanted = await read_json(gateway, request, SubscribeAllRequest)
        await self._keep(gateway, Subscription(wanted.notification_endpoint))
        return Response("OK", HTTPStatus.OK, media_type=_HTML)

    async def _keep(self, gateway: Gateway, subscription: Subscription) -> None:
        """Keep a subscription to what comes from now on, and serve it."""
        try:
            require_endpoint(self._settings.egress, subscription.endpoint)
        except EgressError as error:
            raise HttpError(HTTPStatus.BAD_REQUEST, f"notificationEndpoint: {error}") from None
        with gateway.access.store.read() as reader:
            cursor = reader.head().log_size - 1
        held = await anyio.to_thread.run_sync(self._state.subscribe, subscription, cursor)
        if held is not None:
            self._delivery.add(held)

    async def _subscriptions(self, _gateway: Gateway, request: Request) -> Response:
        self._require_near(request)
        kept = await anyio.to_thread.run_sync(self._state.subscriptions)
        # Those to all events are left out: clients expect eventTypes in every item.
        rows = [
            SubscribeRequest(held.event_types, held.metadata, held.endpoint)
            for _, held, _ in kept
            if held.event_types is not None
        ]
        return Response(msgspec.json.encode(rows), HTTPStatus.OK, media_type=_JSON)

    async def _events(self, gateway: Gateway, request: Request) -> Response:
        self._require_near(request)
        query = request.query_params
        start, end = _milliseconds(query, "startDate"), _milliseconds(query, "endDate")
        found = await last_of_each_entity(gateway, start, end, query.get("envM") or None)
        return Response(msgspec.json.encode(found), HTTPStatus.OK, media_type=_JSON)

    def _require_near(self, request: Request) -> None:
        """Refuse a client of the internet: nobody here proves who they are."""
        host = request.client.host if request.client else ""
        if not self._settings.is_public and (not host or ip_address(host).is_global):
            raise HttpError(HTTPStatus.FORBIDDEN, f"{host} is not in a private network")


async def _health(_request: Request) -> Response:
    return Response(_HEALTH, HTTPStatus.OK, media_type=_JSON)


def _form(status: HTTPStatus, text: bytes) -> Form:
    """Make the answer to whatever fails; the reason is for the log."""

    def answer(found: int, detail: str, request: Request) -> Response:
        if found == HTTPStatus.METHOD_NOT_ALLOWED:
            return _no_path(found, detail, request)
        _log.warning("request_refused", path=request.url.path, status=found, reason=detail)
        return Response(text, status, media_type=_HTML)

    return answer


def _no_path(_status: int, _detail: str, _request: Request) -> Response:
    return Response(_NOT_FOUND, HTTPStatus.NOT_FOUND, media_type=_JSON)


def _milliseconds(query: Mapping[str, str], name: str) -> int:
    text = query.get(name, "")
    if not (text.isascii() and text.isdigit() and len(text) <= _TIME_DIGITS_MAX):
        raise HttpError(HTTPStatus.BAD_REQUEST, f"{name} must be a time in milliseconds")
    return int(text)


def _first(error: BaseException) -> InvariantError:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    assert isinstance(error, InvariantError), "only those were caught"
    return error
