"""CloudEvents over HTTP, against the `cloudevents` package."""

import json
from typing import NamedTuple

import msgspec
import pytest
from cloudevents.core.bindings.http import HTTPMessage, from_http
from cloudevents.core.formats.json import JSONFormat
from hypothesis import given
from hypothesis import strategies as st

from ledger.core.event import OpenEntry
from ledger.core.ids import Height, Sequence
from pubsub.core.cloudevents import cloudevent_json, read_cloudevent
from pubsub.core.webhook.encoding import (
    encode_batch,
    encode_one,
    encode_ping,
    split_batches,
)
from tests.pubsub.gateway_world import sample


class Row(NamedTuple):
    """An event and its place."""

    opened: OpenEntry
    sequence: Sequence
    height: Height

    @property
    def json(self) -> bytes:
        """The CloudEvent."""
        return cloudevent_json(*self)


def placed(number: int = 0, **changes: object) -> Row:
    """Give an event of the ledger."""
    return Row(sample(number, **changes), Sequence(number), Height(9))


JSON_EVENT = placed(1, content_type="application/json", data=b'{"a":1}')
ODD_EVENT = placed(
    2,
    subject='urn:"ä" 100%\u20ac\U0001f600',
    tags=("a,b", "c"),
    content_type="text/plain",
    data=b"x",
)


@pytest.mark.parametrize("mode", ["structured", "binary"])
@pytest.mark.parametrize("event", [JSON_EVENT, ODD_EVENT])
def test_the_reference_package_reads_both_modes(mode: str, event: Row) -> None:
    """It finds every attribute of ours, whatever characters stand in it, and the data."""
    request = encode_one(event, mode)  # type: ignore[arg-type] # one of the modes
    read = from_http(HTTPMessage(dict(request.headers), request.body), JSONFormat())
    expected = json.loads(event.json)
    for name, value in expected.items():
        if name not in ("data", "data_base64", "time"):
            assert str(read.get_attributes()[name]) == str(value), name
    data = event.opened.event.data
    assert read.get_data() in (data.decode(), json.loads(data) if data[:1] == b"{" else None)


def test_ids_are_those_of_the_events() -> None:
    """However an event is sent, its request has the id of the event."""
    for mode in ("structured", "binary"):
        assert encode_one(JSON_EVENT, mode).id == JSON_EVENT.opened.id.hex()


def test_events_without_data_have_no_body() -> None:
    """In binary mode nothing stands for no data, and no media type is made up."""
    request = encode_one(placed(3, content_type="", data=b""), "binary")
    assert (request.body, "content-type" in request.headers) == (b"", False)


@pytest.mark.parametrize(
    "text", ["\u20ac", "a/b\r\nx-evil: 1", " a/b", "a/b ", "\x7f", "a/b\n", "\t"]
)
def test_content_types_that_are_no_header(text: str) -> None:
    """Such an event is sent structured in binary mode; any other content type is the header."""
    event = placed(4, content_type=text, data=b"x")
    assert encode_one(event, "binary") == encode_one(event, "structured")
    plain = encode_one(placed(4, content_type="a/b; c=d e", data=b"x"), "binary")
    assert plain.headers["content-type"] == "a/b; c=d e"


def test_batches_are_arrays_of_structured_events() -> None:
    """A batch has a media type of its own; its id depends on its events and their order alone."""
    events = [JSON_EVENT, ODD_EVENT]
    request = encode_batch(events)
    assert request.headers == {"content-type": "application/cloudevents-batch+json"}
    read = [read_cloudevent(msgspec.json.encode(item)) for item in json.loads(request.body)]
    assert [item.opened.id for item in read] == [event.opened.id for event in events]
    assert encode_batch(events).id == request.id
    assert encode_batch(events[::-1]).id != request.id
    assert "." not in request.id


@given(st.integers(1, 7), st.integers(1, 4_000), st.integers(0, 12))
def test_batches_keep_their_bounds(events_max: int, bytes_max: int, count: int) -> None:
    """Every event is in one batch, in order; no batch of several events is too large."""
    events = [placed(number) for number in range(count)]
    parts = list(split_batches(events, events_max, bytes_max))
    assert [event for part in parts for event in part] == events
    for part in parts:
        assert 1 <= len(part) <= events_max
        assert len(part) == 1 or len(encode_batch(part).body) <= bytes_max


def test_batches_are_filled_to_the_byte() -> None:
    """As many events as fit are together: one byte less and the last one goes alone."""
    events = [placed(number) for number in range(3)]
    size = len(encode_batch(events).body)
    assert len(list(split_batches(events, 10, size))) == 1
    assert len(list(split_batches(events, 10, size - 1))) == 2


@pytest.mark.parametrize("mode", ["structured", "binary", "batch"])
def test_pings_are_cloudevents(mode: str) -> None:
    """A ping is encoded as its webhook's events are."""
    request = encode_ping(mode, "wh_1", "ping_1", "https://gateway.example", 1_795_257_000_123)  # type: ignore[arg-type] # one of the modes
    body = request.body[1:-1] if mode == "batch" else request.body
    headers = (
        {"content-type": "application/cloudevents+json"} if mode == "batch" else request.headers
    )
    read = from_http(HTTPMessage(dict(headers), body), JSONFormat())
    assert read.get_type() == "io.concordat.webhook.ping"
    assert read.get_id() == request.id == "ping_1"
    assert read.get_data() == {"webhook": "wh_1"}
