"""The OpenAPI 3.1 description of the node's TM Forum APIs, made from the registry. Pure.

Every shape is described twice: as it is shown, where ``fields`` may leave anything out, and as it
is sent (``...Create``), where the definitions require attributes at any depth.
"""

from collections.abc import Iterator, Sequence
from typing import Final

from adapters.tmf.entity import JsonObject
from adapters.tmf.resources.model import Api, Attribute, Resource, Shape
from adapters.tmf.resources.notation import Tables
from ledger.core.limits import TMF_ID_CHARS_MAX

__all__ = ["describe"]

_JSON: Final = "application/json"
_TYPES: Final = {"boolean": "boolean", "integer": "integer", "number": "number"}
_DESCRIPTION: Final = """\
The TM Forum Open APIs of this access node (v4), with TMF630: filters on any path with operators,
`fields`, `sort`, `offset` and `limit`, JSON merge patch and JSON patch, and a hub for each API.

* Attributes that no definition knows are kept as extensions. `null` is taken for any attribute.
* A list without `limit` and `offset` is always 200; a part is 206, with links to the other parts.
* `ETag` names a version; `If-Match` on PATCH and DELETE refuses the change of another one.
* Events carry what changed in `analyticCharacteristic`: `{name, valueType: "change", value:
  {previous, next}}`.
"""
_ERROR: Final[JsonObject] = {
    "type": "object",
    "required": ["code", "reason", "message", "status", "@type"],
    "properties": {
        name: {"type": "string"} for name in ("code", "reason", "message", "status", "@type")
    },
}
_REGISTRATION: Final[JsonObject] = {
    "type": "object",
    "required": ["id", "callback"],
    "properties": {
        "id": {"type": "string"},
        "callback": {"type": "string"},
        "query": {"type": "string"},
        "state": {"enum": ["active", "failing", "ended"]},
        "position": {"type": "integer", "description": "of the journal; all before it is told"},
        "failedAttempts": {"type": "integer"},
        "lastError": {"type": "string"},
        "created": {"type": "string", "format": "date-time"},
        "lastDelivery": {"type": "string", "format": "date-time"},
        "failingSince": {"type": "string", "format": "date-time"},
        "nextAttempt": {"type": "string", "format": "date-time"},
    },
}
_REGISTRATION_CREATE: Final[JsonObject] = {
    "type": "object",
    "required": ["callback"],
    "properties": {
        "callback": {"type": "string", "format": "uri"},
        "query": {
            "type": ["string", "null"],
            "description": (
                "Conditions on events, joined by `&` (all) or `;` (any): `eventType=...`, "
                "`event.<resource>.<path>=...`; `fields=...`; `delivery=raw` posts to the callback "
                "itself, `delivery=listener` to `/listener/<event>` below it."
            ),
        },
    },
}
_ID: Final[JsonObject] = {
    "type": ["string", "null"],
    "pattern": "^[A-Za-z0-9][A-Za-z0-9._:~@=()-]*$",
    "maxLength": TMF_ID_CHARS_MAX,
    "description": "Kept when it is free; made by the node when it is missing.",
}
_OPERATION_SCHEMA: Final[JsonObject] = {
    "type": "object",
    "required": ["op", "path"],
    "properties": {
        "op": {"enum": ["add", "remove", "replace", "move", "copy", "test"]},
        "path": {"type": "string"},
        "from": {"type": "string"},
        "value": {},
    },
}


def describe(apis: Sequence[Api], tables: Tables, version: str) -> JsonObject:
    """Give the OpenAPI document of some APIs."""
    schemas: JsonObject = {
        "Error": _ERROR,
        "Registration": _REGISTRATION,
        "RegistrationCreate": _REGISTRATION_CREATE,
    }
    for shape in tables.shapes.values():
        schemas[shape.name] = _shape(shape, tables, "")
        schemas[f"{shape.name}Create"] = _shape(shape, tables, "Create")
    paths: JsonObject = {}
    for api in apis:
        for resource in api.resources:
            paths |= _paths(resource)
        paths |= _hub(api)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Access node", "version": version, "description": _DESCRIPTION},
        "paths": paths,
        "components": {"schemas": schemas},
    }


# --- shapes -----------------------------------------------------------------------------------


def _shape(shape: Shape, tables: Tables, variant: str) -> JsonObject:
    schema: JsonObject = {
        "type": "object",
        "properties": {
            name: _attribute(attribute, tables, variant)
            for name, attribute in shape.attributes.items()
        },
    }
    if variant and shape.required:
        schema["required"] = list(shape.required)
    return schema


def _attribute(attribute: Attribute, tables: Tables, variant: str) -> JsonObject:
    value = _value(attribute, tables, variant)
    if attribute.is_many:
        bound = {"minItems": attribute.items_min} if variant and attribute.items_min else {}
        return {"type": ["array", "null"], "items": value, **bound}
    if "$ref" in value:
        return {"anyOf": [value, {"type": "null"}]}
    return {**value, "type": [value["type"], "null"]} if "type" in value else value


def _value(attribute: Attribute, tables: Tables, variant: str) -> JsonObject:
    match attribute.kind:
        case "any":
            return {}
        case "object":
            return _reference(attribute.of + variant)
        case "time":
            return {"type": "string", "format": "date-time"}
        case "one of":
            words = ", ".join(tables.words[attribute.of])
            return {"type": "string", "description": f"One of: {words}."}
    return {"type": _TYPES.get(attribute.kind, "string")}


def _reference(name: str) -> JsonObject:
    return {"$ref": f"#/components/schemas/{name}"}


# --- operations -------------------------------------------------------------------------------


def _paths(resource: Resource) -> JsonObject:
    collection = {
        method.lower(): operation
        for method, operation in (("GET", _list(resource)), ("POST", _create(resource)))
        if method in resource.operations
    }
    item = {
        method.lower(): operation
        for method, operation in (
            ("GET", _get(resource)),
            ("PATCH", _patch(resource)),
            ("DELETE", _delete(resource)),
        )
        if method in resource.operations
    }
    base = f"{resource.base}/{resource.path}"
    return {base: collection, f"{base}/{{id}}": {"parameters": [_id()], **item}}


def _list(resource: Resource) -> JsonObject:
    whole = {"type": "integer", "minimum": 0}
    shown = {"type": "array", "items": _shown(resource)}
    parameters = [
        _fields(),
        _query("offset", "Leave out so many.", whole),
        _query("limit", "Give so many at most.", whole),
        _query("sort", "`-created,+name`: descending and ascending.", {"type": "string"}),
        {
            **_query("filters", "Any path: `a.b=c`, `a.gt=1`, `a.regex=^x`.", {"type": "object"}),
            "style": "form",
            "explode": True,
        },
    ]
    answers = {"200": _answer("All that match.", shown), "206": _answer("A part.", shown)}
    return _operation(resource, "list", answers, parameters=parameters)


def _create(resource: Resource) -> JsonObject:
    own: JsonObject = {"properties": {"id": _ID}}
    if resource.required:
        own["required"] = list(resource.required)
    schema: JsonObject = {"allOf": [_reference(f"{resource.type_name}Create"), own]}
    return _operation(
        resource,
        "create",
        {"201": _answer("What was made; `Location` is its `href`.", _shown(resource))},
        parameters=[_fields()],
        body={_JSON: schema},
    )


def _get(resource: Resource) -> JsonObject:
    answers = {
        "200": _answer("The entity.", _shown(resource)),
        "304": {"description": "The version of `If-None-Match` is the newest."},
    }
    return _operation(resource, "retrieve", answers, parameters=[_fields()])


def _patch(resource: Resource) -> JsonObject:
    merge: JsonObject = {"type": "object"}
    body = {
        _JSON: merge,
        "application/merge-patch+json": merge,
        "application/json-patch+json": {"type": "array", "items": _OPERATION_SCHEMA},
    }
    answers = {"200": _answer("The changed entity.", _shown(resource))}
    return _operation(resource, "patch", answers, parameters=[_fields(), _match()], body=body)


def _delete(resource: Resource) -> JsonObject:
    answers: JsonObject = {"204": {"description": "It is gone."}}
    return _operation(resource, "delete", answers, parameters=[_match()])


def _operation(
    resource: Resource,
    verb: str,
    answers: JsonObject,
    *,
    parameters: list[JsonObject],
    body: JsonObject | None = None,
) -> JsonObject:
    name = resource.name[0].upper() + resource.name[1:]
    return _finished(resource.api, f"{verb}{name}", answers, parameters=parameters, body=body)


def _hub(api: Api) -> JsonObject:
    shown = _reference("Registration")
    listed = {"type": "array", "items": shown}
    name = api.name[0].upper() + api.name[1:]
    operations: Iterator[JsonObject] = (
        _finished(api.name, f"{verb}{name}Hub", answers, body=body)
        for verb, answers, body in (
            ("list", {"200": _answer("The caller's registrations.", listed)}, None),
            (
                "register",
                {"201": _answer("The registration.", shown)},
                {_JSON: _reference("RegistrationCreate")},
            ),
            ("retrieve", {"200": _answer("The registration and its health.", shown)}, None),
            ("unregister", {"204": {"description": "It is gone."}}, None),
        )
    )
    list_, register, retrieve, unregister = operations
    return {
        f"{api.base}/hub": {"get": list_, "post": register},
        f"{api.base}/hub/{{id}}": {"parameters": [_id()], "get": retrieve, "delete": unregister},
    }


def _finished(
    api: str,
    name: str,
    answers: JsonObject,
    *,
    parameters: Sequence[JsonObject] = (),
    body: JsonObject | None = None,
) -> JsonObject:
    refused = _answer("Refused, or failed; see `code`.", _reference("Error"))
    operation: JsonObject = {
        "operationId": name,
        "tags": [api],
        "responses": {**answers, "default": refused},
    }
    if parameters:
        operation["parameters"] = list(parameters)
    if body is not None:
        content = {media_type: {"schema": schema} for media_type, schema in body.items()}
        operation["requestBody"] = {"required": True, "content": content}
    return operation


def _shown(resource: Resource) -> JsonObject:
    return {"allOf": [_reference(resource.type_name), {"required": ["id", "href"]}]}


def _answer(description: str, schema: JsonObject) -> JsonObject:
    return {"description": description, "content": {_JSON: {"schema": schema}}}


def _id() -> JsonObject:
    return {"name": "id", "in": "path", "required": True, "schema": {"type": "string"}}


def _fields() -> JsonObject:
    text = "Attributes to show besides `id` and `href`, by commas; `none` for no others."
    return _query("fields", text, {"type": "string"})


def _match() -> JsonObject:
    text = "`ETag` of the version that may be changed."
    return {**_query("If-Match", text, {"type": "string"}), "in": "header"}


def _query(name: str, description: str, schema: JsonObject) -> JsonObject:
    return {"name": name, "in": "query", "description": description, "schema": schema}
