"""The gateway's interface: every operation with its description and its handler, in one table.

Routes, OpenAPI and the reference page are all made from ``ENDPOINTS``, so none can be forgotten.
"""

from typing import Final

from ledger.core.errors import RejectCode
from ledger.core.limits import (
    GATEWAY_PAGE_EVENTS,
    GATEWAY_PAGE_EVENTS_MAX,
    GATEWAY_WAIT_MS,
    GATEWAY_WAIT_MS_MAX,
    INT_MAX,
    SUBMIT_ENTRIES_MAX,
)
from pubsub.core.api_examples import EVENT, EVENT_ID, READ_EVENT, RECEIPT, RECEIPTS
from pubsub.core.cloudevents import CloudEvent
from pubsub.core.documents import (
    BlockDocument,
    Health,
    Receipt,
    Receipts,
    Status,
    ValidatorsDocument,
)
from pubsub.core.openapi import Answer, Json, Operation, Parameter, reference
from pubsub.core.problems import HttpCode
from pubsub.core.rights import Scope
from pubsub.io import operations, publish, reads
from pubsub.io.audit_api import AUDIT_ENDPOINTS
from pubsub.io.consumers_api import CONSUMER_ENDPOINTS
from pubsub.io.endpoint import Endpoint
from pubsub.io.snapshot_api import SNAPSHOT_ENDPOINTS
from pubsub.io.stream_api import INTEREST_PARAMETERS, STREAM_ENDPOINTS
from pubsub.io.tlog_api import TLOG_ENDPOINTS
from pubsub.io.topics_api import TOPICS_ENDPOINTS
from pubsub.io.trust_api import TRUST_ENDPOINTS
from pubsub.io.webhooks_api import WEBHOOK_ENDPOINTS

__all__ = ["ENDPOINTS", "PUBLISH_ENDPOINT"]

_BINARY: Final[Json] = {"type": "string", "format": "binary"}
_TEXT: Final[Json] = {"type": "string"}
_EVENTS: Final[Json] = {"type": "array", "items": reference(CloudEvent)}
_EVENT_NAME = Parameter(
    "id",
    "path",
    "Event id (64 hexadecimal digits) or sequence.",
    {"type": "string", "pattern": "^([0-9a-f]{64}|0|[1-9][0-9]{0,17})$"},
    EVENT_ID,
)


_AFTER: Final[Json] = {"type": "integer", "minimum": -1, "maximum": INT_MAX}
_NEEDS_STORE = (HttpCode.STORE_UNAVAILABLE, HttpCode.INTERNAL_ERROR, HttpCode.INVALID_PARAMETER)

_PUBLISH = Operation(
    "POST",
    "/v1/events",
    "publishEvents",
    "Events",
    "Publish one event, a batch, or many at once",
    f"Hands signed events to this member's node. With `{publish.MEDIA_EVENT}` the answer is one "
    "receipt, or a problem whose code says why the event was refused. With "
    f"`{publish.MEDIA_BATCH}` (a JSON array) or `{publish.MEDIA_BULK}` (a MessagePack array of "
    f"encoded entries, each as a byte string) it is a receipt for each of up to "
    f"{SUBMIT_ENTRIES_MAX} events in their order, also when some or all of them were refused; "
    "only a malformed body refuses the whole request. A duplicate is refused, but waited for like "
    "the first one when `wait` is given. After a 503 or 504 the outcome is unknown: sending the "
    "same events again is always safe.",
    (
        Answer(
            202,
            "Taken over by the node, or refused; not final yet.",
            {"application/json": {"oneOf": [reference(Receipt), reference(Receipts)]}},
            RECEIPTS,
            {
                "Location": "Where the event will be, for a single one.",
                "Preference-Applied": "`return=minimal` where a receipt stands for many.",
            },
        ),
        Answer(
            200,
            "With `wait`: each event is final or refused.",
            {"application/json": {"oneOf": [reference(Receipt), reference(Receipts)]}},
            RECEIPT,
            {
                "Location": "Where the event is, for a single one.",
                "Preference-Applied": "`return=minimal` where a receipt stands for many.",
            },
        ),
    ),
    (
        *RejectCode,
        HttpCode.BODY_TIMEOUT,
        HttpCode.BODY_TOO_LARGE,
        HttpCode.UNSUPPORTED_MEDIA_TYPE,
        HttpCode.NODE_UNAVAILABLE,
        HttpCode.NOT_FINAL_IN_TIME,
        *_NEEDS_STORE,
    ),
    (
        Parameter(
            "wait",
            "query",
            "Answer when the events are final, or when their proofs are ready too.",
            {"type": "string", "enum": ["final", "proof"]},
        ),
        Parameter(
            "timeout_ms",
            "query",
            "How long to wait.",
            {
                "type": "integer",
                "minimum": 1,
                "maximum": GATEWAY_WAIT_MS_MAX,
                "default": GATEWAY_WAIT_MS,
            },
        ),
        Parameter(
            "Prefer",
            "header",
            "`return=minimal`: of many at once (MessagePack), one receipt with a `count` may stand "
            "for all events, if they are all pending, or final one behind the other.",
            {"type": "string"},
            "return=minimal",
        ),
    ),
    {
        publish.MEDIA_EVENT: {"schema": reference(CloudEvent), "example": EVENT},
        publish.MEDIA_BATCH: {"schema": _EVENTS, "example": [EVENT]},
        publish.MEDIA_BULK: {"schema": _BINARY},
    },
)
_LIST = Operation(
    "GET",
    "/v1/events",
    "listEvents",
    "Events",
    "Search the log",
    "Gives events in ledger order that meet all conditions. Follow `Link` with `rel=next` until "
    "there is none; a page may be short or empty before that, when few events meet the conditions. "
    "`Concordat-Cursor` is the last sequence looked at: give it as `after` to go on later.",
    (
        Answer(
            200,
            "A page of events.",
            {publish.MEDIA_BATCH: _EVENTS, "application/json": _EVENTS},
            [READ_EVENT],
            {
                "Link": "The next page, `rel=next`; absent at the end of the log.",
                "Concordat-Cursor": "Last sequence that was looked at, -1 for none.",
                "Concordat-Log-Size": "Number of events in the log.",
            },
        ),
    ),
    (HttpCode.FORGOTTEN, HttpCode.NOT_ACCEPTABLE, *_NEEDS_STORE),
    (
        *INTEREST_PARAMETERS,
        Parameter(
            "after",
            "query",
            "Only events behind this sequence; by default all that this member holds.",
            _AFTER,
        ),
        Parameter(
            "limit",
            "query",
            "At most so many events.",
            {
                "type": "integer",
                "minimum": 1,
                "maximum": GATEWAY_PAGE_EVENTS_MAX,
                "default": GATEWAY_PAGE_EVENTS,
            },
        ),
    ),
)
_GET = Operation(
    "GET",
    "/v1/events/{id}",
    "getEvent",
    "Events",
    "Get one event",
    "Gives an event that is final. An event that a block refused is answered `event_refused`.",
    (
        Answer(
            200,
            "The event.",
            {
                publish.MEDIA_EVENT: reference(CloudEvent),
                "application/json": reference(CloudEvent),
                reads.MEDIA_ENTRY: _BINARY,
            },
            READ_EVENT,
            {"Concordat-Sequence": "The event's sequence."},
        ),
    ),
    (
        HttpCode.EVENT_NOT_FOUND,
        HttpCode.EVENT_REFUSED,
        HttpCode.FORGOTTEN,
        HttpCode.NOT_ACCEPTABLE,
        *_NEEDS_STORE,
    ),
    (_EVENT_NAME,),
)
_PROOF = Operation(
    "GET",
    "/v1/events/{id}/proof",
    "getProof",
    "Events",
    "Get the proof of one event",
    "Gives a bundle that shows, with the genesis file alone, that the network agreed on the event "
    "at its sequence. The proof is ready one or two blocks after the event; until then the answer "
    "is `proof_not_ready`. Where this member has forgotten the event, `entry` is empty: add the "
    "one that you kept.",
    (
        Answer(
            200,
            "The proof bundle; as JSON for people, whose member `bundle` holds the bytes.",
            {reads.MEDIA_PROOF: _BINARY, "application/json": {"type": "object"}},
        ),
    ),
    (
        HttpCode.EVENT_NOT_FOUND,
        HttpCode.EVENT_REFUSED,
        HttpCode.PROOF_NOT_READY,
        HttpCode.NOT_ACCEPTABLE,
        *_NEEDS_STORE,
    ),
    (_EVENT_NAME,),
)
_BLOCK = Operation(
    "GET",
    "/v1/blocks/{height}",
    "getBlock",
    "Ledger",
    "Get one final block",
    "Gives a block of the chain, the ledger after it, and who signed its certificate.",
    (Answer(200, "The block.", {"application/json": reference(BlockDocument)}),),
    (HttpCode.BLOCK_NOT_FOUND, *_NEEDS_STORE),
    (Parameter("height", "path", "Height of the block.", {"type": "integer", "minimum": 0}, 987),),
)
_VALIDATORS = Operation(
    "GET",
    "/v1/validators",
    "getValidators",
    "Ledger",
    "Get the validator set",
    "Gives the validators of the present or an earlier epoch, and how many make a quorum.",
    (Answer(200, "The validators.", {"application/json": reference(ValidatorsDocument)}),),
    (HttpCode.INVALID_PARAMETER, *_NEEDS_STORE),
    (
        Parameter(
            "epoch",
            "query",
            "Number of the epoch; the present one by default.",
            {"type": "integer", "minimum": 0},
        ),
    ),
)
_GENESIS = Operation(
    "GET",
    "/v1/genesis",
    "getGenesis",
    "Ledger",
    "Get the genesis file",
    "Gives what all members agreed on at the beginning. A client that checks proofs must get this "
    "file from somebody that it trusts, not from the gateway that it checks.",
    (Answer(200, "The genesis file.", {"application/json": {"type": "object"}}),),
    _NEEDS_STORE,
)
_STATUS = Operation(
    "GET",
    "/v1/status",
    "getStatus",
    "Operations",
    "See how the member does, and why there is no progress if so",
    "Answers also while the node is down, from what the store holds, and says so.",
    (Answer(200, "The status.", {"application/json": reference(Status)}),),
    (HttpCode.INTERNAL_ERROR, HttpCode.INVALID_PARAMETER),
)
_LIVEZ = Operation(
    "GET",
    "/livez",
    "getLiveness",
    "Operations",
    "Is the gateway alive?",
    "Restart the gateway when this fails.",
    (Answer(200, "It is.", {"application/json": reference(Health)}, {"status": "ok"}),),
)
_READYZ = Operation(
    "GET",
    "/readyz",
    "getReadiness",
    "Operations",
    "Can events be read and published here?",
    "Send requests elsewhere while this fails.",
    (Answer(200, "They can.", {"application/json": reference(Health)}, {"status": "ok"}),),
    (HttpCode.NODE_UNAVAILABLE, HttpCode.STORE_UNAVAILABLE, HttpCode.SHUTTING_DOWN),
)
_METRICS = Operation(
    "GET",
    "/metrics",
    "getMetrics",
    "Operations",
    "Get metrics for Prometheus",
    "The gateway's own metrics, followed by those of the node when it can be reached.",
    (Answer(200, "Prometheus text format.", {"text/plain": _TEXT}),),
)

PUBLISH_ENDPOINT: Final = Endpoint(_PUBLISH, publish.publish, Scope.PUBLISH)
ENDPOINTS: Final = (
    PUBLISH_ENDPOINT,
    Endpoint(_LIST, reads.get_events, Scope.READ),
    Endpoint(_GET, reads.get_event, Scope.READ),
    Endpoint(_PROOF, reads.get_proof, Scope.READ),
    *STREAM_ENDPOINTS,
    *CONSUMER_ENDPOINTS,
    *TOPICS_ENDPOINTS,
    *TRUST_ENDPOINTS,
    Endpoint(_BLOCK, reads.get_block, Scope.READ),
    Endpoint(_VALIDATORS, reads.get_validators, Scope.PUBLIC),
    Endpoint(_GENESIS, reads.get_genesis, Scope.PUBLIC),
    *SNAPSHOT_ENDPOINTS,
    *TLOG_ENDPOINTS,
    *WEBHOOK_ENDPOINTS,
    *AUDIT_ENDPOINTS,
    Endpoint(_STATUS, operations.get_status, Scope.PUBLIC),
    Endpoint(_LIVEZ, operations.get_livez, Scope.PUBLIC),
    Endpoint(_READYZ, operations.get_readyz, Scope.PUBLIC),
    Endpoint(_METRICS, operations.get_metrics, Scope.PUBLIC),
)
