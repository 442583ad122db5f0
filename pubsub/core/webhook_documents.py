"""The JSON documents about webhooks: what an owner asks for and what is shown to it.

Owns their form and bounds. Secrets are in no document but the one that answers the request that
made them. Times are milliseconds since 1970 UTC.
"""

from typing import Annotated, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from ledger.core.limits import INT_MAX
from pubsub.core.consumer.config import StartPolicy
from pubsub.core.consumer_documents import StartDocument
from pubsub.core.interest import InterestDocument
from pubsub.core.limits import (
    WEBHOOK_AUTHORIZATION_CHARS_MAX,
    WEBHOOK_BATCH_BYTES,
    WEBHOOK_BATCH_BYTES_MAX,
    WEBHOOK_BATCH_EVENTS,
    WEBHOOK_BATCH_EVENTS_MAX,
    WEBHOOK_IN_FLIGHT,
    WEBHOOK_IN_FLIGHT_MAX,
    WEBHOOK_OVERLAP_MS,
    WEBHOOK_OVERLAP_MS_MAX,
    WEBHOOK_RATE_MAX,
    WEBHOOK_REDELIVERIES_MAX,
    WEBHOOK_URL_CHARS_MAX,
)
from pubsub.core.webhook.attempt import Outcome
from pubsub.core.webhook.encoding import Mode
from pubsub.core.webhook.registration import Reason, State
from pubsub.core.webhook.signing import SignatureKind

__all__ = [
    "WEBHOOK_DOCUMENTS",
    "AttemptDocument",
    "AttemptsDocument",
    "BatchDocument",
    "CreatedWebhook",
    "HealthDocument",
    "KeyDocument",
    "RedeliveryRequest",
    "RotateRequest",
    "SecretDocument",
    "WebhookChange",
    "WebhookDocument",
    "WebhookRequest",
    "WebhooksDocument",
]

_Url = Annotated[
    str, Meta(min_length=1, max_length=WEBHOOK_URL_CHARS_MAX, pattern=r"^https?://[!-~]+\Z")
]
_Authorization = Annotated[
    str,
    Meta(
        max_length=WEBHOOK_AUTHORIZATION_CHARS_MAX, pattern=r"^[A-Za-z][A-Za-z0-9-]{0,31} [!-~]+\Z"
    ),
]
_Rate = Annotated[int, Meta(ge=1, le=WEBHOOK_RATE_MAX)]
_InFlight = Annotated[int, Meta(ge=1, le=WEBHOOK_IN_FLIGHT_MAX)]
_Sequence = Annotated[int, Meta(ge=0, le=INT_MAX)]


class BatchDocument(Struct, frozen=True, forbid_unknown_fields=True):
    """How large a batch may be.

    Attributes:
        events_max: events in it.
        bytes_max: bytes of it; an event that is larger goes alone.
    """

    events_max: Annotated[int, Meta(ge=1, le=WEBHOOK_BATCH_EVENTS_MAX)] = WEBHOOK_BATCH_EVENTS
    bytes_max: Annotated[int, Meta(ge=1, le=WEBHOOK_BATCH_BYTES_MAX)] = WEBHOOK_BATCH_BYTES


class WebhookRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is asked for when a webhook is made.

    Attributes:
        url: where events are posted: https on port 443, if the gateway does not allow more.
        interest: which events.
        mode: how events are encoded; ``batch`` has several in one request.
        batch: how large a batch may be; with ``batch`` only.
        signatures: ``v1`` is HMAC-SHA256, ``v1a`` Ed25519.
        authorization: what requests carry in ``Authorization``; never shown again.
        start: the event to begin with.
        rate: requests a minute that are wanted.
        in_flight_max: requests on their way at one time; 1 when ordered.
        is_ordered: no event is posted before the one in front of it was taken or given up.
    """

    url: _Url
    interest: InterestDocument = InterestDocument()
    mode: Mode = "structured"
    batch: BatchDocument | UnsetType = UNSET
    signatures: Annotated[tuple[SignatureKind, ...], Meta(min_length=1, max_length=2)] = (
        SignatureKind.HMAC,
    )
    authorization: _Authorization | UnsetType = UNSET
    start: StartDocument = StartDocument(StartPolicy.NEW)
    rate: _Rate | None = None
    in_flight_max: _InFlight = WEBHOOK_IN_FLIGHT
    is_ordered: bool = False


class WebhookChange(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is to change; what is left out stays.

    Attributes:
        url: another one needs the consent of its receiver.
        interest: which events.
        mode: how events are encoded.
        batch: how large a batch may be.
        authorization: null for none.
        rate: requests a minute that are wanted; null for any number.
        in_flight_max: requests on their way at one time.
        state: ``disabled`` ends deliveries until the webhook is enabled.
    """

    url: _Url | UnsetType = UNSET
    interest: InterestDocument | UnsetType = UNSET
    mode: Mode | UnsetType = UNSET
    batch: BatchDocument | UnsetType = UNSET
    authorization: _Authorization | UnsetType | None = UNSET
    rate: _Rate | UnsetType | None = UNSET
    in_flight_max: _InFlight | UnsetType = UNSET
    state: Literal["disabled"] | UnsetType = UNSET


class RotateRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which key is to be replaced, or added.

    Attributes:
        signature: the kind of the new key.
        overlap_ms: how long older keys of this kind still sign beside it.
    """

    signature: SignatureKind = SignatureKind.HMAC
    overlap_ms: Annotated[int, Meta(ge=0, le=WEBHOOK_OVERLAP_MS_MAX)] = WEBHOOK_OVERLAP_MS


class RedeliveryRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """Which events are to be posted once more, now.

    Attributes:
        sequences: of events that the webhook is interested in.
    """

    sequences: Annotated[
        tuple[_Sequence, ...], Meta(min_length=1, max_length=WEBHOOK_REDELIVERIES_MAX)
    ]


class KeyDocument(Struct, frozen=True):
    """A key that signs deliveries, without what is secret.

    Attributes:
        public_key: ``whpk_`` and the key, of ``v1a``; null for ``v1``.
        expires_ms: when it ends to sign; null while it was not replaced.
    """

    signature: SignatureKind
    public_key: str | None
    created_ms: int
    expires_ms: int | None


class SecretDocument(Struct, frozen=True):
    """What a receiver verifies with. Shown once.

    Attributes:
        key: ``whsec_`` and the shared secret, or ``whpk_`` and the public key.
    """

    signature: SignatureKind
    key: str


class HealthDocument(Struct, frozen=True):
    """How a webhook's endpoint does.

    Attributes:
        status: ``failing`` since the first of the failures in a row.
        paused_until_ms: nothing is sent before; null when something may be.
        success_ms: when it last took something.
    """

    status: Literal["ok", "failing"]
    failing_since_ms: int | None
    failures: int
    paused_until_ms: int | None
    success_ms: int | None


class WebhookDocument(Struct, frozen=True, kw_only=True):
    """A webhook as it is shown to its owner.

    Attributes:
        has_authorization: whether its requests carry ``Authorization``.
        state: ``pending`` until its receiver consents.
        reason: why it is disabled.
        allowed_rate: requests a minute that its receiver allowed; null for any number.
        lag: matching events not sent yet, or an upper bound of them.
        in_flight: events that are sent or wait for a retry.
        dead_letters: events that were given up.
    """

    id: str
    owner: str
    created_ms: int
    url: str
    interest: InterestDocument
    mode: Mode
    batch: BatchDocument | None
    keys: list[KeyDocument]
    has_authorization: bool
    rate: int | None
    allowed_rate: int | None
    in_flight_max: int
    is_ordered: bool
    state: State
    reason: Reason | None
    health: HealthDocument
    lag: int
    in_flight: int
    dead_letters: int


class CreatedWebhook(Struct, frozen=True):
    """A webhook and its new keys: the one time that secrets are shown."""

    webhook: WebhookDocument
    secrets: list[SecretDocument]


class WebhooksDocument(Struct, frozen=True):
    """The webhooks of one owner."""

    webhooks: list[WebhookDocument]


class AttemptDocument(Struct, frozen=True, kw_only=True):
    """One attempt to reach an endpoint. Of its answer nothing but the status is kept.

    Attributes:
        purpose: what was sent.
        id: ``webhook-id`` of the request; empty for a handshake.
        sequences: of the events in it.
        attempt: how often these events have been tried, this one included; 0 where that does not
            count.
        outcome: ``delivered``, or how it failed.
        status: of the answer; null without one.
        ms: from the name's lookup to the answer.
    """

    at_ms: int
    purpose: Literal["delivery", "redelivery", "ping", "handshake"]
    id: str
    sequences: list[int]
    attempt: int
    outcome: Outcome
    status: int | None
    ms: int


class AttemptsDocument(Struct, frozen=True):
    """The last attempts, the newest first; they are kept in memory alone."""

    attempts: list[AttemptDocument]


WEBHOOK_DOCUMENTS = (
    WebhookRequest,
    WebhookChange,
    RotateRequest,
    RedeliveryRequest,
    WebhookDocument,
    WebhooksDocument,
    CreatedWebhook,
    SecretDocument,
    AttemptDocument,
    AttemptsDocument,
)
"""What the API's description has schemas of."""
