"""Hostile targets: where nothing may go, and what an answer may cost."""

import socket
import ssl
import tracemalloc
import zlib
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import anyio
import pytest
import trio
from prometheus_client import CollectorRegistry

from pubsub.core.consumer.config import Start
from pubsub.core.rights import Principal
from pubsub.core.webhook.attempt import Outcome
from pubsub.core.webhook.encoding import encode_ping
from pubsub.core.webhook.registration import Plan, Registration
from pubsub.core.webhook.signing import SignatureKind, SigningKey
from pubsub.core.webhook_documents import AttemptDocument
from pubsub.io import egress
from pubsub.io.egress import Courier, Egress, Errand
from pubsub.io.webhooks import endpoint as endpoint_module
from pubsub.io.webhooks.endpoint import Endpoint
from pubsub.io.webhooks.sending import Sender, Sending
from pubsub.io.webhooks.settings import WebhookSettings
from tests.pubsub.webhook.stranger import Script, certified, listening
from tests.pubsub.webhook.webhook_world import webhook_world

PUBLIC, PRIVATE = Egress(allows_private=False), Egress(allows_private=True)
PING = encode_ping("structured", "wh_1", "ping_1", "https://a.example", 0)
EVIL_NAME, PUBLIC_ADDRESS = "evil.example", "93.184.216.34"
OK = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"


def endpoint_of(url: str, rules: Egress) -> Endpoint:
    """Give an endpoint at a URL, however it got there."""
    registration = Registration(
        id="wh_1",
        owner=Principal("anonymous", frozenset()),
        created_ms=0,
        plan=Plan(url=url),
        start=Start(),
        is_ordered=False,
        keys=(SigningKey(SignatureKind.HMAC, bytes(32), 0),),
        draw_key=bytes(16),
    )
    return Endpoint(registration, rules)


async def posted(endpoint: Endpoint) -> AttemptDocument:
    """Post one request and end the connections."""
    try:
        return await Sender("a.example", CollectorRegistry()).post(endpoint, PING, Sending("ping"))
    finally:
        await endpoint.close()


async def posted_to(url: str, rules: Egress = PRIVATE) -> AttemptDocument:
    """Post one request to a URL."""
    return await posted(endpoint_of(url, rules))


def always(*pieces: bytes) -> Script:
    """Write these pieces and close."""

    async def script() -> AsyncGenerator[bytes, None]:
        for piece in pieces:
            yield piece

    return script


def endless(head: bytes, piece: bytes, pause_s: float = 0) -> Script:
    """Write a head, then the same piece for ever."""

    async def script() -> AsyncGenerator[bytes, None]:
        yield head
        while True:
            yield piece
            await anyio.sleep(pause_s)

    return script


# --- where nothing may go --------------------------------------------------------------------
FORBIDDEN = [
    "http://shop.example/",
    "https://shop.example:8443/",
    "https://user:password@shop.example/",
    "https://shop.example/#fragment",
    "https://127.0.0.1/",
    "https://127.1/",
    "https://2130706433/",
    "https://0x7f000001/",
    "https://017700000001/",
    "https://10.0.0.1/",
    "https://172.16.0.1/",
    "https://192.168.0.1/",
    "https://100.64.0.1/",
    "https://0.0.0.0/",
    "https://169.254.169.254/latest/meta-data/",
    "https://[::1]/",
    "https://[::]/",
    "https://[fe80::1]/",
    "https://[fd00:ec2::254]/",
    "https://[::ffff:127.0.0.1]/",
    "https://[::ffff:169.254.169.254]/",
    "https://[64:ff9b::7f00:1]/",
    "https://[64:ff9b:1::a00:1]/",
    "https://[2002:7f00:1::1]/",
    "https://[2001:0:4136:e378:8000:63bf:3fff:fdd2]/",
    "https://[::127.0.0.1]/",
]


async def test_forbidden_targets_are_not_registered(tmp_path: Path) -> None:
    """Such a webhook cannot be made, nor one moved there."""
    async with webhook_world(tmp_path, WebhookSettings(PUBLIC)) as hooks:
        made = await hooks.http.post("/v1/webhooks", json={"url": "https://shop.invalid/"})
        here = f"/v1/webhooks/{made.json()['webhook']['id']}"
        for url in FORBIDDEN:
            for answer in (
                await hooks.http.post("/v1/webhooks", json={"url": url}),
                await hooks.http.patch(here, json={"url": url}),
            ):
                assert (answer.status_code, answer.json()["code"]) == (
                    422,
                    "webhook_target_forbidden",
                ), url
        (webhook,) = (await hooks.http.get("/v1/webhooks")).json()["webhooks"]
        assert (webhook["url"], webhook["state"]) == ("https://shop.invalid/", "pending")


@pytest.mark.parametrize("url", FORBIDDEN)
async def test_forbidden_targets_are_not_called(url: str) -> None:
    """One that exists all the same, as before the rules were changed, is not sent anything."""
    assert (await posted_to(url, PUBLIC)).outcome is Outcome.FORBIDDEN


async def test_other_schemes(tmp_path: Path) -> None:
    """What is no URL of HTTP is malformed."""
    async with webhook_world(tmp_path, WebhookSettings(PUBLIC)) as hooks:
        for url in ("ftp://a.example/", "file:///etc/passwd", "gopher://a/", "a", ""):
            answer = await hooks.http.post("/v1/webhooks", json={"url": url})
            assert (answer.status_code, answer.json()["code"]) == (400, "malformed")
            assert (await posted_to(url, PUBLIC)).outcome is Outcome.FORBIDDEN


def resolving(patch: pytest.MonkeyPatch, *answers: tuple[str, ...]) -> None:
    """Let the name's first lookups give these addresses, and all further ones the last."""
    real = socket.getaddrinfo
    left = list(answers)

    def resolve(host: Any, port: Any, *rest: Any, **named: Any) -> list[Any]:  # noqa: ANN401
        if host != EVIL_NAME:
            return list(real(host, port, *rest, **named))
        found = left.pop(0) if len(left) > 1 else left[0]
        return [(socket.AF_INET, 1, 6, "", (address, port)) for address in found]

    patch.setattr(socket, "getaddrinfo", resolve)


@pytest.fixture
def dialled(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    """Note where connections go; those to the public address end at the port that is put first."""
    seen: list[tuple[str, int]] = []
    real = trio.open_tcp_stream

    async def dial(host: str, port: int, **named: Any) -> Any:  # noqa: ANN401
        if host != PUBLIC_ADDRESS:
            seen.append((host, port))
            return await real(host, port, **named)
        own_port = seen[0][1]
        seen.append((host, port))
        return await real("127.0.0.1", own_port, **named)

    monkeypatch.setattr(trio, "open_tcp_stream", dial)
    return seen


@pytest.mark.parametrize(
    "addresses",
    [
        ("127.0.0.1",),
        ("10.0.0.1",),
        ("169.254.169.254",),
        (PUBLIC_ADDRESS, "127.0.0.1"),
        ("127.0.0.1", PUBLIC_ADDRESS),
        ("::1",),
        ("::ffff:10.0.0.1",),
        ("64:ff9b::7f00:1",),
        ("2002:7f00:1::1",),
        ("fe80::1%lo",),
        (),
    ],
)
async def test_names_of_private_addresses(
    monkeypatch: pytest.MonkeyPatch, dialled: list[tuple[str, int]], addresses: tuple[str, ...]
) -> None:
    """A name is not called when any of its addresses is not of the internet."""
    resolving(monkeypatch, addresses)
    attempt = await posted_to(f"https://{EVIL_NAME}/", PUBLIC)
    assert attempt.outcome is (Outcome.FORBIDDEN if addresses else Outcome.UNREACHABLE)
    assert dialled == []


async def test_rebinding(
    monkeypatch: pytest.MonkeyPatch, dialled: list[tuple[str, int]], tmp_path: Path
) -> None:
    """The connection goes to the address that was judged, and each delivery judges anew."""
    server, client = certified(tmp_path, EVIL_NAME)
    monkeypatch.setattr(egress, "_trust", lambda: client)
    resolving(monkeypatch, (PUBLIC_ADDRESS,), ("127.0.0.1",))
    async with listening(always(OK), server) as stranger:
        dialled.append(("", stranger.port))
        endpoint = endpoint_of(f"https://{EVIL_NAME}/x", PUBLIC)
        sender = Sender("a.example", CollectorRegistry())
        first = await sender.post(endpoint, PING, Sending("ping"))
        second = await sender.post(endpoint, PING, Sending("ping"))
        await endpoint.close()
    assert (first.outcome, second.outcome) == (Outcome.DELIVERED, Outcome.FORBIDDEN)
    assert dialled[1:] == [(PUBLIC_ADDRESS, 443)]
    assert f"\r\nhost: {EVIL_NAME}\r\n" in stranger.heads[0].lower()


async def test_tls_of_another_name(
    monkeypatch: pytest.MonkeyPatch, dialled: list[tuple[str, int]], tmp_path: Path
) -> None:
    """A certificate of another name, or of nobody that is trusted, ends the attempt."""
    resolving(monkeypatch, (PUBLIC_ADDRESS,))
    server, client = certified(tmp_path, "other.example")
    for context in (client, ssl.create_default_context()):
        monkeypatch.setattr(egress, "_trust", Mock(return_value=context))
        async with listening(always(OK), server) as stranger:
            dialled[:] = [("", stranger.port)]
            attempt = await posted_to(f"https://{EVIL_NAME}/", PUBLIC)
        assert attempt.outcome is Outcome.UNREACHABLE
        assert stranger.heads == []


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("target", ["http://127.0.0.1:{port}/inside", "https://169.254.169.254/"])
async def test_redirects_are_failures(
    dialled: list[tuple[str, int]], status: int, target: str
) -> None:
    """Nobody is sent on, wherever to: a redirect is a refusal."""
    head = f"HTTP/1.1 {status} Go\r\nlocation: {target.format(port=1)}\r\ncontent-length: 0\r\n\r\n"
    async with listening(always(head.encode())) as stranger:
        attempt = await posted_to(f"http://127.0.0.1:{stranger.port}/")
    assert (attempt.outcome, attempt.status) == (Outcome.REFUSED, status)
    assert len(dialled) == len(stranger.heads) == 1


# --- what an answer may cost -----------------------------------------------------------------
HEAD = b"HTTP/1.1 200 OK\r\n"
BOMB = zlib.compress(bytes(50_000_000), 9)
HOSTILE: dict[str, tuple[Script, set[Outcome]]] = {
    "endless body": (
        endless(HEAD + b"connection: close\r\n\r\n", b"x" * 65_536),
        {Outcome.DELIVERED},
    ),
    "endless chunks": (
        endless(
            HEAD + b"transfer-encoding: chunked\r\n\r\n", b"10000\r\n" + b"x" * 65_536 + b"\r\n"
        ),
        {Outcome.DELIVERED},
    ),
    "huge announced body": (
        endless(HEAD + b"content-length: 99999999999\r\n\r\n", b"x" * 65_536),
        {Outcome.DELIVERED},
    ),
    "slow drip of a short body": (
        endless(HEAD + b"content-length: 1000\r\n\r\n", b"x", 0.05),
        {Outcome.TIMEOUT},
    ),
    "slow drip of headers": (endless(HEAD, b"x", 0.05), {Outcome.TIMEOUT}),
    "endless headers": (endless(HEAD, b"x-y: " + b"z" * 1_000 + b"\r\n"), {Outcome.UNREACHABLE}),
    "one endless header": (endless(HEAD + b"x-y: ", b"z" * 65_536), {Outcome.UNREACHABLE}),
    "endless status line": (endless(b"HTTP/1.1 200 ", b"z" * 65_536), {Outcome.UNREACHABLE}),
    "endless interim answers": (
        endless(b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 100),
        {Outcome.TIMEOUT, Outcome.UNREACHABLE},
    ),
    "silence": (endless(b"", b"", 0.05), {Outcome.TIMEOUT}),
    "packed bomb": (
        always(HEAD + b"content-encoding: deflate\r\ncontent-length: %d\r\n\r\n" % len(BOMB), BOMB),
        {Outcome.DELIVERED},
    ),
    "no HTTP": (always(b"220 smtp.example ESMTP\r\n\r\n"), {Outcome.UNREACHABLE}),
    "nothing": (always(), {Outcome.UNREACHABLE}),
    "body cut short": (always(HEAD + b"content-length: 9\r\n\r\n1"), {Outcome.UNREACHABLE}),
    "ambiguous framing": (
        always(HEAD + b"content-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n"),
        {Outcome.DELIVERED, Outcome.UNREACHABLE},
    ),
}


@pytest.mark.parametrize("name", HOSTILE)
async def test_answers_are_bounded(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Whatever is answered, an attempt ends in time, in little memory, and never with an error."""
    monkeypatch.setattr(endpoint_module, "WEBHOOK_DEADLINE_MS", 300)
    script, outcomes = HOSTILE[name]
    async with listening(script) as stranger:
        tracemalloc.start()
        try:
            with anyio.fail_after(5):
                attempt = await posted_to(f"http://127.0.0.1:{stranger.port}/")
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    assert attempt.outcome in outcomes
    assert attempt.ms < 1_000
    assert peak < 2 * 2**20


async def test_wanted_answers_are_bounded_too() -> None:
    """Of an endless answer that is wanted no more is read than was allowed."""
    chunk = b"10000\r\n" + b"x" * 65_536 + b"\r\n"
    courier = Courier(PRIVATE, 2_000)
    async with listening(endless(HEAD + b"transfer-encoding: chunked\r\n\r\n", chunk)) as stranger:
        url = f"http://127.0.0.1:{stranger.port}/"
        reply = await courier.run(Errand("GET", url, 100_000, wants_answer=True))
        await courier.close()
    assert (reply.status, reply.body) == (200, None)
