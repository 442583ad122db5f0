"""Who sits in front of the console: the token of a cookie, and what may change something.

A browser sends a cookie by itself, so a request that changes something must come from a page of
this gateway: the cookie is strict about its site, and the ``Origin`` must be ours. The cookie holds
the access token itself, unreadable to scripts; revoking the token ends the session.
"""

from ipaddress import ip_address
from typing import Final
from urllib.parse import urlsplit

from starlette.requests import HTTPConnection, Request
from starlette.responses import Response

from pubsub.core.problems import HttpCode, Refusal
from pubsub.core.rights import Principal, Scope
from pubsub.io.rights import Rights

__all__ = ["begin_session", "end_session", "has_session", "require_operator", "require_own_origin"]

_COOKIE: Final = "concordat_console"
_PATH: Final = "/console"


async def require_operator(rights: Rights, request: Request) -> Principal:
    """Give who asks for a page. Raises Refusal: it may not operate."""
    return await rights.require(_with_token(request, request.cookies.get(_COOKIE)), Scope.OPERATE)


async def begin_session(rights: Rights, request: Request, token: str, answer: Response) -> None:
    """Let ``answer`` begin a session with ``token``. Raises Refusal: it may not operate."""
    await rights.require(_with_token(request, token), Scope.OPERATE)
    answer.set_cookie(
        _COOKIE,
        token,
        path=_PATH,
        secure=not _is_loopback(request.headers.get("host", "")),
        httponly=True,
        samesite="strict",
    )


def end_session(answer: Response) -> None:
    """Let ``answer`` end the session."""
    answer.delete_cookie(_COOKIE, path=_PATH)


def has_session(request: Request) -> bool:
    """Say whether the browser brought a session's cookie."""
    return _COOKIE in request.cookies


def require_own_origin(request: Request) -> None:
    """Refuse a change that another site's page asks for. Raises Refusal."""
    origin = urlsplit(request.headers.get("origin", ""))
    if not origin.netloc or origin.netloc != request.headers.get("host"):
        raise Refusal(HttpCode.FORBIDDEN, "the console takes orders from its own pages only")


def _is_loopback(host: str) -> bool:
    """Say whether a ``Host`` names this machine; elsewhere TLS ends at a proxy before us."""
    try:
        name = urlsplit(f"//{host}").hostname or ""
        return name == "localhost" or ip_address(name).is_loopback
    except ValueError:  # a name, or nothing that a browser sends
        return False


def _with_token(request: Request, token: str | None) -> HTTPConnection:
    """Give the request as one that shows ``token``, where it shows none itself."""
    headers = list(request.scope["headers"])
    if token and not any(name == b"authorization" for name, _ in headers):
        headers.append((b"authorization", b"Bearer " + token.encode("latin-1", "replace")))
    return HTTPConnection({**request.scope, "headers": headers})
