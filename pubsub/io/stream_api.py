"""The interface of streams: ``GET /v1/stream``, answered with server-sent events or a WebSocket."""

from http import HTTPStatus
from typing import Final

from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import WebSocketRoute
from starlette.types import ASGIApp
from starlette.websockets import WebSocket

from ledger.core.errors import InvariantError
from ledger.core.limits import (
    DID_CHARS_MAX,
    EVENT_TYPE_CHARS_MAX,
    INT_MAX,
    SUBJECT_CHARS_MAX,
    TOPIC_CHARS_MAX,
)
from pubsub.core.interest import TOPIC_PATTERN, FilterDocument
from pubsub.core.limits import INTEREST_TOPICS_MAX
from pubsub.core.openapi import Answer, Json, Operation, Parameter, reference
from pubsub.core.parameters import Parameters, choose_media_type, read_cursor
from pubsub.core.problems import HttpCode, Refusal
from pubsub.core.rights import Scope
from pubsub.core.websocket import SUBPROTOCOL
from pubsub.io.answers import problem_response, refusal_of
from pubsub.io.endpoint import Endpoint
from pubsub.io.fanout import Wish
from pubsub.io.pages import require_held
from pubsub.io.state import Gateway
from pubsub.io.stream import STREAM_HEADERS, EventStreamResponse, close_socket, serve_socket
from pubsub.io.stream_format import SERVER_SENT_EVENTS, WEBSOCKET
from pubsub.io.wanted import FILTER_NAMES, REPEATABLE_NAMES, read_interest

__all__ = ["INTEREST_PARAMETERS", "STREAM_ENDPOINTS", "get_stream", "stream_route"]

_PATH: Final = "/v1/stream"


def _condition(chars_max: int) -> Json:
    return {"type": "string", "minLength": 1, "maxLength": chars_max}


_FILTER: Final[Json] = {**reference(FilterDocument), "minProperties": 1, "maxProperties": 1}
INTEREST_PARAMETERS: Final = (
    Parameter(
        "topic",
        "query",
        "Topic or pattern: `*` stands for one token, a final `>` for one or more. Given several "
        "times, one of them must name the topic.",
        {
            "type": "array",
            "maxItems": INTEREST_TOPICS_MAX,
            "items": {
                **_condition(TOPIC_CHARS_MAX),
                "pattern": TOPIC_PATTERN,
            },
        },
        ["dome.catalogue.>"],
    ),
    Parameter("subject", "query", "Id of the entity, exactly.", _condition(SUBJECT_CHARS_MAX)),
    Parameter("publisher", "query", "DID of the publisher, exactly.", _condition(DID_CHARS_MAX)),
    Parameter("type", "query", "CloudEvents type, exactly.", _condition(EVENT_TYPE_CHARS_MAX)),
    Parameter(
        "filter",
        "query",
        "A filter of CloudEvents Subscriptions in JSON, or an array of filters that must all "
        "hold: `exact`, `prefix`, `suffix`, `all`, `any`, `not`.",
        {"anyOf": [_FILTER, {"type": "array", "items": _FILTER}]},
        {"prefix": {"type": "org.tmforum."}},
        "application/json",
    ),
)
_AFTER: Final[Json] = {"type": "integer", "minimum": -1, "maximum": INT_MAX}
_STREAM = Operation(
    "GET",
    _PATH,
    "streamEvents",
    "Events",
    "Follow the log",
    "A stream of server-sent events that begins behind `after`, or with the next event when it is "
    "not given, and never ends by itself. Each block's `id` is a sequence and its data one event. "
    "After a break, connect again with the last id in `Last-Event-ID`: nothing is lost or twice. "
    "Blocks with only an id move the cursor past events that do not meet the conditions; comments "
    "keep a silent stream alive.\n\n"
    f"A WebSocket handshake that offers the subprotocol `{SUBPROTOCOL}` opens the same stream with "
    "one CloudEvent as JSON in each text message. Resume with the `sequence` of the last one as "
    "`after`. The gateway pings; readers send nothing. It closes with 1001 when it shuts down, "
    "1003 when the reader sent a message, 1008 or 1013 (try again) with a reason that begins with "
    "a problem code.",
    (
        Answer(
            200,
            "The stream.",
            {"text/event-stream": {"type": "string", "description": "Blocks as in WHATWG HTML."}},
        ),
    ),
    (
        HttpCode.FORGOTTEN,
        HttpCode.NOT_ACCEPTABLE,
        HttpCode.TOO_MANY_STREAMS,
        HttpCode.SHUTTING_DOWN,
        HttpCode.SUBPROTOCOL_REQUIRED,
        HttpCode.STORE_UNAVAILABLE,
        HttpCode.INTERNAL_ERROR,
        HttpCode.INVALID_PARAMETER,
    ),
    (
        *INTEREST_PARAMETERS,
        Parameter("after", "query", "Begin behind this sequence; -1 is the beginning.", _AFTER),
        Parameter("Last-Event-ID", "header", "The same as `after`, and counts more.", _AFTER),
    ),
)


async def get_stream(gateway: Gateway, request: Request) -> ASGIApp:
    """Answer with a stream of events as they become final."""
    parameters = _parameters(request.query_params)
    interest = read_interest(parameters)
    after = parameters.integer("after", -1, INT_MAX)
    last_id = request.headers.get("last-event-id")
    if last_id:  # a browser repeats the first URL when it reconnects: its last id is newer
        after = read_cursor("Last-Event-ID", last_id)
    choose_media_type(",".join(request.headers.getlist("accept")), ("text/event-stream",))
    cursor = _begin(gateway, after)
    if request.method == "HEAD":
        return Response(None, HTTPStatus.OK, dict(STREAM_HEADERS))
    wish = Wish(interest, request.state.principal, SERVER_SENT_EVENTS)
    return EventStreamResponse(gateway, wish, cursor)


def stream_route(gateway: Gateway) -> WebSocketRoute:
    """Give the route of WebSockets."""

    async def serve(socket: WebSocket) -> None:
        await _serve_socket(gateway, socket)

    return WebSocketRoute(_PATH, serve)


async def _serve_socket(gateway: Gateway, socket: WebSocket) -> None:
    """Serve one WebSocket: whatever refuses it, the reader gets a stable code."""
    refusal = _handshake_refusal(socket)
    if refusal is not None:
        gateway.metrics.requests.labels(_PATH, refusal.status).inc()
        await socket.send_denial_response(problem_response(refusal, socket))
        return
    gateway.metrics.requests.labels(_PATH, int(HTTPStatus.SWITCHING_PROTOCOLS)).inc()
    await socket.accept(SUBPROTOCOL)
    try:
        principal = await gateway.rights.require(socket, Scope.READ)
        parameters = _parameters(socket.query_params)
        wish = Wish(read_interest(parameters), principal, WEBSOCKET)
        cursor = _begin(gateway, parameters.integer("after", -1, INT_MAX))
    except Exception as error:  # noqa: BLE001 - every error has a problem
        if isinstance(error, InvariantError):
            gateway.fail(error)
        await close_socket(socket, refusal_of(error))
    else:
        await serve_socket(gateway, socket, wish, cursor)


def _handshake_refusal(socket: WebSocket) -> Refusal | None:
    """Say why a WebSocket is not even opened, if so.

    A browser lets a page of any origin open WebSockets and read them, unlike all other answers of
    a gateway, which may be one that only its own network reaches.
    """
    origin = socket.headers.get("origin")
    if origin is not None and origin.partition("://")[2] != socket.headers.get("host"):
        return Refusal(HttpCode.FORBIDDEN, "pages of another origin may not read here")
    if SUBPROTOCOL not in socket.scope["subprotocols"]:
        return Refusal(HttpCode.SUBPROTOCOL_REQUIRED, f"offer the subprotocol {SUBPROTOCOL}")
    return None


def _parameters(query: QueryParams) -> Parameters:
    return Parameters(query.multi_items(), (*FILTER_NAMES, "after"), REPEATABLE_NAMES)


def _begin(gateway: Gateway, after: int | None) -> int:
    """Give the cursor of a stream that may open now. Raises Refusal."""
    if gateway.is_closing:
        raise Refusal(HttpCode.SHUTTING_DOWN, "connect to another gateway, or again later")
    if gateway.streams_count >= gateway.settings.streams_max:
        raise Refusal(
            HttpCode.TOO_MANY_STREAMS, f"{gateway.streams_count} streams are open already"
        )
    with gateway.access.store.read() as reader:
        if after is None:
            return reader.head().log_size - 1
        require_held(reader, after + 1)
    return after


STREAM_ENDPOINTS: Final = (Endpoint(_STREAM, get_stream, Scope.READ),)
