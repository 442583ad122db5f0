"""The descriptions of the operations on durable consumers."""

from typing import Final

import msgspec

from ledger.core.errors import RejectCode
from ledger.core.limits import INT_MAX
from pubsub.core.api_examples import READ_EVENT
from pubsub.core.consumer.config import CONSUMER_NAME_REGEX
from pubsub.core.consumer_documents import (
    ConsumerChanges,
    ConsumerDocument,
    ConsumerRequest,
    ConsumersDocument,
    PauseRequest,
)
from pubsub.core.consumer_event_documents import (
    DeliveriesDocument,
    FetchRequest,
    LettersDocument,
    LettersReplay,
    LettersReplayed,
    SettledDocument,
    SettlementRequest,
)
from pubsub.core.limits import CONSUMER_LIST, CONSUMER_LIST_MAX
from pubsub.core.openapi import Answer, Json, Operation, Parameter, reference
from pubsub.core.problems import Code, HttpCode

__all__ = [
    "CREATE",
    "DELETE",
    "DELETE_LETTER",
    "FETCH",
    "GET",
    "LETTERS",
    "LIST",
    "PAUSE",
    "REPLAY",
    "RESUME",
    "SETTLE",
    "UPDATE",
]

_JSON: Final = "application/json"
_ERRORS: Final = (
    HttpCode.DELIVERY_UNAVAILABLE,
    HttpCode.INTERNAL_ERROR,
    HttpCode.INVALID_PARAMETER,
)
_BODY_ERRORS: Final = (
    RejectCode.MALFORMED,
    RejectCode.OVERLOADED,
    HttpCode.BODY_TIMEOUT,
    HttpCode.BODY_TOO_LARGE,
    HttpCode.UNSUPPORTED_MEDIA_TYPE,
)
_NAME: Final = Parameter(
    "name",
    "path",
    "Name of the consumer.",
    {"type": "string", "pattern": CONSUMER_NAME_REGEX.replace(r"\Z", "$")},
    "orders",
)
_SEQUENCE: Final[Json] = {"type": "integer", "minimum": 0, "maximum": INT_MAX}
_LIMIT: Final = Parameter(
    "limit",
    "query",
    "At most so many.",
    {
        "type": "integer",
        "minimum": 1,
        "maximum": CONSUMER_LIST_MAX,
        "default": CONSUMER_LIST,
    },
)
_CONFIG: Final[Json] = {
    "name": "orders",
    "interest": {
        "topics": ["dome.catalogue.>"],
        "filters": [{"prefix": {"type": "org.tmforum."}}],
    },
    "start": {"policy": "first"},
    "ack_policy": "explicit",
    "ack_wait_ms": 30_000,
    "max_in_flight": 1_000,
    "max_deliveries": 10,
    "backoff_ms": [1_000, 5_000, 30_000],
    "headers_only": False,
    "is_ordered": False,
    "metadata": {"team": "catalogue"},
    "inactive_ms": None,
}
_CONSUMER: Final[Json] = {
    **_CONFIG,
    "owner": "token/catalogue",
    "created_ms": 1_795_257_000_123,
    "position": 1235,
    "in_flight": 1,
    "waiting": 0,
    "dead_letters": 0,
    "paused_until_ms": None,
    "totals": {"delivered": 17, "redelivered": 2, "acknowledged": 14},
    "lag": {"events": 0, "is_exact": True},
}
_LETTER: Final[Json] = {
    "sequence": 1234,
    "reason": "terminated: no such product",
    "deliveries": 3,
    "time_ms": 1_795_257_060_000,
    "is_replaying": False,
}


def _operation(  # noqa: PLR0913 - what an operation has
    method: str,
    path: str,
    name: str,
    texts: tuple[str, str],
    answers: tuple[Answer, ...],
    *,
    errors: tuple[Code, ...] = (),
    parameters: tuple[Parameter, ...] = (),
    body: dict[str, Json] | None = None,
) -> Operation:
    if "{name}" in path:
        parameters, errors = (_NAME, *parameters), (HttpCode.CONSUMER_NOT_FOUND, *errors)
    if body is not None:
        errors = (*errors, *_BODY_ERRORS)
    return Operation(
        method,
        f"/v1/consumers{path}",
        name,
        "Consumers",
        *texts,
        answers,
        tuple(dict.fromkeys((*errors, *_ERRORS))),
        parameters,
        body,
    )


def _body(type_: type[msgspec.Struct], example: object) -> dict[str, Json]:
    return {_JSON: {"schema": reference(type_), "example": example}}


def _answer(type_: type[msgspec.Struct], text: str, example: object, status: int = 200) -> Answer:
    return Answer(status, text, {_JSON: reference(type_)}, example)


CREATE: Final = _operation(
    "POST",
    "",
    "createConsumer",
    (
        "Make a durable consumer",
        (
            "A consumer is a position in the log that the gateway keeps, with the events that were "
            "given out and are not settled. No event that matches is lost: each is given out until "
            "it is acknowledged, terminated or a dead letter, through crashes of either side; at "
            "least once, so handle an event id only once. The same consumer made again by its "
            "owner is answered 200 and stays as it is."
        ),
    ),
    (
        Answer(
            201,
            "It was made.",
            {_JSON: reference(ConsumerDocument)},
            _CONSUMER,
            {"Location": "The consumer."},
        ),
        _answer(ConsumerDocument, "It was there already.", _CONSUMER),
    ),
    errors=(HttpCode.CONSUMER_EXISTS, HttpCode.TOO_MANY_CONSUMERS, HttpCode.STORE_UNAVAILABLE),
    body=_body(ConsumerRequest, _CONFIG),
)
LIST: Final = _operation(
    "GET",
    "",
    "listConsumers",
    (
        "List your consumers",
        "Gives your consumers by name; with the scope `operate`, everybody's.",
    ),
    (_answer(ConsumersDocument, "Consumers.", {"consumers": [_CONSUMER], "next": None}),),
    parameters=(
        Parameter(
            "after",
            "query",
            "Only names behind this one.",
            {"type": "string", "minLength": 1, "maxLength": 64},
        ),
        _LIMIT,
    ),
)
GET: Final = _operation(
    "GET",
    "/{name}",
    "getConsumer",
    ("Get a consumer", "Gives how it was made, where it stands and how far it is behind."),
    (_answer(ConsumerDocument, "The consumer.", _CONSUMER),),
)
UPDATE: Final = _operation(
    "PATCH",
    "/{name}",
    "updateConsumer",
    (
        "Change a consumer",
        "What is left out stays. Start, policy and order cannot be changed: make another consumer.",
    ),
    (_answer(ConsumerDocument, "The changed consumer.", _CONSUMER),),
    body=_body(ConsumerChanges, {"max_in_flight": 100, "max_deliveries": None}),
)
DELETE: Final = _operation(
    "DELETE",
    "/{name}",
    "deleteConsumer",
    ("Delete a consumer", "Its position and its dead letters are gone; the events stay."),
    (Answer(204, "It is deleted.", {}),),
)
PAUSE: Final = _operation(
    "POST",
    "/{name}/pause",
    "pauseConsumer",
    ("Pause a consumer", "Nothing is given out until then. What is out can be settled."),
    (_answer(ConsumerDocument, "The paused consumer.", _CONSUMER),),
    body=_body(PauseRequest, {"until_ms": 1_795_260_000_000}),
)
RESUME: Final = _operation(
    "POST",
    "/{name}/resume",
    "resumeConsumer",
    ("End a pause", "Events are given out again at once."),
    (_answer(ConsumerDocument, "The consumer.", _CONSUMER),),
)
FETCH: Final = _operation(
    "POST",
    "/{name}/fetch",
    "fetchEvents",
    (
        "Fetch events",
        (
            "Gives out failed events whose time has come, then new ones. Several may fetch from "
            "one consumer at the same time and share its events. What is given out is durably "
            "counted before it is answered. Events on topics that you may not read are passed over."
        ),
    ),
    (
        _answer(
            DeliveriesDocument,
            "Events; none when there was nothing in time.",
            {
                "deliveries": [{"sequence": 1234, "deliveries": 1, "event": READ_EVENT}],
                "settled": {"settled": 1, "unknown": []},
            },
        ),
    ),
    errors=(
        HttpCode.SETTLEMENT_REFUSED,
        HttpCode.TOO_MANY_DEAD_LETTERS,
        HttpCode.TOO_MANY_FETCHES,
        HttpCode.STORE_UNAVAILABLE,
    ),
    body=_body(FetchRequest, {"max_events": 100, "wait_ms": 30_000, "settle": {"ack": [1200]}}),
)
SETTLE: Final = _operation(
    "POST",
    "/{name}/settle",
    "settleEvents",
    (
        "Settle events",
        (
            "Says what became of events that were given out. All of it is durable when it is "
            "answered, and none of it when it is refused."
        ),
    ),
    (_answer(SettledDocument, "What was made of it.", {"settled": 3, "unknown": [1200]}),),
    errors=(HttpCode.SETTLEMENT_REFUSED, HttpCode.TOO_MANY_DEAD_LETTERS),
    body=_body(
        SettlementRequest,
        {
            "ack": [1200, 1234],
            "nak": [{"sequence": 1235, "delay_ms": 5_000}],
            "terminate": [{"sequence": 1236, "reason": "no such product"}],
        },
    ),
)
LETTERS: Final = _operation(
    "GET",
    "/{name}/dead-letters",
    "listDeadLetters",
    (
        "List dead letters",
        "Gives pointers to the events that were given up, by sequence. The events stay in the log.",
    ),
    (_answer(LettersDocument, "Dead letters.", {"dead_letters": [_LETTER], "next": None}),),
    parameters=(
        Parameter(
            "after",
            "query",
            "Only those behind this sequence.",
            {"type": "integer", "minimum": -1, "maximum": INT_MAX, "default": -1},
        ),
        _LIMIT,
    ),
)
REPLAY: Final = _operation(
    "POST",
    "/{name}/dead-letters/replay",
    "replayDeadLetters",
    (
        "Give dead letters out again",
        (
            "They come as soon as there is room, with their failures forgotten. One that fails "
            "again so often is a dead letter once more."
        ),
    ),
    (_answer(LettersReplayed, "How many will come.", {"replayed": 1}),),
    body=_body(LettersReplay, {"sequences": [1234]}),
)
DELETE_LETTER: Final = _operation(
    "DELETE",
    "/{name}/dead-letters/{sequence}",
    "deleteDeadLetter",
    ("Forget a dead letter", "The event stays in the log, and the consumer never gives it out."),
    (Answer(204, "It is forgotten.", {}),),
    errors=(HttpCode.DEAD_LETTER_NOT_FOUND,),
    parameters=(Parameter("sequence", "path", "Sequence of the event.", _SEQUENCE, 1234),),
)
