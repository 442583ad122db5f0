"""One exchange with a stranger: what is sent, how much of the answer is read, and how it fails."""

from collections.abc import AsyncIterator
from contextlib import suppress

import pytest

from ledger.core.errors import Unavailable
from pubsub.io.egress import Courier, Egress, EgressError, Errand, Reply, require_endpoint
from tests.adapters.dlt.endpoint import Endpoint, listening

CHUNKED = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"


@pytest.fixture
async def endpoint() -> AsyncIterator[Endpoint]:
    """Give a stranger's server."""
    async with listening() as served:
        yield served


async def run(errand: Errand, egress: Egress | None = None) -> Reply:
    """Run one errand."""
    courier = Courier(egress or Egress(), 2_000)
    try:
        return await courier.run(errand)
    finally:
        await courier.close()


def announced(body: bytes) -> bytes:
    """Answer with a body whose length is told before."""
    return b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(body) + body


def unannounced(body: bytes) -> bytes:
    """Answer with a body whose length only its end tells."""
    return CHUNKED + b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)


@pytest.mark.parametrize(
    "answer, wants_answer, body",
    [
        (announced(b"12345"), False, b"12345"),
        (announced(b"123456"), False, None),
        (announced(b"123456"), True, None),
        (unannounced(b"12345"), True, b"12345"),
        (unannounced(b"123456"), True, None),
        (unannounced(b"12345"), False, None),
    ],
)
async def test_how_much_is_read(
    endpoint: Endpoint, answer: bytes, wants_answer: bool, body: bytes | None
) -> None:
    """A body comes whole or not at all, and never more of it than was allowed."""
    endpoint.answer = lambda _: answer
    errand = Errand("GET", endpoint.url, 5, wants_answer=wants_answer)
    assert (await run(errand)).body == body


async def test_what_is_sent(endpoint: Endpoint) -> None:
    """Headers and body are as the errand has them; nothing packed is asked for."""
    headers = {"content-type": "text/plain", "accept-encoding": "gzip", "host": "other"}
    reply = await run(Errand("PUT", endpoint.url, 9, headers, b"body"))
    (received,) = endpoint.received
    assert (reply.status, received.body) == (202, b"body")
    assert received.target.startswith("PUT /")
    assert received.headers["content-type"] == "text/plain"
    assert received.headers["accept-encoding"] == "identity"
    assert received.headers["host"] == f"127.0.0.1:{endpoint.port}"


async def test_redirects_are_answers(endpoint: Endpoint) -> None:
    """Nobody is sent on to where the rules were not asked."""
    where = b"location: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n"
    endpoint.answer = lambda _: b"HTTP/1.1 307 Go\r\n" + where
    assert (await run(Errand("GET", endpoint.url, 9))).status == 307
    assert len(endpoint.received) == 1


@pytest.mark.parametrize(
    "target", [b"data:x", b"https://xn--a/", b"https://\xff/", b"https://a..b/", b"http://a:x/"]
)
async def test_redirects_to_nowhere_are_failures(endpoint: Endpoint, target: bytes) -> None:
    """Where an answer leads may be any bytes: nothing but Unavailable comes of them."""
    endpoint.answer = lambda _: (
        b"HTTP/1.1 302 Go\r\nlocation: " + target + b"\r\ncontent-length: 0\r\n\r\n"
    )
    with suppress(Unavailable):
        assert (await run(Errand("GET", endpoint.url, 9))).status == 302
    assert len(endpoint.received) == 1


async def test_no_cookies_are_kept(endpoint: Endpoint) -> None:
    """What a receiver asks to be remembered is not told to it again."""
    cookie = b"set-cookie: a=b; path=/\r\ncontent-length: 0\r\n\r\n"
    endpoint.answer = lambda _: b"HTTP/1.1 200 OK\r\n" + cookie
    courier = Courier(Egress(), 2_000)
    for _ in range(2):
        await courier.run(Errand("GET", endpoint.url, 9))
    await courier.close()
    assert len(endpoint.received) == 2
    assert all("cookie" not in received.headers for received in endpoint.received)


@pytest.mark.parametrize(
    "url",
    [
        "https://xn--a/",
        "https://xn--a.example/",
        "https://a..b/",
        "https://a../",
        f"https://{'a' * 64}/",
        f"https://{'a.' * 127}/",
    ],
)
def test_names_that_are_none_are_refused(url: str) -> None:
    """A host that IDNA cannot read is outside the rules, like every other that is none."""
    for rules in (Egress(), Egress(allows_private=False)):
        with pytest.raises(EgressError):
            require_endpoint(rules, url)


@pytest.mark.parametrize("host", ["a", "a.", "_a.b-c.example", "a" * 63, "xn--bcher-kva.example"])
def test_names_are_allowed(host: str) -> None:
    """Every name that can be looked up may be an endpoint's."""
    assert (
        require_endpoint(Egress(allows_private=False), f"https://{host}/").raw_host == host.encode()
    )


@pytest.mark.parametrize(
    "answer", [b"", b"garbage\r\n\r\n", b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\n12"]
)
async def test_failures_are_of_the_environment(endpoint: Endpoint, answer: bytes) -> None:
    """Whatever a stranger does, it is one error that may be tried again."""
    endpoint.answer = lambda _: answer
    courier = Courier(Egress(), 100)
    with pytest.raises(Unavailable):
        await courier.run(Errand("GET", endpoint.url, 9))
    await courier.close()


async def test_forbidden_places_are_no_failures(endpoint: Endpoint) -> None:
    """A URL outside the rules is refused before anything is sent."""
    with pytest.raises(EgressError):
        await run(Errand("GET", endpoint.url, 9), Egress(allows_private=False))
    assert endpoint.received == []
