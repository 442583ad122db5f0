"""Requests are repeated only where that can help, at the next gateway, and not for ever."""

from collections.abc import Sequence

import pytest
from msgspec.json import encode

from ledger.core.errors import RejectCode, Unavailable
from ledger.core.limits import CLIENT_BACKOFF_MS_MAX
from pubsub.client.answers import Answer
from pubsub.client.exchange import Call, Gateways, Lost, Pause, Request, Timing, pause_ms
from pubsub.core.problems import HttpCode, Refusal

REQUEST = Request("GET", "/v1/status", "application/json")
GOOD = Answer(200, b"{}", {})


class Clock:
    """A clock that only pauses move."""

    def __init__(self) -> None:
        self.ms = 0
        self.timing = Timing(lambda: self.ms, lambda n: n, give_up_ms=20_000)


def problem(code: RejectCode | HttpCode) -> Answer:
    """Give a problem answer."""
    refusal = Refusal(code, "because")
    return Answer(refusal.status, encode(refusal.problem("/")), refusal.headers)


def play(
    clock: Clock,
    gateways: Gateways,
    outcomes: Sequence[Answer | Lost],
    request: Request = REQUEST,
) -> tuple[Answer, list[str | int]]:
    """Run one exchange; give its answer and its steps: URLs called, and pauses in ms."""
    steps: list[str | int] = []
    left = iter(outcomes)
    flow = gateways.exchange(request)
    outcome: Answer | Lost | None = None
    while True:
        try:
            step = flow.send(outcome)
        except StopIteration as stop:
            return stop.value, steps
        if isinstance(step, Pause):
            steps.append(step.ms)
            clock.ms += step.ms
            outcome = None
        else:
            assert isinstance(step, Call)
            assert step.request == request
            steps.append(step.url)
            outcome = next(left)


def test_an_answer_is_final() -> None:
    """What succeeded, and what was refused for good, is asked once."""
    refusals = [problem(RejectCode.BAD_SIGNATURE), problem(HttpCode.EVENT_NOT_FOUND)]
    answers: list[Answer] = [GOOD, *refusals]
    for answer in answers:
        clock = Clock()
        gateways = Gateways(["http://a/", "http://b"], clock.timing)
        assert play(clock, gateways, [answer]) == (answer, ["http://a"])


def test_other_gateways_are_asked_at_once() -> None:
    """After a failure the next gateway is asked without a pause; pauses begin after the last."""
    clock = Clock()
    gateways = Gateways(["http://a", "http://b", "http://c"], clock.timing)
    down = problem(HttpCode.NODE_UNAVAILABLE)
    outcomes: list[Answer | Lost] = [Lost("refused"), down, Lost("x"), Lost("y"), GOOD]
    answer, steps = play(clock, gateways, outcomes)
    assert answer == GOOD
    # The second one asked to be left alone for a second.
    assert steps == ["http://a", "http://b", "http://c", 100, "http://a", 200, "http://c"]
    assert gateways.url == "http://c"  # and is used from now on


def test_what_one_member_has_forgotten_is_asked_of_others() -> None:
    """Each gateway is asked once, without a pause; that all have forgotten it is an answer, too."""
    clock = Clock()
    gateways = Gateways(["http://a", "http://b", "http://c"], clock.timing)
    gone = problem(HttpCode.FORGOTTEN)
    assert play(clock, gateways, [gone, GOOD]) == (GOOD, ["http://a", "http://b"])
    assert gateways.url == "http://b"
    answer, steps = play(clock, gateways, [gone, gone, gone])
    assert (answer, steps) == (gone, ["http://b", "http://c", "http://a"])
    post = Request("POST", "/v1/consumers", "application/json")
    assert play(clock, gateways, [gone], post) == (gone, ["http://a"])


@pytest.mark.parametrize(
    "code",
    [
        RejectCode.OVERLOADED,
        HttpCode.BODY_TIMEOUT,
        HttpCode.INTERNAL_ERROR,
        HttpCode.NODE_UNAVAILABLE,
        HttpCode.NOT_FINAL_IN_TIME,
        HttpCode.SHUTTING_DOWN,
        HttpCode.STORE_UNAVAILABLE,
    ],
)
def test_what_may_pass_is_asked_again(code: RejectCode | HttpCode) -> None:
    """Overload and server faults are tried again, not sooner than the gateway asked for."""
    clock = Clock()
    answer, steps = play(clock, Gateways(["http://a"], clock.timing), [problem(code), GOOD])
    assert answer == GOOD
    asked_for = 1_000 if problem(code).headers else 0
    assert steps == ["http://a", max(100, asked_for), "http://a"]


def test_a_proof_is_awaited_in_milliseconds() -> None:
    """A proof that is not ready is asked for again soon, at the same gateway."""
    clock = Clock()
    outcomes = [problem(HttpCode.PROOF_NOT_READY)] * 8
    _, steps = play(clock, Gateways(["http://a", "http://b"], clock.timing), [*outcomes, GOOD])
    assert [step for step in steps if isinstance(step, int)] == [10, 20, 40, 80, 160, 320, 500, 500]
    assert {step for step in steps if isinstance(step, str)} == {"http://a"}


def test_it_gives_up_in_time() -> None:
    """When no attempt can begin before the time is over the last reason is told."""
    clock = Clock()
    with pytest.raises(Unavailable, match="http://a cannot be reached: no route"):
        play(clock, Gateways(["http://a"], clock.timing), [Lost("no route")] * 99)
    assert 10_000 < clock.ms <= 20_000


def test_pauses_grow_to_a_limit() -> None:
    """Pauses double up to the limit, spread over the upper half."""
    low, high = (Timing(lambda: 0, spread) for spread in (lambda _n: 0, lambda n: n))
    assert [pause_ms(high, attempt) for attempt in (1, 2, 3, 6, 7, 99)] == [
        *(100, 200, 400, 3_200),
        *[CLIENT_BACKOFF_MS_MAX] * 2,
    ]
    assert pause_ms(low, 3) == 200


def overloaded(seconds: int) -> Answer:
    """Give a 429 that says when to come back."""
    return problem(RejectCode.OVERLOADED)._replace(headers={"retry-after": str(seconds)})


def test_retry_after_is_obeyed() -> None:
    """A gateway is not asked again before the time that it named, however long that is."""
    clock = Clock()
    answer, steps = play(clock, Gateways(["http://a"], clock.timing), [overloaded(17), GOOD])
    assert (answer, steps) == (GOOD, ["http://a", 17_000, "http://a"])


def test_retry_after_of_one_gateway_is_none_of_another() -> None:
    """Another gateway is asked at once, and the first of two to be ready is asked again."""
    clock = Clock()
    gateways = Gateways(["http://a", "http://b"], clock.timing)
    outcomes: list[Answer | Lost] = [overloaded(9), overloaded(3), Lost("gone"), GOOD]
    _, steps = play(clock, gateways, outcomes)
    assert steps == ["http://a", "http://b", 3_000, "http://b", 200, "http://b"]
    clock = Clock()
    gateways = Gateways(["http://a", "http://b"], clock.timing)
    _, steps = play(clock, gateways, [overloaded(9), GOOD])
    assert steps == ["http://a", "http://b"]


def test_a_wish_beyond_our_patience_ends_the_call() -> None:
    """When Retry-After is later than the call may last, it fails at once instead of waiting."""
    clock = Clock()
    with pytest.raises(Unavailable, match="because"):
        play(clock, Gateways(["http://a"], clock.timing), [overloaded(21)])
    assert clock.ms == 0


def test_a_later_publication_waits_too() -> None:
    """What is handed in after a 429 waits for the time that the 429 named; reading does not."""
    clock = Clock()
    gateways = Gateways(["http://a"], clock.timing)
    with pytest.raises(Unavailable):
        play(clock, gateways, [overloaded(21)])
    assert play(clock, gateways, [GOOD])[1] == ["http://a"]
    publish = Request("POST", "/v1/events", "application/json")
    clock.ms += 5_000
    assert play(clock, gateways, [GOOD], publish)[1] == [16_000, "http://a"]
    assert play(clock, gateways, [GOOD], publish)[1] == ["http://a"]
    with pytest.raises(Unavailable):
        play(clock, gateways, [overloaded(21)], publish)
    with pytest.raises(Unavailable, match="left alone"):
        play(clock, gateways, [], publish)


@pytest.mark.parametrize("urls", [[], ["ftp://a"], ["localhost:8080"]])
def test_urls_are_checked(urls: list[str]) -> None:
    """A client needs at least one URL, and only of HTTP."""
    with pytest.raises(ValueError, match=r"URL|gateway"):
        Gateways(urls, Timing())
