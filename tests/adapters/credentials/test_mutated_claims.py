"""Any value at any place of a signed credential or presentation: a value or a refusal comes out."""

import json
from base64 import urlsafe_b64decode
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import trio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from adapters.credentials.access import AccessRefused
from adapters.credentials.checker import Expected
from ledger.core.errors import Unavailable
from ledger.io.chain_store import ChainStore
from tests.adapters.credentials.credential_world import (
    BASE,
    ISSUER,
    World,
    did_key,
    employee_v1,
    machine_v2,
    presentation,
    sign,
)
from tests.adapters.credentials.test_hostile_tokens import SHAPED, part
from tests.ledger.sample_network import GENESIS

EXPECTED = Expected(frozenset({f"{BASE}/authorisation/v4"}))
STATUS = {"type": "BitstringStatusListEntry", "statusListIndex": "1", "statusListCredential": "u"}


def places(value: object, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Give the path of every member and item inside a JSON value."""
    rows: Any = ()
    if isinstance(value, dict):
        rows = value.items()
    elif isinstance(value, list):
        rows = enumerate(value)
    for name, inner in rows:
        yield (*path, name)
        yield from places(inner, (*path, name))


def put_at(value: Any, path: tuple[str | int, ...], new: object) -> None:  # noqa: ANN401 - JSON
    """Replace what stands at a path."""
    for name in path[:-1]:
        value = value[name]
    value[path[-1]] = new


def golden(shape: Callable[[str], dict[str, Any]], holder: str) -> dict[str, Any]:
    """Give a right credential that uses every member that is read."""
    payload = deepcopy(shape(holder))  # some parts are shared by all
    body = payload.get("vc", payload)
    body["credentialStatus"] = dict(STATUS)
    payload["cnf"] = {"jwk": {"kty": "EC"}, "kid": holder}
    return payload


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Give one world for all the attempts: none of them changes it."""
    directory: Path = tmp_path_factory.mktemp("world")
    with ChainStore.create(directory / "chain", GENESIS) as store:
        made = World(store)
        made.list_issuer(ISSUER, "LEARCredentialEmployee", "LEARCredentialMachine")
        yield made


def attempted(work: Callable[..., Awaitable[object]], *arguments: object) -> None:
    """Run to a value or a refusal; anything else is a fault of ours."""
    with suppress(AccessRefused, Unavailable):
        trio.run(lambda: work(*arguments))


@pytest.mark.parametrize("shape", [employee_v1, machine_v2])
@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow], max_examples=60)
@given(data=st.data())
def test_any_value_at_any_place_of_a_credential(
    world: World, shape: Callable[[str], dict[str, Any]], data: st.DataObject
) -> None:
    """The issuer itself signs nonsense at one place: it is judged or refused."""
    payload = golden(shape, did_key(world.holder))
    path = data.draw(st.sampled_from(sorted(places(payload), key=str)))
    put_at(payload, path, data.draw(SHAPED))
    attempted(world.checker().credential, world.credential(payload))


HEADERS = ["kid", "x5c", "jwk", "alg", "typ", "cty", "x5t", "jku"]


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow], max_examples=60)
@given(name=st.sampled_from(HEADERS), value=SHAPED, alg=st.sampled_from(["ES256", "ES256K"]))
def test_any_value_in_a_header(world: World, name: str, value: object, alg: str) -> None:
    """Whatever the header says, the credential is judged or refused."""
    token = world.credential(employee_v1(did_key(world.holder)))
    header = {"alg": alg, name: value}
    replaced = with_header(header, token)
    attempted(world.checker().credential, replaced)
    attempted(world.checker().presentation, replaced, EXPECTED)


def with_header(header: dict[str, Any], token: str) -> str:
    """Put another header before a token's payload and signature."""
    return ".".join((part(header), *token.split(".")[1:]))


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow], max_examples=60)
@given(data=st.data())
def test_any_value_at_any_place_of_a_presentation(world: World, data: st.DataObject) -> None:
    """The holder itself signs nonsense at one place: it is judged or refused."""
    token = presentation(world.holder, "e30.e30.e30")
    payload: dict[str, Any] = dict(payload_of(token))
    path = data.draw(st.sampled_from(sorted(places(payload), key=str)))
    put_at(payload, path, data.draw(SHAPED))
    spoiled = sign(payload, world.holder, kid=did_key(world.holder))
    attempted(world.checker().presentation, spoiled, EXPECTED._replace(needs_credential=False))


def payload_of(token: str) -> dict[str, Any]:
    """Read a token's payload without verifying it."""
    text = token.split(".")[1]
    value: dict[str, Any] = json.loads(urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    return value
