"""A client's token goes to the gateways that the user named, and shows nowhere."""

import logging
from collections.abc import Callable

import httpx
import pytest

from ledger.core.errors import ConcordatError, PeerFault
from pubsub.client.answers import Refused
from pubsub.client.sync_client import Client
from pubsub.client.wire import Bearer
from pubsub.core.problems import HttpCode
from tests.support.memory_chain import MemoryChain, make_entry
from tests.support.memory_gateway import MemoryGateway, problem

TOKEN = "cct_secret-0123456789"
AUTHORIZATION = f"Bearer {TOKEN}"
Ask = Callable[[Client], object]

CALLS: list[Ask] = [
    lambda client: client.publish(make_entry(client.fetch_genesis().chain_id, 7)),
    lambda client: client.get(bytes(32).hex()),
    lambda client: list(client.events(verify=False)),
    lambda client: next(client.subscribe(verify=False)),
]


def gateway_of(*seen: list[httpx.Request]) -> MemoryGateway:
    """Give a gateway to a ledger of one event that notes each request in the lists."""
    chain = MemoryChain()
    chain.grow([make_entry(chain.genesis.chain_id, 0)])
    gateway = MemoryGateway(chain)

    def note(request: httpx.Request) -> None:
        for each in seen:
            each.append(request)

    gateway.faults.append(note)
    return gateway


@pytest.mark.parametrize("ask", CALLS)
def test_every_request_carries_it(ask: Ask) -> None:
    """Publishing, reading and streams authenticate; without a token nothing is sent."""
    for token, expected in ((TOKEN, AUTHORIZATION), (None, None)):
        seen: list[httpx.Request] = []
        gateway = gateway_of(seen)
        with Client("http://a", token=token, transport=gateway.transport) as client:
            ask(client)
        assert {request.headers.get("authorization") for request in seen} == {expected}


class _PauseError(Exception):
    """A client would wait now."""


@pytest.mark.parametrize("ask", CALLS)
def test_no_other_host_gets_it(ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    """A redirect is not followed, so that no gateway can send the token elsewhere."""

    def no_pause(_seconds: float) -> None:
        raise _PauseError

    monkeypatch.setattr("pubsub.client.sync_client.time.sleep", no_pause)
    seen: list[httpx.Request] = []
    gateway = gateway_of(seen)
    away = httpx.Response(307, headers={"location": "http://evil/v1/events"})
    gateway.faults.append(lambda _request: away)
    with (
        Client("http://a", token=TOKEN, transport=gateway.transport) as client,
        pytest.raises((PeerFault, _PauseError)),
    ):
        ask(client)
    assert {request.url.host for request in seen} == {"a"}


def test_it_shows_nowhere(caplog: pytest.LogCaptureFixture) -> None:
    """Neither representations nor errors nor logs, at any level, have the token in them."""
    caplog.set_level(logging.DEBUG)
    gateway = gateway_of()
    with Client("http://a", token=TOKEN, give_up_ms=0, transport=gateway.transport) as client:
        texts = [repr(client), repr(vars(client)), repr(Bearer(TOKEN))]
        for answer in (problem(HttpCode.FORBIDDEN), problem(HttpCode.INTERNAL_ERROR)):
            gateway.faults[:] = [lambda _request, answer=answer: answer]  # type: ignore[misc]
            with pytest.raises(ConcordatError) as caught:
                client.status()
            texts.append(repr(caught.value))
    assert not [text for text in [*texts, caplog.text] if TOKEN in text]


@pytest.mark.parametrize("token", ["", "two words", "line\nfeed", "tok\u00e9n", "a=b"])
def test_a_malformed_token_is_refused_without_quoting_it(token: str) -> None:
    """What cannot stand in the header is refused at once, by a message that does not show it."""
    with pytest.raises(ValueError, match="a token has") as caught:
        Client("http://a", token=token)
    assert not token or token not in str(caught.value)


@pytest.mark.parametrize("code", [HttpCode.UNAUTHENTICATED, HttpCode.FORBIDDEN])
def test_what_it_does_not_allow_has_its_code(code: HttpCode) -> None:
    """A refusal by rights is told by its stable code, at once."""
    seen: list[httpx.Request] = []
    gateway = gateway_of(seen)
    gateway.faults.append(lambda _request: problem(code, "not you"))
    with Client(["http://a", "http://b"], transport=gateway.transport) as client:
        with pytest.raises(Refused, match="not you") as caught:
            next(client.subscribe(verify=False))
        assert caught.value.code is code
    assert len(seen) == 1
