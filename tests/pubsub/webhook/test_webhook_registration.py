"""How registrations change, and what of them is shown."""

import msgspec
import pytest

from ledger.core.errors import DecodeError
from pubsub.core.consumer.config import Start, StartPolicy, check_config
from pubsub.core.limits import (
    WEBHOOK_BATCH_EVENTS_MAX,
    WEBHOOK_IN_FLIGHT_MAX,
    WEBHOOK_KEYS_MAX,
    WEBHOOK_URL_CHARS_MAX,
)
from pubsub.core.rights import Principal, Scope
from pubsub.core.strict_json import decode_strictly
from pubsub.core.webhook.attempt import Outcome, Verdict
from pubsub.core.webhook.handshake import Consent
from pubsub.core.webhook.health import Health
from pubsub.core.webhook.registration import (
    Plan,
    Reason,
    Registration,
    State,
    consumer_config,
    decode_registration,
    enabled,
    encode_registration,
    with_consent,
    with_health,
    with_key,
    with_plan,
)
from pubsub.core.webhook.signing import SignatureKind, SigningKey
from pubsub.core.webhook.wishes import (
    Counts,
    changed_plan,
    plan_of,
    secrets,
    start_of,
    webhook_document,
)
from pubsub.core.webhook_documents import WebhookChange, WebhookRequest

NOW = 1_795_257_000_000
HMAC, ED25519 = SignatureKind.HMAC, SignatureKind.ED25519
OWNER = Principal("token/shop", frozenset({Scope.WEBHOOKS}))
FRESH = Registration(
    id="wh_1",
    owner=OWNER,
    created_ms=NOW,
    plan=Plan(url="https://a.example/hook", authorization="Bearer hidden"),
    start=Start(StartPolicy.SEQUENCE, 5),
    is_ordered=False,
    keys=(SigningKey(HMAC, bytes(32), NOW),),
    draw_key=bytes(16),
)


def key(kind: SignatureKind, created_ms: int) -> SigningKey:
    """Give another key."""
    return SigningKey(kind, bytes([created_ms % 251] * 32), created_ms)


def test_rows() -> None:
    """A registration is stored and read back with everything in it."""
    full = with_key(with_consent(FRESH, Consent(5, NOW)), key(ED25519, NOW + 1), 0)
    full = with_health(full, Health(NOW, 3, 2, NOW + 5), Verdict(Outcome.TIMEOUT), NOW)
    assert decode_registration(encode_registration(full)) == full


def test_states() -> None:
    """An endpoint waits for consent, gets deliveries, and is disabled until it is enabled."""
    assert FRESH.state is State.PENDING
    active = with_consent(FRESH, Consent(None, NOW))
    assert active.state is State.ACTIVE
    gone = with_health(active, Health(), Verdict(Outcome.GONE, 410), NOW)
    assert (gone.state, gone.reason) == (State.DISABLED, Reason.GONE)
    failing = with_health(active, Health(0, 10), Verdict(Outcome.TIMEOUT), NOW)
    assert (failing.state, failing.reason) == (State.DISABLED, Reason.FAILING)
    assert enabled(failing) == active


def test_another_url_is_another_receiver() -> None:
    """Consent is one URL's; every other change leaves it."""
    active = with_consent(FRESH, Consent(None, NOW))
    assert with_plan(active, Plan(url=FRESH.plan.url, rate=9)).state is State.ACTIVE
    assert with_plan(active, Plan(url="https://b.example/")).state is State.PENDING


def test_rotation() -> None:
    """Older keys of the kind sign for the overlap, however often keys are replaced."""
    first = with_key(FRESH, key(HMAC, NOW + 1), 1_000)
    assert [one.expires_ms for one in first.keys] == [NOW + 1_001, None]
    second = with_key(first, key(HMAC, NOW + 2), 5_000)
    assert [one.expires_ms for one in second.keys] == [NOW + 1_001, NOW + 5_002, None]
    later = with_key(second, key(HMAC, NOW + 1_001), 10)
    assert [one.created_ms - NOW for one in later.keys] == [1, 2, 1_001]
    leaked = with_key(second, key(HMAC, NOW + 3), 0)
    assert [one.created_ms for one in leaked.keys] == [NOW + 3]


def test_other_kinds_stay() -> None:
    """A key of another kind is added and replaces nothing."""
    both = with_key(FRESH, key(ED25519, NOW + 1), 0)
    assert [one.kind for one in both.keys] == [HMAC, ED25519]
    assert both.keys[0].expires_ms is None


def test_keys_stay_few() -> None:
    """However often keys are replaced, few sign at one time, the newest ones."""
    registration = FRESH
    for number in range(1, 10):
        registration = with_key(registration, key(HMAC, NOW + number), 100_000)
    created = [one.created_ms - NOW for one in registration.keys]
    assert created == [6, 7, 8, 9]
    assert len(created) == WEBHOOK_KEYS_MAX


def test_consumer() -> None:
    """What feeds an endpoint is a valid consumer that no client can name."""
    config = check_config(consumer_config(FRESH))
    assert (config.name, config.is_internal, config.start.value) == ("webhook/wh_1", True, 5)


def test_nothing_secret_is_shown() -> None:
    """The document of a webhook has neither its secrets nor its authorization."""
    registration = with_key(FRESH, key(ED25519, NOW + 1), 0)
    document = webhook_document(registration, Health(), Counts(), NOW)
    text = msgspec.json.encode(document).decode()
    hidden = registration.keys[0].text()
    assert hidden.removeprefix("whsec_") not in text
    assert "hidden" not in text
    assert registration.keys[1].text() in text
    assert document.has_authorization
    assert next(one.key for one in secrets(registration.keys)) == hidden


def wish(**members: object) -> WebhookRequest:
    """Read a request."""
    return decode_strictly(
        msgspec.json.encode({"url": "https://a.example/", **members}), WebhookRequest
    )


def understood(members: dict[str, object]) -> tuple[Plan, Start]:
    """Read a request and make sense of it."""
    asked = wish(**members)
    return plan_of(asked), start_of(asked)


@pytest.mark.parametrize(
    "members",
    [
        {"url": ""},
        {"url": "ftp://a.example/"},
        {"url": "https://a.example/\r\nx: y"},
        {"url": "https://" + "a" * WEBHOOK_URL_CHARS_MAX},
        {"mode": "xml"},
        {"batch": {}},
        {"mode": "binary", "batch": {"events_max": 3}},
        {"mode": "batch", "batch": {"events_max": 0}},
        {"mode": "batch", "batch": {"events_max": WEBHOOK_BATCH_EVENTS_MAX + 1}},
        {"mode": "batch", "is_ordered": True},
        {"signatures": []},
        {"signatures": ["v2"]},
        {"authorization": "Bearer a\r\nx-forwarded-for: b"},
        {"authorization": "Bearer"},
        {"authorization": "Bearer ü"},
        {"headers": {"x-forwarded-for": "10.0.0.1"}},
        {"rate": 0},
        {"in_flight_max": 0},
        {"in_flight_max": WEBHOOK_IN_FLIGHT_MAX + 1},
        {"interest": {"topics": ["a..b"]}},
        {"interest": {"filters": [{"sql": "1"}]}},
        {"start": {"policy": "tomorrow"}},
        {"start": {"policy": "sequence", "sequence": -1}},
        {"start": {"policy": "sequence"}},
        {"start": {"policy": "new", "sequence": 1}},
        {"more": 1},
    ],
)
def test_wishes_that_are_refused(members: dict[str, object]) -> None:
    """Unknown members, values out of bounds, header injection and odd combinations are refused."""
    with pytest.raises(DecodeError):
        understood(members)


def test_wishes() -> None:
    """What is asked for becomes the plan; who wants order gets one request at a time."""
    plan = plan_of(wish(mode="batch", batch={"events_max": 7}, rate=60, authorization="Bearer abc"))
    assert (plan.mode, plan.batch_events_max, plan.rate) == ("batch", 7, 60)
    assert plan.authorization == "Bearer abc"
    assert plan_of(wish(is_ordered=True, in_flight_max=9)).in_flight_max == 1


def change(**members: object) -> Plan:
    """Give the plan of the fresh registration after a change."""
    return changed_plan(FRESH, decode_strictly(msgspec.json.encode(members), WebhookChange))


def test_changes() -> None:
    """What is left out stays; null takes away."""
    assert change() == FRESH.plan
    assert change(rate=5).rate == 5
    assert change(authorization=None).authorization == ""
    assert change(authorization="Basic eA==").authorization == "Basic eA=="
    assert change(mode="batch", batch={"events_max": 3}).batch_events_max == 3
    assert change(interest={"topics": ["a.>"]}).interest.topics == ("a.>",)
    refused: list[dict[str, object]] = [
        {"batch": {}},
        {"is_ordered": True},
        {"url": None},
        {"keys": []},
    ]
    for members in refused:
        with pytest.raises(DecodeError):
            change(**members)
    with pytest.raises(DecodeError):
        changed_plan(
            msgspec.structs.replace(FRESH, is_ordered=True), WebhookChange(in_flight_max=2)
        )
