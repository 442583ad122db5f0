"""The consent of a receiver: CloudEvents' validation of webhooks, so that nobody is flooded.

Owns what is asked and what counts as yes. The gateway asks by ``OPTIONS`` to the very URL, before
anything is delivered. The answer's status means nothing: the receiver consents by naming our
origin, or everybody's, in ``WebHook-Allowed-Origin``. It may also do so later at the callback URL,
whose token only it was told.
"""

from collections.abc import Mapping
from typing import NamedTuple

from msgspec import Struct

from ledger.core.errors import DecodeError
from pubsub.core.limits import WEBHOOK_RATE_MAX

__all__ = ["Consent", "Question", "read_consent", "read_rate"]

_DIGITS_MAX = len(str(WEBHOOK_RATE_MAX))


class Consent(Struct, frozen=True):
    """A receiver's yes.

    Attributes:
        rate: requests a minute that it allows; None for any number.
        given_ms: when.
    """

    rate: int | None
    given_ms: int


class Question(NamedTuple):
    """What a receiver is asked.

    Attributes:
        origin: DNS name of who wants to deliver.
        rate: requests a minute that are wanted; None when there is no wish.
        callback: URL at which consent may be given later; None when there is none.
    """

    origin: str
    rate: int | None = None
    callback: str | None = None

    def headers(self) -> dict[str, str]:
        """Give the headers of the ``OPTIONS`` request."""
        headers = {"webhook-request-origin": self.origin}
        if self.rate is not None:
            headers["webhook-request-rate"] = str(self.rate)
        if self.callback is not None:
            headers["webhook-request-callback"] = self.callback
        return headers


def read_consent(question: Question, headers: Mapping[str, str], now_ms: int) -> Consent | None:
    """Read an answer's headers (names in lower case); None when it is no consent."""
    allowed = headers.get("webhook-allowed-origin", "").strip()
    if allowed != "*" and allowed.lower() != question.origin.lower():
        return None
    try:
        rate = read_rate(headers.get("webhook-allowed-rate"))
    except DecodeError:
        return None
    if rate is None or (question.rate is not None and question.rate < rate):
        rate = question.rate
    return Consent(rate, now_ms)


def read_rate(text: str | None) -> int | None:
    """Read an allowed rate; None for any. Raises DecodeError for what is none."""
    text = "*" if text is None else text.strip()
    if text == "*":
        return None
    if not (text.isascii() and text.isdigit() and int(text[: _DIGITS_MAX + 1]) > 0):
        raise DecodeError("a rate is * or a number of requests a minute")
    return min(int(text[: _DIGITS_MAX + 1]), WEBHOOK_RATE_MAX)
