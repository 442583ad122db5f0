"""Where this process may connect to in a stranger's name, and one exchange over HTTP with it.

A URL is anybody's text, so a process must not become a way into networks that its clients cannot
reach themselves. A name is resolved anew for each exchange, every address that it has must be
allowed, and the connection is made to the very address that was looked at. No redirect is followed,
no proxy of the environment used, and an answer has a limit of time and of bytes.
"""

import ipaddress
import socket
import ssl
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from typing import Final, NamedTuple

import anyio
import httpx

from ledger.core.errors import Unavailable

__all__ = ["Courier", "Egress", "EgressError", "Errand", "Reply", "require_endpoint"]

_Address = ipaddress.IPv4Address | ipaddress.IPv6Address
_PORTS: Final = {"http": 80, "https": 443}
_NAT64: Final = ipaddress.ip_network("64:ff9b::/96")
_PLAIN: Final = {"accept-encoding": "identity"}  # what is packed has no limit before unpacking


class EgressError(ValueError):
    """An endpoint is outside the rules."""


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
    except httpx.InvalidURL as error:
        raise EgressError(str(error)) from None
    if url.scheme not in _PORTS or not url.host:
        raise EgressError("an endpoint is an absolute http or https URL")
    if url.userinfo or url.fragment:
        raise EgressError("an endpoint has neither user nor fragment")
    if egress.hosts:
        if url.host not in egress.hosts:
            raise EgressError("the host is not among those that may be called")
    elif not egress.allows_private and (url.scheme != "https" or url.port is not None):
        raise EgressError("only https on port 443 may be called")
    if (address := _literal(url.host)) is not None:
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
            trust_env=False, follow_redirects=False, timeout=self._deadline_s, verify=_trust()
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
            raise Unavailable("no answer in time") from None
        except (httpx.HTTPError, OSError) as error:
            raise Unavailable(f"{type(error).__name__}: {error}") from None

    async def _run(self, errand: Errand) -> Reply:
        url = require_endpoint(self._egress, errand.url)
        *others, last = await self._resolve(url)
        for address in others:
            with suppress(httpx.ConnectError):
                return await self._exchange(errand, url, address)
        return await self._exchange(errand, url, last)

    async def _exchange(self, errand: Errand, url: httpx.URL, address: _Address) -> Reply:
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

    async def _resolve(self, url: httpx.URL) -> list[_Address]:
        """Give the addresses to connect to, at least one. Raises EgressError, OSError."""
        port = url.port or _PORTS[url.scheme]
        rows = await anyio.getaddrinfo(url.host, port, type=socket.SOCK_STREAM)
        if not rows:
            raise OSError(f"{url.host} has no address")
        addresses = [ipaddress.ip_address(row[4][0]) for row in rows]
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


def _literal(host: str) -> _Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def _require_address(egress: Egress, address: _Address) -> None:
    """Refuse an address that nobody may be sent to."""
    inner = _unwrapped(address)
    if inner.is_link_local or inner.is_multicast or inner.is_unspecified:
        raise EgressError(f"{address} may not be called")  # cloud metadata, among others
    if not (inner.is_global or egress.allows_private or egress.hosts):
        raise EgressError(f"{address} is not on the internet")


def _unwrapped(address: _Address) -> _Address:
    """Give the IPv4 address that an IPv6 address stands for, or the address itself."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address in _NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or address
