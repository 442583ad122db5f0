"""The AsyncAPI 3 description of what the gateway sends by itself, made from tables as OpenAPI is.

Owns the channels: the log as server-sent events, the log as a WebSocket, and webhooks, whose server
is the receiver's. Operations are said from the gateway's side: it sends. The payloads' schemas come
from the types that it encodes. How a webhook is made, and durable consumers, which are asked, stand
in the OpenAPI document.
"""

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

import msgspec

from pubsub.core.api_examples import EVENT_ID, READ_EVENT
from pubsub.core.cloudevents import CloudEvent
from pubsub.core.interest import FilterDocument
from pubsub.core.openapi import BEARER, Json, Parameter, ecma, reference
from pubsub.core.websocket import SUBPROTOCOL

__all__ = ["describe_channels"]

_EVENT_TYPE: Final = "application/cloudevents+json"
_BATCH_TYPE: Final = "application/cloudevents-batch+json"
_HTTP_BINDING: Final = "0.3.0"
_WEBSOCKET_BINDING: Final = "0.1.0"
_DESCRIPTION: Final = """\
Signed events as they become final, in one agreed order: as server-sent events, over a WebSocket, or
posted to a webhook. Each payload is a [CloudEvent](https://cloudevents.io) whose `id` is the digest
of what its publisher signed, so that a receiver can check it, and prove it against the network's
genesis, without believing the gateway. Requests and answers are in `/openapi.json`.
"""
_BATCH: Final = "CloudEventBatch"
_WEBSOCKET_SERVER: Final = "gatewayWebSocket"


class _Message(NamedTuple):
    """One kind of message."""

    name: str
    summary: str
    content_type: str
    payload: Json
    example: object
    headers: Mapping[str, str] = {}
    """Names of headers that are always there, and what they say."""


class _Channel(NamedTuple):
    """One way to be sent events; ``address`` is None where it is the receiver's own URL."""

    name: str
    title: str
    address: str | None
    description: str
    messages: tuple[str, ...]
    server: str
    operation: tuple[str, str]
    """Name and summary of the operation on it."""


_DELIVERY_HEADERS: Final = {
    "webhook-id": "Identity of the delivery, the same at every attempt.",
    "webhook-timestamp": "When this attempt was signed, in seconds since 1970.",
    "webhook-signature": "Signatures of Standard Webhooks: `v1,` (HMAC-SHA256) or `v1a,` (Ed25519)",
}
_SAMPLE_HEADERS: Final = {
    "ce-id": EVENT_ID,
    "ce-signature": "00" * 64,
    "webhook-id": EVENT_ID,
    "webhook-timestamp": "1795257001",
    "webhook-signature": "v1,K5oZfzN95Z9UVu1EsfQmfVNQhnkZ2pj9o9NDN/H/pI4=",
}
_MESSAGES: Final = (
    _Message(
        "event",
        "One event of the log",
        _EVENT_TYPE,
        reference(CloudEvent),
        READ_EVENT,
    ),
    _Message(
        "delivery",
        "One event, signed by the gateway for the webhook (mode `structured`)",
        _EVENT_TYPE,
        reference(CloudEvent),
        READ_EVENT,
        _DELIVERY_HEADERS,
    ),
    _Message(
        "batch",
        "Several events in one request (mode `batch`)",
        _BATCH_TYPE,
        {"$ref": f"#/components/schemas/{_BATCH}"},
        [READ_EVENT],
        _DELIVERY_HEADERS,
    ),
    _Message(
        "content",
        "One event as `ce-` headers, its content as the body (mode `binary`)",
        "application/octet-stream",
        {"description": "The content as its publisher gave it.", "type": "string"},
        "",
        {
            **_DELIVERY_HEADERS,
            "ce-id": "Event id, the digest of what was signed.",
            "ce-signature": "The publisher's signature; each attribute has such a header.",
        },
    ),
)
_SECURED: Final[Json] = {"security": [{"$ref": "#/components/securitySchemes/bearer"}]}
_STREAM: Final = (
    "Begins behind `after`, or with the next event when it is not given, and never ends by itself. "
)
_CHANNELS: Final = (
    _Channel(
        "serverSentEvents",
        "The log as server-sent events",
        "/v1/stream",
        _STREAM
        + "`id` of a block is a sequence, its data one event. Blocks with only an id move the "
        "cursor past events that do not match. Resume with `Last-Event-ID`.",
        ("event",),
        "gateway",
        ("sendServerSentEvents", "Follow the log by HTTP"),
    ),
    _Channel(
        "webSocket",
        "The log over a WebSocket",
        "/v1/stream",
        _STREAM + f"Needs the subprotocol `{SUBPROTOCOL}`: one event in each text message. Resume "
        "with the `sequence` of the last one as `after`. The gateway pings; readers send nothing.",
        ("event",),
        _WEBSOCKET_SERVER,
        ("sendOverWebSocket", "Follow the log over a WebSocket"),
    ),
    _Channel(
        "webhook",
        "A webhook",
        None,
        "The URL that was registered with `POST /v1/webhooks`. Deliveries come at least once; the "
        "same event is tried again, on the schedule of Standard Webhooks, until the receiver "
        "answers 2xx.",
        ("delivery", "batch", "content"),
        "receiver",
        ("deliverToWebhook", "Post events to a receiver"),
    ),
)


def describe_channels(parameters: Sequence[Parameter], version: str) -> Json:
    """Give the AsyncAPI document.

    Args:
        parameters: of a stream; those in the query.
    """
    query = _query(parameters)
    return {
        "asyncapi": "3.1.0",
        "info": {
            "title": "Concordat gateway",
            "version": version,
            "description": _DESCRIPTION,
            "license": {"name": "Apache-2.0", "url": "https://www.apache.org/licenses/LICENSE-2.0"},
        },
        "defaultContentType": _EVENT_TYPE,
        "servers": {
            "gateway": {**_server("https", "The gateway that serves this document."), **_SECURED},
            _WEBSOCKET_SERVER: {**_server("wss", "The same, for WebSockets."), **_SECURED},
            "receiver": _server("https", "Whoever registered a webhook."),
        },
        "channels": {channel.name: _channel(channel, query) for channel in _CHANNELS},
        "operations": dict(_operation(channel, query) for channel in _CHANNELS),
        "components": {
            "schemas": _schemas(),
            "messages": {message.name: _message(message) for message in _MESSAGES},
            "securitySchemes": {"bearer": BEARER},
        },
    }


def _server(protocol: str, description: str) -> Json:
    host: Json = {"default": "localhost", "description": "Name, and port when it is another."}
    return {
        "host": "{host}",
        "protocol": protocol,
        "description": f"{description} Without TLS where the operator configured none.",
        "variables": {"host": host},
    }


def _query(parameters: Sequence[Parameter]) -> Json:
    properties: Json = {}
    for parameter in parameters:
        if parameter.place != "query":
            continue
        schema = parameter.schema
        if parameter.media_type:
            schema = {
                "type": "string",
                "contentMediaType": parameter.media_type,
                "contentSchema": schema,
            }
        properties[parameter.name] = {**schema, "description": parameter.description}
    return {"type": "object", "properties": properties, "additionalProperties": False}


def _channel(channel: _Channel, query: Json) -> Json:
    document: Json = {
        "title": channel.title,
        "address": channel.address,
        "description": channel.description,
        "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in channel.messages},
        "servers": [{"$ref": f"#/servers/{channel.server}"}],
    }
    if channel.server == _WEBSOCKET_SERVER:
        protocol: Json = {"type": "string", "const": SUBPROTOCOL}
        headers: Json = {
            "type": "object",
            "required": ["Sec-WebSocket-Protocol"],
            "properties": {"Sec-WebSocket-Protocol": protocol},
        }
        binding = {"method": "GET", "query": query, "headers": headers}
        document["bindings"] = {"ws": {**binding, "bindingVersion": _WEBSOCKET_BINDING}}
    return document


def _operation(channel: _Channel, query: Json) -> tuple[str, Json]:
    name, summary = channel.operation
    place = f"#/channels/{channel.name}"
    document: Json = {
        "action": "send",
        "channel": {"$ref": place},
        "title": channel.title,
        "summary": summary,
        "messages": [{"$ref": f"{place}/messages/{message}"} for message in channel.messages],
    }
    if channel.server != _WEBSOCKET_SERVER:
        binding = {"method": "GET", "query": query} if channel.address else {"method": "POST"}
        document["bindings"] = {"http": {**binding, "bindingVersion": _HTTP_BINDING}}
    return name, document


def _message(message: _Message) -> Json:
    example: Json = {"name": message.name, "payload": message.example}
    document: Json = {
        "name": message.name,
        "title": message.summary,
        "contentType": message.content_type,
        "payload": message.payload,
        "examples": [example],
    }
    if message.headers:
        properties = {
            name: {"type": "string", "description": text} for name, text in message.headers.items()
        }
        document["headers"] = {
            "type": "object",
            "required": list(message.headers),
            "properties": properties,
        }
        example["headers"] = {name: _SAMPLE_HEADERS[name] for name in message.headers}
    return document


def _schemas() -> Json:
    _, schemas = msgspec.json.schema_components(
        [CloudEvent, FilterDocument], ref_template="#/components/schemas/{name}"
    )
    batch = {"type": "array", "minItems": 1, "items": reference(CloudEvent)}
    return {**{name: ecma(schema) for name, schema in schemas.items()}, _BATCH: batch}
