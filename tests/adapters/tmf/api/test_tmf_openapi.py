"""The node's own OpenAPI document: it describes what is served, and answers are as it says."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import cache, partial
from pathlib import Path
from typing import Any

import httpx
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

from adapters.tmf.api.openapi import describe
from adapters.tmf.resources.registry import APIS, RESOURCES, TABLES
from adapters.tmf.store.database import Store
from tests.adapters.tmf.api.api_world import ApiWorld, make_world

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]
PARTY = "/tmf-api/party/v4"
EXAMPLES = 5


@cache
def description() -> Any:  # noqa: ANN401 - JSON
    """Give the document as a client reads it."""
    return json.loads(json.dumps(describe(APIS, TABLES, "1")))


def test_every_operation_is_described() -> None:
    """Each resource has its paths with exactly its operations, and each API its hub."""
    paths = description()["paths"]
    for resource in RESOURCES.values():
        base = f"{resource.base}/{resource.path}"
        described = {m.upper() for path in (base, f"{base}/{{id}}") for m in paths[path]}
        assert described - {"PARAMETERS"} == resource.operations
    for api in APIS:
        assert paths[f"{api.base}/hub"].keys() == {"get", "post"}
    operations = [each for item in paths.values() for each in item.values() if "tags" in each]
    names = [operation["operationId"] for operation in operations]
    assert len(names) == len(set(names))


def test_every_reference_is_there() -> None:
    """No schema names another that is missing."""
    text = json.dumps(description())
    schemas = description()["components"]["schemas"]
    named = {part.partition('"')[0] for part in text.split("#/components/schemas/")[1:]}
    assert named <= schemas.keys()


async def test_the_document_is_served(world: ApiWorld) -> None:
    """It stands at one path, for GET alone."""
    answer = await world.client.get("/tmf-api/openapi.json")
    assert (answer.status_code, answer.json()["openapi"]) == (200, "3.1.0")
    refused = await world.client.post("/tmf-api/openapi.json")
    assert (refused.status_code, refused.headers["allow"]) == (405, "GET, HEAD")


@contextmanager
def served(folder: Path) -> Iterator[tuple[BlockingPortal, ApiWorld]]:
    """Serve a node from a thread: the library calls from a plain one."""
    with start_blocking_portal() as portal:
        store = Store.open(f"sqlite:///{folder / 'node.db'}")
        world = make_world(store, folder)
        yield portal, world
        portal.call(world.client.aclose)
        store.close()


OPERATIONS = [
    (f"{PARTY}/individual", "POST"),
    (f"{PARTY}/individual", "GET"),
    (f"{PARTY}/individual/{{id}}", "GET"),
    (f"{PARTY}/individual/{{id}}", "PATCH"),
    (f"{PARTY}/individual/{{id}}", "DELETE"),
    (f"{PARTY}/hub", "POST"),
    (f"{PARTY}/hub", "GET"),
]


def test_answers_are_as_described(tmp_path: Path) -> None:
    """Whatever is asked, the status, type and schema of the answer are described."""
    schema = schemathesis.openapi.from_dict(description())
    with served(tmp_path) as (portal, world):
        portal.call(_populate, world)
        for path, method in OPERATIONS:
            seen: set[int] = set()
            _hold(schema[path][method], partial(_send, portal, world), seen)
            assert seen & {200, 201, 204, 206}, f"{method} {path} was never carried out: {seen}"


def _hold(operation: Any, send: Callable[[Case[Any]], httpx.Response], seen: set[int]) -> None:  # noqa: ANN401 - the library's own
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
        if is_known:
            _name_what_is_there(case)
        response = send(case)
        seen.add(response.status_code)
        case.validate_response(response, checks=CHECKS)

    check()


def _name_what_is_there(case: Case[Any]) -> None:
    """Let a request be about the entity that is there, so that some are carried out."""
    if "id" in case.path_parameters:
        case.path_parameters["id"] = "known"
    case.headers.pop("If-Match", None)
    if isinstance(case.body, dict) and case.method == "POST" and "givenName" in case.body:
        case.body = {"givenName": "A", "familyName": "B"}
    if case.method == "PATCH" and case.media_type != "application/json-patch+json":
        case.body = {"title": "Dr"}


async def _populate(world: ApiWorld) -> None:
    sent = {"id": "known", "givenName": "A", "familyName": "B"}
    await world.create(f"{PARTY}/individual", sent)


def _send(portal: BlockingPortal, world: ApiWorld, case: Case[Any]) -> httpx.Response:
    arguments = case.as_transport_kwargs(base_url="http://node.test")
    names = ("method", "url", "params", "headers", "json", "data")
    given_ = {name: arguments[name] for name in names if arguments.get(name) is not None}
    response = portal.call(partial(world.client.request, **given_))
    response.elapsed = timedelta(0)
    return response
