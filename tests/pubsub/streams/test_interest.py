"""Interests: what the CloudEvents Subscriptions draft says, and nothing that is not understood."""

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.core.errors import DecodeError
from ledger.core.event import OpenEntry
from ledger.core.limits import LOCATION_CHARS_MAX
from pubsub.core.interest import (
    Interest,
    InterestDocument,
    interest_document,
    interest_from_document,
    read_filters,
    read_interest,
)
from pubsub.core.interest_match import compile_interest
from pubsub.core.limits import INTEREST_DEPTH_MAX, INTEREST_FILTERS_MAX, INTEREST_TOPICS_MAX
from tests.pubsub.pubsub_strategies import make_entry
from tests.pubsub.streams.interest_oracle import Json, interests, sample_events, wants


def read(document: object) -> Interest:
    """Read a document."""
    return read_interest(json.dumps(document).encode())


def matches(document: object, opened: OpenEntry) -> bool:
    """Say whether the interest of a document wants the event."""
    return compile_interest(read(document))(opened.event, opened.id)


@given(interests, st.lists(sample_events(), min_size=1, max_size=4))
def test_an_interest_means_what_the_draft_says(document: Json, events: list[OpenEntry]) -> None:
    """A compiled interest wants exactly what the naive reading of its document wants."""
    predicate = compile_interest(read(document))
    for opened in events:
        assert predicate(opened.event, opened.id) == wants(document, opened)


@given(interests)
def test_an_interest_and_its_document_are_the_same(document: Json) -> None:
    """Reading the document of an interest gives the interest again."""
    interest = read(document)
    assert read_interest(msgspec.json.encode(interest_document(interest))) == interest


@pytest.mark.parametrize(
    ("wanted", "is_wanted"),
    [
        ({"exact": {"type": "org.example.offering.changed"}}, True),
        ({"exact": {"type": "org.example.offering.CHANGED"}}, False),
        ({"exact": {"type": "org.example.offering.changed", "subject": "urn:x"}}, False),
        ({"exact": {"type": "org.example.offering.changed", "subject": "urn:offering:1"}}, True),
        ({"prefix": {"type": "org.example."}}, True),
        ({"prefix": {"type": "example."}}, False),
        ({"suffix": {"type": ".changed"}}, True),
        ({"suffix": {"type": ".created"}}, False),
        ({"exact": {"source": "did:web:market.example"}}, True),
        ({"exact": {"topic": "dome.offering"}}, True),
        ({"prefix": {"dataref": "https://market.example/"}}, True),
        ({"prefix": {"time": "2026-11-2"}}, True),
        ({"exact": {"entityhash": "11" * 32}}, True),
        ({"prefix": {"previoushash": "1"}}, False),
        ({"exact": {"tags": "a,b%2C"}}, True),
        ({"exact": {"tags": "eu"}}, True),
        ({"prefix": {"tags": "e"}}, True),
        ({"exact": {"tags": "e"}}, False),
        ({"not": {"exact": {"datacontenttype": "text/plain"}}}, True),
        ({"all": [{"prefix": {"type": "org."}}, {"suffix": {"subject": ":1"}}]}, True),
        ({"all": [{"prefix": {"type": "org."}}, {"suffix": {"subject": ":2"}}]}, False),
        ({"any": [{"prefix": {"type": "com."}}, {"suffix": {"subject": ":1"}}]}, True),
        ({"any": [{"prefix": {"type": "com."}}, {"suffix": {"subject": ":2"}}]}, False),
        ({"not": {"not": {"exact": {"tags": "eu"}}}}, True),
    ],
)
def test_each_dialect(wanted: Json, is_wanted: bool) -> None:
    """Each dialect compares as the draft says; what an event lacks compares with nothing."""
    assert matches({"filters": [wanted]}, make_entry()) is is_wanted


@pytest.mark.parametrize("document", [{}, {"filters": []}, {"topics": []}, {"topics": [">"]}])
def test_nothing_asked_is_everything(document: Json) -> None:
    """Without filters and topics every event is wanted."""
    assert matches(document, make_entry())


@pytest.mark.parametrize(
    "document",
    [
        {"filters": [{"sql": "type = 'a'"}]},
        {"filters": [{}]},
        {"filters": [{"exact": {"type": "a"}, "prefix": {"type": "a"}}]},
        {"filters": [{"exact": {}}]},
        {"filters": [{"exact": {"type": ""}}]},
        {"filters": [{"exact": {"": "a"}}]},
        {"filters": [{"exact": {"type": 1}}]},
        {"filters": [{"exact": {"type": None}}]},
        {"filters": [{"exact": {"type": ["a"]}}]},
        {"filters": [{"exact": {"colour": "a"}}]},
        {"filters": [{"exact": {"Type": "a"}}]},
        {"filters": [{"exact": "a"}]},
        {"filters": [{"all": []}]},
        {"filters": [{"any": []}]},
        {"filters": [{"not": []}]},
        {"filters": [{"not": None}]},
        {"filters": [{"all": {"exact": {"type": "a"}}}]},
        {"filters": {"exact": {"type": "a"}}},
        {"filters": None},
        {"topics": "a"},
        {"topics": [""]},
        {"topics": ["a..b"]},
        {"topics": ["a.>.b"]},
        {"topics": ["a b"]},
        {"topics": [1]},
        {"types": ["a"]},
        [],
        "a",
        None,
    ],
)
def test_what_is_not_understood_is_refused(document: object) -> None:
    """An unknown dialect, attribute, type or member is a DecodeError, never ignored."""
    with pytest.raises(DecodeError):
        read(document)


@pytest.mark.parametrize(
    "text",
    [b"", b"{", b"\xff", b'{"filters":[{"exact":{"type":"a","type":"b"}}]}', b"[" * 100_000],
)
def test_what_is_no_json_is_refused(text: bytes) -> None:
    """Text that is no strict JSON is a DecodeError for interests and filters alike."""
    for reader in (read_interest, read_filters):
        with pytest.raises(DecodeError):
            reader(text)


def test_filters_are_one_or_several() -> None:
    """A filter stands for itself in a query; an array is all of them."""
    one = read_filters(b'{"exact":{"type":"a"}}')
    assert read_filters(b'[{"exact":{"type":"a"}}]') == one
    assert len(read_filters(b'[{"exact":{"type":"a"}},{"prefix":{"subject":"b"}}]')) == 2


def test_limit_of_topics() -> None:
    """So many topics and no more."""
    read({"topics": ["a"] * INTEREST_TOPICS_MAX})
    with pytest.raises(DecodeError):
        read({"topics": ["a"] * (INTEREST_TOPICS_MAX + 1)})
    with pytest.raises(DecodeError):
        interest_from_document(InterestDocument(("a",) * (INTEREST_TOPICS_MAX + 1)))


def test_limit_of_filters() -> None:
    """So many filters and no more, wherever they stand."""
    one = {"exact": {"type": "a"}}
    read({"filters": [one] * INTEREST_FILTERS_MAX})
    read({"filters": [{"any": [one] * (INTEREST_FILTERS_MAX - 1)}]})
    for filters in ([one] * (INTEREST_FILTERS_MAX + 1), [{"any": [one] * INTEREST_FILTERS_MAX}]):
        with pytest.raises(DecodeError):
            read({"filters": filters})


def test_limit_of_depth() -> None:
    """So deep and no deeper."""

    def nested(depth: int) -> Json:
        return {"not": nested(depth - 1)} if depth > 1 else {"exact": {"type": "a"}}

    read({"filters": [nested(INTEREST_DEPTH_MAX)]})
    with pytest.raises(DecodeError):
        read({"filters": [nested(INTEREST_DEPTH_MAX + 1)]})


def test_limit_of_a_value() -> None:
    """A value is as long as the longest attribute and no longer."""
    read({"filters": [{"exact": {"dataref": "a" * LOCATION_CHARS_MAX}}]})
    with pytest.raises(DecodeError):
        read({"filters": [{"exact": {"dataref": "a" * (LOCATION_CHARS_MAX + 1)}}]})
