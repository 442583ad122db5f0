"""TMF630's queries are read as the guidelines write them."""

from collections.abc import Callable
from contextlib import suppress
from http import HTTPStatus
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.tmf.query.model import AnyOf, Comparison, Condition, Operator, Query, SortKey
from adapters.tmf.query.parse import parse_conditions, parse_query
from adapters.tmf.refusal import TmfError
from ledger.core.limits import (
    TMF_CONDITIONS_MAX,
    TMF_FIELDS_MAX,
    TMF_FOUND_MAX,
    TMF_OFFSET_MAX,
    TMF_PATH_CHARS_MAX,
    TMF_QUERY_CHARS_MAX,
    TMF_REGEX_CHARS_MAX,
    TMF_REGEXES_MAX,
    TMF_SORT_KEYS_MAX,
)


def _is(path: str, value: str, operator: Operator = "eq") -> Comparison:
    return Comparison(path, operator, value)


def _any(*comparisons: Comparison) -> AnyOf:
    return AnyOf(comparisons)


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("", ()),
        ("&&;", ()),
        ("name=a", (_is("name", "a"),)),
        ("name=", (_is("name", ""),)),
        ("name=a=b", (_is("name", "a=b"),)),
        ("name=%3Da", (_is("name", "=a"),)),
        ("name==a", (_is("name", "a"),)),
        ("name%3D%3Da", (_is("name", "a"),)),
        ("name.eq=a", (_is("name", "a"),)),
        ("na%6De=%61+b%2Bc", (_is("name", "a b+c"),)),
        ("%40type=x&@baseType=y", (_is("@type", "x"), _is("@baseType", "y"))),
        ("relatedParty.id=did:x:1", (_is("relatedParty.id", "did:x:1"),)),
        ("p.v.gt=5", (_is("p.v", "5", "gt"),)),
        ("p.v.gte=5", (_is("p.v", "5", "gte"),)),
        ("p.v.lt=5", (_is("p.v", "5", "lt"),)),
        ("p.v.lte=5", (_is("p.v", "5", "lte"),)),
        ("p.v.ne=5", (_is("p.v", "5", "ne"),)),
        ("p.v%3E5", (_is("p.v", "5", "gt"),)),
        ("p.v>5", (_is("p.v", "5", "gt"),)),
        ("p.v%3E%3D5", (_is("p.v", "5", "gte"),)),
        ("p.v%3e=5", (_is("p.v", "5", "gte"),)),
        ("p.v%3C5", (_is("p.v", "5", "lt"),)),
        ("p.v%3C%3D5", (_is("p.v", "5", "lte"),)),
        ("p.v!=5", (_is("p.v", "5", "ne"),)),
        ("name.regex=^a,b", (_is("name", "^a,b", "regex"),)),
        ("name%3D~%5Ea", (_is("name", "^a", "regex"),)),
        ("name*=a", (_is("name", "a", "regex"),)),
        ("name=~a", (_is("name", "~a"),)),
        ("gt=5", (_is("gt", "5"),)),
        ("name.gt>5", (_is("name.gt", "5", "gt"),)),
    ],
)
def test_one_condition(raw: str, expected: tuple[Condition, ...]) -> None:
    """Operators are suffixes or literals, encoded or not; what is encoded in a value is data."""
    assert parse_query(raw).conditions == expected
    assert parse_query(raw.encode()).conditions == expected


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("a=1&b=2", (_is("a", "1"), _is("b", "2"))),
        ("a.gt=1&a.lt=5", (_is("a", "1", "gt"), _is("a", "5", "lt"))),
        ("a=1,2", (_any(_is("a", "1"), _is("a", "2")),)),
        ("a=1&a=2&a=1", (_any(_is("a", "1"), _is("a", "2")),)),
        ("a=1&a=1", (_is("a", "1"),)),
        ("a=1;a=2", (_any(_is("a", "1"), _is("a", "2")),)),
        ("a=1;2;3", (_any(_is("a", "1"), _is("a", "2"), _is("a", "3")),)),
        ("d<1;d>9", (_any(_is("d", "1", "lt"), _is("d", "9", "gt")),)),
        ("a=1;b=2&c=3", (_is("c", "3"), _any(_is("a", "1"), _is("b", "2")))),
        ("a=x%2Cy", (_any(_is("a", "x,y"), _is("a", "x"), _is("a", "y")),)),
        ("a.gt=x,y", (_is("a", "x,y", "gt"),)),
        ("a.ne=1,2", (_is("a", "1", "ne"), _is("a", "2", "ne"))),
        ("a.ne=1&a.ne=2", (_is("a", "1", "ne"), _is("a", "2", "ne"))),
        ("a.ne=1;b=2", (_any(_is("a", "1", "ne"), _is("b", "2")),)),
    ],
)
def test_alternatives(raw: str, expected: tuple[Condition, ...]) -> None:
    """Names are ANDed; repeated names, commas and semicolons are ORed; not-equals are ANDed."""
    assert parse_query(raw).conditions == expected


@pytest.mark.parametrize(
    ("raw", "value"),
    [
        ("d=2026-01-01T00:00:00+02:00", "2026-01-01T00:00:00+02:00"),
        ("d=2026-01-01T00:00:00.123+02:00", "2026-01-01T00:00:00.123+02:00"),
        ("d=2026-01-01T00:00:00%2B02:00", "2026-01-01T00:00:00+02:00"),
        ("d=2026-01-01T00:00:00-02:00", "2026-01-01T00:00:00-02:00"),
        ("d=2026-01-01+00:00", "2026-01-01 00:00"),
    ],
)
def test_a_plus_sign_in_an_offset_is_meant(raw: str, value: str) -> None:
    """Clients forget to encode the plus sign of an offset; it is not taken for a space."""
    assert parse_query(raw).conditions == (_is("d", value),)


def test_directives() -> None:
    """Attributes, order and part are read beside the conditions."""
    raw = "fields=a,b.c&name=x&sort=-d,+e,%2Bf,g.h&offset=3&limit=7&fields=%40type%2Cz"
    assert parse_query(raw) == Query(
        conditions=(_is("name", "x"),),
        sort=(SortKey("d", descending=True), SortKey("e"), SortKey("f"), SortKey("g.h")),
        offset=3,
        limit=7,
        fields=("a", "b.c", "@type", "z"),
    )


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("fields=none", Query(fields=())),
        ("fields=none,name", Query(fields=("name",))),
        ("fields=", Query()),
        ("sort=", Query()),
        ("limit=0", Query(limit=0)),
        (f"limit={TMF_FOUND_MAX + 1}", Query(limit=TMF_FOUND_MAX)),
        (f"offset={TMF_OFFSET_MAX}", Query(offset=TMF_OFFSET_MAX)),
    ],
)
def test_directives_at_their_ends(raw: str, expected: Query) -> None:
    """No attributes, no order, no entities, and more than the node gives at once."""
    assert parse_query(raw) == expected


@pytest.mark.parametrize(
    "raw",
    [
        "name",
        "=x",
        ".gt=%ff",
        "%ff=x",
        "ä=x".encode(),
        "limit=-1",
        "limit=1.0",
        "limit=",
        "limit=%D9%A1",
        "limit=1&limit=2",
        f"offset={TMF_OFFSET_MAX + 1}",
        "offset=99999999999999999999",
        "name.regex=(",
        "name.regex=(?=x)",
        "name.regex=((a{99}){99}){99}",
        "a.ne=1,2;b=3",
    ],
)
def test_what_breaks_the_grammar_is_a_bad_request(raw: str | bytes) -> None:
    """The answer is 400, and says what is wrong."""
    with pytest.raises(TmfError) as caught:
        parse_query(raw)
    assert caught.value.status == HTTPStatus.BAD_REQUEST
    assert len(caught.value.message) > 20


@pytest.mark.parametrize("name", ["filter", "depth", "expand"])
def test_a_directive_that_is_not_offered_is_said_to_be(name: str) -> None:
    """What would change the answer is not ignored: 501."""
    with pytest.raises(TmfError, match=name) as caught:
        parse_query(f"{name}=1")
    assert caught.value.status == HTTPStatus.NOT_IMPLEMENTED


def _names(count: int) -> str:
    return ",".join(f"n{index}" for index in range(count))


@pytest.mark.parametrize(
    ("form", "limit"),
    [
        (lambda n: "a=" + _names(n), TMF_CONDITIONS_MAX),
        (lambda n: "&".join(f"a{index}=x" for index in range(n)), TMF_CONDITIONS_MAX),
        (lambda n: ";".join(f"a{index}=x" for index in range(n)), TMF_CONDITIONS_MAX),
        (lambda n: "fields=" + _names(n), TMF_FIELDS_MAX),
        (lambda n: "sort=" + _names(n), TMF_SORT_KEYS_MAX),
        (lambda n: "a" * n + "=x", TMF_PATH_CHARS_MAX),
        (lambda n: "sort=" + "a" * n, TMF_PATH_CHARS_MAX),
        (lambda n: "fields=" + "a" * n, TMF_PATH_CHARS_MAX),
        (lambda n: "a.regex=" + "x" * n, TMF_REGEX_CHARS_MAX),
        (lambda n: "&".join(f"a.regex=x{index}" for index in range(n)), TMF_REGEXES_MAX),
        (lambda n: ";".join(f"a{index}.regex=x" for index in range(n)), TMF_REGEXES_MAX),
        (lambda n: "a=" + "x" * (n - 2), TMF_QUERY_CHARS_MAX),
    ],
)
def test_limits(form: Callable[[int], str], limit: int) -> None:
    """Each limit is met at its value and not one beyond it."""
    parse_query(form(limit - 1))
    parse_query(form(limit))
    with pytest.raises(TmfError) as caught:
        parse_query(form(limit + 1))
    assert str(limit) in caught.value.message


def test_conditions_alone_know_no_directives() -> None:
    """In a registration's query every name is an attribute."""
    raw = "eventType=A;eventType=B&limit=5&event.x.state=done"
    assert parse_conditions(raw) == (
        _any(_is("eventType", "A"), _is("eventType", "B")),
        _is("limit", "5"),
        _is("event.x.state", "done"),
    )


@given(
    st.text(st.sampled_from("ab.=<>!*~%2CcEe3D;,&+- \x00ä"), max_size=40)
    | st.binary(max_size=40)
    | st.lists(
        st.sampled_from(("limit=", "sort", "a.regex=", "(", "fields=", "-", "9")), max_size=6
    ).map("&".join)
)
def test_any_text_is_a_query_or_refused(raw: str | bytes) -> None:
    """Whatever is sent, the answer is a query or a refusal."""
    with suppress(TmfError):
        assert parse_query(raw).offset >= 0


_OPERATORS: tuple[Operator, ...] = ("eq", "ne", "gt", "gte", "lt", "lte")
_IN_OPERATORS = (
    "<>=*~"  # TMF630 spells operators with them, encoded too: no attribute can be so named
)


@given(
    st.text(
        st.characters(exclude_categories=["Cs"], exclude_characters=_IN_OPERATORS),
        min_size=1,
        max_size=20,
    ),
    st.sampled_from(_OPERATORS),
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters=","), max_size=20),
)
def test_encoded_conditions_mean_what_they_say(path: str, operator: Operator, value: str) -> None:
    """Any attribute and value, percent-encoded, come out as they went in."""
    raw = f"{quote(path, safe='')}.x.{operator}={quote(value, safe='')}"
    if path not in {"fields", "sort"}:
        assert parse_query(raw).conditions == (Comparison(f"{path}.x", operator, value),)
