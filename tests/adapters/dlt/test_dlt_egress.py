"""Where notifications may go: no way into networks that nobody opened, no trust in answers."""

import socket
from typing import Any

import pytest

from adapters.dome.dlt import sending
from adapters.dome.dlt.sending import Sender, Verdict
from ledger.core.limits import DLT_NOTIFY_ANSWER_BYTES_MAX
from pubsub.io.egress import Egress, EgressError, require_endpoint
from tests.adapters.dlt.endpoint import Endpoint

PRIVATE, PUBLIC = Egress(), Egress(allows_private=False)
LISTED = Egress(allows_private=False, hosts=frozenset({"desmos", "10.0.0.7"}))


@pytest.mark.parametrize(
    "rules, endpoint, allowed",
    [
        (PRIVATE, "http://desmos:8080/api/v2/notifications/dlt", True),
        (PRIVATE, "http://10.0.0.7/x", True),
        (PRIVATE, "http://127.0.0.1:8080/x", True),
        (PRIVATE, "http://[fe80::1]/x", False),
        (PRIVATE, "http://[64:ff9b::a9fe:a9fe]/x", False),
        (PRIVATE, "http://[2002:a9fe:a9fe::1]/x", False),
        (PRIVATE, "http://224.0.0.1/x", False),
        (PRIVATE, "//desmos/x", False),
        (PRIVATE, "http:///x", False),
        (PRIVATE, "http://desmos/x#y", False),
        (PUBLIC, "https://desmos.example.org/x", True),
        (PUBLIC, "http://desmos.example.org/x", False),
        (PUBLIC, "https://desmos.example.org:8443/x", False),
        (PUBLIC, "https://10.0.0.7/x", False),
        (PUBLIC, "https://[::1]/x", False),
        (PUBLIC, "https://[::ffff:10.0.0.7]/x", False),
        (LISTED, "http://desmos:8080/x", True),
        (LISTED, "http://10.0.0.7:8080/x", True),
        (LISTED, "https://other.example.org/x", False),
    ],
)
def test_endpoints(rules: Egress, endpoint: str, allowed: bool) -> None:
    """Each rule allows what it says and nothing else."""
    if allowed:
        require_endpoint(rules, endpoint)
    else:
        with pytest.raises(EgressError):
            require_endpoint(rules, endpoint)


def resolving(monkeypatch: pytest.MonkeyPatch, *addresses: str) -> None:
    """Let every name have these addresses."""
    real = socket.getaddrinfo

    def resolve(host: Any, port: Any, *rest: Any, **named: Any) -> list[Any]:  # noqa: ANN401
        if not str(host).startswith("desmos."):
            return real(host, port, *rest, **named)
        families = [socket.AF_INET6 if ":" in a else socket.AF_INET for a in addresses]
        return [(f, 1, 6, "", (a, port)) for f, a in zip(families, addresses, strict=True)]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)


async def sent(rules: Egress, endpoint: str) -> tuple[Verdict, str]:
    """Send one notification."""
    sender = Sender(rules, endpoint)
    try:
        verdict, reason = await sender.send(b"{}")
    finally:
        await sender.close()
    return verdict, reason


@pytest.mark.parametrize("address", ["127.0.0.1", "10.1.2.3", "169.254.169.254", "::1"])
async def test_name_that_comes_to_mean_a_private_address_is_not_followed(
    monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    """The address is judged at each attempt, all that a name has, before any connection."""
    resolving(monkeypatch, "8.8.8.8", address)
    verdict, reason = await sent(PUBLIC, "https://desmos.example.org/x")
    assert verdict is Verdict.UNAVAILABLE
    assert reason.startswith("not allowed: ")


async def test_connection_goes_to_an_address_that_was_judged(
    monkeypatch: pytest.MonkeyPatch, desmos: Endpoint
) -> None:
    """The name stays in Host; of several addresses the first that answers is used."""
    resolving(monkeypatch, "::1", "127.0.0.1")
    endpoint = f"http://desmos.test:{desmos.port}/x?a=b"
    assert await sent(PRIVATE, endpoint) == (Verdict.DELIVERED, "answered 202")
    (told,) = desmos.received
    assert (told.target, told.headers["host"]) == (
        "POST /x?a=b HTTP/1.1",
        f"desmos.test:{desmos.port}",
    )


async def test_proxies_of_the_environment_are_not_used(
    monkeypatch: pytest.MonkeyPatch, desmos: Endpoint
) -> None:
    """A proxy in the environment would see every notification, and choose addresses itself."""
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1/")
    assert (await sent(PRIVATE, desmos.url))[0] is Verdict.DELIVERED


async def test_endless_answers_are_cut(desmos: Endpoint) -> None:
    """No more of an answer is read than the limit; its status counts all the same."""
    head = b"HTTP/1.1 200 OK\r\ncontent-length: 1000000000\r\n\r\n"
    desmos.answer = lambda _: head + bytes(2 * DLT_NOTIFY_ANSWER_BYTES_MAX)
    assert (await sent(PRIVATE, desmos.url))[0] is Verdict.DELIVERED


async def test_silent_endpoints_are_left(monkeypatch: pytest.MonkeyPatch, desmos: Endpoint) -> None:
    """An answer that does not end in time is a failure."""
    monkeypatch.setattr(sending, "DLT_NOTIFY_MS_MAX", 50)
    desmos.answer = lambda _: b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n"
    assert await sent(PRIVATE, desmos.url) == (Verdict.UNAVAILABLE, "no answer in time")


async def test_absent_endpoints_and_other_protocols_are_failures(desmos: Endpoint) -> None:
    """Nothing that an endpoint does becomes an exception."""
    assert (await sent(PRIVATE, "http://127.0.0.1:1/"))[0] is Verdict.UNAVAILABLE
    desmos.answer = lambda _: b"220 smtp.example.org ESMTP\r\n\r\n"
    assert (await sent(PRIVATE, desmos.url))[0] is Verdict.UNAVAILABLE
