"""What the gateway's OpenAPI document promises holds for whatever is asked."""

import json
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
import schemathesis
from anyio.from_thread import BlockingPortal, start_blocking_portal
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis import Case
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from pubsub.core.openapi import describe_api
from pubsub.core.tokens import GRANTABLE
from pubsub.io.api import ENDPOINTS
from pubsub.io.rights import RightsSettings
from tests.pubsub.gateway_world import World, gateway_world, sample

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]
EXAMPLES = 10
KNOWN = sample(0)
WAIT_MS_MAX = 5
TEMPORARY = (503, 504)  # nothing is wrong with the gateway: it says what is not there yet

# A stream is written past ASGI and has no end; its description is held by the tests of streams.
OPERATIONS = [
    endpoint.operation for endpoint in ENDPOINTS if endpoint.operation.name != "streamEvents"
]


@pytest.fixture(scope="module")
def document() -> Any:  # noqa: ANN401 - JSON
    """Give the document as a client reads it."""
    described = [endpoint.described() for endpoint in ENDPOINTS]
    return json.loads(json.dumps(describe_api(described, "1")))


def test_answers_are_as_described(document: Any, tmp_path: Path) -> None:  # noqa: ANN401 - JSON
    """Whatever is asked, the status, media type and schema of the answer are described."""
    schema = schemathesis.openapi.from_dict(document)
    rights = RightsSettings(anonymous=frozenset(GRANTABLE))
    with (
        start_blocking_portal() as portal,
        portal.wrap_async_context_manager(gateway_world(tmp_path, rights=rights)) as world,
    ):
        portal.call(_populate, world)
        for operation in OPERATIONS:
            path = operation.path.replace(":path}", "}")
            _hold(schema[path][operation.method], partial(_send, portal, world))


def _hold(operation: Any, send: Callable[[Case[Any]], httpx.Response]) -> None:  # noqa: ANN401 - the library's own
    """Send generated requests of one operation and hold each answer against its description."""

    @settings(
        max_examples=EXAMPLES,
        derandomize=True,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(), is_known=st.booleans())
    def check(case: Case[Any], is_known: bool) -> None:
        _hurry(case)
        if is_known:
            _name_what_is_there(case)
        response = send(case)
        checks = CHECKS[1:] if response.status_code in TEMPORARY else CHECKS
        case.validate_response(response, checks=checks)

    check()


def _hurry(case: Case[Any]) -> None:
    """Never wait for long."""
    if isinstance(case.body, dict) and "wait_ms" in case.body:
        case.body["wait_ms"] = WAIT_MS_MAX
    if case.query and "wait" in case.query:
        case.query["timeout_ms"] = WAIT_MS_MAX


def _name_what_is_there(case: Case[Any]) -> None:
    """Let a request be about something that is there, so that some are carried out."""
    known = {"name": "known", "height": 1, "list": "issuers", "sequence": 0}
    if case.path.startswith("/v1/events"):
        known["id"] = KNOWN.id.hex()
    for name in case.path_parameters or {}:
        if name in known:
            case.path_parameters[name] = known[name]


async def _populate(world: World) -> None:
    await world.node.extend([KNOWN.entry])
    for _ in range(3):
        await world.node.extend()
    made = await world.http.post("/v1/consumers", json={"name": "known"})
    assert made.status_code == httpx.codes.CREATED


def _send(portal: BlockingPortal, world: World, case: Case[Any]) -> httpx.Response:
    arguments = case.as_transport_kwargs(base_url="http://gateway")
    names = ("method", "url", "params", "headers", "json", "data")
    given_ = {name: arguments[name] for name in names if arguments.get(name) is not None}
    if isinstance(given_.get("data"), bytes):
        given_["content"] = given_.pop("data")
    response = portal.call(partial(world.http.request, **given_))
    response.elapsed = timedelta(0)
    return response
