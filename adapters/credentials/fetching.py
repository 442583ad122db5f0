"""Fetching documents that strangers name: keys and status lists over HTTPS, and nothing else.

Owns the rules of egress: https on port 443, a host name whose every address is public, the
connection goes to the address that was checked, no redirects, no proxies from the environment,
bounded bytes, time and number. Origins that the operator configured are exempt from the rules of
address and scheme alone.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterable
from ipaddress import ip_address
from typing import Final, NamedTuple, Protocol

import anyio
import httpx

from ledger.core.errors import Unavailable
from ledger.core.limits import FETCH_BYTES_MAX, FETCH_MS_MAX, FETCHED_REMEMBERED_MAX, FETCHES_MAX
from pubsub.core.addresses import is_internet

__all__ = ["Fetcher", "HttpFetcher", "Remembered"]

_HTTPS_PORT: Final = 443
_ACCEPT: Final = "application/json, application/did+json, application/did+ld+json, */*;q=0.1"


class Fetcher(Protocol):
    """Gets a document from outside."""

    async def fetch(self, url: str) -> bytes:
        """Give the body of a 200 answer. Raises Unavailable for anything else."""
        ...


class HttpFetcher:
    """Fetches over HTTP(S) under the rules of egress."""

    def __init__(self, allowed_origins: Iterable[str] = ()) -> None:
        """Exempt the configured origins, such as `http://verifier:8080`, from two rules."""
        self._allowed = frozenset(map(_origin, map(httpx.URL, allowed_origins)))
        self._slots = anyio.Semaphore(FETCHES_MAX)

    async def fetch(self, url: str) -> bytes:
        """Give the body of a 200 answer. Raises Unavailable for anything else."""
        try:
            with anyio.fail_after(FETCH_MS_MAX / 1000):
                async with self._slots:
                    return await self._fetch(httpx.URL(url))
        except (httpx.HTTPError, httpx.InvalidURL, OSError, TimeoutError, ValueError) as error:
            name = type(error).__name__
            raise Unavailable(f"a document cannot be fetched: {name}") from None

    async def _fetch(self, url: httpx.URL) -> bytes:
        target, extensions = url, {}
        if _origin(url) not in self._allowed:
            address = await _public_address(url)
            target = url.copy_with(host=address)
            extensions = {"sni_hostname": url.host}
        headers = {"host": url.netloc.decode(), "accept": _ACCEPT, "accept-encoding": "identity"}
        async with httpx.AsyncClient(trust_env=False, follow_redirects=False) as client:
            request = client.build_request("GET", target, headers=headers, extensions=extensions)
            response = await client.send(request, stream=True)
            try:
                return await _read(response)
            finally:
                await response.aclose()


async def _read(response: httpx.Response) -> bytes:
    if response.status_code != httpx.codes.OK:
        raise Unavailable(f"a document cannot be fetched: status {response.status_code}")
    if int(response.headers.get("content-length", "0")) > FETCH_BYTES_MAX:
        raise Unavailable(f"a document is longer than {FETCH_BYTES_MAX} bytes")
    if response.headers.get("content-encoding", "identity") != "identity":
        raise Unavailable("a document cannot be fetched: it is encoded")
    body = bytearray()
    async for chunk in response.aiter_raw():
        body += chunk
        if len(body) > FETCH_BYTES_MAX:
            raise Unavailable(f"a document is longer than {FETCH_BYTES_MAX} bytes")
    return bytes(body)


async def _public_address(url: httpx.URL) -> str:
    """Resolve once and give one address, if all of them are public."""
    if url.scheme != "https" or url.port not in (None, _HTTPS_PORT) or url.userinfo:
        raise Unavailable("only https on port 443 is fetched")
    found = await anyio.getaddrinfo(url.host, _HTTPS_PORT)
    addresses = [ip_address(str(row[4][0])) for row in found]
    if not addresses or not all(map(is_internet, addresses)):
        raise Unavailable("the host has an address that is not public")
    return str(addresses[0])


def _origin(url: httpx.URL) -> tuple[str, str, int | None]:
    port = {"http": 80, "https": _HTTPS_PORT}.get(url.scheme)
    return url.scheme, url.host, url.port or port


class _Document(NamedTuple):
    fetched_ms: int
    body: bytes


class Remembered:
    """Fetches through a memory: fresh documents are not fetched again, stale ones serve failures.

    Attributes:
        fresh_ms: a document is not fetched again while it is younger.
        stale_ms: a document that cannot be fetched again is used while it is younger.
    """

    def __init__(
        self, fetcher: Fetcher, clock_ms: Callable[[], int], fresh_ms: int, stale_ms: int
    ) -> None:
        self.fresh_ms = fresh_ms
        self.stale_ms = stale_ms
        self._fetcher = fetcher
        self._clock_ms = clock_ms
        self._documents: OrderedDict[str, _Document] = OrderedDict()

    async def fetch(self, url: str, *, younger_than_ms: int | None = None) -> bytes:
        """Give a document that is fresh, or younger than said. Raises Unavailable."""
        now_ms = self._clock_ms()
        known = self._documents.get(url)
        age_ms = now_ms - known.fetched_ms if known else 0
        if known and age_ms < (self.fresh_ms if younger_than_ms is None else younger_than_ms):
            return known.body
        try:
            body = await self._fetcher.fetch(url)
        except Unavailable:
            if known and age_ms < self.stale_ms:
                return known.body
            raise
        self._documents[url] = _Document(now_ms, body)
        self._documents.move_to_end(url)
        while len(self._documents) > FETCHED_REMEMBERED_MAX:
            self._documents.popitem(last=False)
        return body
