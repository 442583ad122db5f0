"""Where this process may connect to in a stranger's name, and one exchange over HTTP with it.

A URL is anybody's text, so a process must not become a way into networks that its clients cannot
reach themselves. A name is resolved anew for each exchange, every address that it has must be
allowed, and the connection is made to the very address that was looked at, while TLS and ``Host``
keep the name. No redirect is followed, no proxy of the environment used, no cookie kept, nothing
unpacked, and an answer has a limit of time and of bytes.
"""

import re
import socket
import ssl
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Final, NamedTuple

import anyio
import anyio.to_thread
import httpx
from anyio.lowlevel import RunVar

from ledger.core.errors import Unavailable
from pubsub.core.addresses import Address, is_internet, is_never_called, read_literal
from pubsub.core.limits import EGRESS_LOOKUPS_MAX

__all__ = ["Courier", "Egress", "EgressError", "Errand", "Late", "Reply", "require_endpoint"]

_PORTS: Final = {"http": 80, "https": 443}
_PORT_MAX: Final = 65_535
# Labels of 1 to 63 characters: a lookup of others ends in an error that is not the network's.
_NAME: Final = re.compile(
    r"(?=.{1,253}\Z)[a-z0-9_][a-z0-9_-]{0,62}(\.[a-z0-9_-]{1,63})*\.?\Z", re.DOTALL
)
# What ends like a number is an address to some readers (127.1, 0x7f000001), a name to others.
_NUMERIC: Final = re.compile(r"(.*\.)?(0x[0-9a-f]*|[0-9]+)\.?\Z")
_PLAIN: Final = {"accept-encoding": "identity"}  # what is packed has no limit before unpacking


class EgressError(ValueError):
    """An endpoint is outside the rules."""


class Late(Unavailable):
    """There was no answer in time."""


@dataclass(frozen=True)
class Egress:
    """Which endpoints are allowed.

    Attributes:
        allows_private: also http, any port, and private and loopback addresses. Otherwise https to
            port 443 of addresses of the internet.
        hosts: when not empty, the only hosts that may be named; each may be private and anywhere.
    """

    allows_private: bool = True
    hosts: frozenset[str] = frozenset()


class Errand(NamedTuple):
    """One request.

    Attributes:
        answer_bytes_max: of the answer's body, so much is read at most.
        wants_answer: read a body of unannounced length, too; the status alone counts otherwise.
    """

    method: str
    url: str
    answer_bytes_max: int
    headers: Mapping[str, str] = {}
    body: bytes = b""
    wants_answer: bool = False


class Reply(NamedTuple):
    """What came back; ``body`` is None when it was not read, or longer than allowed."""

    status: int
    headers: httpx.Headers
    body: bytes | None


def require_endpoint(egress: Egress, endpoint: str) -> httpx.URL:
    """Read an endpoint and check what needs no name to be resolved.

    Raises:
        EgressError: it is no URL or outside the rules.
    """
    try:
        url = httpx.URL(endpoint)
        host = url.host  # reading it decodes IDNA, which is where a bad label is noticed
    except (httpx.InvalidURL, ValueError) as error:
        raise EgressError(str(error)) from None
    if url.scheme not in _PORTS or not host:
        raise EgressError("an endpoint is an absolute http or https URL")
    if url.userinfo or url.fragment:
        raise EgressError("an endpoint has neither user nor fragment")
    address = _read_host(url)
    if url.port is not None and not 0 < url.port <= _PORT_MAX:
        raise EgressError(f"a port is 1 to {_PORT_MAX}")
    if egress.hosts:
        if host not in egress.hosts:
            raise EgressError("the host is not among those that may be called")
    elif not egress.allows_private and (url.scheme != "https" or url.port is not None):
        raise EgressError("only https on port 443 may be called")
    if address is not None:
        _require_address(egress, address)
    return url


class Courier:
    """Runs errands over connections that it keeps; close it in the end.

    One courier serves one host: its connections are told apart by address alone.
    """

    def __init__(self, egress: Egress, deadline_ms: int) -> None:
        """Prepare; each errand checks its URL again and ends in time."""
        self._egress = egress
        self._deadline_s = deadline_ms / 1000
        self._http = httpx.AsyncClient(
            trust_env=False,
            follow_redirects=False,
            timeout=self._deadline_s,
            verify=_trust(),
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),  # takes none from anybody
        )

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def run(self, errand: Errand) -> Reply:
        """Send a request and give the answer, whatever its status.

        Raises:
            EgressError: the URL is outside the rules, or its name means such an address.
            Unavailable: no answer, or none in time.
        """
        try:
            with anyio.fail_after(self._deadline_s):
                return await self._run(errand)
        except TimeoutError:
            raise Late("no answer in time") from None
        except EgressError:
            raise
        # The library reads a redirect's Location, followed or not: InvalidURL, IDNAError and
        # UnicodeError (both ValueErrors) come of what a stranger wrote there.
        except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError) as error:
            raise Unavailable(f"{type(error).__name__}: {error}") from None

    async def _run(self, errand: Errand) -> Reply:
        url = require_endpoint(self._egress, errand.url)
        *others, last = await self._resolve(url)
        for address in others:
            with suppress(httpx.ConnectError):
                return await self._exchange(errand, url, address)
        return await self._exchange(errand, url, last)

    async def _exchange(self, errand: Errand, url: httpx.URL, address: Address) -> Reply:
        request = self._http.build_request(
            errand.method,
            url.copy_with(host=str(address)),
            content=errand.body,
            headers={**errand.headers, "host": url.netloc.decode("ascii"), **_PLAIN},
            extensions={"sni_hostname": url.host},
        )
        answer = await self._http.send(request, stream=True)
        try:
            return Reply(answer.status_code, answer.headers, await _read(answer, errand))
        finally:
            await answer.aclose()

    async def _resolve(self, url: httpx.URL) -> list[Address]:
        """Give the addresses to connect to, at least one. Raises EgressError, OSError."""
        literal = read_literal(url.host)
        addresses = await _look_up(url) if literal is None else [literal]
        for address in addresses:
            _require_address(self._egress, address)
        return addresses


async def _read(answer: httpx.Response, errand: Errand) -> bytes | None:
    """Read what is surely short, so that the connection can be used again; leave the rest."""
    length = answer.headers.get("content-length", "")
    if length.isdigit() and int(length) > errand.answer_bytes_max:
        return None
    if not (length.isdigit() or errand.wants_answer):
        return None
    body = bytearray()
    # Cancelled and not left: the library's generators would stay open otherwise.
    with anyio.CancelScope() as scope:
        async for chunk in answer.aiter_raw():
            body += chunk
            if len(body) > errand.answer_bytes_max:
                scope.cancel()
    return None if len(body) > errand.answer_bytes_max else bytes(body)


@cache
def _trust() -> ssl.SSLContext:
    """Load the certificate authorities once: each client would for itself."""
    return httpx.create_ssl_context(trust_env=False)


def _read_host(url: httpx.URL) -> Address | None:
    """Give the address that a host is; None for a name. Raises EgressError when it is neither."""
    host = url.raw_host.decode("ascii")
    address = read_literal(host)
    if address is None and (not _NAME.match(host) or _NUMERIC.match(host)):
        raise EgressError("a host is a name, or an address as it is usually written")
    return address


async def _look_up(url: httpx.URL) -> list[Address]:
    """Give the addresses of a name, at least one. Raises OSError.

    The lookups have threads of their own: a name server that never answers holds up no others.
    """

    def look_up() -> list[Address]:
        name, port = url.raw_host.decode("ascii"), url.port or _PORTS[url.scheme]
        rows = socket.getaddrinfo(name, port, type=socket.SOCK_STREAM)
        addresses = [read_literal(str(row[4][0])) for row in rows]
        return [address for address in addresses if address is not None]

    found = await anyio.to_thread.run_sync(look_up, abandon_on_cancel=True, limiter=_lookups())
    if not found:
        raise OSError(f"{url.host} has no address")
    return found


def _require_address(egress: Egress, address: Address) -> None:
    """Refuse an address that nobody may be sent to."""
    if is_never_called(address):
        raise EgressError(f"{address} may not be called")  # cloud metadata, among others
    if not (egress.allows_private or egress.hosts or is_internet(address)):
        raise EgressError(f"{address} is not on the internet")


_LOOKUPS: Final[RunVar[anyio.CapacityLimiter]] = RunVar("egress_lookups")


def _lookups() -> anyio.CapacityLimiter:
    """Give the threads of this event loop's lookups."""
    limiter = _LOOKUPS.get(None)
    if limiter is None:
        limiter = anyio.CapacityLimiter(EGRESS_LOOKUPS_MAX)
        _LOOKUPS.set(limiter)
    return limiter
