"""One registered endpoint: what its owner asked for, its keys, the receiver's consent, its state.

Owns how a registration changes. A new URL needs a new consent; a replaced key signs on for a
while; an endpoint that is gone or failed for days is disabled until its owner says otherwise.
Rows are read back from the gateway's own store alone, so their form is not checked twice.

Every value is replaced, never changed; clock and randomness are handed in.
"""

from enum import StrEnum
from typing import Final

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from pubsub.core.consumer.config import AckPolicy, ConsumerConfig, Start
from pubsub.core.interest import InterestDocument, interest_from_document
from pubsub.core.limits import (
    WEBHOOK_ACK_WAIT_MS,
    WEBHOOK_BATCH_BYTES,
    WEBHOOK_BATCH_EVENTS,
    WEBHOOK_IN_FLIGHT,
    WEBHOOK_KEYS_MAX,
    WEBHOOK_RETRY_MS,
    WEBHOOK_WAITING_MAX,
)
from pubsub.core.rights import Principal
from pubsub.core.webhook.attempt import ATTEMPTS_MAX, Outcome, Verdict
from pubsub.core.webhook.encoding import Mode
from pubsub.core.webhook.handshake import Consent
from pubsub.core.webhook.health import Health, is_given_up
from pubsub.core.webhook.signing import SigningKey

__all__ = [
    "Plan",
    "Reason",
    "Registration",
    "State",
    "consumer_config",
    "consumer_name",
    "decode_registration",
    "disabled",
    "enabled",
    "encode_registration",
    "with_consent",
    "with_health",
    "with_key",
    "with_plan",
]


class State(StrEnum):
    """Whether an endpoint gets deliveries. The values are stable.

    Attributes:
        PENDING: its receiver has not consented. ACTIVE: it does. DISABLED: not until it is enabled.
    """

    PENDING = "pending"
    ACTIVE = "active"
    DISABLED = "disabled"


class Reason(StrEnum):
    """Why an endpoint is disabled. The values are stable.

    Attributes:
        OWNER: its owner wants so. GONE: it answered 410. FAILING: it took nothing for days.
        RIGHTS: its owner may have no webhooks any more, or its token is gone.
    """

    OWNER = "owner"
    GONE = "gone"
    FAILING = "failing"
    RIGHTS = "rights"


class Plan(Struct, frozen=True, kw_only=True):
    """What the owner of an endpoint can change.

    Attributes:
        interest: which events, as it was asked for; it was valid then.
        authorization: what its requests carry in ``Authorization``; empty for nothing.
        rate: requests a minute that are wanted; None for any number.
        in_flight_max: requests on their way at one time.
    """

    url: str
    interest: InterestDocument = InterestDocument()
    mode: Mode = "structured"
    batch_events_max: int = WEBHOOK_BATCH_EVENTS
    batch_bytes_max: int = WEBHOOK_BATCH_BYTES
    authorization: str = ""
    rate: int | None = None
    in_flight_max: int = WEBHOOK_IN_FLIGHT


class Registration(Struct, frozen=True, kw_only=True):
    """One registered endpoint.

    Attributes:
        owner: who registered it, with the rights that it had then.
        keys: the newest of each kind stands last.
        draw_key: spreads its retries.
        callback_digest: SHA-256 of the token with which consent can be given; empty for none.
        is_disabled, reason: nothing is sent, and why.
        health: as it was when it last turned.
    """

    id: str
    owner: Principal
    created_ms: int
    plan: Plan
    start: Start
    is_ordered: bool
    keys: tuple[SigningKey, ...]
    draw_key: bytes
    consent: Consent | None = None
    callback_digest: bytes = b""
    reason: Reason | None = None
    health: Health = Health()

    @property
    def state(self) -> State:
        """Whether it gets deliveries."""
        if self.reason is not None:
            return State.DISABLED
        return State.PENDING if self.consent is None else State.ACTIVE


_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(Registration).decode


def encode_registration(registration: Registration) -> bytes:
    """Give the row of a registration."""
    return _encode(registration)


def decode_registration(row: bytes) -> Registration:
    """Read a row. Raises msgspec.MsgspecError when the store is broken."""
    return _decode(row)


def consumer_name(id_: str) -> str:
    """Give the name of the consumer that feeds an endpoint; no client can name it."""
    return f"webhook/{id_}"


def consumer_config(registration: Registration) -> ConsumerConfig:
    """Give the configuration of the consumer that feeds it."""
    plan = registration.plan
    return ConsumerConfig(
        name=consumer_name(registration.id),
        interest=interest_from_document(plan.interest),
        start=registration.start,
        ack_policy=AckPolicy.EXPLICIT,
        ack_wait_ms=WEBHOOK_ACK_WAIT_MS,
        max_in_flight=WEBHOOK_WAITING_MAX,
        max_deliveries=ATTEMPTS_MAX,
        backoff_ms=WEBHOOK_RETRY_MS,
        is_ordered=registration.is_ordered,
    )


def with_plan(registration: Registration, plan: Plan) -> Registration:
    """Change what its owner asked for; a new URL is another receiver, who has not consented."""
    if plan.url == registration.plan.url:
        return replace(registration, plan=plan)
    return replace(registration, plan=plan, consent=None, callback_digest=b"", health=Health())


def with_key(registration: Registration, key: SigningKey, overlap_ms: int) -> Registration:
    """Add a key; those of the same kind sign for ``overlap_ms`` more, at most a few of them."""
    now_ms = key.created_ms
    others = [old for old in registration.keys if old.kind is not key.kind]
    replaced = [
        replace(old, expires_ms=min(old.expires_ms or now_ms + overlap_ms, now_ms + overlap_ms))
        for old in registration.keys
        if old.kind is key.kind and old.signs_at(now_ms)
    ]
    kept = [old for old in replaced if old.signs_at(now_ms)][1 - WEBHOOK_KEYS_MAX :]
    return replace(registration, keys=(*others, *kept, key))


def with_consent(registration: Registration, consent: Consent) -> Registration:
    """Note the receiver's consent."""
    return replace(registration, consent=consent, callback_digest=b"")


def with_health(
    registration: Registration, health: Health, verdict: Verdict, now_ms: int
) -> Registration:
    """Note how it does after an attempt; disable it when it wants no more, or failed for days."""
    reason = registration.reason
    if reason is None and verdict.outcome is Outcome.GONE:
        reason = Reason.GONE
    elif reason is None and is_given_up(health, now_ms):
        reason = Reason.FAILING
    return replace(registration, health=health, reason=reason)


def disabled(registration: Registration, reason: Reason) -> Registration:
    """Let it get nothing until it is enabled; the first reason stays."""
    return replace(registration, reason=registration.reason or reason)


def enabled(registration: Registration) -> Registration:
    """Let it get deliveries again, as if it had never failed."""
    return replace(registration, reason=None, health=Health())
