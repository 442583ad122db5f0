"""What an attempt means, when the next one is, how an endpoint does, and who consented."""

from email.utils import formatdate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pubsub.core.consumer.settlement import Nak, Settlement, Termination
from pubsub.core.limits import (
    WEBHOOK_CIRCUIT_MS,
    WEBHOOK_CIRCUIT_MS_MAX,
    WEBHOOK_FAILING_MS_MAX,
    WEBHOOK_RATE_MAX,
    WEBHOOK_RETRY_AFTER_MS_MAX,
    WEBHOOK_RETRY_MS,
)
from pubsub.core.webhook.attempt import (
    ATTEMPTS_MAX,
    Outcome,
    Verdict,
    judge,
    retry_delay_ms,
    settlement_of,
)
from pubsub.core.webhook.handshake import Consent, Question, read_consent
from pubsub.core.webhook.health import Health, after_attempt, is_given_up, pause_left_ms, slots
from pubsub.core.webhook.pace import Pace

NOW = 1_795_257_000_000
GOOD = Verdict(Outcome.DELIVERED, 200)
REFUSED = Verdict(Outcome.REFUSED, 500)
TIMEOUT = Verdict(Outcome.TIMEOUT)


# --- attempts --------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "status, outcome",
    [
        (199, Outcome.REFUSED),
        (200, Outcome.DELIVERED),
        (202, Outcome.DELIVERED),
        (299, Outcome.DELIVERED),
        (300, Outcome.REFUSED),
        (301, Outcome.REFUSED),
        (304, Outcome.REFUSED),
        (307, Outcome.REFUSED),
        (400, Outcome.REFUSED),
        (404, Outcome.REFUSED),
        (410, Outcome.GONE),
        (415, Outcome.REFUSED),
        (429, Outcome.THROTTLED),
        (500, Outcome.REFUSED),
        (502, Outcome.THROTTLED),
        (503, Outcome.THROTTLED),
        (504, Outcome.THROTTLED),
        (599, Outcome.REFUSED),
    ],
)
def test_statuses(status: int, outcome: Outcome) -> None:
    """Standard Webhooks: 2xx alone is success, redirects are failures, 410 is an end."""
    verdict = judge(status, {}, NOW)
    assert (verdict.outcome, verdict.status, verdict.pause_ms) == (outcome, status, 0)


@pytest.mark.parametrize(
    "text, pause_ms",
    [
        ("7", 7_000),
        (" 7 ", 7_000),
        ("0", 0),
        (formatdate(NOW // 1000 + 90, usegmt=True), 90_000),
        (formatdate(NOW // 1000 - 90, usegmt=True), 0),
        ("86400", WEBHOOK_RETRY_AFTER_MS_MAX),
        ("86401", WEBHOOK_RETRY_AFTER_MS_MAX),
        ("9" * 5_000, WEBHOOK_RETRY_AFTER_MS_MAX),
        ("-1", 0),
        ("1.5", 0),
        ("soon", 0),
        ("", 0),
        ("\u0663", 0),
        ("Thu, 99 Foo 2026 99:99:99 GMT", 0),
        ("Thu, 01 Jan 9999 00:00:00 GMT", WEBHOOK_RETRY_AFTER_MS_MAX),
    ],
)
def test_retry_after(text: str, pause_ms: int) -> None:
    """Seconds and dates are obeyed up to a day; nonsense is no wish."""
    assert judge(429, {"retry-after": text}, NOW).pause_ms == pause_ms


@given(st.text(), st.integers(100, 599))
def test_any_answer_is_judged(text: str, status: int) -> None:
    """Whatever stands in a header, there is a verdict."""
    assert 0 <= judge(status, {"retry-after": text}, NOW).pause_ms <= WEBHOOK_RETRY_AFTER_MS_MAX


def test_schedule() -> None:
    """Ten attempts, at the times of Standard Webhooks, each later by up to a fifth."""
    seconds = (5, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 86_400)
    assert tuple(ms // 1000 for ms in WEBHOOK_RETRY_MS) == seconds
    assert ATTEMPTS_MAX == 10
    for attempt, delay in enumerate(WEBHOOK_RETRY_MS, start=1):
        drawn = {retry_delay_ms(attempt, bytes(16), sequence) for sequence in range(200)}
        assert all(delay <= (ms or 0) < delay * 6 // 5 for ms in drawn)
        assert len(drawn) > 150
        assert max(filter(None, drawn)) - min(filter(None, drawn)) > delay // 10
    assert retry_delay_ms(ATTEMPTS_MAX, bytes(16), 0) is None
    assert retry_delay_ms(ATTEMPTS_MAX + 1, bytes(16), 0) is None


def test_delays_follow_from_the_key() -> None:
    """A restarted gateway keeps to the schedule; another endpoint has another one."""
    assert retry_delay_ms(3, b"k" * 16, 7) == retry_delay_ms(3, b"k" * 16, 7)
    assert retry_delay_ms(3, b"k" * 16, 7) != retry_delay_ms(3, b"l" * 16, 7)


def test_settlements() -> None:
    """What was taken is acknowledged; else each waits, as long as the endpoint likes, or ends."""
    tried = [(5, 1), (6, ATTEMPTS_MAX)]
    assert settlement_of(tried, GOOD, bytes(16)) == Settlement(ack=(5, 6))
    failed = settlement_of(tried, Verdict(Outcome.THROTTLED, 503, 90_000), bytes(16))
    assert failed.nak == (Nak(5, 90_000),)
    assert failed.terminate == (Termination(6, "throttled: 503"),)
    later = settlement_of([(5, 2), (6, 2)], TIMEOUT, bytes(16))
    assert later.nak[0].delay_ms == later.nak[1].delay_ms == retry_delay_ms(2, bytes(16), 5)


# --- health ----------------------------------------------------------------------------------
def test_dead_endpoints_cost_little() -> None:
    """Pauses double up to their limit; in a day there are a few hundred attempts, one at a time."""
    health, now, attempts, pauses = Health(), NOW, 0, []
    while now < NOW + 24 * 3_600_000:
        assert slots(health, 8, now) == (1 if attempts else 8)
        health = after_attempt(health, TIMEOUT, now, 0)
        attempts += 1
        assert slots(health, 8, now) == 0
        pauses.append(pause_left_ms(health, now))
        now += pauses[-1]
    assert pauses[:3] == [WEBHOOK_CIRCUIT_MS, 2 * WEBHOOK_CIRCUIT_MS, 4 * WEBHOOK_CIRCUIT_MS]
    assert pauses[-1] == WEBHOOK_CIRCUIT_MS_MAX
    assert attempts < 300
    assert health.failing_since_ms == NOW


def test_success_closes_the_circuit() -> None:
    """One good answer, and everything may be sent again."""
    health = after_attempt(Health(), TIMEOUT, NOW, 0)
    health = after_attempt(health, GOOD, NOW + 5_000, 0)
    assert health == Health(success_ms=NOW + 5_000)
    assert slots(health, 8, NOW + 5_000) == 8


def test_attempts_sent_together_pause_once() -> None:
    """Eight failures of one moment are one reason to pause, not eight."""
    health = Health()
    for _ in range(8):
        health = after_attempt(health, TIMEOUT, NOW, 0)
    assert (health.trips, health.failures) == (1, 8)
    assert pause_left_ms(health, NOW) == WEBHOOK_CIRCUIT_MS


def test_wishes_for_time_are_kept() -> None:
    """Retry-After pauses the whole endpoint, also when it is already paused."""
    health = after_attempt(Health(), Verdict(Outcome.THROTTLED, 429, 60_000), NOW, 0)
    assert slots(health, 8, NOW + 59_999) == 0
    assert slots(health, 8, NOW + 60_000) == 1
    health = after_attempt(health, Verdict(Outcome.THROTTLED, 429, 90_000), NOW, 0)
    assert pause_left_ms(health, NOW) == 90_000


def test_single_refusals_do_not_pause() -> None:
    """An event that an endpoint cannot take does not hold up the others; many in a row do."""
    health = Health()
    for _ in range(4):
        health = after_attempt(health, REFUSED, NOW, 0)
        assert slots(health, 8, NOW) == 8
    assert slots(after_attempt(health, REFUSED, NOW, 0), 8, NOW) == 0


def test_pauses_are_spread() -> None:
    """The draw is added to a pause."""
    assert (
        pause_left_ms(after_attempt(Health(), TIMEOUT, NOW, 321), NOW) == WEBHOOK_CIRCUIT_MS + 321
    )


@pytest.mark.parametrize(
    "failures, since_ms, is_over",
    [
        (ATTEMPTS_MAX, WEBHOOK_FAILING_MS_MAX, True),
        (ATTEMPTS_MAX, WEBHOOK_FAILING_MS_MAX - 1, False),
        (ATTEMPTS_MAX - 1, WEBHOOK_FAILING_MS_MAX, False),
    ],
)
def test_giving_up(failures: int, since_ms: int, is_over: bool) -> None:
    """Only who failed for days, and often, is given up."""
    health = Health(failing_since_ms=NOW - since_ms, failures=failures)
    assert is_given_up(health, NOW) is is_over


# --- consent ---------------------------------------------------------------------------------
ASKED = Question("gateway.example", 600, "https://gateway.example/consent")


def test_question() -> None:
    """What is asked stands in the headers of CloudEvents' handshake."""
    assert ASKED.headers() == {
        "webhook-request-origin": "gateway.example",
        "webhook-request-rate": "600",
        "webhook-request-callback": "https://gateway.example/consent",
    }
    assert Question("a.example").headers() == {"webhook-request-origin": "a.example"}


@pytest.mark.parametrize(
    "headers, rate",
    [
        ({"webhook-allowed-origin": "gateway.example", "webhook-allowed-rate": "120"}, 120),
        ({"webhook-allowed-origin": "GATEWAY.example", "webhook-allowed-rate": "*"}, 600),
        ({"webhook-allowed-origin": "*"}, 600),
        ({"webhook-allowed-origin": "*", "webhook-allowed-rate": "100000"}, 600),
        ({"webhook-allowed-origin": "*", "webhook-allowed-rate": "9" * 40}, 600),
    ],
)
def test_consents(headers: dict[str, str], rate: int) -> None:
    """A receiver allows our origin or everybody's, and no more than was asked for is used."""
    assert read_consent(ASKED, headers, NOW) == Consent(rate, NOW)


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"webhook-allowed-origin": ""},
        {"webhook-allowed-origin": "other.example"},
        {"webhook-allowed-origin": "gateway.example.evil"},
        {"webhook-allowed-rate": "120"},
        {"webhook-allowed-origin": "*", "webhook-allowed-rate": "0"},
        {"webhook-allowed-origin": "*", "webhook-allowed-rate": "-1"},
        {"webhook-allowed-origin": "*", "webhook-allowed-rate": "many"},
    ],
)
def test_no_consents(headers: dict[str, str]) -> None:
    """Silence, another origin and a rate of nothing are no consent."""
    assert read_consent(ASKED, headers, NOW) is None


def test_rate_without_a_wish() -> None:
    """A receiver's rate counts when none was asked for."""
    question = Question("a.example")
    assert read_consent(question, {"webhook-allowed-origin": "*"}, NOW) == Consent(None, NOW)
    allowed = {"webhook-allowed-origin": "*", "webhook-allowed-rate": "9" * 40}
    assert read_consent(question, allowed, NOW) == Consent(WEBHOOK_RATE_MAX, NOW)


# --- pace ------------------------------------------------------------------------------------
@pytest.mark.parametrize("rate", [1, 7, 60, 600, 100_000])
def test_rate_is_kept(rate: int) -> None:
    """In ten minutes there are as many requests as allowed, and one second's burst."""
    pace, now, count = Pace(rate), NOW, 0
    while now < NOW + 600_000:
        wait = pace.wait_ms(now)
        if wait:
            assert pace.allowance(now, 5) == 0
            now += wait
            continue
        assert pace.allowance(now, 5) >= 1
        pace.take(now)
        count += 1
    burst = max(1, rate // 60)
    assert 10 * rate <= count <= 10 * rate + burst + 10


def test_no_rate() -> None:
    """Without a rate nothing waits."""
    pace = Pace(None)
    for _ in range(1000):
        assert (pace.wait_ms(NOW), pace.allowance(NOW, 9)) == (0, 9)
        pace.take(NOW)


def test_allowance_is_exact() -> None:
    """As many requests as are allowed can be taken, and then none."""
    pace = Pace(600)
    allowed = pace.allowance(NOW, 1_000)
    assert allowed == 10
    for _ in range(allowed):
        assert pace.wait_ms(NOW) == 0
        pace.take(NOW)
    assert pace.wait_ms(NOW) > 0
