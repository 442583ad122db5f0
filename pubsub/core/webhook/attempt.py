"""What one attempt to deliver means, and when the next one is due.

Owns the meaning of a status (2xx alone is success, 410 ends the deliveries, 429 and failing
gateways ask for time) and the schedule of Standard Webhooks. Delays are spread by a draw from a
key of the endpoint, so that many endpoints never come back at one moment, and a restarted gateway
still keeps to its schedule.
"""

import hashlib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from enum import StrEnum
from http import HTTPStatus
from typing import Final, NamedTuple

from pubsub.core.consumer.settlement import Nak, Settlement, Termination
from pubsub.core.limits import WEBHOOK_RETRY_AFTER_MS_MAX, WEBHOOK_RETRY_MS

__all__ = [
    "ATTEMPTS_MAX",
    "Outcome",
    "Verdict",
    "draw",
    "judge",
    "retry_delay_ms",
    "settlement_of",
]

ATTEMPTS_MAX: Final = len(WEBHOOK_RETRY_MS) + 1

_THROTTLES: Final = frozenset({429, 502, 503, 504})
_DRAWN_BYTES: Final = 8
_SPREAD_PART: Final = 5  # a delay is longer by up to a fifth
_DIGITS_MAX: Final = 9


class Outcome(StrEnum):
    """What became of an attempt. The values are stable.

    Attributes:
        DELIVERED: answered 2xx. REFUSED: answered anything else. THROTTLED: asked for time.
        GONE: wants no more. TIMEOUT: no answer in time. UNREACHABLE: no connection, no TLS, or no
            HTTP. FORBIDDEN: the URL is outside the gateway's rules now; nothing was sent.
    """

    DELIVERED = "delivered"
    REFUSED = "refused"
    THROTTLED = "throttled"
    GONE = "gone"
    TIMEOUT = "timeout"
    UNREACHABLE = "unreachable"
    FORBIDDEN = "forbidden"


class Verdict(NamedTuple):
    """What an attempt means.

    Attributes:
        status: of the answer, or None without one.
        pause_ms: how long the endpoint wants nothing.
    """

    outcome: Outcome
    status: int | None = None
    pause_ms: int = 0

    @property
    def reason(self) -> str:
        """What it was, for people."""
        return self.outcome if self.status is None else f"{self.outcome}: {self.status}"

    @property
    def blames_endpoint(self) -> bool:
        """Whether the next event would fare no better: it is not this one that was refused."""
        return self.outcome not in (Outcome.DELIVERED, Outcome.REFUSED)


def judge(status: int, headers: Mapping[str, str], now_ms: int) -> Verdict:
    """Judge an answer by its status, and ``Retry-After`` where that counts."""
    if HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
        return Verdict(Outcome.DELIVERED, status)
    if status == HTTPStatus.GONE:
        return Verdict(Outcome.GONE, status)
    if status in _THROTTLES:
        wish_ms = _retry_after_ms(headers.get("retry-after", "").strip(), now_ms)
        return Verdict(Outcome.THROTTLED, status, wish_ms)
    return Verdict(Outcome.REFUSED, status)


def retry_delay_ms(attempts: int, draw_key: bytes, sequence: int) -> int | None:
    """Say how long after failed attempt number ``attempts`` (from 1) the next is; None for never.

    Args:
        draw_key: 16 to 64 secret bytes of the endpoint.
        sequence: of the event, or of the first one of a batch.
    """
    if attempts >= ATTEMPTS_MAX:
        return None
    delay = WEBHOOK_RETRY_MS[attempts - 1]
    return delay + draw(draw_key, delay // _SPREAD_PART, sequence, attempts)


def settlement_of(
    tried: Sequence[tuple[int, int]], verdict: Verdict, draw_key: bytes
) -> Settlement:
    """Say what becomes of the (sequence, attempts so far) of one request.

    What was sent together is tried again together, as far as it was tried equally often.
    """
    if verdict.outcome is Outcome.DELIVERED:
        return Settlement(ack=tuple(sequence for sequence, _ in tried))
    naks, ends = list[Nak](), list[Termination]()
    for sequence, attempts in tried:
        delay_ms = retry_delay_ms(attempts, draw_key, tried[0][0])
        if delay_ms is None:
            ends.append(Termination(sequence, verdict.reason))
        else:
            naks.append(Nak(sequence, max(delay_ms, verdict.pause_ms)))
    return Settlement(nak=tuple(naks), terminate=tuple(ends))


def draw(key: bytes, below: int, *of: int) -> int:
    """Draw a number from 0 to ``below`` - 1 that follows from ``key`` and ``of`` alone."""
    text = b" ".join(b"%d" % number for number in of)
    drawn = hashlib.blake2b(text, key=key, digest_size=_DRAWN_BYTES).digest()
    return below * int.from_bytes(drawn, "big") >> 8 * _DRAWN_BYTES


def _retry_after_ms(text: str, now_ms: int) -> int:
    """Read seconds or a date; what is neither is no wish."""
    if text.isascii() and text.isdigit():
        wish_ms = int(text[:_DIGITS_MAX]) * 1000
    else:
        try:
            moment = parsedate_to_datetime(text)
        except (ValueError, TypeError, OverflowError):
            return 0
        since = moment.replace(tzinfo=moment.tzinfo or UTC) - datetime(1970, 1, 1, tzinfo=UTC)
        wish_ms = since.days * 86_400_000 + since.seconds * 1000 - now_ms
    return min(max(wish_ms, 0), WEBHOOK_RETRY_AFTER_MS_MAX)
