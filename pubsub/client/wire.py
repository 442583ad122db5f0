"""What the two clients say to httpx in the same words."""

import re
import ssl
from collections.abc import Sequence
from typing import Final, TypedDict

import httpx

from ledger.core.errors import Offence, PeerFault
from ledger.core.limits import (
    CLIENT_ANSWER_BYTES_MAX,
    CLIENT_CALL_MS_MAX,
    CLIENT_STREAM_SILENCE_MS_MAX,
)
from pubsub.client.exchange import Call

__all__ = [
    "CALL_TIMEOUT",
    "STREAM_TIMEOUT",
    "Bearer",
    "RequestArguments",
    "request_arguments",
    "require_room",
    "url_list",
    "verify_argument",
]

CALL_TIMEOUT: Final = httpx.Timeout(CLIENT_CALL_MS_MAX / 1000)
STREAM_TIMEOUT: Final = httpx.Timeout(
    CLIENT_CALL_MS_MAX / 1000, read=CLIENT_STREAM_SILENCE_MS_MAX / 1000
)
_TOKEN: Final = re.compile(r"[A-Za-z0-9._~+/-]+=*\Z", re.ASCII)  # RFC 6750, 2.1


class Bearer:
    """A token that shows in no representation and no message."""

    __slots__ = ("authorization",)

    def __init__(self, token: str) -> None:
        """Take a token. Raises ValueError, which does not quote it, when it is malformed."""
        if not _TOKEN.match(token):
            raise ValueError("a token has letters, digits and -._~+/ alone")
        self.authorization = f"Bearer {token}"


class RequestArguments(TypedDict):
    """The arguments of httpx's ``build_request``."""

    method: str
    url: str
    params: dict[str, str]
    headers: dict[str, str]
    content: bytes


def request_arguments(call: Call, bearer: Bearer | None) -> RequestArguments:
    """Give the httpx request of ``call``."""
    request = call.request
    # No compression: a stranger's small answer must not become a large one.
    headers = {"accept": request.accept, "accept-encoding": "identity"}
    if bearer is not None:
        headers["authorization"] = bearer.authorization
    if request.content_type:
        headers["content-type"] = request.content_type
    if request.prefer:
        headers["prefer"] = request.prefer
    return {
        "method": request.method,
        "url": call.url + request.path,
        "params": dict(request.parameters),
        "headers": headers,
        "content": request.body,
    }


def require_room(size: int) -> None:
    """Raise PeerFault when an answer of ``size`` bytes is too large."""
    if size > CLIENT_ANSWER_BYTES_MAX:
        raise PeerFault(Offence.FLOOD, f"an answer of more than {CLIENT_ANSWER_BYTES_MAX} bytes")


def url_list(url: str | Sequence[str]) -> list[str]:
    """Give the URLs of one URL or several."""
    return [url] if isinstance(url, str) else list(url)


def verify_argument(tls: ssl.SSLContext | None) -> ssl.SSLContext | bool:
    """Give httpx's ``verify``: the user's context, or the usual authorities."""
    return True if tls is None else tls
