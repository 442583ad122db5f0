"""The console's rules: who gets a page, who may order something, and that nothing is unescaped."""

from collections.abc import AsyncIterator
from pathlib import Path

import anyio
import httpx
import pytest
from starlette.requests import Request
from starlette.responses import Response

from pubsub.core.rights import Scope
from pubsub.io.console.console import Console
from pubsub.io.console.rendering import PAGE_HEADERS, PLACES
from pubsub.io.console.session import begin_session
from pubsub.io.rights import Rights, RightsSettings
from tests.ledger.sample_network import entry
from tests.pubsub.gateway_world import World, gateway_world

OPERATOR = frozenset({Scope.READ, Scope.OPERATE})


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    """Give a gateway with a console that everybody may use."""
    async with gateway_world(tmp_path, facades=[Console()]) as running:
        running.gateway.rights = Rights(RightsSettings(anonymous=OPERATOR))
        yield running


async def order(world: World, path: str, **headers: str) -> httpx.Response:
    """Send the form of an order."""
    return await world.http.post(path, headers=headers)


@pytest.mark.parametrize("place", [path for path, _ in PLACES])
async def test_a_page_needs_the_scope_operate(world: World, place: str) -> None:
    """Who may only read is sent to the form for a token, and nothing of the page is shown."""
    world.gateway.rights = Rights(RightsSettings(anonymous=frozenset({Scope.READ})))
    answer = await world.get(place)
    assert (answer.status_code, answer.headers["location"]) == (303, "/console/login")
    assert answer.content == b""


@pytest.mark.parametrize("path", ["/console/stream", "/console/genesis", "/console/events/0/proof"])
async def test_what_pages_fetch_needs_the_scope_too(world: World, path: str) -> None:
    """The console's own ways to the API are guarded like its pages."""
    world.gateway.rights = Rights(RightsSettings(anonymous=frozenset({Scope.READ})))
    answer = await world.get(path)
    assert answer.status_code == 303


async def test_no_page_may_load_or_run_anything_foreign(world: World) -> None:
    """Every page carries the policy that lets only the gateway's own files run."""
    for place, _ in PLACES[:3]:
        answer = await world.get(place)
        assert answer.status_code == 200
        assert answer.headers["content-security-policy"] == PAGE_HEADERS["content-security-policy"]
        assert "<script>" not in answer.text
        assert "style=" not in answer.text


async def test_what_strangers_wrote_is_shown_as_text(world: World) -> None:
    """A subject with markup in it is text on every page."""
    world.chain.extend([entry(1, subject="<script>alert(1)</script>")])
    for place in ("/console/events", "/console/events/0"):
        answer = await world.get(place)
        assert "&lt;script&gt;alert(1)&lt;/script&gt;" in answer.text
        assert "<script>alert" not in answer.text


async def test_an_event_on_a_topic_that_the_operator_may_not_read_is_not_shown(
    world: World,
) -> None:
    """Restricted topics stay hidden on the pages of events, of one event, and of topics."""
    world.chain.extend([entry(1)])
    rights = RightsSettings(anonymous=OPERATOR, restricted=("catalog.>",))
    world.gateway.rights = Rights(rights)
    assert "urn:offering:1" not in (await world.get("/console/events")).text
    assert (await world.get("/console/events/0")).status_code == 404
    assert "catalog.offering" not in (await world.get("/console/topics")).text


async def test_the_lag_on_a_page_tells_nothing_of_restricted_topics(world: World) -> None:
    """Who may not read every topic sees the distance in the log, not a count of what matches."""
    rights = RightsSettings(anonymous=frozenset(Scope), restricted=("catalog.private.>",))
    world.gateway.rights = Rights(rights)
    body = {"name": "a", "start": {"policy": "new"}, "interest": {"topics": ["catalog.private.>"]}}
    assert (await world.http.post("/v1/consumers", json=body)).status_code == 201
    await world.node.extend([entry(1), entry(2)])
    with anyio.fail_after(5):
        while world.gateway.feed.end < 2:  # noqa: ASYNC110 - it has no event
            await anyio.sleep(0.005)
    assert world.gateway.consumers.get("a").lag.events == 0
    for place in ("/console/consumers", "/console/consumers/a"):
        assert "≤ 2<" in (await world.get(place)).text


@pytest.mark.parametrize(
    "origin", [None, "http://evil.example", "null", "http://gateway.evil.example"]
)
@pytest.mark.parametrize("path", ["/console/consumers/a/replay", "/console/logout"])
async def test_an_order_from_another_site_is_refused(
    world: World, path: str, origin: str | None
) -> None:
    """A form on somebody else's page cannot make the browser give an order."""
    answer = await order(world, path, **({} if origin is None else {"origin": origin}))
    assert answer.status_code == 403


async def test_a_page_of_nothing_says_so(world: World) -> None:
    """An unknown event has a page with the stable code."""
    answer = await world.get("/console/events/77")
    assert answer.status_code == 404
    assert "event_not_found" in answer.text


@pytest.mark.parametrize(
    ("host", "is_secure"),
    [
        ("localhost:8080", False),
        ("127.0.0.9", False),
        ("[::1]:8080", False),
        ("gateway.example", True),
        ("10.0.0.1:8080", True),
        ("127.0.0.1.evil.example", True),
        ("[::1", True),
    ],
)
async def test_a_session_goes_over_tls(world: World, host: str, is_secure: bool) -> None:
    """The cookie holds a token: but on this machine no browser sends it without TLS."""
    request = Request({"type": "http", "path": "/", "headers": [(b"host", host.encode())]})
    answer = Response()
    await begin_session(world.gateway.rights, request, "", answer)
    assert ("secure" in answer.headers["set-cookie"].lower().split("; ")) is is_secure
