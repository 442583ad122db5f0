"""The AsyncAPI document: whole, its references lead somewhere, and what it says is what is sent."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest

from pubsub.core.asyncapi import describe_channels
from pubsub.core.websocket import SUBPROTOCOL
from pubsub.io.stream_api import STREAM_ENDPOINTS
from pubsub.io.wanted import FILTER_NAMES
from tests.pubsub.gateway_world import gateway_world, sample

DOCUMENT: Any = describe_channels(STREAM_ENDPOINTS[0].operation.parameters, "1.2.3")


def at(reference: str) -> Any:  # noqa: ANN401 - any part of a JSON document
    """Give what a reference within the document leads to. Raises KeyError."""
    value = DOCUMENT
    for token in reference.removeprefix("#/").split("/"):
        value = value[token]
    return value


def references(value: object) -> Iterator[str]:
    """Give every reference in a part of the document."""
    if isinstance(value, dict):
        for name, inner in value.items():
            if name == "$ref":
                yield inner
            else:
                yield from references(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from references(inner)


def test_every_reference_leads_somewhere() -> None:
    """No part is missing, and operations name messages of their own channel."""
    for reference in references(DOCUMENT):
        assert at(reference) is not None
    for operation in DOCUMENT["operations"].values():
        place = operation["channel"]["$ref"]
        offered = {f"{place}/messages/{name}" for name in at(place)["messages"]}
        assert {message["$ref"] for message in operation["messages"]} == offered


def test_it_has_the_form_of_asyncapi_3() -> None:
    """The parts that the specification requires are there, and every channel is used once."""
    assert DOCUMENT["asyncapi"] == "3.1.0"
    assert DOCUMENT["info"]["version"] == "1.2.3"
    assert [operation["action"] for operation in DOCUMENT["operations"].values()] == ["send"] * 3
    used = [operation["channel"]["$ref"] for operation in DOCUMENT["operations"].values()]
    assert used == [f"#/channels/{name}" for name in DOCUMENT["channels"]]
    assert [channel["address"] for channel in DOCUMENT["channels"].values()] == [
        "/v1/stream",
        "/v1/stream",
        None,
    ]
    for server in DOCUMENT["servers"].values():
        assert server["host"] == "{host}"
        assert server["protocol"] in {"https", "wss"}
    binding = DOCUMENT["channels"]["webSocket"]["bindings"]["ws"]
    assert binding["headers"]["properties"]["Sec-WebSocket-Protocol"]["const"] == SUBPROTOCOL


def test_streams_take_what_the_gateway_reads() -> None:
    """Both kinds of stream have every parameter of the query, and no other."""
    http = DOCUMENT["operations"]["sendServerSentEvents"]["bindings"]["http"]
    socket = DOCUMENT["channels"]["webSocket"]["bindings"]["ws"]
    for binding in (http, socket):
        assert set(binding["query"]["properties"]) == {*FILTER_NAMES, "after"}


@pytest.mark.parametrize("name", DOCUMENT["components"]["messages"])
def test_examples_are_what_the_schemas_say(name: str) -> None:
    """Payload and headers of each example fulfil their schemas."""
    message = DOCUMENT["components"]["messages"][name]
    for example in message["examples"]:
        for part in ("payload", "headers"):
            if part in message:
                schema = {**message[part], "components": DOCUMENT["components"]}
                jsonschema_rs.validate(schema, example[part])


async def test_the_gateway_serves_it(tmp_path: Path) -> None:
    """It is at /asyncapi.json, and what is read from the log fulfils the payload's schema."""
    async with gateway_world(tmp_path) as world:
        document = (await world.get("/asyncapi.json")).json()
        world.chain.extend([sample(0).entry])
        events = (await world.get("/v1/events")).json()
    assert document["channels"] == DOCUMENT["channels"]
    schema = {**document["components"]["messages"]["event"]["payload"]}
    for event in events:
        jsonschema_rs.validate({**schema, "components": document["components"]}, event)
    assert len(events) == 1
