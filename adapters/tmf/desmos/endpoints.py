"""The endpoints of Desmos, as other Desmoses and a DLT adapter call them.

Owns paths, media types and the form of errors. Entities are given to whoever has a valid bearer
token, and only those that this organisation may see. Departures from the original: the operator
alone starts a synchronisation, and ``/backoffice/v2/audit-records`` shows the audit.
"""

from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final, Protocol

import anyio
import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from adapters.tmf.api.callers import CallerOf
from adapters.tmf.api.errors import error_response
from adapters.tmf.caller import Caller
from adapters.tmf.desmos.audit_log import page_of_records
from adapters.tmf.desmos.bundles import write_array, write_lines
from adapters.tmf.desmos.form import PATH
from adapters.tmf.desmos.notifications import read_notification
from adapters.tmf.desmos.offers import Offer, read_offers, write_offers
from adapters.tmf.desmos.peers import DISCOVERY, ENTITIES, ISSUER, LINES
from adapters.tmf.desmos.shelf import Shelf
from adapters.tmf.refusal import TmfError
from adapters.tmf.store.database import Store
from ledger.core.errors import DecodeError
from ledger.core.limits import (
    DESMOS_AUDIT_PAGE_MAX,
    DESMOS_BODY_BYTES_MAX,
    DESMOS_NOTIFICATION_BYTES_MAX,
    DESMOS_SYNC_IDS_MAX,
)
from pubsub.io.body import Bodies

__all__ = ["DesmosApi", "DesmosServing", "Synchroniser"]

_JSON: Final = "application/json"
_HEALTH: Final = b'{"status":"UP"}'
_NUMBER_DIGITS_MAX: Final = 15


class Synchroniser(Protocol):
    """The part of ``adapters.tmf.desmos.sync.PeerSync`` that is used here."""

    def start(self) -> None:
        """Synchronise with all peers now."""
        ...

    def offered(self, issuer: str, offers: Sequence[Offer]) -> None:
        """Take from a peer what it has newer than this node."""
        ...


@dataclass(frozen=True)
class DesmosServing:
    """What answers to requests need.

    Attributes:
        caller_of: who asks, by the bearer token: DOME's verifier, as a rule.
        trusted: gives the trusted access nodes' addresses, "0x" and 40 digits in lower case.
        hint: told that the ledger may hold something new.
        public_url: what other nodes call this one.
    """

    store: Store
    shelf: Shelf
    sync: Synchroniser
    bodies: Bodies
    caller_of: CallerOf
    trusted: Callable[[], Awaitable[Collection[str]]]
    hint: Callable[[], None]
    public_url: str


class DesmosApi:
    """Serves the endpoints."""

    def __init__(self, serving: DesmosServing) -> None:
        self._serving = serving
        self._turn = anyio.Lock()

    def routes(self) -> Sequence[BaseRoute]:
        """Give the routes."""
        return [
            _route("GET", f"{PATH}/{{id:path}}", self._entity),
            _route("POST", DISCOVERY, self._discovery),
            _route("POST", ENTITIES, self._entities),
            _route("POST", "/api/v2/notifications/dlt", self._notification),
            _route("GET", "/backoffice/v2/actions/sync", self._start_sync),
            _route("GET", "/backoffice/v2/audit-records", self._audit_records),
            _route("GET", "/health", _health),
        ]

    # --- entities ---------------------------------------------------------------------------

    async def _entity(self, request: Request) -> Response:
        caller = await self._peer(request)
        id_, link = request.path_params["id"], request.query_params.get("hl", "")
        link = link.removeprefix("0x").lower()

        def read(store: Store) -> bytes:
            with store.read() as reading:
                return write_array(self._serving.shelf.bundle(reading, caller, id_, link))

        return Response(await self._serving.store.in_thread(read), media_type=_JSON)

    async def _entities(self, request: Request) -> Response:
        caller = await self._peer(request)
        async with self._serving.bodies.read(request, DESMOS_NOTIFICATION_BYTES_MAX) as body:
            ids = _ids(body)

        def read(store: Store) -> list[bytes]:
            found: dict[bytes, None] = {}  # what belongs to several is given once
            with store.read() as reading:
                for id_ in ids:
                    try:
                        found |= dict.fromkeys(self._serving.shelf.bundle(reading, caller, id_))
                    except TmfError:
                        continue  # deleted since the discovery, or not for this one
            return list(found)

        entities = await self._serving.store.in_thread(read)
        if _wants_array(request):
            return Response(write_array(entities), media_type=_JSON)
        return Response(write_lines(entities), media_type=LINES)

    async def _discovery(self, request: Request) -> Response:
        caller = await self._peer(request)
        serving = self._serving
        is_old = _wants_array(request)
        async with serving.bodies.read(request, DESMOS_BODY_BYTES_MAX) as body:

            def work(store: Store) -> tuple[list[Offer], list[Offer]]:
                theirs = read_offers(body)
                with store.read() as reading:
                    return theirs, list(serving.shelf.offers(reading, caller))

            async with self._turn:  # one at a time: each reads all that there is
                theirs, ours = await serving.store.in_thread(work)
        serving.sync.offered(request.headers.get(ISSUER, ""), theirs)
        content = msgspec.json.encode(ours) if is_old else write_offers(ours)
        headers = {ISSUER: serving.public_url}
        return Response(content, headers=headers, media_type=_JSON if is_old else LINES)

    async def _peer(self, request: Request) -> Caller:
        caller = await self._serving.caller_of(request)
        if not caller.organisation and not caller.is_operator:
            status = HTTPStatus.UNAUTHORIZED
            raise TmfError(status, "unauthorised", status.phrase, "needs a bearer token")
        return caller

    # --- notifications ----------------------------------------------------------------------

    async def _notification(self, request: Request) -> Response:
        async with self._serving.bodies.read(request, DESMOS_NOTIFICATION_BYTES_MAX) as body:
            told = read_notification(body)
        if told.sender not in await self._serving.trusted():
            title, message = "UnauthorizedDomeParticipantException", "Dome Participant not found"
            return _refusal(HTTPStatus.UNAUTHORIZED, title, message, request)
        self._serving.hint()
        return Response(status_code=HTTPStatus.ACCEPTED)

    # --- for the operator -------------------------------------------------------------------

    async def _start_sync(self, request: Request) -> Response:
        await self._operator(request)
        self._serving.sync.start()
        return Response(status_code=HTTPStatus.ACCEPTED)

    async def _audit_records(self, request: Request) -> Response:
        await self._operator(request)
        after = _number(request, "after", 0)
        limit = min(_number(request, "limit", DESMOS_AUDIT_PAGE_MAX), DESMOS_AUDIT_PAGE_MAX)

        def read(store: Store) -> bytes:
            with store.read() as reading:
                rows = page_of_records(reading.connection, after, limit)
            records = [{"number": number, "record": record} for number, record in rows]
            return msgspec.json.encode(records)

        return Response(await self._serving.store.in_thread(read), media_type=_JSON)

    async def _operator(self, request: Request) -> None:
        caller = await self._serving.caller_of(request)
        if not caller.is_operator:
            status = HTTPStatus.FORBIDDEN
            raise TmfError(status, "operator-only", status.phrase, "only the operator may do this")


async def _health(_request: Request) -> Response:
    return Response(_HEALTH, media_type=_JSON)


# --- requests and errors --------------------------------------------------------------------


class _Ref(msgspec.Struct, frozen=True):
    id: str


def _ids(body: bytes) -> list[str]:
    try:
        refs = msgspec.json.decode(body, type=list[_Ref])
    except (msgspec.MsgspecError, RecursionError) as error:
        raise DecodeError(f"no list of ids: {error}") from None
    if len(refs) > DESMOS_SYNC_IDS_MAX:
        raise DecodeError(f"at most {DESMOS_SYNC_IDS_MAX} entities in one request")
    return [ref.id for ref in refs]


def _wants_array(request: Request) -> bool:
    """Say whether the client is one of those before lines: it accepts JSON and no lines."""
    accept = request.headers.get("accept", "")
    return _JSON in accept and LINES not in accept


def _number(request: Request, name: str, absent: int) -> int:
    text = request.query_params.get(name, str(absent))
    if not (text.isascii() and text.isdigit() and len(text) <= _NUMBER_DIGITS_MAX):
        raise DecodeError(f"{name} must be a whole number")
    return int(text)


def _route(method: str, path: str, answer: Callable[[Request], Awaitable[Response]]) -> BaseRoute:
    async def endpoint(request: Request) -> Response:
        try:
            return await answer(request)
        except Exception as error:  # noqa: BLE001 - every error has a document
            plain = error_response(error)
            said = msgspec.json.decode(plain.body)
            response = _refusal(plain.status_code, said["reason"], said["message"], request)
            if plain.status_code == HTTPStatus.UNAUTHORIZED:
                response.headers["www-authenticate"] = "Bearer"
            return response

    return Route(path, endpoint, methods=[method])


def _refusal(status: int, title: str, message: str, request: Request) -> Response:
    """Answer with the document that Desmos has for errors."""
    document = {"title": title, "message": message, "path": request.url.path}
    headers = {"cache-control": "no-store"}
    return Response(msgspec.json.encode(document), status, headers, _JSON)
