"""The operations on a webhook that is there answer as the OpenAPI document promises."""

import json
from functools import partial
from pathlib import Path
from typing import Any

import schemathesis
from anyio.from_thread import start_blocking_portal
from hypothesis import HealthCheck, given, settings
from schemathesis import Case

from pubsub.core.openapi import describe_api
from pubsub.io.api import ENDPOINTS
from tests.pubsub import test_openapi_contract as contract
from tests.pubsub.webhook.receiver import Receiver
from tests.pubsub.webhook.webhook_world import received, webhook_world

EXAMPLES = 12
OPERATIONS = [
    ("GET", "", 200),
    ("PATCH", "", 200),
    ("POST", "/verify", 200),
    ("POST", "/rotate", 200),
    ("POST", "/ping", 200),
    ("POST", "/redeliver", 200),
    ("GET", "/deliveries", 200),
    ("GET", "/dead-letters", 200),
    ("POST", "/dead-letters/replay", 200),
    ("POST", "/enable", 200),
    ("POST", "/consent", 404),
    ("DELETE", "", 204),
]


def test_answers_about_a_webhook_are_as_described(tmp_path: Path, receiver: Receiver) -> None:
    """Each is carried out at least once, and every answer has a described status and schema."""
    described = describe_api([endpoint.described() for endpoint in ENDPOINTS], "1")
    schema = schemathesis.openapi.from_dict(json.loads(json.dumps(described)))
    with (
        start_blocking_portal() as portal,
        portal.wrap_async_context_manager(webhook_world(tmp_path)) as hooks,
    ):
        id_ = portal.call(hooks.create, receiver)
        portal.call(hooks.publish, 2)
        portal.call(received, receiver, 2)
        for method, path, status in OPERATIONS:
            seen: set[int] = set()

            def send(case: Case[Any], seen: set[int] = seen) -> None:
                case.path_parameters["id"] = id_
                if isinstance(case.body, dict):
                    _tame(case.body, receiver)
                answer = contract._send(portal, hooks.world, case)
                seen.add(answer.status_code)
                case.validate_response(answer, checks=contract.CHECKS)

            _try(schema[f"/v1/webhooks/{{id}}{path}"][method], partial(send))
            assert status in seen, (method, path, seen)


def _tame(body: dict[str, Any], receiver: Receiver) -> None:
    """Stay on this machine, and with events that are there."""
    if "url" in body and str(body["url"]).startswith("http"):
        body["url"] = receiver.url
    if body.get("sequences"):
        body["sequences"] = [0]
    body.pop("state", None)


def _try(operation: Any, send: Any) -> None:  # noqa: ANN401 - the library's own
    @settings(
        max_examples=EXAMPLES,
        derandomize=True,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy())
    def check(case: Case[Any]) -> None:
        send(case)

    check()
