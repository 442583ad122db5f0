"""The OpenAPI 3.1 description of the gateway, made from operations and the document types.

Owns how an operation is described. The schemas come from the types that the gateway encodes, so
that they cannot differ from the answers; patterns are written as ECMA-262 knows them.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

import msgspec

from pubsub.core.audit_documents import AuditDocument
from pubsub.core.cloudevents import CloudEvent
from pubsub.core.consumer_documents import (
    ConsumerChanges,
    ConsumerDocument,
    ConsumerRequest,
    ConsumersDocument,
    PauseRequest,
)
from pubsub.core.consumer_event_documents import (
    DeliveriesDocument,
    FetchRequest,
    LettersDocument,
    LettersReplay,
    LettersReplayed,
    SettledDocument,
    SettlementRequest,
)
from pubsub.core.documents import (
    BlockDocument,
    Health,
    Receipt,
    Receipts,
    Status,
    ValidatorsDocument,
)
from pubsub.core.problems import Code, Problem, Refusal, problem_status
from pubsub.core.topic_documents import CompletenessDocument, TopicsDocument
from pubsub.core.trust_documents import (
    EntriesDocument,
    EntryDocument,
    GovernanceDocument,
    ListsDocument,
    ParticipantDocument,
    ParticipantsDocument,
    ProposalDocument,
    RevisionsDocument,
)
from pubsub.core.webhook_documents import WEBHOOK_DOCUMENTS

__all__ = [
    "BEARER",
    "Answer",
    "Json",
    "Operation",
    "Parameter",
    "describe_api",
    "ecma",
    "reference",
]

Json = dict[str, object]
"""A JSON object."""

_DOCUMENTS = (
    CloudEvent,
    Receipt,
    Receipts,
    BlockDocument,
    ValidatorsDocument,
    Status,
    Health,
    ListsDocument,
    EntriesDocument,
    EntryDocument,
    RevisionsDocument,
    ParticipantDocument,
    ParticipantsDocument,
    GovernanceDocument,
    ProposalDocument,
    AuditDocument,
    ConsumerRequest,
    ConsumerChanges,
    ConsumerDocument,
    ConsumersDocument,
    PauseRequest,
    FetchRequest,
    DeliveriesDocument,
    SettlementRequest,
    SettledDocument,
    LettersDocument,
    LettersReplay,
    LettersReplayed,
    *WEBHOOK_DOCUMENTS,
    TopicsDocument,
    CompletenessDocument,
    Problem,
)
_DESCRIPTION = """\
Publish signed events, read them back in one agreed order, and get a proof for each. Read the
trusted lists that such events change, and prove what they held at a height.

* An event is a [CloudEvent](https://cloudevents.io) whose `id` is the digest of what was signed.
* `sequence` is an event's place in the ledger: it never changes and has no gap.
* Only what is final and durable is ever shown. Publishing the same event again is safe.
* Errors are RFC 9457 problem documents: branch on `code`, which is stable. Answers with status
  429 and 503 carry `Retry-After`.
"""

BEARER: Final[Json] = {
    "type": "http",
    "scheme": "bearer",
    "description": "An API token of this gateway, or an access token of an issuer that it accepts. "
    "Each operation says which scope it needs; what anonymous clients may do without a token is "
    "the operator's choice: by default `read` and `publish`.",
}


class Parameter(NamedTuple):
    """One parameter of an operation; ``place`` is ``query``, ``path`` or ``header``.

    One with a media type is a whole document in a parameter.
    """

    name: str
    place: str
    description: str
    schema: Json
    example: str | int | list[str] | Json | None = None
    media_type: str | None = None


class Answer(NamedTuple):
    """One good answer: media type -> schema, and examples of it."""

    status: int
    description: str
    content: dict[str, Json]
    example: object | None = None
    headers: dict[str, str] | None = None


class Operation(NamedTuple):
    """What one path does for one method; a path parameter ``{name:path}`` may hold slashes."""

    method: str
    path: str
    name: str
    tag: str
    summary: str
    description: str
    answers: tuple[Answer, ...]
    errors: tuple[Code, ...] = ()
    parameters: tuple[Parameter, ...] = ()
    body: dict[str, Json] | None = None


def reference(type_: type) -> Json:
    """Refer to the schema of one of the documented types."""
    return {"$ref": f"#/components/schemas/{type_.__name__}"}


def describe_api(operations: Sequence[Operation], version: str) -> Json:
    """Give the OpenAPI document of ``operations``."""
    _, schemas = msgspec.json.schema_components(
        _DOCUMENTS, ref_template="#/components/schemas/{name}"
    )
    paths: dict[str, Json] = {}
    for operation in operations:
        path = operation.path.replace(":path}", "}")
        paths.setdefault(path, {})[operation.method.lower()] = _operation(operation)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Concordat gateway",
            "version": version,
            "description": _DESCRIPTION,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "tags": [{"name": tag} for tag in dict.fromkeys(op.tag for op in operations)],
        "paths": paths,
        "security": [{}, {"bearer": []}],
        "components": {
            "schemas": {name: ecma(schema) for name, schema in schemas.items()},
            "securitySchemes": {"bearer": BEARER},
        },
    }


def _operation(operation: Operation) -> Json:
    document: Json = {
        "operationId": operation.name,
        "tags": [operation.tag],
        "summary": operation.summary,
        "description": operation.description,
        "responses": _responses(operation),
    }
    if operation.parameters:
        document["parameters"] = [_parameter(parameter) for parameter in operation.parameters]
    if operation.body:
        content = {media_type: dict(schema) for media_type, schema in operation.body.items()}
        document["requestBody"] = {"required": True, "content": content}
    return document


def _parameter(parameter: Parameter) -> Json:
    document: Json = {
        "name": parameter.name,
        "in": parameter.place,
        "description": parameter.description,
        "required": parameter.place == "path",
    }
    value: Json = {"schema": parameter.schema}
    if parameter.example is not None:
        value["example"] = parameter.example
    return {
        **document,
        **({"content": {parameter.media_type: value}} if parameter.media_type else value),
    }


def _responses(operation: Operation) -> Json:
    responses: Json = {}
    for answer in operation.answers:
        content: Json = {}
        for media_type, schema in answer.content.items():
            entry: Json = {"schema": schema}
            if answer.example is not None and media_type.endswith("json"):
                entry["example"] = answer.example
            content[media_type] = entry
        document: Json = {"description": answer.description, "content": content}
        if answer.headers:
            document["headers"] = {
                name: {"description": text, "schema": {"type": "string"}}
                for name, text in answer.headers.items()
            }
        responses[str(answer.status)] = document
    for status in sorted({problem_status(code) for code in operation.errors}):
        codes = [code for code in operation.errors if problem_status(code) == status]
        responses[str(status)] = _problem_response(operation, codes)
    return responses


def _problem_response(operation: Operation, codes: list[Code]) -> Json:
    """Describe the answer to every problem that has the same status."""
    problems = [Refusal(code, "what happened this time").problem(operation.path) for code in codes]
    lines = [f"`{problem.code}`: {problem.title}." for problem in problems]
    return {
        "description": "  \n".join(lines),
        "content": {
            "application/problem+json": {
                "schema": reference(Problem),
                "examples": {
                    problem.code: {"value": msgspec.to_builtins(problem)} for problem in problems
                },
            }
        },
    }


def ecma(schema: object) -> object:
    """Write patterns for ECMA-262, whose ``$`` is the end of the text and nothing else."""
    if isinstance(schema, dict):
        return {
            name: value.replace("\\Z", "$")
            if name == "pattern" and isinstance(value, str)
            else ecma(value)
            for name, value in schema.items()
        }
    if isinstance(schema, list):
        return [ecma(item) for item in schema]
    return schema
