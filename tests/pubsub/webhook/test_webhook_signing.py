"""Signatures of deliveries, against the `standardwebhooks` package and `cryptography`."""

import time
from base64 import b64decode
from datetime import UTC, datetime

import pytest
import standardwebhooks
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from hypothesis import given
from hypothesis import strategies as st

from ledger.core.errors import DecodeError
from pubsub.core.limits import WEBHOOK_SIGNATURES_MAX, WEBHOOK_TOLERANCE_S
from pubsub.core.webhook.signing import (
    KeyRing,
    SignatureKind,
    SigningKey,
    read_verifying_key,
    signed_headers,
    verify_headers,
)

NOW_MS = 1_795_257_000_123
NOW_S = NOW_MS // 1000
HMAC = SigningKey(SignatureKind.HMAC, bytes(range(32)), NOW_MS)
OTHER = SigningKey(SignatureKind.HMAC, bytes(range(1, 33)), NOW_MS)
ED25519 = SigningKey(SignatureKind.ED25519, bytes(range(32)), NOW_MS)
BODY = '{"text":"Käse"}'.encode()


def verified(
    key: SigningKey, headers: dict[str, str], body: bytes = BODY, now_s: int = NOW_S
) -> str:
    """Verify as a receiver that was given the key."""
    return verify_headers([read_verifying_key(key.text())], headers, body, now_s)


def test_standardwebhooks_accepts_v1() -> None:
    """The reference package verifies what we sign with the secret that we show."""
    now_ms = time.time_ns() // 1_000_000
    headers = signed_headers(KeyRing([HMAC]), "an-id", BODY, now_ms)
    assert standardwebhooks.Webhook(HMAC.text()).verify(BODY, headers) == {"text": "Käse"}


def test_we_accept_standardwebhooks() -> None:
    """We verify what the reference package signs."""
    moment = datetime.fromtimestamp(NOW_S, tz=UTC)
    signature = standardwebhooks.Webhook(HMAC.text()).sign("an-id", moment, BODY.decode())
    headers = {
        "webhook-id": "an-id",
        "webhook-timestamp": str(NOW_S),
        "webhook-signature": signature,
    }
    assert verified(HMAC, headers) == "an-id"


def test_example_of_the_specification() -> None:
    """The documented example of Standard Webhooks has the documented signature."""
    key = read_verifying_key("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    headers = {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }
    assert verify_headers([key], headers, b'{"test": 2432232314}', 1614265330)


def test_v1a_is_ed25519_over_the_same_content() -> None:
    """An independent library verifies v1a with the public key that we show."""
    headers = signed_headers(KeyRing([ED25519]), "an-id", BODY, NOW_MS)
    public = Ed25519PublicKey.from_public_bytes(b64decode(ED25519.text().removeprefix("whpk_")))
    version, _, signature = headers["webhook-signature"].partition(",")
    assert version == "v1a"
    public.verify(b64decode(signature), b"an-id." + str(NOW_S).encode() + b"." + BODY)
    with pytest.raises(InvalidSignature):
        public.verify(b64decode(signature), b"an-id." + str(NOW_S).encode() + b"." + BODY + b" ")


def test_several_keys_sign_the_newest_first() -> None:
    """During a rotation a receiver may know either key, and one that knows neither is told so."""
    old = SigningKey(HMAC.kind, HMAC.secret, NOW_MS, expires_ms=NOW_MS + 5)
    ring = KeyRing([old, OTHER, ED25519])
    headers = signed_headers(ring, "an-id", BODY, NOW_MS)
    versions = [part.split(",")[0] for part in headers["webhook-signature"].split(" ")]
    assert versions == ["v1a", "v1", "v1"]
    for key in (HMAC, OTHER, ED25519):
        assert verified(key, headers) == "an-id"
    with pytest.raises(DecodeError, match="no signature"):
        verified(SigningKey(HMAC.kind, bytes(32), 0), headers)


def test_replaced_keys_end_to_sign() -> None:
    """At its expiry a key signs no more; a moment before it does."""
    old = SigningKey(HMAC.kind, HMAC.secret, NOW_MS, expires_ms=NOW_MS + 5)
    ring = KeyRing([old, OTHER])
    assert verified(HMAC, signed_headers(ring, "i", BODY, NOW_MS + 4))
    with pytest.raises(DecodeError):
        verified(HMAC, signed_headers(ring, "i", BODY, NOW_MS + 5))


@pytest.mark.parametrize("key", [HMAC, ED25519])
@pytest.mark.parametrize(
    "name, value",
    [
        ("webhook-id", "another"),
        ("webhook-timestamp", str(NOW_S + 1)),
        ("webhook-signature", "v1,AAAA"),
        ("webhook-signature", "v1a,AAAA"),
        ("webhook-signature", "v1"),
        ("webhook-signature", "v1,*"),
        ("webhook-signature", ""),
        ("webhook-timestamp", "12e3"),
        ("webhook-timestamp", "-1"),
        ("webhook-timestamp", "9" * 13),
    ],
)
def test_changed_headers_are_refused(key: SigningKey, name: str, value: str) -> None:
    """A change of anything that was signed is noticed, and nonsense is refused alike."""
    headers = signed_headers(KeyRing([key]), "an-id", BODY, NOW_MS)
    with pytest.raises(DecodeError):
        verified(key, {**headers, name: value})


@pytest.mark.parametrize("name", ["webhook-id", "webhook-timestamp", "webhook-signature"])
def test_missing_headers_are_refused(name: str) -> None:
    """All three headers are needed."""
    headers = signed_headers(KeyRing([HMAC]), "an-id", BODY, NOW_MS)
    del headers[name]
    with pytest.raises(DecodeError, match="missing"):
        verified(HMAC, headers)


@pytest.mark.parametrize("late_s, is_good", [(0, True), (1, False)])
@pytest.mark.parametrize("sign", [1, -1])
def test_tolerance(late_s: int, is_good: bool, sign: int) -> None:
    """A delivery may be five minutes old or new, and no second more."""
    headers = signed_headers(KeyRing([HMAC]), "an-id", BODY, NOW_MS)
    now_s = NOW_S + sign * (WEBHOOK_TOLERANCE_S + late_s)
    if is_good:
        assert verified(HMAC, headers, now_s=now_s)
    else:
        with pytest.raises(DecodeError, match="too old or too new"):
            verified(HMAC, headers, now_s=now_s)


def test_number_of_signatures() -> None:
    """A header of more signatures than anybody makes is not worked through."""
    headers = signed_headers(KeyRing([HMAC]), "an-id", BODY, NOW_MS)
    signature = headers["webhook-signature"]
    most = " ".join([signature] * WEBHOOK_SIGNATURES_MAX)
    assert verified(HMAC, {**headers, "webhook-signature": most})
    with pytest.raises(DecodeError, match="too many"):
        verified(HMAC, {**headers, "webhook-signature": f"{most} {signature}"})


@pytest.mark.parametrize(
    "text", ["", "whsec_", "whsec_AAAA", "whpk_AAAA", "whsec_*", "AAAA", "whpk_" + "A" * 48]
)
def test_malformed_keys(text: str) -> None:
    """What is no key is refused."""
    with pytest.raises(DecodeError):
        read_verifying_key(text)


@given(st.dictionaries(st.text(), st.text()), st.binary())
def test_anything_is_judged(headers: dict[str, str], body: bytes) -> None:
    """Whatever arrives, it is a value or DecodeError."""
    names = {"webhook-id": "i", "webhook-timestamp": str(NOW_S), "webhook-signature": "v1,"}
    with pytest.raises(DecodeError):
        verified(HMAC, {**names, **headers}, body)
