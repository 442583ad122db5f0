"""The published descriptions of FIWARE's and DOME's interfaces, held against what is served.

The descriptions are not part of the project. Where they lie beside it, requests are generated from
them and every answer must be one that they describe; the table of operations below holds anyway.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
import schemathesis
import yaml
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

from adapters.access import WriteAccess
from adapters.dome.trust.facade import DomeTrustFacade, DomeTrustSettings
from adapters.fiware.facade import FiwareFacade, FiwareSettings
from tests.adapters.registry_world import RegistryWorld, alice, put, registry_world
from tests.support.reference import REFERENCE

PUBLISHED: Final = REFERENCE / "specs" / "dome"
EXAMPLES: Final = 15
DID, ADDRESS = "did:elsi:VATES-1", "0x" + "a" * 40
KNOWN: Final = {
    "did": DID,
    "participantId": DID,
    "issuerId": DID,
    "schemaId": "known",
    "clientId": "known",
    "accessNodeDLTAddress": ADDRESS,
}
NAMES: Final = {"did": DID, "id": "known", "client_id": "known", "dlt_address": ADDRESS}

FIWARE_LIST: Final = {
    "/issuer": {"get", "post"},
    "/issuer/{did}": {"get", "put", "delete"},
}
FIWARE_REGISTRY: Final = {"/v4/issuers/": {"get"}, "/v4/issuers/{did}": {"get"}}
DOME: Final = {
    "/v4/participants": {"get", "post"},
    "/v4/participants/{participantId}": {"get", "put", "delete"},
    "/v4/issuers": {"get", "post"},
    "/v4/issuers/{issuerId}": {"get", "put"},
    "/v4/schemas": {"get", "post"},
    "/v4/schemas/{schemaId}": {"get", "put", "delete"},
    "/v4/services": {"get", "post"},
    "/v4/services/{clientId}": {"get", "put"},
    "/v4/accessNodes": {"get", "post"},
    "/v4/accessNodes/{accessNodeDLTAddress}": {"get", "put"},
}
DESCRIPTIONS: Final = {
    "trusted-issuers-list.yaml": ("", FIWARE_LIST, "ProblemDetails"),
    "trusted-issuers-registry.yaml": ("", FIWARE_REGISTRY, "ProblemDetails"),
    "dome-trust-registry.yaml": ("/dome", DOME, "WrongRequest"),
}
BY_NAME = pytest.mark.parametrize("name", sorted(DESCRIPTIONS))
REFUSALS: Final = ("400", "404", "409")
"""What every operation may be answered besides: the descriptions name but some of them."""
NEEDED: Final = {"TrustedIssuer": ["did"], "Credentials": ["credentialsType"], "Claim": ["name"]}
"""Members without which nothing can be kept, though their description leaves all to choice."""
ORDER: Final = ("get", "put", "post", "delete")  # what is there is used before it is deleted
CHECKS: Final = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]
"""Not among them: that all is taken that the descriptions allow, for our bounds are narrower."""


@contextmanager
def served(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[BlockingPortal, RegistryWorld]]:
    """Serve both registries from a thread, with one entry in each list."""
    access = WriteAccess(is_open=True)
    facades = (
        FiwareFacade(FiwareSettings(), alice, access),
        DomeTrustFacade(DomeTrustSettings(prefix="/dome"), alice, access),
    )
    with start_blocking_portal("trio") as portal:
        manager = registry_world(directory, monkeypatch, *facades)
        with portal.wrap_async_context_manager(manager) as world:
            identifier = b'{"organizationIdentifier":"VATES-1"}'
            node = b'{"name":"n","dlt_address":"%s"}' % ADDRESS.encode()
            portal.call(world.change, "participants", put(DID, "participant", identifier))
            portal.call(world.change, "issuers", put(DID, "issuer"))
            portal.call(world.change, "schemas", put("known", "schema", b"{}"))
            service = put("known", "service", b'{"clientId":"known"}')
            portal.call(world.change, "services", service)
            portal.call(world.change, "access-nodes", put(ADDRESS, "access-node", node))
            yield portal, world


def description(name: str) -> dict[str, Any] | None:
    """Give a published description, or None where it is not beside the project."""
    path = PUBLISHED / name
    if not path.is_file():
        return None
    # It names one path parameter twice, once with a capital letter.
    text = path.read_text(encoding="utf-8").replace("name: SchemaId", "name: schemaId")
    document: dict[str, Any] = yaml.safe_load(text)
    return document


def with_refusals(document: dict[str, Any], error: str) -> dict[str, Any]:
    """Allow every operation our refusals, in its world's error document, and no other members."""
    reference = {"$ref": f"#/components/schemas/{error}"}
    refusal = {"description": "refused", "content": {"application/json": {"schema": reference}}}
    for type_, content in document["components"]["schemas"].items():
        content["additionalProperties"] = False
        if type_ in NEEDED:
            content["required"] = NEEDED[type_]
    for operations in document["paths"].values():
        for operation in operations.values():
            for status in REFUSALS:
                operation["responses"].setdefault(status, refusal)
    return document


def send(
    portal: BlockingPortal, world: RegistryWorld, prefix: str, case: Case[Any]
) -> httpx.Response:
    """Send a generated request."""
    arguments = case.as_transport_kwargs(base_url=f"http://gateway{prefix}")
    names = ("method", "url", "params", "headers", "json", "data")
    given_ = {name: arguments[name] for name in names if arguments.get(name) is not None}
    return portal.call(partial(world.http.request, **given_))


def name_something(case: Case[Any], *, is_new: bool) -> None:
    """Let a request name what is there, or with ``is_new`` what is not, in path and body."""
    for parameter in case.path_parameters or {}:
        case.path_parameters[parameter] = KNOWN[parameter]
    if isinstance(case.body, dict):
        if "schemaData" in case.body:
            case.body["schemaData"] = "{}"  # any text by its description
        for member in NAMES.keys() & case.body.keys():
            unused = "0x" + "b" * 40 if member == "dlt_address" else f"{NAMES[member]}9"
            case.body[member] = unused if is_new else NAMES[member]


@BY_NAME
def test_the_published_operations_are_those_of_the_table(name: str) -> None:
    """Each description names the paths and methods of the table, and no others."""
    document = description(name)
    if document is not None:
        assert {path: set(item) for path, item in document["paths"].items()} == (
            DESCRIPTIONS[name][1]
        )


@BY_NAME
def test_every_operation_of_the_table_is_served(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Every path has exactly its methods: others are 405, and none falls through to no route."""
    prefix, table, _ = DESCRIPTIONS[name]
    with served(tmp_path, monkeypatch) as (portal, world):
        for path, methods in table.items():
            for method in ("get", "post", "put", "delete", "patch"):
                url = prefix + path.format(**KNOWN)
                answer = portal.call(world.http.request, method.upper(), url)
                assert (answer.status_code != 405) == (method in methods), (method, path)
                assert answer.headers.get("content-type") != "application/problem+json"
                if method == "get":
                    assert answer.status_code == 200


@BY_NAME
def test_answers_are_as_described(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Whatever is asked, the status, type and schema of the answer are described."""
    document = description(name)
    if document is None:
        return
    prefix, table, error = DESCRIPTIONS[name]
    schema = schemathesis.openapi.from_dict(with_refusals(document, error))
    statuses: dict[str, set[int]] = {}
    with served(tmp_path, monkeypatch) as (portal, world):
        for path, methods in table.items():
            for method in sorted(methods, key=ORDER.index):
                seen = statuses.setdefault(f"{method} {path}", set())
                _hold(schema[path][method.upper()], partial(send, portal, world, prefix), seen)
    for operation, seen in statuses.items():
        assert seen & {200, 201, 204}, f"{operation} was never carried out: {seen}"


def _hold(operation: Any, send_: Callable[[Case[Any]], httpx.Response], seen: set[int]) -> None:  # noqa: ANN401 - the library's own
    """Send generated requests of one operation and hold each answer against its description."""

    @settings(
        max_examples=EXAMPLES,
        derandomize=True,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(), named=st.sampled_from(["known", "new", "any"]))
    def check(case: Case[Any], named: str) -> None:
        if named != "any":
            name_something(case, is_new=named == "new" and case.method == "POST")
        response = send_(case)
        seen.add(response.status_code)
        case.validate_response(response, checks=CHECKS)

    check()


def test_the_check_finds_what_is_not_described() -> None:
    """An answer without a required member is found, so the check above can fail."""
    document = {
        "openapi": "3.0.3",
        "info": {"title": "t", "version": "1"},
        "paths": {
            "/a": {
                "get": {
                    "responses": {
                        "200": {
                            "description": "",
                            "content": {
                                "application/json": {
                                    "schema": {"type": "object", "required": ["did"]}
                                }
                            },
                        }
                    }
                }
            }
        },
    }
    request = httpx.Request("GET", "http://gateway/a")

    def answer(members: dict[str, str]) -> Callable[[Case[Any]], httpx.Response]:
        response = httpx.Response(200, json=members, request=request)
        response.elapsed = timedelta(0)
        return lambda _: response

    operation = schemathesis.openapi.from_dict(document)["/a"]["GET"]
    _hold(operation, answer({"did": "x"}), set())
    with pytest.raises(BaseExceptionGroup):
        _hold(operation, answer({}), set())
