"""The operations on a consumer that is there answer as the OpenAPI document promises."""

import json
from pathlib import Path
from typing import Any

import httpx
import pytest
import schemathesis
from anyio.from_thread import start_blocking_portal
from schemathesis import Case

from pubsub.core.openapi import describe_api
from pubsub.io.consumers_api import CONSUMER_ENDPOINTS
from tests.pubsub import test_openapi_contract as contract
from tests.pubsub.consumers.consumer_world import consumer_world

EXAMPLES = 12
OPERATIONS = [
    ("POST", "", 201),
    ("GET", "", 200),
    ("GET", "/{name}", 200),
    ("PATCH", "/{name}", 200),
    ("POST", "/{name}/pause", 200),
    ("POST", "/{name}/resume", 200),
    ("POST", "/{name}/fetch", 200),
    ("POST", "/{name}/settle", 200),
    ("GET", "/{name}/dead-letters", 200),
    ("POST", "/{name}/dead-letters/replay", 200),
    ("DELETE", "/{name}/dead-letters/{sequence}", 204),
    ("DELETE", "/{name}", 204),
]


def test_answers_about_a_consumer_are_as_described(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each is carried out at least once, and every answer has a described status and schema."""
    monkeypatch.setattr(contract, "EXAMPLES", EXAMPLES)
    described = describe_api([endpoint.described() for endpoint in CONSUMER_ENDPOINTS], "1")
    schema = schemathesis.openapi.from_dict(json.loads(json.dumps(described)))
    with (
        start_blocking_portal() as portal,
        portal.wrap_async_context_manager(consumer_world(tmp_path)) as world,
    ):
        portal.call(world.publish, 3)
        portal.call(world.create, "known")
        portal.call(world.fetch, "known")
        portal.call(lambda: world.settle("known", terminate=[{"sequence": 0}]))
        for method, path, status in OPERATIONS:
            seen: set[int] = set()

            def send(case: Case[Any], seen: set[int] = seen) -> httpx.Response:
                contract._name_what_is_there(case)
                answer = contract._send(portal, world.world, case)
                seen.add(answer.status_code)
                return answer

            contract._hold(schema[f"/v1/consumers{path}"][method], send)
            assert status in seen, (method, path, seen)
