"""Callers by their tokens: nobody, an organisation with its powers, the operator, or 401."""

import pytest
from starlette.requests import Request

from adapters.credentials.access import Access, Power
from adapters.http import HttpError
from adapters.tmf.caller import ANYBODY, OPERATOR, Caller
from adapters.tmf.trust.callers import BearerCallers
from tests.adapters.registry_world import Tokens, granted

SELLER = "did:elsi:VATES-11111111"
OWN = "did:elsi:VATES-99999999"
CREATE = Power("productoffering", "create", "DOME")
ELSEWHERE = Power("ProductOffering", "Delete", "OTHER")
ONBOARD = Power("Onboarding", "Execute", "DOME")

KNOWN: dict[str, Access] = {
    "seller": granted(SELLER, powers=[CREATE, ELSEWHERE]),
    "foreign lear": granted(SELLER, powers=[ONBOARD]),
    "own clerk": granted(OWN, powers=[CREATE]),
    "own lear": granted(OWN, powers=[ONBOARD]),
}
BY_TOKEN = BearerCallers(Tokens(KNOWN), b"secret", ["VATES-99999999"])


def request(authorization: str | None) -> Request:
    """Give a request with a header."""
    headers = [] if authorization is None else [(b"authorization", authorization.encode())]
    return Request({"type": "http", "method": "GET", "path": "/", "headers": headers})


@pytest.mark.parametrize(
    ("header", "caller"),
    [
        (None, ANYBODY),
        ("Bearer secret", OPERATOR),
        ("Bearer seller", Caller(SELLER, frozenset({"ProductOffering/Create"}))),
        ("Bearer foreign lear", Caller(SELLER)),
        ("Bearer own clerk", Caller(OWN, frozenset({"ProductOffering/Create"}))),
        ("Bearer own lear", Caller(OWN, is_operator=True)),
    ],
)
async def test_token_says_who_asks(header: str | None, caller: Caller) -> None:
    """Powers count in DOME's domain; only a mandate of the operator's own makes an operator."""
    assert await BY_TOKEN(request(header)) == caller


@pytest.mark.parametrize("header", ["Bearer forged", "Basic secret", "Bearer", "Bearer secre"])
async def test_token_that_does_not_hold_is_refused(header: str) -> None:
    """Who shows a wrong token is not taken for nobody: 401, and how to do better."""
    with pytest.raises(HttpError) as caught:
        await BY_TOKEN(request(header))
    assert (caught.value.status, caught.value.headers) == (401, {"www-authenticate": "Bearer"})


async def test_node_without_an_own_token_has_no_operator_by_it() -> None:
    """An empty token is none."""
    callers = BearerCallers(Tokens({}), b"", [])
    for header in ("Bearer ", "Bearer x"):
        with pytest.raises(HttpError):
            await callers(request(header))
