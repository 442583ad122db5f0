"""Requests that survive failing gateways, as plain generators that no I/O library runs.

A *flow* yields what it wants done (``Call`` or ``Pause``), is sent what came of it, and returns a
value. So each rule about retrying is written once, and the asynchronous and the synchronous client
only differ in how they carry out a step.

Owns: which gateway is asked next, which failures are tried again, how long a pause is, and when to
give up. No gateway is asked again before the time that it named in ``Retry-After``. Every request
of the API may be repeated at another gateway: reading changes nothing, and an event is taken once
however often it is handed in.
"""

import random
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from typing import Final, NamedTuple, TypeVar

from ledger.core.errors import InvariantError, Unavailable
from ledger.core.limits import (
    CLIENT_BACKOFF_MS,
    CLIENT_BACKOFF_MS_MAX,
    CLIENT_GIVE_UP_MS,
    CLIENT_PROOF_RETRY_MS,
    CLIENT_PROOF_RETRY_MS_MAX,
)
from pubsub.client.answers import Answer, read_problem
from pubsub.core.problems import HttpCode

__all__ = [
    "Call",
    "Flow",
    "Gateways",
    "Lost",
    "Pause",
    "Request",
    "Timing",
    "has_forgotten",
    "may_pass",
    "pause_ms",
    "retry_after_ms",
]

T = TypeVar("T")

_REQUEST_TIMEOUT: Final = 408
_GONE: Final = 410
_TOO_MANY_REQUESTS: Final = 429
_SERVER_FAULTS: Final = 500
_SECOND_MS: Final = 1_000


class Request(NamedTuple):
    """One request, to whichever gateway.

    Attributes:
        prefer: how the gateway may answer (RFC 7240); it need not.
    """

    method: str
    path: str
    accept: str
    parameters: Mapping[str, str] = {}
    body: bytes = b""
    content_type: str = ""
    prefer: str = ""


class Call(NamedTuple):
    """Do the request at the gateway with this base URL; resume with Answer or Lost."""

    url: str
    request: Request


class Pause(NamedTuple):
    """Wait; resume with None."""

    ms: int


class Lost(NamedTuple):
    """No answer came: the connection failed, or the time was over."""

    reason: str


Flow = Generator[Call | Pause, Answer | Lost | None, T]


class Timing(NamedTuple):
    """The clock and the dice, so that tests can hold both.

    Attributes:
        now_ms: a clock that never goes back.
        spread: (n) -> some integer from 0 to n.
        give_up_ms: how long one call may take with all its attempts.
    """

    now_ms: Callable[[], int] = lambda: time.monotonic_ns() // 1_000_000
    spread: Callable[[int], int] = lambda n: random.randint(0, n)  # noqa: S311 - spreads load
    give_up_ms: int = CLIENT_GIVE_UP_MS


def pause_ms(timing: Timing, attempt: int) -> int:
    """Give the pause after ``attempt`` (1...) failed attempts: exponential, and spread."""
    longest = min(CLIENT_BACKOFF_MS << min(attempt - 1, 16), CLIENT_BACKOFF_MS_MAX)
    half = longest // 2
    return half + timing.spread(half)


def retry_after_ms(answer: Answer) -> int:
    """Give how long a gateway wants to be left alone; 0 when it does not say."""
    return _SECOND_MS * max(0, answer.number("retry-after", 0))


class Gateways:
    """The gateways that a client knows, and the one that it uses now."""

    __slots__ = ("_current", "_ready_ms", "timing", "urls")

    def __init__(self, urls: Sequence[str], timing: Timing) -> None:
        """Begin with the first of ``urls`` (base URLs).

        Raises:
            ValueError: there is none, or one is no HTTP URL.
        """
        if not urls:
            raise ValueError("a client needs the URL of at least one gateway")
        for url in urls:
            if not url.startswith(("http://", "https://")):
                raise ValueError(f"not an HTTP URL: {url!r}")
        self.urls = tuple(url.rstrip("/") for url in urls)
        self.timing = timing
        self._current = 0
        self._ready_ms: dict[str, int] = {}

    @property
    def url(self) -> str:
        """The gateway in use."""
        return self.urls[self._current]

    def leave(self, url: str) -> None:
        """Use the next gateway from now on, unless ``url`` was left already by somebody else."""
        if url == self.url:
            self._current = (self._current + 1) % len(self.urls)

    def exchange(self, request: Request) -> Flow[Answer]:
        """Do ``request`` until a gateway answers it for good.

        Raises:
            Unavailable: no gateway did in time.
        """
        give_up_at = self.timing.now_ms() + self.timing.give_up_ms
        attempt = 0
        forgetful: set[str] = set()
        while True:
            if request.method == "POST" and (wait_ms := self._turn()):
                # An earlier request was told that there is too much of this kind.
                if self.timing.now_ms() + wait_ms > give_up_at:
                    raise Unavailable(f"{self.url} wants to be left alone for {wait_ms} ms")
                yield Pause(wait_ms)
            url = self.url
            outcome = yield Call(url, request)
            if outcome is None:
                raise InvariantError("a call was answered like a pause")
            if isinstance(outcome, Answer) and not may_pass(outcome.status):
                if request.method == "GET" and has_forgotten(outcome):
                    forgetful.add(url)
                    if len(forgetful) < len(self.urls):
                        self.leave(url)  # another member may keep more
                        continue
                return outcome
            attempt += 1
            pause, reason = self._after(url, outcome, attempt)
            if self.timing.now_ms() + pause > give_up_at:
                raise Unavailable(f"{reason} (gave up after {attempt} attempts)")
            if pause:
                yield Pause(pause)

    def _after(self, url: str, outcome: Answer | Lost, attempt: int) -> tuple[int, str]:
        """Decide where and when to try again; give the pause and the reason."""
        if isinstance(outcome, Answer):
            problem = read_problem(outcome)
            reason = f"{url} answered {outcome.status}: {problem.detail}"
            if problem.code == HttpCode.PROOF_NOT_READY:
                # Any gateway would say so: the next blocks bring it, in milliseconds.
                wait = CLIENT_PROOF_RETRY_MS << min(attempt - 1, 16)
                return min(wait, CLIENT_PROOF_RETRY_MS_MAX), reason
            self._ready_ms[url] = self.timing.now_ms() + retry_after_ms(outcome)
        else:
            reason = f"{url} cannot be reached: {outcome.reason}"
        self.leave(url)
        wait_ms = self._turn()
        if attempt < len(self.urls):
            return wait_ms, reason  # the others are asked at once
        return max(wait_ms, pause_ms(self.timing, attempt - len(self.urls) + 1)), reason

    def _turn(self) -> int:
        """Turn to the gateway that may be asked soonest; give in how many ms."""
        now_ms, count = self.timing.now_ms(), len(self.urls)
        waits = [max(0, self._ready_ms.get(url, 0) - now_ms) for url in self.urls]
        order = [(self._current + step) % count for step in range(count)]
        self._current = min(order, key=lambda index: waits[index])  # the first of equals
        return waits[self._current]


def has_forgotten(answer: Answer) -> bool:
    """Say whether a gateway answers that its member holds the contents no more."""
    return answer.status == _GONE and read_problem(answer).code == HttpCode.FORGOTTEN


def may_pass(status: int) -> bool:
    """Say whether an answer with this status may be another one when asked again."""
    return status >= _SERVER_FAULTS or status in (_REQUEST_TIMEOUT, _TOO_MANY_REQUESTS)
