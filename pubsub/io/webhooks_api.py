"""The gateway's operations about webhooks: their descriptions; handlers are in ``webhooks``."""

from typing import Final

from msgspec import Struct

from ledger.core.errors import RejectCode
from ledger.core.limits import INT_MAX
from pubsub.core.consumer_event_documents import LettersDocument, LettersReplay, LettersReplayed
from pubsub.core.documents import Health
from pubsub.core.limits import CONSUMER_LIST, CONSUMER_LIST_MAX, WEBHOOK_TOKEN_CHARS_MAX
from pubsub.core.openapi import Answer, Json, Operation, Parameter, reference
from pubsub.core.problems import Code, HttpCode
from pubsub.core.rights import Scope
from pubsub.core.webhook_documents import (
    AttemptDocument,
    AttemptsDocument,
    CreatedWebhook,
    RedeliveryRequest,
    RotateRequest,
    SecretDocument,
    WebhookChange,
    WebhookDocument,
    WebhookRequest,
    WebhooksDocument,
)
from pubsub.io.endpoint import Endpoint, Handler
from pubsub.io.webhooks import handlers

__all__ = ["WEBHOOK_ENDPOINTS"]

_TAG: Final = "Webhooks"
_PATH: Final = "/v1/webhooks"
_JSON: Final = "application/json"
_EXAMPLE_ID: Final = "wh_mfkq7r2gkyqrtwjupd2ilpzio4"
_ID = Parameter(
    "id",
    "path",
    "Id of the webhook.",
    {"type": "string", "pattern": "^wh_[a-z2-7]{26}$"},
    _EXAMPLE_ID,
)
_EXAMPLE: Final[Json] = {
    "url": "https://shop.example/hooks/ledger",
    "interest": {"topics": ["dome.catalogue.>"]},
    "signatures": ["v1", "v1a"],
}
_FAULTS: Final = (
    HttpCode.INVALID_PARAMETER,
    HttpCode.DELIVERY_UNAVAILABLE,
    HttpCode.INTERNAL_ERROR,
)
_BODY_FAULTS: Final = (
    RejectCode.MALFORMED,
    RejectCode.OVERLOADED,
    HttpCode.BODY_TIMEOUT,
    HttpCode.BODY_TOO_LARGE,
    HttpCode.UNSUPPORTED_MEDIA_TYPE,
)


def _webhook(
    method: str,
    path: str,
    texts: tuple[str, str, str],
    answer: type[Struct],
    *faults: Code,
    body: type[Struct] | None = None,
) -> Operation:
    """Describe an operation on one webhook; ``texts`` are its name, summary and description."""
    return Operation(
        method,
        f"{_PATH}/{{id}}{path}",
        texts[0],
        _TAG,
        texts[1],
        texts[2],
        (Answer(200, "Done.", {_JSON: reference(answer)}),),
        (HttpCode.WEBHOOK_NOT_FOUND, *faults, *(_BODY_FAULTS if body else ()), *_FAULTS),
        (_ID,),
        None if body is None else {_JSON: {"schema": reference(body)}},
    )


_CREATE = Operation(
    "POST",
    _PATH,
    "createWebhook",
    _TAG,
    "Have events posted to a URL",
    "Makes a webhook and asks its receiver, by `OPTIONS` to the URL with `WebHook-Request-Origin`, "
    "whether it wants deliveries; it consents with `WebHook-Allowed-Origin`. Until then its state "
    "is `pending` and nothing is posted. Deliveries are CloudEvents signed as Standard Webhooks "
    "say. The secrets in the answer are never shown again.",
    (
        Answer(
            201,
            "The webhook, and what its receiver verifies with.",
            {_JSON: reference(CreatedWebhook)},
            None,
            {"Location": "Where the webhook is."},
        ),
    ),
    (
        HttpCode.WEBHOOK_TARGET_FORBIDDEN,
        HttpCode.TOO_MANY_WEBHOOKS,
        HttpCode.TOO_MANY_CONSUMERS,
        HttpCode.STORE_UNAVAILABLE,
        *_BODY_FAULTS,
        *_FAULTS,
    ),
    (),
    {_JSON: {"schema": reference(WebhookRequest), "example": _EXAMPLE}},
)
_LIST = Operation(
    "GET",
    _PATH,
    "listWebhooks",
    _TAG,
    "List your webhooks",
    "Gives all of them, the oldest first, with their state and health.",
    (Answer(200, "The webhooks.", {_JSON: reference(WebhooksDocument)}),),
    _FAULTS,
)
_GET = _webhook(
    "GET",
    "",
    ("getWebhook", "Get a webhook", "Gives its state, health and how far it is behind."),
    WebhookDocument,
)
_CHANGE = _webhook(
    "PATCH",
    "",
    (
        "changeWebhook",
        "Change a webhook",
        "What is left out stays. The receiver at another URL is asked for its consent.",
    ),
    WebhookDocument,
    HttpCode.WEBHOOK_TARGET_FORBIDDEN,
    HttpCode.STORE_UNAVAILABLE,
    body=WebhookChange,
)
_DELETE = _webhook(
    "DELETE",
    "",
    ("deleteWebhook", "Delete a webhook", "Its secrets and dead letters are deleted, too."),
    WebhookDocument,
)._replace(answers=(Answer(204, "It is gone.", {}),))
_VERIFY = _webhook(
    "POST",
    "/verify",
    (
        "verifyWebhook",
        "Ask the receiver for its consent again",
        "Gives the webhook, whose state says what came of it; `deliveries` says more.",
    ),
    WebhookDocument,
)
_ENABLE = _webhook(
    "POST",
    "/enable",
    (
        "enableWebhook",
        "Deliver again",
        "Ends that it is disabled, for whatever reason. Deliveries go on where they ended.",
    ),
    WebhookDocument,
)
_ROTATE = _webhook(
    "POST",
    "/rotate",
    (
        "rotateWebhookKey",
        "Replace a key",
        (
            "Makes a new key of a kind and shows it, once. Older keys of the kind sign beside it "
            "for `overlap_ms`, 0 when one has leaked. A kind that the webhook did not have is "
            "added."
        ),
    ),
    SecretDocument,
    body=RotateRequest,
)
_PING = _webhook(
    "POST",
    "/ping",
    (
        "pingWebhook",
        "Send a test event",
        (
            "Posts an event of type `io.concordat.webhook.ping`, which is in no ledger, as the "
            "webhook's events are posted, and says how it went."
        ),
    ),
    AttemptDocument,
    HttpCode.WEBHOOK_UNVERIFIED,
)
_REDELIVER = _webhook(
    "POST",
    "/redeliver",
    (
        "redeliverEvents",
        "Send events once more",
        (
            "Posts events at once, each with its id and signed anew, and says how each went. The "
            "webhook's health and what else it gets stay as they are."
        ),
    ),
    AttemptsDocument,
    HttpCode.WEBHOOK_UNVERIFIED,
    HttpCode.EVENT_NOT_FOUND,
    HttpCode.STORE_UNAVAILABLE,
    body=RedeliveryRequest,
)
_ATTEMPTS = _webhook(
    "GET",
    "/deliveries",
    (
        "listDeliveries",
        "See the last attempts",
        (
            "Gives what was tried of late, the newest first: when, how it went and how long it "
            "took. Nothing of an answer but its status is kept."
        ),
    ),
    AttemptsDocument,
)
_LETTERS = _webhook(
    "GET",
    "/dead-letters",
    (
        "listWebhookDeadLetters",
        "List events that were given up",
        "Gives events that failed ten times. They are in the ledger still; replay them.",
    ),
    LettersDocument,
)._replace(
    parameters=(
        _ID,
        Parameter(
            "after",
            "query",
            "Only those behind this sequence.",
            {"type": "integer", "minimum": -1, "maximum": INT_MAX},
        ),
        Parameter(
            "limit",
            "query",
            "At most so many.",
            {
                "type": "integer",
                "minimum": 1,
                "maximum": CONSUMER_LIST_MAX,
                "default": CONSUMER_LIST,
            },
        ),
    )
)
_REPLAY = _webhook(
    "POST",
    "/dead-letters/replay",
    (
        "replayWebhookDeadLetters",
        "Try events again that were given up",
        "Has the named ones, or all, tried by the whole schedule again.",
    ),
    LettersReplayed,
    body=LettersReplay,
)
_TOKEN = Parameter(
    "token",
    "query",
    "What the receiver was told in `WebHook-Request-Callback`; required.",
    {"type": "string", "minLength": 1, "maxLength": WEBHOOK_TOKEN_CHARS_MAX},
)


def _consent(method: str, name: str) -> Operation:
    return _webhook(
        method,
        "/consent",
        (
            name,
            "Consent to deliveries",
            (
                "For receivers, who were told this URL when they were asked. "
                "`WebHook-Allowed-Rate` may say how many requests a minute are wanted at most. A "
                "token counts once."
            ),
        ),
        Health,
        RejectCode.MALFORMED,
    )._replace(parameters=(_ID, _TOKEN))


def _of(operation: Operation, handler: Handler) -> Endpoint:
    return Endpoint(operation, handler, Scope.WEBHOOKS)


WEBHOOK_ENDPOINTS: Final = (
    _of(_CREATE, handlers.create_webhook),
    _of(_LIST, handlers.list_webhooks),
    _of(_GET, handlers.get_webhook),
    _of(_CHANGE, handlers.change_webhook),
    _of(_DELETE, handlers.delete_webhook),
    _of(_VERIFY, handlers.verify_webhook),
    _of(_ENABLE, handlers.enable_webhook),
    _of(_ROTATE, handlers.rotate_key),
    _of(_PING, handlers.ping_webhook),
    _of(_REDELIVER, handlers.redeliver),
    _of(_ATTEMPTS, handlers.get_attempts),
    _of(_LETTERS, handlers.get_letters),
    _of(_REPLAY, handlers.replay_letters),
    Endpoint(_consent("GET", "consentByLink"), handlers.take_consent, Scope.PUBLIC),
    Endpoint(_consent("POST", "consent"), handlers.take_consent, Scope.PUBLIC),
)
