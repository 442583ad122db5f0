"""From the documents that owners send to plans, and from registrations to what is shown.

Owns which combinations make sense. Never lets a secret into what is shown.
"""

from collections.abc import Iterable
from typing import NamedTuple

from msgspec import UNSET
from msgspec.structs import replace

from ledger.core.errors import DecodeError
from pubsub.core.consumer.config import Start
from pubsub.core.consumer_documents import ConsumerRequest, config_of
from pubsub.core.interest import InterestDocument, interest_from_document
from pubsub.core.webhook.health import Health, pause_left_ms
from pubsub.core.webhook.registration import Plan, Registration
from pubsub.core.webhook.signing import SignatureKind, SigningKey
from pubsub.core.webhook_documents import (
    BatchDocument,
    HealthDocument,
    KeyDocument,
    SecretDocument,
    WebhookChange,
    WebhookDocument,
    WebhookRequest,
)

__all__ = ["Counts", "changed_plan", "plan_of", "secrets", "start_of", "webhook_document"]


class Counts(NamedTuple):
    """How much a webhook has before it, on its way and behind it."""

    lag: int = 0
    in_flight: int = 0
    dead_letters: int = 0


def plan_of(wish: WebhookRequest) -> Plan:
    """Give the plan that is asked for. Raises DecodeError when its parts do not fit."""
    if wish.batch is not UNSET and wish.mode != "batch":
        raise DecodeError("batch is for the mode batch")
    if wish.is_ordered and wish.mode == "batch":
        raise DecodeError("an ordered webhook posts one event at a time: it has no batches")
    batch = BatchDocument() if wish.batch is UNSET else wish.batch
    return Plan(
        url=wish.url,
        interest=_valid(wish.interest),
        mode=wish.mode,
        batch_events_max=batch.events_max,
        batch_bytes_max=batch.bytes_max,
        authorization="" if wish.authorization is UNSET else wish.authorization,
        rate=wish.rate,
        in_flight_max=1 if wish.is_ordered else wish.in_flight_max,
    )


def start_of(wish: WebhookRequest) -> Start:
    """Give where it begins, by the rules of consumers. Raises DecodeError."""
    return config_of(ConsumerRequest(name="webhook", start=wish.start)).start


def changed_plan(registration: Registration, change: WebhookChange) -> Plan:
    """Give the plan after a change. Raises DecodeError when its parts do not fit."""
    old = registration.plan
    plan = replace(
        old,
        url=old.url if change.url is UNSET else change.url,
        interest=old.interest if change.interest is UNSET else _valid(change.interest),
        mode=old.mode if change.mode is UNSET else change.mode,
        authorization=old.authorization
        if change.authorization is UNSET
        else change.authorization or "",
        rate=old.rate if change.rate is UNSET else change.rate,
        in_flight_max=old.in_flight_max if change.in_flight_max is UNSET else change.in_flight_max,
    )
    if change.batch is not UNSET:
        if plan.mode != "batch":
            raise DecodeError("batch is for the mode batch")
        plan = replace(
            plan,
            batch_events_max=change.batch.events_max,
            batch_bytes_max=change.batch.bytes_max,
        )
    if registration.is_ordered and (plan.mode == "batch" or plan.in_flight_max > 1):
        raise DecodeError("an ordered webhook posts one event at a time")
    return plan


def webhook_document(
    registration: Registration, health: Health, counts: Counts, now_ms: int
) -> WebhookDocument:
    """Describe a webhook to its owner; ``health`` is its present one."""
    plan, consent = registration.plan, registration.consent
    return WebhookDocument(
        id=registration.id,
        owner=registration.owner.name,
        created_ms=registration.created_ms,
        url=plan.url,
        interest=plan.interest,
        mode=plan.mode,
        batch=BatchDocument(plan.batch_events_max, plan.batch_bytes_max)
        if plan.mode == "batch"
        else None,
        keys=[_key_document(key) for key in registration.keys if key.signs_at(now_ms)],
        has_authorization=bool(plan.authorization),
        rate=plan.rate,
        allowed_rate=None if consent is None else consent.rate,
        in_flight_max=plan.in_flight_max,
        is_ordered=registration.is_ordered,
        state=registration.state,
        reason=registration.reason,
        health=_health_document(health, now_ms),
        **counts._asdict(),
    )


def secrets(keys: Iterable[SigningKey]) -> list[SecretDocument]:
    """Show keys to their owner, once."""
    return [SecretDocument(key.kind, key.text()) for key in keys]


def _key_document(key: SigningKey) -> KeyDocument:
    public = key.text() if key.kind is SignatureKind.ED25519 else None
    return KeyDocument(key.kind, public, key.created_ms, key.expires_ms)


def _health_document(health: Health, now_ms: int) -> HealthDocument:
    return HealthDocument(
        status="ok" if health.failing_since_ms is None else "failing",
        failing_since_ms=health.failing_since_ms,
        failures=health.failures,
        paused_until_ms=health.open_until_ms if pause_left_ms(health, now_ms) else None,
        success_ms=health.success_ms,
    )


def _valid(interest: InterestDocument) -> InterestDocument:
    """Give an interest back. Raises DecodeError when it means nothing."""
    interest_from_document(interest)
    return interest
