"""Where notifications may go, and how one is sent.

An endpoint is anybody's text, so the adapter must not become a way into networks that its clients
cannot reach themselves. A name is resolved anew for each notification, every address that it has
must be allowed, and the connection is made to the very address that was looked at. No redirect is
followed, no proxy of the environment used, and of an answer nothing but the status is believed.
"""

import ipaddress
import socket
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum
from http import HTTPStatus
from typing import Final, NamedTuple

import anyio
import httpx

from ledger.core.limits import DLT_NOTIFY_ANSWER_BYTES_MAX, DLT_NOTIFY_MS_MAX

__all__ = ["Egress", "EgressError", "Outcome", "Sender", "Verdict", "require_endpoint"]

_Address = ipaddress.IPv4Address | ipaddress.IPv6Address
_PORTS: Final = {"http": 80, "https": 443}
_NAT64: Final = ipaddress.ip_network("64:ff9b::/96")
_FINAL_REFUSALS: Final = frozenset({400, 401, 403, 410, 413, 415, 422})


class EgressError(ValueError):
    """An endpoint is outside the rules."""


@dataclass(frozen=True)
class Egress:
    """Which endpoints are allowed.

    Attributes:
        allows_private: also http, any port, and private and loopback addresses: Desmos runs next
            to its gateway. Otherwise https to port 443 of addresses of the internet.
        hosts: when not empty, the only hosts that may be named; each may be private and anywhere.
    """

    allows_private: bool = True
    hosts: frozenset[str] = frozenset()


class Verdict(Enum):
    """What became of one attempt."""

    DELIVERED = "delivered"
    REFUSED = "refused"
    UNAVAILABLE = "unavailable"


class Outcome(NamedTuple):
    """What became of one attempt, and why, for people."""

    verdict: Verdict
    reason: str


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
            raise EgressError("the host is not among those that may be notified")
    elif not egress.allows_private and (url.scheme != "https" or url.port is not None):
        raise EgressError("only https on port 443 may be notified")
    if (address := _literal(url.host)) is not None:
        _require_address(egress, address)
    return url


class Sender:
    """Sends notifications to one endpoint over connections that it keeps; close it in the end."""

    def __init__(self, egress: Egress, endpoint: str) -> None:
        """Prepare to send; each attempt checks the endpoint again."""
        self._egress = egress
        self._endpoint = endpoint
        self._http = httpx.AsyncClient(
            trust_env=False, follow_redirects=False, timeout=DLT_NOTIFY_MS_MAX / 1000
        )

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def send(self, body: bytes) -> Outcome:
        """Send one notification and say what became of it; never raises for the outside's sake."""
        try:
            with anyio.fail_after(DLT_NOTIFY_MS_MAX / 1000):
                status = await self._post(body)
        except TimeoutError:
            return Outcome(Verdict.UNAVAILABLE, "no answer in time")
        except EgressError as error:
            return Outcome(Verdict.UNAVAILABLE, f"not allowed: {error}")
        except (httpx.HTTPError, OSError) as error:
            return Outcome(Verdict.UNAVAILABLE, f"{type(error).__name__}: {error}")
        reason = f"answered {status}"
        if HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
            return Outcome(Verdict.DELIVERED, reason)
        return Outcome(
            Verdict.REFUSED if status in _FINAL_REFUSALS else Verdict.UNAVAILABLE, reason
        )

    async def _post(self, body: bytes) -> int:
        url = require_endpoint(self._egress, self._endpoint)
        *others, last = await self._resolve(url)
        for address in others:
            with suppress(httpx.ConnectError):
                return await self._post_to(url, address, body)
        return await self._post_to(url, last, body)

    async def _post_to(self, url: httpx.URL, address: _Address, body: bytes) -> int:
        request = self._http.build_request(
            "POST",
            url.copy_with(host=str(address)),
            content=body,
            headers={"host": url.netloc.decode("ascii"), "content-type": "application/json"},
            extensions={"sni_hostname": url.host},
        )
        answer = await self._http.send(request, stream=True)
        try:
            # Read what is surely short, so that the connection can be used again; leave the rest.
            length = answer.headers.get("content-length", "")
            if length.isdigit() and int(length) <= DLT_NOTIFY_ANSWER_BYTES_MAX:
                await answer.aread()
        finally:
            await answer.aclose()
        return answer.status_code

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


def _literal(host: str) -> _Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def _require_address(egress: Egress, address: _Address) -> None:
    """Refuse an address that no notification may go to."""
    inner = _unwrapped(address)
    if inner.is_link_local or inner.is_multicast or inner.is_unspecified:
        raise EgressError(f"{address} may not be notified")  # cloud metadata, among others
    if not (inner.is_global or egress.allows_private or egress.hosts):
        raise EgressError(f"{address} is not on the internet")


def _unwrapped(address: _Address) -> _Address:
    """Give the IPv4 address that an IPv6 address stands for, or the address itself."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address in _NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or address
