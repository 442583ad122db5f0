"""H and the hashlinks are those of Desmos: vectors, an independent writing, properties."""

import json
from hashlib import sha256
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.tmf.desmos.hash import canonical_json, digest, hashed_name, next_link
from ledger.core.errors import DecodeError
from ledger.core.limits import DESMOS_JSON_DEPTH_MAX
from tests.adapters.dlt import desmos_hash as independent

NUMBERS = st.floats(allow_nan=False, allow_infinity=False, allow_subnormal=False)
SCALARS = st.none() | st.booleans() | st.integers() | NUMBERS
VALUES = st.recursive(
    SCALARS | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


def test_a_first_publication_is_its_own_link() -> None:
    """Without a publication before, the link is the hash of the entity."""
    assert next_link(None, "ab" * 32) == "ab" * 32


@pytest.mark.parametrize(
    "value, text",
    [
        (0.0, "0.0"),
        (-0.0, "-0.0"),
        (9999999.999, "9999999.999"),
        (-12345678.9, "-1.23456789E7"),
        (1e23, "1.0E23"),
        (5e-324, "4.9E-324"),  # two figures at least, and the nearest of those
        (1.7976931348623157e308, "1.7976931348623157E308"),
        (0.00099, "9.9E-4"),
    ],
)
def test_numbers_with_a_fraction_look_as_in_java(value: float, text: str) -> None:
    """Numbers are written as ``Double.toString`` does."""
    assert canonical_json(float(value)) == text


def test_integers_stay_as_they_are() -> None:
    """Whole numbers get no fraction, however large; minus zero is zero."""
    assert canonical_json(json.loads("[123456789012345678901234567890]")) == (
        "[123456789012345678901234567890]"
    )
    assert digest("-0") == digest("0")


@pytest.mark.parametrize(
    "text, hashed",
    [
        ('{"a":1} and more', '{"a":1}'),  # what follows the first value is not looked at
        ('  {"b":1, "a":2}', '{"a":2,"b":1}'),
        ('{"a":1,"a":2}', '{"a":2}'),  # the last one counts
        ("123", "123"),
        ("12 34", "12"),
        ("1.50", "1.5"),
        ("1e400", '"Infinity"'),
        ("2024-01-01", "2024-01-01"),  # no number, and so a plain text
        ("007", "007"),
        ("NaN", "NaN"),
        ("true", "true"),
        ("true-ish", "true"),
        ("trueness", "trueness"),
        ('"a\\u00e9\\u0007\\/"', '"aé\\u0007/"'),
        ('"\\u001f"', '"\\u001F"'),
        ("", ""),
        ("{", "{"),
        ('"\\ud800"', '"?"'),
        ("did:elsi:VATES-1", "did:elsi:VATES-1"),
    ],
)
def test_what_of_a_text_is_hashed(text: str, hashed: str) -> None:
    """JSON is hashed in its canonical form, anything else as it is."""
    assert digest(text) == sha256(hashed.encode()).hexdigest()


def test_keys_and_elements_are_ordered_by_utf16() -> None:
    """A character beyond the basic plane comes before one at its end, as in Java."""
    assert canonical_json({"\uffff": 1, "\U0001f600": 2}) == '{"\U0001f600":2,"\uffff":1}'
    assert canonical_json(["\uffff", "\U0001f600"]) == '["\U0001f600","\uffff"]'


def test_arrays_are_sorted_but_for_those_within_arrays() -> None:
    """Elements are sorted by their text; an array that is an element stays as it is."""
    value = [{"b": [2, 1], "a": 1}, 10, 9, "x", [3, {"b": 1, "a": 2}, 1]]
    assert canonical_json(value) == '["x",10,9,[3,{"b":1,"a":2},1],{"a":1,"b":[1,2]}]'


def test_names_on_the_ledger_are_hashed_with_a_prefix() -> None:
    """Ids of entities and organisations stand on the ledger as 0x and H."""
    assert hashed_name("urn:x:1") == "0x" + sha256(b"urn:x:1").hexdigest()


def test_too_deep_json_is_refused() -> None:
    """JSON of the greatest depth has a hash; one level more has none."""
    digest("[" * DESMOS_JSON_DEPTH_MAX + "]" * DESMOS_JSON_DEPTH_MAX)
    with pytest.raises(DecodeError):
        digest("[" * (DESMOS_JSON_DEPTH_MAX + 1) + "]" * (DESMOS_JSON_DEPTH_MAX + 1))


@given(VALUES)
def test_canonical_form_is_that_of_an_independent_writer(value: object) -> None:
    """Two writings of the facts agree on all JSON."""
    assert canonical_json(value) == independent.written(independent.canonical(value))


@given(VALUES)
def test_the_canonical_form_is_stable(value: object) -> None:
    """The canonical form of a document hashes as the document does."""
    document = {"value": value}
    assert digest(canonical_json(document)) == digest(json.dumps(document))


@given(st.text())
def test_every_text_has_one_hash(text: str) -> None:
    """Whatever the text, there is a hash, and it is one of 64 hexadecimal digits."""
    found = digest(text)
    assert found == digest(text)
    assert len(bytes.fromhex(found)) == 32


@given(st.dictionaries(st.text(min_size=1), VALUES, max_size=5), st.randoms())
def test_the_order_of_members_and_elements_does_not_matter(
    document: dict[str, object], random: Random
) -> None:
    """Entities that differ in order alone have the same hash."""
    rows = list(document.items())
    random.shuffle(rows)
    assert digest(json.dumps(dict(rows))) == digest(json.dumps(document))
    elements = list(document.values())
    random.shuffle(elements)
    assert digest(json.dumps(elements)) == digest(json.dumps(list(document.values())))
