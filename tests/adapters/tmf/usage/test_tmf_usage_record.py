"""What the usage log takes, what it counts, and in which bytes it keeps it."""

import json
import re
from decimal import Context, Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.tmf.entity import canonical
from adapters.tmf.usage.amounts import format_amount, parse_amount
from adapters.tmf.usage.canonical import canonical_bytes, canonical_record
from adapters.tmf.usage.limits import (
    USAGE_FUTURE_MS_MAX,
    USAGE_MEASURES_MAX,
    USAGE_RECORD_BYTES_MAX,
)
from adapters.tmf.usage.record import Measure, RecordCode, RecordRefused, read_body, read_record
from ledger.core.errors import DecodeError
from ledger.core.limits import GATEWAY_JSON_DEPTH_MAX
from tests.adapters.tmf.usage.usage_world import BUYER, NOW_MS, SELLER, party, record, usage

# The last two sort one way by code points and the other by UTF-16.
TEXTS = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"]), max_size=8),
    st.sampled_from(["\ue000", "\U00010000"]),
)
NUMBERS = st.one_of(
    st.integers(1 - 2**53, 2**53 - 1),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from([1e-7, 1e-6, 1e16, 1e21, -0.0, 5e-324, 1.0, 0.1]),
)
VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), NUMBERS, TEXTS),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(TEXTS, inner, max_size=3)),
    max_leaves=8,
)
DOCUMENTS = st.dictionaries(TEXTS, VALUES, max_size=5)
EXACT = Context(prec=200)


def refusal(document: dict[str, Any], now_ms: int = NOW_MS) -> RecordRefused:
    """Read a document that must be refused."""
    with pytest.raises(RecordRefused) as caught:
        read_record(json.dumps(document).encode(), SELLER, now_ms)
    return caught.value


def characteristic(value: object, value_type: str | None = None) -> dict[str, Any]:
    """Give a document with one characteristic."""
    found = {"name": "traffic", "value": value, "valueType": value_type}
    return usage("u", usageCharacteristic=[found])


@given(DOCUMENTS)
def test_the_quick_canonical_form_is_the_canonical_form(document: dict[str, Any]) -> None:
    """Whatever way is taken, the bytes are those of RFC 8785."""
    assert canonical_bytes(document) == canonical(document)


@given(DOCUMENTS, st.booleans(), st.sampled_from([None, 1]))
def test_text_is_read_in_any_form_of_json(
    document: dict[str, Any], ensure_ascii: bool, indent: int | None
) -> None:
    """White space, escapes and the order of members do not matter."""
    text = json.dumps(document, ensure_ascii=ensure_ascii, indent=indent).encode()
    assert canonical_record(text) == canonical(document)


@pytest.mark.parametrize(
    "text",
    [
        b'{"a":1,"a":1}',
        b'{"a":{"b":1,"b":2}}',
        b'{"a":1,"a":"\\u0022\\u0022"}',
        b'{"b":1e-5,"c":1e-5,"d":1e-5,"e":1e-5,"a":1,"a":1}',
        b"[1]",
        b"{",
        b"",
        b'{"a":NaN}',
        b'{"a":9007199254740993}',
        b'{"a":"\\ud800"}',
        b"\xff",
        b'{"a":1} {}',
    ],
)
def test_what_is_no_single_meaning_is_refused(text: bytes) -> None:
    """Names that stand twice, other values than objects, and what is no JSON end in DecodeError."""
    with pytest.raises(DecodeError):
        canonical_record(text)


@pytest.mark.parametrize(("depth", "is_taken"), [(0, True), (1, False), (5_000, False)])
def test_nesting_is_bounded(depth: int, is_taken: bool) -> None:
    """As deep as a JSON body may be, and no deeper."""
    levels = GATEWAY_JSON_DEPTH_MAX - 1 + depth
    text = b'{"a":' + b"[" * levels + b"]" * levels + b"}"
    if is_taken:
        assert canonical_record(text) == text
    else:
        with pytest.raises(DecodeError):
            canonical_record(text)


@pytest.mark.parametrize(("more", "is_taken"), [(-1, True), (0, True), (1, False)])
def test_length_is_bounded(more: int, is_taken: bool) -> None:
    """A document may be as long as the limit."""
    text = json.dumps({"a": ""}, separators=(",", ":")).encode()
    text = text[:-2] + b"x" * (USAGE_RECORD_BYTES_MAX - len(text) + more) + text[-2:]
    if is_taken:
        assert canonical_record(text) == text
    else:
        with pytest.raises(DecodeError):
            canonical_record(text)


@given(st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**29), max_value=10**29))
def test_amounts_are_exact(number: Decimal) -> None:
    """An amount is the number that was written, or refused; its text is canonical."""
    try:
        amount = parse_amount(str(number))
    except DecodeError:
        exponent = number.normalize(EXACT).as_tuple().exponent
        assert isinstance(exponent, int)
        assert exponent < -30
        return
    text = format_amount(amount)
    assert EXACT.create_decimal(text) == number
    assert parse_amount(text) == amount
    assert re.fullmatch(r"0|-?(0\.[0-9]*[1-9]|[1-9][0-9]*(\.[0-9]*[1-9])?)", text)


@pytest.mark.parametrize(
    "text",
    [
        "1e30",
        "1e-31",
        "9" * 31,
        "0." + "1" * 31,
        "",
        "-",
        "+1",
        "1.",
        ".5",
        "NaN",
        "\u0661",
        "1_0",
        "1e9999",
    ],
)
def test_amounts_out_of_bounds_are_refused(text: str) -> None:
    """Thirty digits before and behind the point, written as JSON writes numbers."""
    with pytest.raises(DecodeError):
        parse_amount(text)


def test_parties_product_and_moment_are_read() -> None:
    """A record says when, who, whose and what."""
    found = record(usage("u1"))
    assert (found.id, found.usage_ms, found.seller) == ("u1", 1_789_984_800_000, SELLER)
    assert (found.buyer, found.product) == (BUYER, "urn:product:1")
    assert found.measures == (Measure("storage", "GB", parse_amount("5")),)
    assert read_body(found.body) == found


@pytest.mark.parametrize(
    ("value", "value_type", "expected"),
    [
        (12.5, None, ("", "12.5")),
        (1e21, "number", ("", "1000000000000000000000")),
        ("0.10", "Decimal", ("", "0.1")),
        ("0.10", "string", None),
        ("eu-west", None, None),
        (True, None, None),
        (None, None, None),
        ([1, 2], None, None),
        ({"amount": 0.1, "units": "TB"}, None, ("TB", "0.1")),
        ({"amount": 3}, None, ("", "3")),
        ({"amount": 3, "units": 7}, None, ("", "3")),
        ({"name": "x"}, None, None),
    ],
)
def test_numbers_count_and_texts_describe(
    value: object, value_type: str | None, expected: tuple[str, str] | None
) -> None:
    """Numbers, numeric texts and quantities are measures; everything else is only kept."""
    measures = record(characteristic(value, value_type)).measures
    assert [(unit, format_amount(amount)) for _, unit, amount in measures] == (
        [expected] if expected else []
    )


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"id": None}, RecordCode.MISSING_ATTRIBUTE),
        ({"id": 5}, RecordCode.BAD_ATTRIBUTE),
        ({"id": "x" * 513}, RecordCode.BAD_ATTRIBUTE),
        ({"usageDate": None}, RecordCode.MISSING_ATTRIBUTE),
        ({"usageDate": "yesterday"}, RecordCode.BAD_ATTRIBUTE),
        ({"usageDate": "1969-12-31T23:59:59Z"}, RecordCode.BAD_ATTRIBUTE),
        ({"relatedParty": [party("did:elsi:X", "Seller")]}, RecordCode.OTHER_SELLER),
        (
            {"relatedParty": [party("did:elsi:X", "Buyer"), party("did:elsi:Y", "buyer")]},
            RecordCode.SEVERAL_PARTIES,
        ),
        (
            {"ratedProductUsage": [{"productRef": {"id": "a"}}, {"productRef": {"id": "b"}}]},
            RecordCode.SEVERAL_PRODUCTS,
        ),
        ({"ratedProductUsage": "all"}, RecordCode.BAD_ATTRIBUTE),
        (
            {"usageCharacteristic": [{"name": "n", "value": "x", "valueType": "number"}]},
            RecordCode.BAD_AMOUNT,
        ),
        ({"usageCharacteristic": [{"name": "n", "value": 1e-300}]}, RecordCode.BAD_AMOUNT),
        ({"usageCharacteristic": [{"name": "n" * 65, "value": 1}]}, RecordCode.BAD_ATTRIBUTE),
        (
            {"usageCharacteristic": [{"name": "n", "value": 1}] * (USAGE_MEASURES_MAX + 1)},
            RecordCode.BAD_ATTRIBUTE,
        ),
    ],
)
def test_a_refusal_says_why(changes: dict[str, Any], code: RecordCode) -> None:
    """Each rule has its code and a sentence."""
    refused = refusal(usage("u", **changes))
    assert refused.code == code
    assert refused.detail


def test_a_record_of_tomorrow_is_refused() -> None:
    """The date may be ahead of the node's clock by minutes only."""
    moment = record(usage("u")).usage_ms
    assert refusal(usage("u"), moment - USAGE_FUTURE_MS_MAX - 1).code == RecordCode.DATE_IN_FUTURE
    text = json.dumps(usage("u")).encode()
    assert read_record(text, SELLER, moment - USAGE_FUTURE_MS_MAX).usage_ms == moment


def test_a_record_may_name_nobody() -> None:
    """Without parties and product a record counts for the seller alone."""
    found = record({"id": "u", "usageDate": "2026-09-21T10:00:00+02:00"})
    assert (found.seller, found.buyer, found.product, found.measures) == ("", "", "", ())
