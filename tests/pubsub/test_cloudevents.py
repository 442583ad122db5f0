"""The CloudEvents form of an event loses nothing and accepts nothing but what was signed."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.core.errors import DecodeError, RejectCode, Rejected
from ledger.core.event import Event, OpenEntry, sign_event
from ledger.core.ids import Height, Sequence
from ledger.core.limits import EVENT_DATA_BYTES_MAX, GATEWAY_JSON_DEPTH_MAX
from pubsub.core.cloudevents import (
    cloudevent_json,
    read_cloudevent,
    read_cloudevent_item,
    split_cloudevents,
)
from pubsub.core.strict_json import json_depth, require_strict_json
from tests.pubsub.pubsub_strategies import SIGNER, entries, make_entry


def _document(entry: OpenEntry | None = None) -> dict[str, Any]:
    document = json.loads(cloudevent_json(entry or make_entry()))
    assert isinstance(document, dict)
    return document


def _dump(document: object) -> bytes:
    return json.dumps(document).encode()


@given(entries())
def test_round_trip_is_exact(opened: OpenEntry) -> None:
    """From the JSON text alone the identical entry bytes can be rebuilt."""
    assert read_cloudevent(cloudevent_json(opened)).opened == opened


@given(entries())
def test_reformatted_json_is_the_same_event(opened: OpenEntry) -> None:
    """A middle box that parses and writes the JSON anew does not change the event."""
    text = cloudevent_json(opened)
    again = json.dumps(json.loads(text), indent=3, ensure_ascii=True).encode()
    assert read_cloudevent(again).opened.entry == opened.entry


@given(entries(), st.integers(0, 2**63 - 1), st.integers(0, 2**63 - 1))
def test_place_in_the_ledger_is_kept(opened: OpenEntry, sequence: int, height: int) -> None:
    """Sequence and height travel with the event; sequences sort as text."""
    text = cloudevent_json(opened, Sequence(sequence), Height(height))
    received = read_cloudevent(text)
    assert (received.sequence, received.height) == (sequence, height)
    assert len(json.loads(text)["sequence"]) == 19


@given(entries())
def test_names_follow_cloudevents(opened: OpenEntry) -> None:
    """Every attribute name is lower-case alphanumeric of at most 20 characters."""
    for name in _document(opened).keys() - {"data_base64"}:
        assert name.isalnum()
        assert name == name.lower()
        assert len(name) <= 20


@given(st.binary(max_size=300))
def test_any_bytes_give_a_value_or_decode_error(data: bytes) -> None:
    """Nothing but DecodeError leaves the readers, whatever the bytes."""
    for read in (read_cloudevent, read_cloudevent_item, split_cloudevents):
        with pytest.raises(DecodeError):
            read(data)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


@given(st.sampled_from(sorted(_document())), _JSON)
def test_any_changed_member_is_refused(name: str, value: object) -> None:
    """A member of another value is refused with DecodeError: nothing in the event is unsigned."""
    document = _document()
    if name in ("signature", "version") or document[name] == value:
        return  # a signature is judged by the node; version has one value
    document[name] = value
    with pytest.raises(DecodeError):
        read_cloudevent(_dump(document))


@pytest.mark.parametrize("name", sorted(set(_document()) - {"version"}))
def test_missing_member_is_refused(name: str) -> None:
    """Leaving out anything that was signed, or the signature, is refused."""
    document = _document()
    del document[name]
    with pytest.raises(DecodeError):
        read_cloudevent(_dump(document))


def test_unknown_member_is_refused() -> None:
    """An extension that the signature does not cover is refused and not dropped in silence."""
    with pytest.raises(DecodeError, match="traceparent"):
        read_cloudevent(_dump(_document() | {"traceparent": "00"}))


@pytest.mark.parametrize(
    "text",
    [
        "2026-11-21T10:30:00.123Z",
        "2026-11-21t10:30:00.123000z",
        "2026-11-21T12:30:00.123+02:00",
        "2026-11-21T01:00:00.123-09:30",
    ],
)
def test_equal_times_are_accepted(text: str) -> None:
    """Any RFC 3339 spelling of the signed millisecond is the same time."""
    moment = datetime(2026, 11, 21, 10, 30, 0, 123_000, UTC)
    opened = _at(int(moment.timestamp() * 1000))
    assert read_cloudevent(_dump(_document(opened) | {"time": text})).opened == opened


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2026-11-21T10:30:00.1234Z",
        "2026-11-21T10:30:00.123000001Z",
        "2026-11-21T10:30:60.123Z",
        "2026-11-21 10:30:00.123Z",
        "2026-11-21T10:30:00.123",
        "2026-11-21T10:30:00.123+24:00",
        "0000-11-21T10:30:00.123Z",
        "1969-12-31T23:59:59.999Z",
        "2026-02-30T10:30:00.123Z",
        "٢026-11-21T10:30:00.123Z",
    ],
)
def test_other_times_are_refused(text: str) -> None:
    """What is no RFC 3339 time of whole milliseconds since 1970 is refused."""
    opened = _at(int(datetime(2026, 11, 21, 10, 30, 0, 123_000, UTC).timestamp() * 1000))
    with pytest.raises(DecodeError):
        read_cloudevent(_dump(_document(opened) | {"time": text}))


def test_year_10000_has_no_cloudevent() -> None:
    """A time that RFC 3339 cannot write gives ValueError; one millisecond before is written."""
    assert "9999-12-31T23:59:59.999Z" in cloudevent_json(_at(253_402_300_799_999)).decode()
    with pytest.raises(ValueError, match="9999"):
        cloudevent_json(_at(253_402_300_800_000))


def _at(time_ms: int) -> OpenEntry:
    event = make_entry().event
    values = {name: getattr(event, name) for name in event.__struct_fields__}
    return sign_event(Event(**(values | {"time_ms": time_ms})), SIGNER)


@pytest.mark.parametrize(
    ("content_type", "data", "member"),
    [
        ("application/json", b'{"price":"1.00"}', {"data": {"price": "1.00"}}),
        ("application/vnd.tmf+json", b"[1]", {"data": [1]}),
        ("text/plain", "é".encode(), {"data": "é"}),
        ("application/json", b'{"a": 1}', {"data_base64": "eyJhIjogMX0="}),
        ("text/plain;charset=latin1", b"e", {"data_base64": "ZQ=="}),
        ("text/plain", b"\xff", {"data_base64": "/w=="}),
        ("", b"1", {"data_base64": "MQ=="}),
        ("application/json", b"null", {"data_base64": "bnVsbA=="}),
        ("application/json", b"", {}),
    ],
)
def test_data_is_readable_where_json_can_carry_it(
    content_type: str, data: bytes, member: dict[str, object]
) -> None:
    """Compact JSON and text stand in the clear, everything else in base64."""
    document = _document(make_entry(data=data, content_type=content_type))
    found = {name: document[name] for name in ("data", "data_base64") if name in document}
    assert found == member


@pytest.mark.parametrize(
    "change",
    [
        {"data": 1, "data_base64": "MQ=="},
        {"data": 1},
        {"data_base64": "MQ="},
        {"data_base64": "M Q=="},
        {"data_base64": "é"},
    ],
)
def test_unfit_data_is_refused(change: dict[str, object]) -> None:
    """Both data members, JSON of another media type and broken base64 are refused."""
    opened = make_entry(data=b"1", content_type="text/plain")
    document = _document(opened)
    del document["data"]
    with pytest.raises(DecodeError):
        read_cloudevent(_dump(document | change))


def test_data_without_content_type_is_json() -> None:
    """Without a media type ``data`` is JSON, as CloudEvents says; null means no data."""
    document = _document(make_entry(data=b"[1,2]"))
    del document["data_base64"]
    assert read_cloudevent(_dump(document | {"data": [1, 2]})).opened.event.data == b"[1,2]"
    assert read_cloudevent(_dump(_document() | {"data": None})).opened.event.data == b""


@pytest.mark.parametrize("excess", [0, 1])
def test_data_limit(excess: int) -> None:
    """Data of the limit is read; one byte more is too large."""
    size = EVENT_DATA_BYTES_MAX + excess
    full = make_entry(data=b"a" * EVENT_DATA_BYTES_MAX, content_type="text/plain")
    document = _document(full) | {"data": "a" * size}
    if excess:
        with pytest.raises(Rejected) as caught:
            read_cloudevent(_dump(document))
        assert caught.value.code is RejectCode.TOO_LARGE
    else:
        assert read_cloudevent(_dump(document)).opened == full


@pytest.mark.parametrize(
    "text",
    [
        b'{"a":1,"a":2}',
        b"[" * 200_000,
        b'{"a":' * 33 + b"1" + b"}" * 33,
        b'"' + b'\\"' * 500_000,
        b"NaN",
        b'"\\ud800"',
        b"\xef\xbb\xbf{}",
        b"1" * 100_000,
        b"{} {}",
    ],
)
def test_hostile_json_is_refused(text: bytes) -> None:
    """Repeated names, endless depth, open strings, NaN, surrogates and so on are refused."""
    for read in (read_cloudevent, split_cloudevents):
        with pytest.raises(DecodeError):
            read(text)


@pytest.mark.parametrize("excess", [-1, 0, 1])
def test_depth_limit(excess: int) -> None:
    """JSON is read up to the depth limit, arrays and objects counted alike."""
    depth = GATEWAY_JSON_DEPTH_MAX + excess
    for text in (b"[" * depth + b"]" * depth, b'{"a":' * depth + b"true" + b"}" * depth):
        assert json_depth(text) == depth
        if excess > 0:
            with pytest.raises(DecodeError, match="deep"):
                require_strict_json(text)
        else:
            require_strict_json(text)


@pytest.mark.parametrize("depth", [GATEWAY_JSON_DEPTH_MAX - 2, GATEWAY_JSON_DEPTH_MAX - 1])
def test_deep_data_can_be_read_in_a_batch(depth: int) -> None:
    """Data stands in the clear only as long as every reader can follow it, in a batch too."""
    data = b"[" * depth + b"]" * depth
    text = cloudevent_json(make_entry(data=data, content_type="application/json"))
    assert (b"data_base64" in text) == (depth > GATEWAY_JSON_DEPTH_MAX - 2)
    (item,) = split_cloudevents(b"[" + text + b"]")
    assert read_cloudevent_item(item).opened.event.data == data


def test_repeated_name_inside_data_is_refused() -> None:
    """A repeated name is refused at any depth."""
    opened = make_entry(data=b'{"a":1}', content_type="application/json")
    text = cloudevent_json(opened).replace(b'{"a":1}', b'{"a":2,"a":1}')
    with pytest.raises(DecodeError, match="twice"):
        read_cloudevent(text)


def test_batch_is_split_in_order() -> None:
    """A batch gives its events in order; an empty one is refused."""
    opened = [make_entry(nonce) for nonce in range(3)]
    text = b"[" + b", ".join(cloudevent_json(entry) for entry in opened) + b"]"
    items = split_cloudevents(text)
    assert [read_cloudevent_item(item).opened for item in items] == opened
    with pytest.raises(DecodeError):
        split_cloudevents(b"[]")
